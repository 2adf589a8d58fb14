//! One row: an architecture is built, timed and measured.

use lat_data::Measurement;
use lat_space::{Architecture, Graph, SearchSpace, count};

use crate::resident::ResidentPeak;
use crate::row::{blank, unix_s};
use crate::schedule::measures_energy;
use crate::timer::{Timer, Timing};
use crate::{DeviceSpec, ProfileError, ProfileOptions, Task, Testbed, Workload};

/// Measures one architecture after another on one testbed.
pub(crate) struct Bench<'a> {
    pub(crate) bed: &'a mut dyn Testbed,
    pub(crate) space: &'a dyn SearchSpace,
    options: &'a ProfileOptions,
    /// The space's graph with all candidates, made once.
    graph: Graph,
    timer: Timer,
    /// When the row before ended. A row's wall time starts there, so that writing rows down is counted too.
    last_end_s: f64,
}

impl<'a> Bench<'a> {
    /// # Errors
    /// [`ProfileError::Option`] and the like where the options are out of range.
    pub(crate) fn new(
        bed: &'a mut dyn Testbed,
        space: &'a dyn SearchSpace,
        options: &'a ProfileOptions,
    ) -> Result<Self, ProfileError> {
        options.check(space)?;
        let last_end_s = bed.now_s();
        Ok(Self {
            bed,
            space,
            options,
            graph: space.graph(&options.skeleton),
            timer: Timer::new(options)?,
            last_end_s,
        })
    }

    /// From now on counts as the first row's time.
    pub(crate) fn restart_wall(&mut self) {
        self.last_end_s = self.bed.now_s();
    }

    /// The network of a task, ready to run.
    pub(crate) fn load(
        &mut self,
        architecture: &Architecture,
        task: Task,
    ) -> Result<Box<dyn Workload>, ProfileError> {
        self.bed.load(&self.timed_graph(architecture), task)
    }

    /// What is timed: the derived network without the auxiliary head.
    fn timed_graph(&self, architecture: &Architecture) -> Graph {
        self.graph.derive(architecture).without_auxiliary()
    }

    /// The row of a task. What cannot be built or run gives a row too, with [`lat_data::Status::Failed`] and the reason. `next` is what
    /// will be asked for afterwards, so that it can be built meanwhile.
    pub(crate) fn measure(
        &mut self,
        task: Task,
        architecture: &Architecture,
        next: Option<(Task, &Architecture)>,
    ) -> Measurement {
        let derived = self.graph.derive(architecture);
        let cost = count(&derived);
        let is_alone = self.options.is_fresh && self.options.device == DeviceSpec::Cpu;
        let memory = if is_alone { ResidentPeak::begin() } else { None };
        let timing = self.time(&derived.without_auxiliary(), task, next);
        let end_s = self.bed.now_s();
        let row = Measurement {
            peak_rss_mib: memory.and_then(|memory| memory.grown_mib()),
            architecture: self.space.format(architecture),
            params: cost.params,
            multiply_adds: cost.multiply_adds,
            wall_s: end_s - self.last_end_s,
            unix_s: unix_s(),
            ..blank(task)
        };
        self.last_end_s = end_s;
        match timing {
            Ok(timing) => timing.fill(row),
            Err(error) => Measurement { reason: error.to_string(), ..row },
        }
    }

    fn time(
        &mut self,
        graph: &Graph,
        task: Task,
        next: Option<(Task, &Architecture)>,
    ) -> Result<Timing, ProfileError> {
        let work = self.bed.load(graph, task)?;
        if let Some((task, architecture)) = next {
            self.bed.announce(&self.timed_graph(architecture), task);
        }
        let with_energy = measures_energy(task, self.options);
        self.timer.time(self.bed, work, with_energy)
    }
}
