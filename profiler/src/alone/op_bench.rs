//! Each distinct operation of a network timed alone: the latency table of `ProxylessNAS` and `FBNet`.

use std::collections::BTreeMap;

use lat_data::{Measurement, OperatingPoint, Role, Status};
use lat_nn::{Layer, LayerBuilder, Phase, WeightInit, guard};
use lat_space::{Graph, Node, Op, OpSpec, SearchSpace, Shape, Step};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor, nn};

use crate::options::operating_point::kind;
use crate::row::blank;
use crate::timer::Timer;
use crate::{DeviceSpec, ProfileError, ProfileOptions, Task, Testbed, Workload, open};

/// One operation's latency, alone and with nothing before or after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpRow {
    /// [`OpSpec::key`], or that of the classifier ([`OpRow::CLASSIFIER`]).
    pub key: String,
    /// How often it stands in the network with all candidates.
    pub places: usize,
    /// Mean of two medians, measured in opposite orders, milliseconds.
    pub latency_ms: f64,
    /// The two medians, milliseconds.
    pub medians_ms: [f64; 2],
    /// Timed runs of both.
    pub n_runs: u32,
    /// The worse status of both.
    pub status: String,
}

impl OpRow {
    /// Key of the global average pool and the linear classifier behind the last operation.
    pub const CLASSIFIER: &'static str = "classifier";
}

/// What is timed.
#[derive(Debug, Clone, Copy)]
enum Part {
    Op(OpSpec),
    Classifier { from: Shape, classes: u32 },
}

/// Times every distinct operation that a space's network of this skeleton may have, and its classifier. `none` and skip connections
/// compute nothing and are left out. `on_row` is told after each measurement how many of how many are done.
///
/// # Errors
/// [`ProfileError`] where the options are out of range, the device does not answer, or an operation cannot be run.
pub fn measure_ops(
    space: &dyn SearchSpace,
    options: &ProfileOptions,
    on_row: &mut dyn FnMut(usize, usize),
) -> Result<Vec<OpRow>, ProfileError> {
    options.check(space)?;
    let parts = parts(&space.graph(&options.skeleton));
    let mut bed = open(options)?;
    let mut timer = Timer::new(options)?;
    let mut medians = vec![Vec::new(); parts.len()];
    // What lies first in one round lies last in the other, so that a device that slows down does so for all alike.
    let order = (0..parts.len()).chain((0..parts.len()).rev());
    for (done, i) in order.enumerate() {
        let work = load(bed.as_mut(), parts[i].1.0, options, i as u64)?;
        let timing = timer.time(bed.as_mut(), work, false)?;
        medians[i].push(timing.fill(blank(task(i as u64))));
        on_row(done + 1, 2 * parts.len());
    }
    Ok(parts
        .into_iter()
        .zip(medians)
        .map(|((key, (_, places)), both)| row(key, places, &both))
        .collect())
}

fn task(index: u64) -> Task {
    Task { role: Role::Sample, index, occurrence: 0 }
}

fn row(key: String, places: usize, both: &[Measurement]) -> OpRow {
    let medians_ms = [both[0].latency_ms, both[1].latency_ms];
    let steady = |m: &&Measurement| m.status == Status::Converged;
    let status = both.iter().find(|m| !steady(m)).unwrap_or(&both[0]).status.name().to_owned();
    OpRow {
        key,
        places,
        latency_ms: f64::midpoint(medians_ms[0], medians_ms[1]),
        medians_ms,
        n_runs: both.iter().map(|m| m.n_runs).sum(),
        status,
    }
}

/// Distinct parts by key, with how often each occurs.
fn parts(graph: &Graph) -> Vec<(String, (Part, usize))> {
    let mut found: BTreeMap<String, (Part, usize)> = BTreeMap::new();
    for spec in graph.without_auxiliary().variants().map(|variant| variant.op) {
        if !matches!(spec.op, Op::None | Op::Identity) {
            found.entry(spec.key()).or_insert((Part::Op(spec), 0)).1 += 1;
        }
    }
    let mut parts: Vec<_> = found.into_iter().collect();
    if let Some(Node { step: Step::Head { from, classes }, .. }) = graph.nodes.last() {
        let part = Part::Classifier { from: graph.nodes[*from].shape, classes: *classes };
        parts.push((OpRow::CLASSIFIER.to_owned(), (part, 1)));
    }
    parts
}

fn load(
    bed: &mut dyn Testbed,
    part: Part,
    options: &ProfileOptions,
    index: u64,
) -> Result<Box<dyn Workload>, ProfileError> {
    let device = match options.device {
        DeviceSpec::Fake => return bed.load(&alone(part), task(index)),
        DeviceSpec::Cpu => Device::Cpu,
        DeviceSpec::Cuda(ordinal) => Device::Cuda(ordinal as usize),
    };
    let work = guard(|| OpWorkload::new(part, options.batch, device, options.point))?;
    Ok(Box::new(work))
}

/// The graph of an operation alone, which only the fake device takes: a network reads images.
fn alone(part: Part) -> Graph {
    let node = |name: &str, step, c, hw| Node { name: name.into(), step, shape: Shape { c, hw } };
    let (c, hw, step) = match part {
        Part::Op(op) => {
            let place = lat_space::Place::Derived;
            (op.c_in, op.hw_in, Some(Step::Fixed { from: 0, op, place }))
        }
        Part::Classifier { from, .. } => (from.c, from.hw, None),
    };
    let mut nodes = vec![node("input", Step::Input, c, hw)];
    if let (Some(step), Part::Op(op)) = (step, part) {
        nodes.push(node("op", step, op.c_out, op.hw_out()));
    }
    Graph { nodes, pools_normalised_in_search: false }
}

