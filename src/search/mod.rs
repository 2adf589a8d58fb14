//! The search loop. It knows methods, spaces and costs by their traits only.
//!
//! The parts of [`Search`] are in the files beside this one: `epoch.rs` has an epoch and its steps, `saved.rs` the checkpoint, `parts.rs` the
//! last step of two-stage methods, `ranks.rs` several processes, `timed.rs` steps that are only timed.

mod epoch;
mod log;
mod opened;
mod parts;
mod ranks;
mod saved;
mod tally;
mod timed;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use lat_data::Dataset;
use lat_space::{Architecture, SearchSpace, Skeleton};
use tch::Device;

use crate::diagnostics::{Collapse, Watch, collapse};
use crate::ending::Ending;
use crate::error::SearchError;
use crate::finalists::{Contest, Finals, n_images};
use crate::methods::{Method, Stage};
use crate::objective::{Objective, RelaxationGap};
use crate::spent::{Meter, Spent};
use crate::supernet::Supernet;
use crate::supernet::{CellSupernet, Ranks, sorted};
use epoch::Halves;
pub use log::{COST_ALONE, EpochReport, NO_COST, SearchSettings};
pub use opened::OpenedSupernet;

/// Architectures drawn for the relaxation gap at the end.
const GAP_SAMPLES: i64 = 1000;

/// The result of a search.
#[derive(Debug)]
pub struct SearchOutcome {
    /// The architecture found.
    pub architecture: Architecture,
    /// The architecture that the method's own rule derives; equal to `architecture` if there are no finalists.
    pub most_probable: Architecture,
    /// The finalists, and the budget that the goal set for them.
    pub finals: Finals,
    /// The log, one entry per epoch.
    pub epochs: Vec<EpochReport>,
    /// Expected cost of the relaxed architecture at the end.
    pub relaxed_cost: Option<f64>,
    /// The relaxed cost compared with the average over 1000 drawn architectures.
    pub relaxation_gap: Option<RelaxationGap>,
    /// `T_ref`, the reference cost.
    pub reference_cost: Option<f64>,
    /// The epoch in which the search collapsed, if its diagnostics show a collapse.
    pub collapse: Option<Collapse>,
    /// Whether the search stopped there; the architecture is then the one from before the collapse.
    pub stopped: bool,
    /// Time and memory spent, all processes together.
    pub spent: Spent,
}

