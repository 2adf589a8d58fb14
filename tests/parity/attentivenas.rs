//! Compares a small supernet of `AttentiveNAS`' blocks with its authors' own code: logits of networks cut out of it, gradients of
//! a sandwich, calibration.

use lat::supernet::{AllChannels, CellSupernet, SharedGates, Supernet};
use lat_nn::BnRule;
use lat_space::{
    Activation, Architecture, Candidate, Choice, Cut, Decision, Graph, GraphBuilder, Interpolation,
    InvertedResidual, Measure, Norm, Op, Shortcut, SqueezeExcite, ValueId,
};
use tch::{Device, Kind, Reduction, Tensor};

use super::{Arrays, compare, read};
use crate::setup;

/// Name of the file; `every_file_is_compared` uses it too.
pub(super) const FILE: &str = "official_attentivenas";

/// Widths, depths, kernels, expansions, stride, and whether it has squeeze-and-excite.
type Stage = (&'static [u32], &'static [u32], &'static [u32], &'static [u32], u8, bool);

const STAGES: [Stage; 7] = [
    (&[8, 16], &[1, 2], &[3, 5], &[1], 1, false),
    (&[8, 16], &[1, 2], &[3, 5], &[4, 6], 2, false),
    (&[16, 24], &[1, 2], &[3, 5], &[4, 6], 2, true),
    (&[16, 24], &[1, 2], &[3, 5], &[4], 1, false),
    (&[24], &[1], &[3], &[4], 1, true),
    (&[24, 32], &[1, 2], &[3, 5], &[6], 2, true),
    (&[32], &[1], &[3, 5], &[6], 1, true),
];
const PIXELS: u16 = 48;

/// The graph under construction, and for each decision its values.
struct Building {
    b: GraphBuilder,
    values: Vec<Vec<u32>>,
    cell: u16,
}

impl Building {
    /// Adds the decision of a list, if the list has several values.
    fn decision(&mut self, values: &[u32]) -> Option<usize> {
        (values.len() > 1).then(|| {
            self.values.push(values.to_vec());
            self.values.len() - 1
        })
    }

    fn cut(&mut self, values: &[u32], of: Measure, factor: u32) -> Option<Cut> {
        let values_of = values.iter().map(|v| v * factor).collect();
        self.decision(values).map(|decision| Cut { decision, of, values: values_of })
    }

    fn piece(&mut self, from: ValueId, op: Op, c_out: u32, stride: u8, cuts: Vec<Cut>) -> ValueId {
        let largest = self.b.spec(from, op, c_out, stride);
        self.cell += 1;
        self.b.elastic(from, self.cell - 1, Candidate { largest, cuts })
    }

    fn stage(&mut self, from: ValueId, stage: &Stage) -> ValueId {
        let &(widths, depths, kernels, expansions, stride, excites) = stage;
        let last = |values: &[u32]| *values.last().unwrap();
        let depth = self.decision(depths);
        let shared: Vec<Cut> = [
            self.cut(widths, Measure::Out, 1),
            self.cut(kernels, Measure::Kernel, 1),
            self.cut(expansions, Measure::Expansion, 1),
        ]
        .into_iter()
        .flatten()
        .collect();
        let (mut at, mut ends) = (from, Vec::new());
        for block in 0..last(depths) {
            let c_in = self.b.shape(at).c;
            let plain = InvertedResidual {
                activation: Activation::Swish,
                squeeze_excite: excites.then_some(SqueezeExcite::Ofa),
                shortcut: Shortcut::Always,
                norm: Norm::Affine,
                ..InvertedResidual::new(last(kernels) as u8, c_in)
            };
            let op = match expansions {
                [1] => InvertedResidual { unexpanded: true, ..plain },
                _ => plain.expanded(last(expansions) as u8, c_in),
            };
            let stride = if block == 0 { stride } else { 1 };
            let cuts = shared.clone();
            let (op, width) = (Op::InvertedResidual(op), last(widths));
            at = if cuts.is_empty() {
                self.b.outside(at, op, width, stride)
            } else {
                self.piece(at, op, width, stride, cuts)
            };
            if depths.contains(&(block + 1)) {
                ends.push(at);
            }
        }
        depth.map_or(at, |depth| self.b.pick(ends, depth))
    }
}

