//! What a search leaves: `search.json` and the lines for people.

use std::path::{Path, PathBuf};

use lat::cost_id::CostId;
use lat::diagnostics::Collapse;
use lat::finalists::Finalist;
use lat::search::{EpochReport, SearchOutcome, SearchSettings};
use lat_data::OperatingPoint;
use lat_predictor::{CostModel, PredictorCost};
use lat_space::{Architecture, SearchSpace, count};
use serde::{Deserialize, Serialize};

use super::log::JSON_LINES;
use super::place::Place;
use super::plan::{Cost, Plan};
use crate::cli::accuracy::Published;
use crate::cli::output::say;

/// Finalists that are measured where the device is at hand and the first ones are above the goal.
const MEASURED: usize = 4;

/// The result's name in the folder.
pub(super) const FILE: &str = "search.json";

/// What `search.json` says of the cost model.
#[derive(Deserialize)]
struct Recorded {
    #[serde(default)]
    cost_model: Option<CostId>,
}

/// Whether nothing in the folder was written with another cost model than this, a checkpoint aside.
pub(super) fn is_free_for(dir: &Path, cost_model: Option<&CostId>) -> bool {
    match std::fs::read(dir.join(FILE)) {
        Ok(json) => serde_json::from_slice::<Recorded>(&json)
            .is_ok_and(|recorded| recorded.cost_model.as_ref() == cost_model),
        Err(_) => !dir.join(JSON_LINES).exists(),
    }
}

/// `search.json`.
#[derive(Serialize)]
pub(super) struct SearchResult {
    #[serde(flatten)]
    pub(super) settings: SearchSettings,
    /// The derived architecture as text.
    architecture: String,
    /// What the method's own rule derives; the finalists may have named another.
    most_probable: String,
    /// Its predicted cost.
    most_probable_predicted: Option<f64>,
    /// The short list of finalists within the budget, best first.
    finalists_best: Vec<Finalist>,
    /// What the goal allowed (a target, or what lambda asks for), and the cost of what the score alone would take.
    budget: Option<f64>,
    free_cost: Option<f64>,
    /// Where the search collapsed, and whether it ended there: the architecture, `predicted` and `measured` are then of the epoch
    /// that was kept, `relaxed` and its gap of the state that collapsed.
    collapse: Option<Collapse>,
    stopped_on_collapse: bool,
    #[serde(flatten)]
    published: Published,
    /// File of the predictor that the cost is from.
    predictor: Option<PathBuf>,
    column: Option<String>,
    unit: Option<String>,
    /// Expected cost of the relaxed architecture at the end.
    relaxed: Option<f64>,
    /// Mean cost of 1000 architectures drawn from the relaxed one, and by how much `relaxed` is above it, percent.
    relaxed_sampled: Option<f64>,
    relaxation_gap_percent: Option<f64>,
    /// Standard error of that gap by the draws, percent.
    relaxation_gap_error_percent: Option<f64>,
    /// Predicted cost of the derived architecture; a risk is not in it, while it is in `relaxed` and `reference`.
    pub(super) predicted: Option<f64>,
    /// Measured cost of the derived architecture.
    pub(super) measured: Option<f64>,
    /// Where it was measured, or why not.
    measurement: String,
    /// Undisturbed time of the CPU's reference network that measured times go by, milliseconds.
    reference_ms: Option<f64>,
    /// How the networks ran that the cost was measured with; nothing where that is not known.
    operating_point: Option<OperatingPoint>,
    /// Cost of the average architecture (`T_ref`).
    reference: Option<f64>,
    pub(super) params: u64,
    multiply_adds: u64,
    /// Of all processes that worked on it.
    pub(super) seconds: f64,
    /// Most memory that one of these took: allocated on the GPU, else what the process grew by.
    peak_memory_mib: Option<f64>,
    pub(super) log: Vec<EpochReport>,
}

impl SearchResult {
    /// Prices, measures and counts what was found.
    pub(super) fn new(plan: &Plan<'_>, outcome: SearchOutcome) -> anyhow::Result<Self> {
        let space = plan.space.as_ref();
        let place = plan.cost.as_ref().and_then(|cost| cost.place.as_ref());
        let (architecture, (measured, measurement)) = match place {
            Some(place) => named(space, place, &outcome)?,
            None => (
                outcome.architecture.clone(),
                (None, "not measured: nothing says on what device and network".into()),
            ),
        };
        let price = |architecture: &Architecture| {
            plan.cost.as_ref().map(|cost| predicted(space, cost, architecture)).transpose()
        };
        let (predicted, most_probable_predicted) =
            (price(&architecture)?, price(&outcome.most_probable)?);
        let counts = count(&space.graph(&plan.settings.skeleton).derive(&architecture));
        let finals = outcome.finals;
        Ok(Self {
            settings: plan.settings.clone(),
            architecture: space.format(&architecture),
            most_probable: space.format(&outcome.most_probable),
            most_probable_predicted,
            finalists_best: finals.finalists,
            budget: finals.budget,
            free_cost: finals.free_cost,
            collapse: outcome.collapse,
            stopped_on_collapse: outcome.stopped,
            published: Published::of(plan.accuracies.as_ref(), space, &architecture),
            predictor: plan.cost.as_ref().and_then(|cost| cost.file.clone()),
            column: plan.cost.as_ref().map(|c| c.model.column().to_owned()),
            unit: plan.cost.as_ref().map(|c| c.model.unit().to_owned()),
            relaxed: outcome.relaxed_cost,
            relaxed_sampled: outcome.relaxation_gap.map(|gap| gap.sampled),
            relaxation_gap_percent: outcome.relaxation_gap.map(|gap| gap.percent()),
            relaxation_gap_error_percent: outcome.relaxation_gap.map(|gap| gap.error_percent()),
            predicted,
            measured,
            measurement,
            reference_ms: place.and_then(|place| place.reference_ms),
            operating_point: place.map(|place| place.point),
            reference: outcome.reference_cost,
            params: counts.params,
            multiply_adds: counts.multiply_adds,
            seconds: outcome.spent.seconds,
            peak_memory_mib: outcome.spent.peak_memory_mib,
            log: outcome.epochs,
        })
    }

