//! A device whose true latencies are known: a launch constant plus a cost per operation, times noise. Time is virtual, so a
//! thousand rows take only as long as writing them down. With it, everything from profile to search runs on any machine, and the
//! results can be checked.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use lat_data::Role;
use lat_device::DeviceError;
use lat_space::{Graph, Op, OpSpec, Step, count_op, peak_memory_bytes};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{ProfileError, Sensor, Stopwatch, Task, Telemetry, Testbed, Workload};

const LAUNCH_MS: f64 = 0.1;
const OP_MS: f64 = 0.01;
/// 5 billion multiply-adds a second.
const MULTIPLY_ADD_MS: f64 = 2e-7;
/// A billion output numbers a second.
const ELEMENT_MS: f64 = 1e-6;
/// Standard deviation of the latency's logarithm.
const NOISE: f64 = 0.01;
const CLOCK_MHZ: f64 = 1000.0;
const THROTTLED_MHZ: f64 = 600.0;
const POWER_W: f64 = 50.0;
/// In a slow round everything takes this many times as long.
const OFF_LEVEL: f64 = 1.2;

/// The fake device's true latency of a derived graph in milliseconds per batch: 0.1 + the sum over its operations of
/// 0.01 + batch * (multiply-adds * 2e-7 + output numbers * 1e-6). Skip connections cost nothing.
pub fn fake_latency_ms(graph: &Graph, batch: u32) -> f64 {
    let ops = graph.nodes.iter().filter_map(|node| match &node.step {
        Step::Fixed { op, .. } => Some(op_ms(op, batch)),
        _ => None,
    });
    LAUNCH_MS + ops.sum::<f64>()
}

/// The fake device's true latency of the network replayed as a graph: without the launch constants 0.1 and 0.01 of
/// [`fake_latency_ms`].
pub fn fake_graph_ms(graph: &Graph, batch: u32) -> f64 {
    let launches = graph.nodes.iter().filter(|node| match &node.step {
        Step::Fixed { op, .. } => !is_free(op),
        _ => false,
    });
    fake_latency_ms(graph, batch) - LAUNCH_MS - OP_MS * launches.count() as f64
}

fn is_free(op: &OpSpec) -> bool {
    matches!(op.op, Op::Identity | Op::None)
}

fn op_ms(op: &OpSpec, batch: u32) -> f64 {
    if is_free(op) {
        return 0.0;
    }
    let elements = f64::from(op.c_out) * f64::from(op.hw_out()).powi(2);
    let multiply_adds = count_op(op).multiply_adds as f64;
    OP_MS + f64::from(batch) * (multiply_adds * MULTIPLY_ADD_MS + elements * ELEMENT_MS)
}

/// Faults of the fake device, for tests of how they are handled.
#[derive(Debug, Clone, Default)]
pub struct FakeFaults {
    /// Samples whose network cannot be built.
    pub failing: BTreeSet<u64>,
    /// Samples that abort the process when they run.
    pub aborting: BTreeSet<u64>,
    /// The round of anchors that takes a fifth longer, as on a device that is off its level for a while.
    pub slow_round: Option<u32>,
    /// Samples that abort the process if they run later than the round after the slow one, that is, when they are measured again.
    pub aborting_again: BTreeSet<u64>,
    /// Samples that end the process's use of the device when they run, like an illegal access on a GPU.
    pub losing: BTreeSet<u64>,
    /// Real time that each row takes in addition to the virtual time.
    pub pause: Duration,
    /// Samples during which the clock is low and everything takes 1000 / 600 as long.
    pub throttled: BTreeSet<u64>,
    /// Relative growth of all latencies per virtual hour.
    pub drift_per_hour: f64,
    /// Standard deviation of a relative error that all runs of one row share: noise that more runs cannot remove.
    pub row_noise: f64,
}

/// Virtual seconds since the testbed was made.
type Clock = Rc<Cell<f64>>;

/// The fake device.
#[derive(Debug)]
pub struct FakeTestbed {
    /// The faults that it has.
    pub faults: FakeFaults,
    seed: u64,
    batch: u32,
    clock: Clock,
    stopwatch: FakeStopwatch,
    sensor: FakeSensor,
    /// Replayed latency and task of the network that was loaded last.
    loaded: Option<(f64, Task)>,
    /// The latest round of anchors that was loaded.
    round: u32,
}