/// The official space, and the values of each decision.
fn space() -> (Graph, Vec<Vec<u32>>) {
    let conv =
        |k| Op::ConvBnAct { k, activation: Activation::Swish, biased: false, norm: Norm::Affine };
    let mut building = Building { b: GraphBuilder::new(false), values: vec![], cell: 0 };
    let image = building.b.input(PIXELS);
    let sizes = building.decision(&[32, u32::from(PIXELS)]).unwrap();
    let image = building.b.resize(image, sizes, vec![32, PIXELS], Interpolation::Bicubic);
    let cut = building.cut(&[8, 16], Measure::Out, 1);
    let mut at = building.piece(image, conv(3), 16, 2, cut.into_iter().collect());
    for stage in &STAGES {
        at = building.stage(at, stage);
    }
    // Six times the last stage's width, which has only one value.
    at = building.b.outside(at, conv(1), 192, 1);
    let cut = building.cut(&[32, 48], Measure::Out, 1);
    let mix = Op::FeatureMix { activation: Activation::Swish };
    at = building.piece(at, mix, 48, 1, cut.into_iter().collect());
    building.b.head(at, 10);
    (building.b.finish(), building.values)
}

/// `shift + scale * sin((i + 1) * (1 + k / 10))`.
fn wave(k: usize, size: &[i64], scale: f64, shift: f64) -> Tensor {
    let n: i64 = size.iter().product();
    let value = |i: i64| shift + scale * ((i + 1) as f64 * (1.0 + k as f64 / 10.0)).sin();
    let values: Vec<f64> = (0..n).map(value).collect();
    Tensor::from_slice(&values).view(size).to_kind(Kind::Float)
}

/// Official order within a piece; a block's shortcut is last.
const ORDER: [&str; 19] = [
    "conv.weight",
    "bn.weight",
    "bn.bias",
    "pw1.weight",
    "bn1.weight",
    "bn1.bias",
    "dw.weight",
    "bn2.weight",
    "bn2.bias",
    "se.reduce.weight",
    "se.reduce.bias",
    "se.expand.weight",
    "se.expand.bias",
    "pw2.weight",
    "bn3.weight",
    "bn3.bias",
    "shortcut.weight",
    "linear.weight",
    "linear.bias",
];

/// Fills the weights in the official order, and returns each with its number there. Official shortcuts always have a convolution;
/// ours only if widths can differ.
fn fill(net: &CellSupernet) -> Vec<(usize, Tensor)> {
    let all = net.weights().variables();
    let (mut number, mut filled) = (0, Vec::new());
    for node in &net.graph().nodes {
        let mut is_block = false;
        for part in ORDER {
            let ends = |name: &&String| {
                let place = name.strip_suffix(part).and_then(|place| place.strip_suffix('.'));
                place.is_some_and(|p| {
                    p.split('.').next() == Some(&node.name) && p.split('.').count() <= 2
                })
            };
            let found = all.iter().find(|(name, _)| ends(name));
            is_block |= part == "dw.weight" && found.is_some();
            if let Some((name, weight)) = found {
                let (is_bn, is_bias) = (part.starts_with("bn"), part.ends_with("bias"));
                let value = match (is_bias, is_bn) {
                    (true, _) => wave(number, &weight.size(), 0.1, 0.0),
                    (false, true) => wave(number, &weight.size(), 0.1, 1.0),
                    (false, false) => wave(number, &weight.size(), 0.3, 0.0),
                };
                assert!(weight.requires_grad(), "{name}");
                tch::no_grad(|| weight.shallow_clone().copy_(&value));
                filled.push((number, weight.shallow_clone()));
                number += 1;
            } else if part == "shortcut.weight" && is_block {
                number += 1;
            }
        }
    }
    assert_eq!(number, 147, "weights of the official network");
    filled
}

/// The supernet, filled.
struct Filled {
    net: CellSupernet,
    weights: Vec<(usize, Tensor)>,
    decisions: Vec<Decision>,
    /// The values of each decision.
    values: Vec<Vec<u32>>,
}

impl Filled {
    fn new() -> Self {
        setup::ready();
        let (graph, values) = space();
        let decision = |values: &Vec<u32>| {
            let choices = values.iter().map(|v| Choice::number(&v.to_string()));
            Decision::slot("x", choices.collect())
        };
        let decisions: Vec<Decision> = values.iter().map(decision).collect();
        let net = {
            let _generator = setup::exclusive();
            CellSupernet::new(graph, &AllChannels, Device::Cpu).unwrap()
        };
        let weights = fill(&net);
        Self { net, weights, decisions, values }
    }