#[derive(Debug)]
enum Timed {
    Op(Box<dyn Layer>),
    Classifier(nn::Linear),
}

/// An operation in evaluation mode with a batch of its input.
#[derive(Debug)]
struct OpWorkload {
    timed: Timed,
    /// Holds the weights.
    _weights: nn::VarStore,
    input: Tensor,
    device: Device,
}

impl OpWorkload {
    fn new(part: Part, batch: u32, device: Device, point: OperatingPoint) -> Self {
        let mut weights = nn::VarStore::new(device);
        let builder = LayerBuilder {
            phase: Phase::Evaluation,
            pools_normalised: false,
            init: WeightInit::Uniform,
        };
        let (c, hw) = match part {
            Part::Op(op) => (op.c_in, op.hw_in),
            Part::Classifier { from, .. } => (from.c, from.hw),
        };
        let timed = match part {
            Part::Op(op) => Timed::Op(builder.layer(&weights.root(), &op)),
            Part::Classifier { from, classes } => {
                let (c, n) = (i64::from(from.c), i64::from(classes));
                Timed::Classifier(nn::linear(weights.root(), c, n, nn::LinearConfig::default()))
            }
        };
        let kind = kind(point.precision);
        weights.set_kind(kind);
        let sizes = [i64::from(batch), i64::from(c), i64::from(hw), i64::from(hw)];
        let input = Tensor::randn(sizes, (Kind::Float, device)).to_kind(kind);
        let input = if point.channels_last { lat_nn::channels_last(&input) } else { input };
        Self { timed, _weights: weights, input, device }
    }

    fn run(&self) -> Tensor {
        match &self.timed {
            Timed::Op(layer) => layer.forward_t(&self.input, false),
            Timed::Classifier(linear) => {
                let pooled = self.input.mean_dim([2i64, 3].as_slice(), false, None::<Kind>);
                pooled.apply(linear)
            }
        }
    }
}

impl Workload for OpWorkload {
    fn enqueue(&mut self) -> Result<(), ProfileError> {
        Ok(guard(|| tch::no_grad(|| drop(self.run())))?)
    }

    fn synchronize(&mut self) -> Result<(), ProfileError> {
        if let Device::Cuda(ordinal) = self.device {
            guard(|| tch::Cuda::synchronize(ordinal as i64))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lat_data::{Mode, Precision};
    use lat_space::{SPACES, find_skeleton, find_space};

    use super::*;

    #[test]
    fn every_operation_of_every_space_is_a_part_once() {
        for space in SPACES.iter().map(|build| build()) {
            let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
            let graph = space.graph(&skeleton);
            let parts = parts(&graph);
            let keys: Vec<&str> = parts.iter().map(|(key, _)| key.as_str()).collect();
            assert!(keys.contains(&OpRow::CLASSIFIER), "{}: {keys:?}", space.id());
            for op in graph.variants().map(|variant| variant.op) {
                let is_free = matches!(op.op, Op::None | Op::Identity);
                assert_eq!(keys.contains(&op.key().as_str()), !is_free, "{}", op.key());
            }
        }
    }

    #[test]
    fn the_fake_device_s_operations_take_what_they_take() {
        let space = find_space("nasbench201").unwrap();
        let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
        let options =
            ProfileOptions { batch: 2, ..ProfileOptions::new(skeleton, DeviceSpec::Fake) };
        let mut told = Vec::new();
        let rows = measure_ops(space.as_ref(), &options, &mut |done, all| told.push((done, all)));
        let rows = rows.unwrap();
        assert_eq!(told.last(), Some(&(2 * rows.len(), 2 * rows.len())));
        for row in rows.iter().filter(|row| row.key != OpRow::CLASSIFIER) {
            let part = parts(&space.graph(&skeleton)).into_iter().find(|p| p.0 == row.key);
            let truth_ms = crate::fake_latency_ms(&alone(part.unwrap().1.0), 2);
            assert!((row.latency_ms / truth_ms - 1.0).abs() < 0.01, "{row:?} {truth_ms}");
        }
    }

    #[test]
    fn a_cpu_times_operations_in_either_precision_and_layout() {
        let op = OpSpec { op: Op::SepConv { k: 3 }, c_in: 8, c_out: 8, stride: 2, hw_in: 8 };
        let shape = Shape { c: 8, hw: 4 };
        for part in [Part::Op(op), Part::Classifier { from: shape, classes: 3 }] {
            for precision in [Precision::Fp32, Precision::Bf16] {
                let point = OperatingPoint {
                    mode: Mode::Eager,
                    precision,
                    channels_last: precision == Precision::Bf16,
                    cold: false,
                };
                let mut work = OpWorkload::new(part, 2, Device::Cpu, point);
                work.enqueue().unwrap();
                let found = work.run();
                assert_eq!(found.kind(), kind(precision));
                let expected: &[i64] = if let Part::Op(_) = part { &[2, 8, 4, 4] } else { &[2, 3] };
                assert_eq!(found.size(), expected);
            }
        }
    }
}