impl FakeTestbed {
    /// A device without faults. The noise depends only on the seed and the row.
    pub fn new(seed: u64, batch: u32) -> Self {
        let clock = Clock::default();
        let stopwatch = FakeStopwatch { clock: Rc::clone(&clock) };
        let sensor = FakeSensor { clock_mhz: CLOCK_MHZ, clock: Rc::clone(&clock) };
        let faults = FakeFaults::default();
        Self { faults, seed, batch, clock, stopwatch, sensor, loaded: None, round: 0 }
    }

    /// Its clock, in virtual seconds.
    pub fn clock(&self) -> Rc<Cell<f64>> {
        Rc::clone(&self.clock)
    }

    /// Records a round of anchors (the heat-soak does not count) and returns whether it is the slow one.
    fn is_slow_anchor(&mut self, task: Task) -> bool {
        if task.role != Role::Anchor || task.occurrence == u32::MAX {
            return false;
        }
        self.round = self.round.max(task.occurrence);
        self.faults.slow_round == Some(task.occurrence)
    }

    /// Whether a sample should abort the process: at any time, or now that the slow stretch is over.
    fn aborts(&self, index: u64) -> bool {
        let is_again = self.faults.slow_round.is_some_and(|slow| self.round > slow + 1);
        let again = is_again && self.faults.aborting_again.contains(&index);
        again || self.faults.aborting.contains(&index)
    }

    fn noise_seed(&self, task: Task) -> [u8; 32] {
        let role: u64 = match task.role {
            Role::Sample => 0,
            Role::Anchor => 1,
            Role::Repeat => 2,
            Role::Fresh => 3,
        };
        let words = [self.seed, role, task.index, u64::from(task.occurrence)];
        let mut seed = [0; 32];
        for (place, word) in seed.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        seed
    }
}

impl Testbed for FakeTestbed {
    fn load(&mut self, graph: &Graph, task: Task) -> Result<Box<dyn Workload>, ProfileError> {
        let is_sample = task.role == Role::Sample;
        if is_sample && self.faults.failing.contains(&task.index) {
            return Err(ProfileError::Injected { index: task.index });
        }
        let throttled = is_sample && self.faults.throttled.contains(&task.index);
        self.sensor.clock_mhz = if throttled { THROTTLED_MHZ } else { CLOCK_MHZ };
        let off_level = if self.is_slow_anchor(task) { OFF_LEVEL } else { 1.0 };
        let slowdown = off_level * CLOCK_MHZ / self.sensor.clock_mhz;
        let truth_ms = fake_latency_ms(graph, self.batch) * slowdown;
        let mut work = FakeWorkload::new(self.clock(), truth_ms, self.noise_seed(task));
        work.truth_ms *= (self.faults.row_noise * work.normal()).exp();
        work.drift_per_hour = self.faults.drift_per_hour;
        work.peak_memory_bytes = Some(peak_memory_bytes(graph, self.batch, 4));
        self.loaded = Some((fake_graph_ms(graph, self.batch) * slowdown, task));
        work.aborts = is_sample && self.aborts(task.index);
        work.loses = is_sample && self.faults.losing.contains(&task.index);
        std::thread::sleep(self.faults.pause);
        Ok(Box::new(work))
    }

    fn capture(&mut self, work: Box<dyn Workload>) -> Result<Box<dyn Workload>, ProfileError> {
        // Replayed, the network costs what its operations cost, without the launches.
        let Some((replayed_ms, task)) = self.loaded else { return Ok(work) };
        let mut replayed = FakeWorkload::new(self.clock(), replayed_ms, self.noise_seed(task));
        replayed.is_tuned = true;
        replayed.peak_memory_bytes = work.peak_memory_bytes();
        replayed.drift_per_hour = self.faults.drift_per_hour;
        Ok(Box::new(replayed))
    }

    fn stopwatch(&mut self) -> &mut dyn Stopwatch {
        &mut self.stopwatch
    }

    fn sensor(&mut self) -> &mut dyn Sensor {
        &mut self.sensor
    }

    fn now_s(&self) -> f64 {
        self.clock.get()
    }

    fn pause(&mut self, seconds: f64) {
        self.clock.set(self.clock.get() + seconds);
    }
}

/// A workload whose runs take virtual time.
#[derive(Debug)]
pub struct FakeWorkload {
    peak_memory_bytes: Option<u64>,
    is_tuned: bool,
    clock: Clock,
    truth_ms: f64,
    drift_per_hour: f64,
    aborts: bool,
    loses: bool,
    rng: ChaCha8Rng,
}

