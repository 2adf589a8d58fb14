//! Times each distinct operation of a network by itself: the latency table of `ProxylessNAS` and `FBNet`.

use lat_data::{Measurement, OperatingPoint, Role};
use lat_nn::{Layer, LayerBuilder, Phase, WeightInit, guard};
use lat_space::{Graph, Node, Piece, SearchSpace, Shape, Step};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor, nn};

use super::parts::{Part, parts};
use crate::options::operating_point::kind;
use crate::row::blank;
use crate::timer::Timer;
use crate::{DeviceSpec, ProfileError, ProfileOptions, Task, Testbed, Workload, open};

/// The latency of one operation by itself, with nothing before or after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpRow {
    /// Its key, see [`Piece::key`].
    pub key: String,
    /// How often it occurs in the network with all candidates; 0 for a part of another row that published tables price by itself.
    pub places: usize,
    /// Average of two medians, measured in opposite orders, milliseconds.
    pub latency_ms: f64,
    /// The two medians, milliseconds.
    pub medians_ms: [f64; 2],
    /// Standard deviation of the runs of both measurements, each around its own mean, milliseconds. Older tables do not have it.
    #[serde(default)]
    pub sd_ms: Option<f64>,
    /// Number of timed runs of both measurements.
    pub n_runs: u32,
    /// The worse status of both measurements.
    pub status: String,
}

/// Times every distinct operation that a space's network at this skeleton may have, and its classifier. If there are published
/// tables of the space's blocks, it also times the parts that those price by themselves. `none` and skip connections compute
/// nothing and are left out. If `sizes` names image sizes in pixels, only pieces of networks for these sizes are timed. `on_row`
/// is called after each measurement with the number of measurements done and their total.
///
/// # Errors
/// [`ProfileError`] if the options are out of range, the device does not answer, or an operation cannot be run.
pub fn measure_ops(
    space: &dyn SearchSpace,
    options: &ProfileOptions,
    sizes: &[u16],
    on_row: &mut dyn FnMut(usize, usize),
) -> Result<Vec<OpRow>, ProfileError> {
    options.check(space)?;
    let parts = parts(space, &options.skeleton, sizes);
    let mut bed = open(options)?;
    let mut timer = Timer::new(options)?;
    let mut medians = vec![Vec::new(); parts.len()];
    // The second round is in reverse order, so that a device that slows down affects all parts equally.
    let order = (0..parts.len()).chain((0..parts.len()).rev());
    for (done, i) in order.enumerate() {
        let work = load(bed.as_mut(), parts[i].piece, options, i as u64)?;
        let timing = timer.time(bed.as_mut(), work, false)?;
        let sd_ms = timing.sd_ms();
        medians[i].push((timing.fill(blank(task(i as u64))), sd_ms));
        on_row(done + 1, 2 * parts.len());
    }
    Ok(parts.into_iter().zip(medians).map(|(part, both)| row(part, &both)).collect())
}

fn task(index: u64) -> Task {
    Task { role: Role::Sample, index, occurrence: 0 }
}

/// The row from two measurements, each with its standard deviation.
fn row(part: Part, both: &[(Measurement, f64)]) -> OpRow {
    let [(first, _), (second, _)] = both else { unreachable!("each part is timed twice") };
    let medians_ms = [first.latency_ms, second.latency_ms];
    let status = first.status.max(second.status);
    let n_runs = first.n_runs + second.n_runs;
    let squares = both.iter().map(|(m, sd)| f64::from(m.n_runs) * sd * sd).sum::<f64>();
    OpRow {
        key: part.key,
        places: part.places,
        latency_ms: f64::midpoint(medians_ms[0], medians_ms[1]),
        medians_ms,
        sd_ms: Some((squares / f64::from(n_runs)).sqrt()),
        n_runs,
        status: status.name().to_owned(),
    }
}

fn load(
    bed: &mut dyn Testbed,
    piece: Piece,
    options: &ProfileOptions,
    index: u64,
) -> Result<Box<dyn Workload>, ProfileError> {
    let device = match options.device {
        DeviceSpec::Fake => return bed.load(&alone(piece), task(index)),
        DeviceSpec::Cpu => Device::Cpu,
        DeviceSpec::Cuda(ordinal) => Device::Cuda(ordinal as usize),
    };
    let work = guard(|| OpWorkload::new(piece, options.batch, device, options.point))?;
    Ok(Box::new(work))
}

/// Shape of a piece's input.
fn input(piece: Piece) -> Shape {
    match piece {
        Piece::Op(op) => Shape { c: op.c_in, hw: op.hw_in },
        Piece::Classifier { from, .. } | Piece::Pool(from) => from,
        Piece::Linear { c, .. } => Shape { c, hw: 1 },
    }
}

