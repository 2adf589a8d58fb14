//! What a search leaves: `search.json` and the lines for people.

use std::path::Path;

use lat::diagnostics::Collapse;
use lat::search::{EpochReport, SearchOutcome, SearchSettings};
use lat_predictor::{CostModel, Label, PredictorCost};
use lat_profiler::{OperatingPoint, ProfileError, ProfileOptions, available, measure_one};
use lat_space::{Architecture, SearchSpace, count};
use serde::Serialize;

use super::plan::{Cost, Plan};
use crate::cli::output::say;

/// `search.json`.
#[derive(Serialize)]
pub(super) struct SearchResult {
    #[serde(flatten)]
    pub(super) settings: SearchSettings,
    /// The derived architecture as text.
    architecture: String,
    /// Where the search collapsed, and whether it ended there.
    collapse: Option<Collapse>,
    stopped_on_collapse: bool,
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
    /// Cost of the average architecture (`T_ref`).
    reference: Option<f64>,
    pub(super) params: u64,
    multiply_adds: u64,
    pub(super) seconds: f64,
    /// Most memory that the search took: allocated on the GPU, else what the process grew by.
    peak_memory_mib: Option<f64>,
    pub(super) log: Vec<EpochReport>,
}

impl SearchResult {
    /// Prices, measures and counts what was found.
    pub(super) fn new(
        plan: &Plan<'_>,
        outcome: SearchOutcome,
        seconds: f64,
        peak_memory_mib: Option<f64>,
    ) -> anyhow::Result<Self> {
        let space = plan.space.as_ref();
        let predicted =
            plan.cost.as_ref().map(|cost| predicted(space, cost, &outcome.architecture));
        let predicted = predicted.transpose()?;
        let (measured, measurement) = measure(plan, &outcome.architecture);
        let counts = count(&space.graph(&plan.settings.skeleton).derive(&outcome.architecture));
        Ok(Self {
            settings: plan.settings.clone(),
            architecture: space.format(&outcome.architecture),
            collapse: outcome.collapse,
            stopped_on_collapse: outcome.stopped,
            column: plan.cost.as_ref().map(|c| c.model.column().to_owned()),
            unit: plan.cost.as_ref().map(|c| c.model.unit().to_owned()),
            relaxed: outcome.relaxed_cost,
            relaxed_sampled: outcome.relaxation_gap.map(|gap| gap.sampled),
            relaxation_gap_percent: outcome.relaxation_gap.map(|gap| gap.percent()),
            relaxation_gap_error_percent: outcome.relaxation_gap.map(|gap| gap.error_percent()),
            predicted,
            measured,
            measurement,
            reference_ms: plan
                .cost
                .as_ref()
                .and_then(|c| c.predictor.as_ref()?.label().reference_ms),
            reference: outcome.reference_cost,
            params: counts.params,
            multiply_adds: counts.multiply_adds,
            seconds,
            peak_memory_mib,
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

    /// The result for people.
    pub(super) fn print(&self, dir: &Path) -> anyhow::Result<()> {
        if let (true, Some(collapse)) = (self.stopped_on_collapse, &self.collapse) {
            say(format!(
                "stopped at epoch {}: {}; this is the architecture of epoch {}",
                collapse.epoch, collapse.reason, collapse.keep
            ))?;
        }
        say(&self.architecture)?;
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
        say(format!(
            "{} parameters, {} multiply-adds at {}; {:.0} s; {}",
            self.params,
            self.multiply_adds,
            self.settings.skeleton,
            self.seconds,
            dir.join("search.json").display()
        ))
    }
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

/// Measures the derived architecture where and how the predictor's data were measured, if that device is at hand.
fn measure(plan: &Plan<'_>, architecture: &Architecture) -> (Option<f64>, String) {
    let Some(predictor) = plan.cost.as_ref().and_then(|c| c.predictor.as_ref()) else {
        return (None, "not measured: there is no predictor that says where".into());
    };
    let label = predictor.label();
    let (Some(name), Some(batch), Some(skeleton)) =
        (&label.device_name, label.batch, label.skeleton)
    else {
        return (
            None,
            "not measured: the predictor's table does not say on what device and network".into(),
        );
    };
    let Some(device) = available().into_iter().find(|d| d.name == *name) else {
        return (None, format!("not measured: the predictor is for {name}, which is not here"));
    };
    let defaults = ProfileOptions::new(skeleton, device.spec);
    let point = match operating_point(label) {
        Ok(point) => point,
        Err(error) => return (None, format!("not measured: {error}")),
    };
    let options = ProfileOptions {
        batch,
        point,
        max_ms: 10.0 * defaults.max_ms,
        energy_fraction: if label.column == "energy_mj" { 1.0 } else { 0.0 },
        reference_ms: label.reference_ms,
        ..defaults
    };
    match measure_one(plan.space.as_ref(), &options, architecture) {
        Ok(row) => match row.target(&label.column) {
            Some(value) => {
                (Some(value), format!("on {name}, batch {batch}, {skeleton}, {}", options.point))
            }
            None if row.reason.is_empty() => {
                (None, format!("not measured: {name} does not tell {}", label.column))
            }
            None => (None, format!("not measured: {}", row.reason)),
        },
        Err(error) => (None, format!("not measured: {error}")),
    }
}

/// How the predictor's data were measured.
fn operating_point(label: &Label) -> Result<OperatingPoint, ProfileError> {
    let parsed =
        |text: &Option<String>, default| text.clone().unwrap_or_else(|| String::from(default));
    Ok(OperatingPoint {
        mode: parsed(&label.mode, "eager").parse()?,
        precision: parsed(&label.precision, "fp32").parse()?,
        channels_last: label.channels_last,
        cold: label.cold,
    })
}
