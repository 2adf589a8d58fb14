//! Measures the cost of masks over channels by the number of choices. `scripts/bench-masks` runs it, each number in a process of
//! its own.

use lat::batches::Batch;
use lat::supernet::{AllChannels, CellSupernet, SharedGates, Supernet};
use lat_space::{
    Candidate, Choice, Cut, Decision, GraphBuilder, InvertedResidual, Measure, Norm, Op, OpSpec,
};
use tch::{Device, Kind, Tensor};

use crate::{formula, setup};

const BLOCKS: usize = 4;
const CHANNELS: u32 = 40;
const EXPANSION: u32 = 6;
const BATCH: i64 = 16;
const PIXELS: u16 = 16;
const STEPS: usize = 10;

/// `n` values up to the largest, in equal steps.
fn values(n: u32, largest: u32) -> Vec<u32> {
    (1..=n).map(|i| largest * i / n).collect()
}

/// Milliseconds that this thread has spent on a processor. Time that other programs take does not count.
fn on_processor_ms() -> f64 {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    spent.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e6
}

/// Blocks whose output and middle channels have `n` choices each.
fn masked(n: u32) -> (CellSupernet, Vec<Decision>) {
    let mut b = GraphBuilder::new(false);
    let image = b.input(PIXELS);
    let mut value = b.outside(image, Op::ConvBn { k: 3 }, CHANNELS, 1);
    let mut decisions = Vec::new();
    for block in 0..BLOCKS {
        let middle = CHANNELS * EXPANSION;
        let shortcut = lat_space::Shortcut::Padded;
        let op =
            InvertedResidual { norm: Norm::Affine, shortcut, ..InvertedResidual::new(3, middle) };
        let largest: OpSpec = b.spec(value, Op::InvertedResidual(op), CHANNELS, 1);
        let mut cut = |of, largest| {
            let values = values(n, largest);
            let choices = values.iter().map(|v| Choice::number(&v.to_string())).collect();
            decisions.push(Decision::slot(&format!("block{block}/{of:?}"), choices));
            Cut { decision: decisions.len() - 1, of, values }
        };
        let cuts = vec![cut(Measure::Out, CHANNELS), cut(Measure::Middle, middle)];
        value = b.elastic(value, block as u16, Candidate { largest, cuts });
    }
    b.head(value, 10);
    (CellSupernet::new(b.finish(), &AllChannels, Device::Cpu).unwrap(), decisions)
}

#[test]
#[ignore = "a measurement, see scripts/bench-masks"]
#[expect(clippy::print_stdout, reason = "what the script reads")]
fn masks_of_many_choices() {
    let _generator = setup::exclusive();
    let n: u32 = std::env::var("LAT_MASK_CHOICES").map_or(10, |n| n.parse().unwrap());
    let (net, decisions) = masked(n);
    let size = i64::from(PIXELS);
    let batch = Batch {
        images: formula::tensor("x", &[BATCH, 3, size, size]),
        labels: Tensor::arange(BATCH, tch::kind::INT64_CPU).remainder(10),
    };
    let thetas: Vec<Tensor> = decisions
        .iter()
        .map(|d| {
            let zeros = Tensor::zeros([d.choices.len() as i64], tch::kind::FLOAT_CPU);
            zeros.set_requires_grad(true)
        })
        .collect();
    let mut steps_ms = Vec::new();
    // The first step is the warm-up.
    for _ in 0..=STEPS {
        let begun = on_processor_ms();
        let weights: Vec<Tensor> = thetas.iter().map(|t| t.softmax(0, Kind::Float)).collect();
        net.loss(&batch, &SharedGates::soft(&decisions, &weights, None)).value.backward();
        steps_ms.push(on_processor_ms() - begun);
    }
    let mut measured = steps_ms[1..].to_vec();
    measured.sort_by(f64::total_cmp);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak =
        status.split("VmHWM:").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    let peak_mib = peak.parse::<f64>().unwrap() / 1024.0;
    println!("{{\"choices\": {n}, \"step_ms\": {:.2}, \"peak_mib\": {peak_mib:.1}}}", measured[0]);
}