    /// The gates of a network given by its values: image size; stem; depth, width, kernel and expansion of each stage, as far as
    /// there is a choice; last.
    fn gates(&self, taken: &[u32]) -> SharedGates {
        let place = |(v, list): (&u32, &Vec<u32>)| list.iter().position(|l| l == v).unwrap();
        assert_eq!(taken.len(), self.values.len());
        let architecture = Architecture::new("x", taken.iter().zip(&self.values).map(place));
        SharedGates::hard(&self.decisions, &architecture, Device::Cpu)
    }

    fn logits(&self, taken: &[u32]) -> Tensor {
        self.net.forward_t(&images(50), &self.gates(taken), true)
    }
}

fn images(k: usize) -> Tensor {
    wave(k, &[4, 3, 32, 32], 1.0, 0.0)
}

const LARGEST: [u32; 21] = [48, 16, 2, 16, 5, 2, 16, 5, 6, 2, 24, 5, 6, 2, 24, 5, 2, 32, 5, 5, 48];
const MIDDLE: [u32; 21] = [48, 8, 2, 16, 3, 1, 8, 5, 4, 2, 24, 3, 6, 1, 16, 5, 2, 32, 3, 5, 32];
const OTHER: [u32; 21] = [32, 16, 1, 8, 5, 2, 16, 3, 6, 1, 16, 5, 4, 2, 24, 3, 1, 24, 5, 3, 48];
const SMALLEST: [u32; 21] = [32, 8, 1, 8, 3, 1, 8, 3, 4, 1, 16, 3, 4, 1, 16, 3, 1, 24, 3, 3, 32];

/// Compares one array of the file with this name.
fn compare_one(name: &str, found: &Tensor) {
    let found = Arrays::from([(name.to_owned(), found.shallow_clone())]);
    compare(FILE, name, &read(FILE), &found);
}

#[test]
fn networks_cut_out_of_it_compute_what_the_official_ones_do() {
    let filled = Filled::new();
    for (name, taken) in [("largest", LARGEST), ("middle", MIDDLE), ("smallest", SMALLEST)] {
        compare_one(&format!("logits_{name}"), &filled.logits(&taken));
    }
}

#[test]
fn gradients_of_a_sandwich_add_up_to_the_official_ones() {
    let filled = Filled::new();
    let largest = filled.logits(&LARGEST);
    let labels = Tensor::from_slice(&[3i64, 7, 1, 9]);
    let hard = largest.cross_entropy_loss::<Tensor>(&labels, None, Reduction::Mean, -100, 0.1);
    let teacher = largest.detach().softmax(-1, Kind::Float);
    let soft = |taken: &[u32]| {
        let answers = filled.logits(taken).log_softmax(-1, Kind::Float);
        -(&teacher * answers).sum(Kind::Float) / 4.0
    };
    let losses = [hard, soft(&MIDDLE), soft(&OTHER), soft(&SMALLEST)];
    let expected = [2.372_221_519, 2.300_282_392, 2.300_723_772, 2.300_635_481];
    for (loss, expected) in losses.iter().zip(expected) {
        assert!((loss.double_value(&[]) - expected).abs() < 1e-4, "{loss:?} {expected}");
        loss.backward();
    }
    // For each weight of the official network: sum, sum of magnitudes and largest magnitude.
    let expected = &read(FILE)["gradients"];
    for (number, weight) in &filled.weights {
        // In all four networks, a shortcut between equal widths is the identity.
        let gradient = if weight.grad().defined() { weight.grad() } else { weight.zeros_like() };
        let expected = |i: i64| expected.double_value(&[*number as i64, i]);
        let found =
            [gradient.sum(Kind::Double), gradient.abs().sum(Kind::Double), gradient.abs().max()];
        for (i, found) in (0..).zip(&found) {
            let off = (found.double_value(&[]) - expected(i)).abs();
            // The gradients of the first layers have passed twelve blocks in single precision.
            assert!(off < 2e-4 * expected(1) + 1e-5, "weight {number}, {i}: {off:e}");
        }
    }
}

#[test]
fn calibration_leaves_the_official_statistics() {
    let filled = Filled::new();
    let batches = [60, 61].map(images);
    filled.net.recalibrate(&batches, &filled.gates(&MIDDLE), BnRule::PerBatch);
    let all = filled.net.weights().variables();
    let first = filled.net.graph().nodes[2].name.clone();
    for (name, of) in [("calibrated_mean_first_bn", "mean"), ("calibrated_var_first_bn", "var")] {
        let (_, statistic) = all
            .iter()
            .find(|(name, _)| {
                name.split('.').next() == Some(&first) && name.ends_with(&format!("running_{of}"))
            })
            .unwrap();
        // The middle network has 8 of 16 channels.
        compare_one(name, &statistic.narrow(0, 0, 8));
    }
}
