//! Times the kernels against libtorch's operations on the shapes of a DARTS search, for `scripts/bench-kernels`, which gives the number of
//! rounds: one line of JSON for each operation, with medians in ms.

#![expect(clippy::print_stdout, reason = "a program that prints its result")]

use std::time::Instant;

use lat_kernels::{Level, at_level, avg_pool, depthwise, level, max_pool};
use tch::{Device, Kind, Tensor};

/// Batch, channels, height and width.
type Map = [i64; 4];

/// The three stages of a DARTS search on CIFAR-10, and a middle of an inverted residual.
const MAPS: [Map; 4] = [[16, 16, 32, 32], [16, 32, 16, 16], [16, 64, 8, 8], [16, 96, 14, 14]];

#[derive(Debug, Clone, Copy)]
enum Operation {
    Depthwise { k: i64, dilation: i64 },
    MaxPool,
    AvgPool,
}

const OPERATIONS: [(&str, Operation); 7] = [
    ("depthwise 3x3", Operation::Depthwise { k: 3, dilation: 1 }),
    ("depthwise 5x5", Operation::Depthwise { k: 5, dilation: 1 }),
    ("depthwise 7x7", Operation::Depthwise { k: 7, dilation: 1 }),
    ("dilated 3x3", Operation::Depthwise { k: 3, dilation: 2 }),
    ("dilated 5x5", Operation::Depthwise { k: 5, dilation: 2 }),
    ("max pool 3x3", Operation::MaxPool),
    ("average pool 3x3", Operation::AvgPool),
];

/// What is timed of an operation.
#[derive(Debug, Clone, Copy)]
enum Part {
    Forward,
    /// With the product that gives the output a gradient; the same for both sides.
    InputGradient,
    WeightGradient,
}

const PARTS: [(&str, Part); 3] = [
    ("forward", Part::Forward),
    ("input gradient", Part::InputGradient),
    ("weight gradient", Part::WeightGradient),
];

fn run(operation: Operation, stride: i64, x: &Tensor, weight: &Tensor) -> Tensor {
    match operation {
        Operation::Depthwise { k, dilation } => {
            depthwise(x, weight, [stride; 2], [k / 2 * dilation; 2], dilation)
        }
        Operation::MaxPool => max_pool(x, 3, stride),
        Operation::AvgPool => avg_pool(x, 3, stride),
    }
}

/// ms of one computation.
fn time_ms(operation: Operation, stride: i64, part: Part, map: Map) -> f64 {
    let normal = |sizes: &[i64]| Tensor::randn(sizes, (Kind::Float, Device::Cpu));
    let k = if let Operation::Depthwise { k, .. } = operation { k } else { 3 };
    let x = normal(&map).set_requires_grad(matches!(part, Part::InputGradient));
    let weight = normal(&[map[1], 1, k, k]);
    let weight = weight.set_requires_grad(matches!(part, Part::WeightGradient));
    if let Part::Forward = part {
        let begin = Instant::now();
        let _y = run(operation, stride, &x, &weight);
        return begin.elapsed().as_secs_f64() * 1e3;
    }
    let y = run(operation, stride, &x, &weight);
    let gradient = normal(&y.size());
    let loss = (y * gradient).sum(Kind::Float);
    let by = if let Part::InputGradient = part { &x } else { &weight };
    let begin = Instant::now();
    let _gradients = Tensor::run_backward(&[&loss], &[by], false, false);
    begin.elapsed().as_secs_f64() * 1e3
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    tch::set_num_threads(1);
    let rounds: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(15);
    let own = level();
    for (name, operation) in OPERATIONS {
        for (map, stride) in MAPS.into_iter().flat_map(|map| [(map, 1), (map, 2)]) {
            for (part_name, part) in PARTS {
                let is_pool = !matches!(operation, Operation::Depthwise { .. });
                if is_pool && matches!(part, Part::WeightGradient) {
                    continue;
                }
                let time = |level| at_level(level, || time_ms(operation, stride, part, map));
                let times: Vec<[f64; 2]> =
                    (0..=rounds).map(|_| [Level::Off, own].map(time)).skip(1).collect();
                let [libtorch, own_ms] =
                    [0, 1].map(|i| median(times.iter().map(|t| t[i]).collect()));
                println!(
                    "{{\"operation\": \"{name}\", \"part\": \"{part_name}\", \"map\": {map:?}, \"stride\": {stride}, \
                     \"level\": \"{}\", \"libtorch_ms\": {libtorch:.4}, \"own_ms\": {own_ms:.4}, \"ratio\": {:.2}}}",
                    own.name(),
                    libtorch / own_ms
                );
            }
        }
    }
}