/// The graph of a piece by itself. Only the fake device accepts it, because a real network reads images.
fn alone(piece: Piece) -> Graph {
    let node = |name: &str, step, shape| Node { name: name.into(), step, shape };
    let mut nodes = vec![node("input", Step::Input, input(piece))];
    if let Piece::Op(op) = piece {
        let step = Step::Fixed { from: 0, op, place: lat_space::Place::Derived };
        nodes.push(node("op", step, Shape { c: op.c_out, hw: op.hw_out() }));
    }
    Graph { nodes, pools_normalised_in_search: false }
}

#[derive(Debug)]
enum Timed {
    Op(Box<dyn Layer>),
    Classifier(nn::Linear),
    Pool,
    Linear(nn::Linear),
}

/// A piece in evaluation mode with a batch of its input.
#[derive(Debug)]
struct OpWorkload {
    timed: Timed,
    /// Keeps the weights alive.
    _weights: nn::VarStore,
    input: Tensor,
    device: Device,
}

impl OpWorkload {
    fn new(piece: Piece, batch: u32, device: Device, point: OperatingPoint) -> Self {
        let mut weights = nn::VarStore::new(device);
        let builder = LayerBuilder {
            phase: Phase::Evaluation,
            pools_normalised: false,
            init: WeightInit::Uniform,
        };
        let linear = |c: u32, classes: u32| {
            let config = nn::LinearConfig::default();
            nn::linear(weights.root(), i64::from(c), i64::from(classes), config)
        };
        let timed = match piece {
            Piece::Op(op) => Timed::Op(builder.layer(&weights.root(), &op)),
            Piece::Classifier { from, classes, .. } => Timed::Classifier(linear(from.c, classes)),
            Piece::Pool(_) => Timed::Pool,
            Piece::Linear { c, classes } => Timed::Linear(linear(c, classes)),
        };
        let kind = kind(point.precision);
        weights.set_kind(kind);
        let Shape { c, hw } = input(piece);
        let sizes = match piece {
            Piece::Linear { .. } => vec![i64::from(batch), i64::from(c)],
            _ => vec![i64::from(batch), i64::from(c), i64::from(hw), i64::from(hw)],
        };
        let input = Tensor::randn(sizes.as_slice(), (Kind::Float, device)).to_kind(kind);
        let is_map = sizes.len() == 4;
        let input =
            if point.channels_last && is_map { lat_nn::channels_last(&input) } else { input };
        Self { timed, _weights: weights, input, device }
    }

    fn run(&self) -> Tensor {
        let pooled = || self.input.mean_dim([2i64, 3].as_slice(), false, None::<Kind>);
        match &self.timed {
            Timed::Op(layer) => layer.forward_t(&self.input, false),
            Timed::Classifier(linear) => pooled().apply(linear),
            Timed::Pool => pooled(),
            Timed::Linear(linear) => self.input.apply(linear),
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
    use lat_space::{Op, OpSpec, find_skeleton, find_space};

    use super::*;

    #[test]
    fn the_fake_device_s_operations_take_what_they_take() {
        let space = find_space("nasbench201").unwrap();
        let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
        let options =
            ProfileOptions { batch: 2, ..ProfileOptions::new(skeleton, DeviceSpec::Fake) };
        let mut told = Vec::new();
        let mut tell = |done, all| told.push((done, all));
        let rows = measure_ops(space.as_ref(), &options, &[], &mut tell).unwrap();
        assert_eq!(told.last(), Some(&(2 * rows.len(), 2 * rows.len())));
        for row in rows.iter().filter(|row| row.key != Piece::CLASSIFIER) {
            let parts = parts(space.as_ref(), &skeleton, &[]);
            let part = parts.into_iter().find(|part| part.key == row.key);
            let truth_ms = crate::fake_latency_ms(&alone(part.unwrap().piece), 2);
            assert!((row.latency_ms / truth_ms - 1.0).abs() < 0.01, "{row:?} {truth_ms}");
            assert!(row.sd_ms.is_some_and(|sd| sd > 0.0 && sd < row.latency_ms), "{row:?}");
        }
    }

    #[test]
    fn a_cpu_times_pieces_in_either_precision_and_layout() {
        let op = OpSpec { op: Op::SepConv { k: 3 }, c_in: 8, c_out: 8, stride: 2, hw_in: 8 };
        let from = Shape { c: 8, hw: 4 };
        let pieces: [(Piece, &[i64]); 4] = [
            (Piece::Op(op), &[2, 8, 4, 4]),
            (Piece::Classifier { from, classes: 3, is_largest: true }, &[2, 3]),
            (Piece::Pool(from), &[2, 8]),
            (Piece::Linear { c: 8, classes: 3 }, &[2, 3]),
        ];
        for (piece, expected) in pieces {
            for precision in [Precision::Fp32, Precision::Bf16] {
                let point = OperatingPoint {
                    mode: Mode::Eager,
                    precision,
                    channels_last: precision == Precision::Bf16,
                    cold: false,
                };
                let mut work = OpWorkload::new(piece, 2, Device::Cpu, point);
                work.enqueue().unwrap();
                let found = work.run();
                assert_eq!(found.kind(), kind(precision));
                assert_eq!(found.size(), expected);
            }
        }
    }
}