/// An event while a search runs.
#[derive(Debug)]
pub enum SearchEvent<'a> {
    /// The search was resumed after this many epochs.
    Resumed(u32),
    /// A stage of a search with several stages begins: (the stage, number of stages).
    Stage(&'a Stage, usize),
    /// A step is finished: (step, steps of the epoch, epoch from 1).
    Step(usize, usize, u32),
    /// An epoch is finished.
    Epoch(&'a EpochReport),
    /// In the last step, one more architecture is judged: (judged so far, number in this round).
    Looked(usize, usize),
    /// The epoch that just ended is the first to show that the search collapses.
    Collapsed(&'a Collapse),
}

/// A search that is ready to run.
pub struct Search<'a, 'c> {
    /// The space.
    pub space: &'a dyn SearchSpace,
    /// The method.
    pub method: Box<dyn Method>,
    /// The cost, if there is one.
    pub objective: Option<Objective<'c>>,
    /// The settings that identify the search.
    pub settings: SearchSettings,
    /// Device of the supernet.
    pub device: Device,
    /// Path of the checkpoint.
    pub checkpoint: PathBuf,
    /// The diagnostics to compute between epochs.
    pub watch: Watch,
    /// Whether a checkpoint of a search with another cost model may be used, if the steps do not see the cost. Allowed for a
    /// checkpoint that was copied into another folder, to meet a target on another device; not if it is still among that search's
    /// results.
    pub may_adopt: bool,
    /// Targets that evolution must meet besides the goal's, in the cost's unit.
    pub more_targets: Vec<f64>,
    /// The processes that run this search together, if there are several. All of them train; the first one's result counts, and only
    /// the first writes the checkpoint and judges finalists.
    pub ranks: Option<Ranks>,
    /// Measures the time and memory spent; started together with the search's preparation.
    pub meter: Meter,
}

impl Search<'_, '_> {
    /// Runs to the end, or continues from the checkpoint. `stop` interrupts between steps; finished epochs are kept.
    ///
    /// # Errors
    /// [`SearchError::Dataset`] if the data set is too small for the batch, [`SearchError::NotANumber`] if a loss is NaN or
    /// infinite, [`SearchError::Checkpoint`] if the checkpoint belongs to another search, [`SearchError::Interrupted`] if `stop` was
    /// set, [`SearchError::Device`] if one of several processes is gone.
    pub fn run(
        self,
        dataset: &Dataset,
        stop: &AtomicBool,
        on_event: &mut dyn FnMut(SearchEvent<'_>),
    ) -> Result<SearchOutcome, SearchError> {
        let ranks = self.ranks.clone();
        let done = self.run_through(dataset, stop, on_event);
        let lost = ranks.filter(|_| done.is_err()).and_then(|ranks| ranks.failure());
        match lost {
            // If the user stops the search, all processes are told, but at different moments: the first to end looks lost to the others.
            Some(_) if stop.load(Ordering::Relaxed) => Err(SearchError::Interrupted),
            Some(lost) => Err(lost.into()),
            None => done,
        }
    }

    fn run_through(
        mut self,
        dataset: &Dataset,
        stop: &AtomicBool,
        on_event: &mut dyn FnMut(SearchEvent<'_>),
    ) -> Result<SearchOutcome, SearchError> {
        let halves = self.halves(dataset)?;
        self.check_batch()?;
        self.check_ranks()?;
        let saved = self.saved()?;
        self.check_agreement(saved.as_ref().map_or(0, |(label, _)| label.epochs.len()))?;
        let (mut epochs, stage) = saved.as_ref().map_or_else(Default::default, |(label, _)| {
            (label.epochs.clone(), label.stage.clone())
        });
        let mut stage = stage.unwrap_or_else(|| self.method.stage(0));
        let mut net = self.enter(&stage, None, on_event)?;
        if let Some((label, tensors)) = &saved {
            self.restore(&net, tensors)?;
            self.meter.go_on(Spent::recorded(label.spent, epochs.iter().map(|e| e.seconds)));
            on_event(SearchEvent::Resumed(epochs.len() as u32));
        }
        let mut collapsed = self.collapsed(&epochs);
        while (epochs.len() as u32) < self.settings.epochs && !self.is_over(collapsed.as_ref()) {
            let epoch = epochs.len() as u32;
            let number = Stage::at(epoch, self.settings.epochs, self.method.n_stages());
            if number != stage.number {
                stage = self.method.stage(number);
                net = self.enter(&stage, Some(&net), on_event)?;
            }
            let report = lat_nn::guard(|| self.epoch(&net, &halves, epoch, stop, on_event))??;
            on_event(SearchEvent::Epoch(&report));
            epochs.push(report);
            self.save(&net, &epochs, &stage)?;
            let before = collapsed.is_some();
            collapsed = collapsed.or_else(|| self.collapsed(&epochs));
            if let (false, Some(collapsed)) = (before, &collapsed) {
                on_event(SearchEvent::Collapsed(collapsed));
            }
        }
        let stopped = self.is_over(collapsed.as_ref());
        let finals = match &collapsed {
            Some(collapsed) if stopped => {
                let kept = &epochs[collapsed.keep as usize - 1].architecture;
                Finals::only(self.space.parse(kept)?)
            }
            _ => lat_nn::guard(|| self.finals(&net, &halves, on_event))??,
        };
        let relaxed = self.method.relaxed();
        let seed = self.settings.seed;
        let objective = self.objective.as_ref();
        let relaxation_gap =
            objective.map(|o| o.relaxation_gap(&relaxed, GAP_SAMPLES, seed)).transpose()?;
        Ok(SearchOutcome {
            architecture: finals.winner.clone(),
            most_probable: self.method.derive(self.space),
            finals,
            epochs,
            collapse: collapsed,
            stopped,
            relaxed_cost: relaxation_gap.map(|gap| gap.expected),
            relaxation_gap,
            reference_cost: self.objective.as_ref().map(Objective::reference),
            spent: self.meter.spent(),
        })
    }

    /// Refuses a batch size that the method cannot train with.
    fn check_batch(&self) -> Result<(), SearchError> {
        let SearchSettings { method, batch, .. } = &self.settings;
        let wrong =
            |expected| SearchError::Settings(format!("method {method}: expected {expected}"));
        self.method.check_batch(*batch).map_err(wrong)
    }

    /// The last step: takes the most probable architecture, or compares several.
    fn finals(
        &self,
        net: &CellSupernet,
        halves: &Halves,
        on_event: &mut dyn FnMut(SearchEvent<'_>),
    ) -> Result<Finals, SearchError> {
        let mut on_look = |done, all| on_event(SearchEvent::Looked(done, all));
        let most_probable = self.method.derive(self.space);
        if self.settings.finalists <= 1 || !self.is_first() {
            return Ok(Finals::only(most_probable));
        }
        if self.settings.ending != Ending::Finalists {
            return self.parts(net, halves, &most_probable, &mut on_look);
        }
        let looked_at = &halves.valid[..n_images().min(halves.valid.len())];
        let contest = Contest {
            space: self.space,
            skeleton: &self.settings.skeleton,
            objective: self.objective.as_ref(),
            batch: halves.images.plain(looked_at),
            device: self.device,
            seed: self.settings.seed,
            n: self.settings.finalists as usize,
        };
        contest.run(&self.method.proposal(self.space), &most_probable, &mut on_look)
    }

    /// The collapse that these epochs show, if any.
    fn collapsed(&self, epochs: &[EpochReport]) -> Option<Collapse> {
        let series: Vec<_> = epochs.iter().map(|e| e.diagnostics).collect();
        collapse(&series, self.settings.epochs)
    }

    fn is_over(&self, collapsed: Option<&Collapse>) -> bool {
        self.watch.stop_on_collapse && collapsed.is_some()
    }

    /// Builds the supernet of a stage and prepares the method for it; `before` is the supernet of the previous stage.
    fn enter(
        &mut self,
        stage: &Stage,
        before: Option<&CellSupernet>,
        on_event: &mut dyn FnMut(SearchEvent<'_>),
    ) -> Result<CellSupernet, SearchError> {
        self.method.enter(stage);
        // libtorch draws the initial weights. Only here its generator is seeded outside of an epoch.
        tch::manual_seed((self.settings.seed as i64).wrapping_add(stage.number as i64));
        let settings = &self.settings;
        let net =
            supernet(self.space, &settings.skeleton, self.method.as_ref(), stage, self.device)?;
        lat_nn::guard(|| self.method.initialise(self.space, &net))?;
        if let Some(before) = before.filter(|_| stage.keeps_weights) {
            lat_nn::guard(|| net.inherit(before))?;
        }
        lat_nn::guard(|| self.method.begin(&net))?;
        if let Some(ranks) = &self.ranks {
            let mut numbers = sorted(net.weights(), |_| true);
            numbers.extend(self.method.core().parameters());
            ranks.settle(&numbers)?;
        }
        let n_stages = self.method.n_stages();
        if n_stages > 1 {
            on_event(SearchEvent::Stage(stage, n_stages));
        }
        Ok(net)
    }
}

/// The supernet of a stage, with mixed operations built as the method wants them.
fn supernet(
    space: &dyn SearchSpace,
    skeleton: &Skeleton,
    method: &dyn Method,
    stage: &Stage,
    device: Device,
) -> Result<CellSupernet, SearchError> {
    let graph = stage.graph(space, skeleton)?;
    let mixed_op = method.mixed_op();
    for variant in graph.variants().filter(|variant| !variant.when.is_empty()) {
        mixed_op.check(&variant.op).map_err(SearchError::Settings)?;
    }
    Ok(CellSupernet::new(graph, mixed_op.as_ref(), device)?)
}