    /// What the relaxed cost leaves to be explained.
    fn gap_text(&self) -> String {
        let risk = match self.settings.risk {
            0.0 => String::new(),
            k => format!(" with {k} standard deviations"),
        };
        let gap = self.relaxation_gap_percent;
        gap.map_or(risk.clone(), |g| format!("{risk} ({g:+.2} % against architectures drawn)"))
    }

    fn print_finalists(&self) -> anyhow::Result<()> {
        if self.finalists_best.is_empty() {
            return Ok(());
        }
        let unit = self.unit.as_deref().unwrap_or("");
        let is_above = |budget: f64| self.predicted.is_some_and(|cost| cost > 1.0001 * budget);
        let budget = match self.budget {
            Some(b) if is_above(b) => format!(", none of which is below {b:.4} {unit}"),
            Some(b) => format!(" of at most {b:.4} {unit}"),
            None => String::new(),
        };
        let cost = |c: Option<f64>| c.map_or_else(String::new, |c| format!(", {c:.4} {unit}"));
        say(format!(
            "the best of {} finalists{budget}; the most probable architecture was {}{}",
            self.settings.finalists,
            if self.most_probable == self.architecture { "this one" } else { &self.most_probable },
            cost(self.most_probable_predicted.filter(|_| self.most_probable != self.architecture))
        ))
    }

    /// The result for people.
    pub(super) fn print(&self, dir: &Path) -> anyhow::Result<()> {
        if let (true, Some(collapse)) = (self.stopped_on_collapse, &self.collapse) {
            say(format!(
                "stopped at epoch {}: {}; this is the architecture of epoch {}",
                collapse.epoch, collapse.reason, collapse.keep
            ))?;
        }
        say(&self.architecture)?;
        self.print_finalists()?;
        let unit = self.unit.as_deref().unwrap_or("");
        let number =
            |x: Option<f64>| x.map_or_else(|| "-".to_owned(), |x| format!("{x:.4} {unit}"));
        if let Some(column) = &self.column {
            say(format!(
                "{column}: relaxed {}{}, predicted {}, measured {} ({}); average architecture {}",
                number(self.relaxed),
                self.gap_text(),
                number(self.predicted),
                number(self.measured),
                self.measurement,
                number(self.reference)
            ))?;
        }
        self.published.say()?;
        say(format!(
            "{} parameters, {} multiply-adds at {}; {:.0} s; {}",
            self.params,
            self.multiply_adds,
            self.settings.skeleton,
            self.seconds,
            dir.join(FILE).display()
        ))
    }
}

/// The architecture to name, and its measurement: the best finalist whose measured cost the goal allows, among the few best; where
/// none is allowed, the cheapest of them.
fn named(
    space: &dyn SearchSpace,
    place: &Place,
    outcome: &SearchOutcome,
) -> anyhow::Result<(Architecture, (Option<f64>, String))> {
    let mut best = (outcome.architecture.clone(), place.measure(space, &outcome.architecture));
    let Some(budget) = outcome.finals.budget else { return Ok(best) };
    for next in outcome.finals.finalists.iter().skip(1).take(MEASURED - 1) {
        if best.1.0.is_none_or(|measured| measured <= budget) {
            break;
        }
        let architecture = space.parse(&next.architecture)?;
        let measured = place.measure(space, &architecture);
        if measured.0.is_some() && measured.0 < best.1.0 {
            best = (architecture, measured);
        }
    }
    Ok(best)
}

/// What the architecture costs by the model, without the risk.
fn predicted(
    space: &dyn SearchSpace,
    cost: &Cost,
    architecture: &Architecture,
) -> anyhow::Result<f64> {
    Ok(match &cost.predictor {
        Some(predictor) => {
            let column = cost.model.column();
            PredictorCost::new(predictor, space, column, tch::Device::Cpu)?.cost(architecture)?
        }
        None => cost.model.cost(architecture)?,
    })
}