impl FakeWorkload {
    /// Runs with a median of `truth_ms` milliseconds and 1 % of log-normal noise.
    pub fn new(clock: Rc<Cell<f64>>, truth_ms: f64, noise_seed: [u8; 32]) -> Self {
        let rng = ChaCha8Rng::from_seed(noise_seed);
        Self {
            clock,
            truth_ms,
            drift_per_hour: 0.0,
            aborts: false,
            loses: false,
            rng,
            peak_memory_bytes: None,
            is_tuned: false,
        }
    }

    /// A standard normal number (Box and Muller 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        // 1 - [0, 1) is never zero, so the logarithm is finite.
        let (u, v): (f64, f64) = (1.0 - self.rng.r#gen::<f64>(), self.rng.r#gen());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

impl Workload for FakeWorkload {
    fn enqueue(&mut self) -> Result<(), ProfileError> {
        if self.aborts {
            std::process::abort();
        }
        if self.loses {
            let reason = "an illegal memory access was encountered".into();
            return Err(DeviceError::Cuda { call: "fake run", reason }.into());
        }
        let now_s = self.clock.get();
        let drift = 1.0 + self.drift_per_hour * now_s / 3600.0;
        let run_ms = self.truth_ms * drift * (NOISE * self.normal()).exp();
        self.clock.set(now_s + run_ms / 1e3);
        Ok(())
    }

    fn synchronize(&mut self) -> Result<(), ProfileError> {
        Ok(())
    }

    fn peak_memory_bytes(&self) -> Option<u64> {
        self.peak_memory_bytes
    }

    fn is_tuned(&self) -> bool {
        self.is_tuned
    }
}

/// Reads virtual time.
#[derive(Debug)]
pub struct FakeStopwatch {
    clock: Clock,
}

impl Stopwatch for FakeStopwatch {
    fn time_ms(&mut self, work: &mut dyn Workload) -> Result<f64, ProfileError> {
        let begin_s = self.clock.get();
        work.enqueue()?;
        work.synchronize()?;
        Ok((self.clock.get() - begin_s) * 1e3)
    }
}

#[derive(Debug)]
struct FakeSensor {
    clock_mhz: f64,
    clock: Clock,
}

impl Sensor for FakeSensor {
    fn read(&mut self) -> Telemetry {
        Telemetry { clock_mhz: Some(self.clock_mhz), ..Telemetry::default() }
    }

    fn judges_by_clock(&self) -> bool {
        true
    }

    fn energy_mj(&mut self) -> Option<f64> {
        Some(self.clock.get() * POWER_W * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use lat_space::GraphBuilder;

    use super::*;

    #[test]
    fn the_truth_is_a_sum_over_operations() {
        let mut b = GraphBuilder::new(false);
        let image = b.input(8);
        let stem = b.in_cell(image, Op::ConvBn { k: 3 }, 4, 1);
        let skip = b.in_cell(stem, Op::Identity, 4, 1);
        let pool = b.in_cell(skip, Op::MaxPool { k: 3 }, 4, 2);
        b.head(pool, 10);
        let stem = OpSpec { op: Op::ConvBn { k: 3 }, c_in: 3, c_out: 4, stride: 1, hw_in: 8 };
        let pool = OpSpec { op: Op::MaxPool { k: 3 }, c_in: 4, c_out: 4, stride: 2, hw_in: 8 };
        let multiply_adds = [stem, pool].iter().map(|op| count_op(op).multiply_adds).sum::<u64>();
        // The stem has 4 x 8 x 8 outputs, the pool 4 x 4 x 4.
        let per_image = multiply_adds as f64 * 2e-7 + (256.0 + 64.0) * 1e-6;
        let graph = b.finish();
        for batch in [1, 16] {
            let expected = 0.1 + 0.02 + f64::from(batch) * per_image;
            assert!((fake_latency_ms(&graph, batch) - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn the_median_run_takes_the_true_time() {
        let mut bed = FakeTestbed::new(1, 1);
        let mut work = FakeWorkload::new(bed.clock(), 3.0, [5; 32]);
        let mut times: Vec<f64> =
            (0..1001).map(|_| bed.stopwatch().time_ms(&mut work).unwrap()).collect();
        times.sort_by(f64::total_cmp);
        assert!((times[500] / 3.0 - 1.0).abs() < 0.002, "{}", times[500]);
        // One standard deviation below and above: 1 % each.
        assert!((times[159] / 3.0 - 0.99).abs() < 0.003 && (times[841] / 3.0 - 1.01).abs() < 0.003);
        assert!((bed.now_s() - 3.003).abs() < 0.02, "{}", bed.now_s());
    }
}
