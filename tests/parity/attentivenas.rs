//! A small supernet of `AttentiveNAS`' blocks against its authors' own code: logits of networks cut out of it, and what one teaches another.

use lat::supernet::{AllChannels, CellSupernet, SharedGates, Supernet};
use lat_space::{
    Activation, Architecture, Candidate, Choice, Cut, Decision, Graph, GraphBuilder,
    InvertedResidual, Measure, Norm, Op, Shortcut, SqueezeExcite, ValueId,
};
use tch::{Device, Kind, Reduction, Tensor};

use super::{Arrays, compare, read};
use crate::setup;

/// The file, which `every_file_is_compared` looks for too.
pub(super) const FILE: &str = "official_attentivenas";

/// Widths, depths, kernels, expansions, stride, whether it excites.
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

/// The graph on its way, with the values that each decision takes one of.
struct Building {
    b: GraphBuilder,
    values: Vec<Vec<u32>>,
    cell: u16,
}

impl Building {
    /// The decision of a list, where there is a choice.
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

/// The official space, without its sizes of the image, and what each decision takes one of.
fn space() -> (Graph, Vec<Vec<u32>>) {
    let conv =
        |k| Op::ConvBnAct { k, activation: Activation::Swish, biased: false, norm: Norm::Affine };
    let mut building = Building { b: GraphBuilder::new(false), values: vec![], cell: 0 };
    let image = building.b.input(PIXELS);
    let cut = building.cut(&[8, 16], Measure::Out, 1);
    let mut at = building.piece(image, conv(3), 16, 2, cut.into_iter().collect());
    for stage in &STAGES {
        at = building.stage(at, stage);
    }
    // Six times the last stage's width, which has no choice.
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

/// Official order within a piece; a block's shortcut comes last.
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

/// Fills the weights in the official order. Official shortcuts always have a convolution; ours where widths can differ.
fn fill(net: &CellSupernet) {
    let all = net.weights().variables();
    let mut number = 0;
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
                number += 1;
            } else if part == "shortcut.weight" && is_block {
                number += 1;
            }
        }
    }
    assert_eq!(number, 147, "weights of the official network");
}

#[test]
fn networks_cut_out_of_it_compute_what_the_official_ones_do() {
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
    fill(&net);
    let images = wave(50, &[4, 3, 32, 32], 1.0, 0.0);
    // What is 48 pixels wide is resized from 32 bicubically by the official code.
    let side = i64::from(PIXELS);
    let images = images.upsample_bicubic2d([side, side], false, None, None);
    let logits = |taken: &[u32]| {
        let choices = taken.iter().zip(&values).map(|(v, list)| list.iter().position(|l| l == v));
        let choices: Vec<usize> = choices.map(Option::unwrap).collect();
        assert_eq!(choices.len(), values.len());
        let architecture = Architecture::new("x", choices);
        net.forward_t(&images, &SharedGates::hard(&decisions, &architecture, Device::Cpu), true)
    };
    // Stem; depth, width, kernel, expansion of each stage; last.
    let largest = logits(&[16, 2, 16, 5, 2, 16, 5, 6, 2, 24, 5, 6, 2, 24, 5, 2, 32, 5, 5, 48]);
    let middle = logits(&[8, 2, 16, 3, 1, 8, 5, 4, 2, 24, 3, 6, 1, 16, 5, 2, 32, 3, 5, 32]);
    let (expected, found) = (read(FILE), |name: &str, ys: &Tensor| {
        Arrays::from([(name.to_owned(), ys.shallow_clone())])
    });
    for (name, ys) in [("logits_largest", &largest), ("logits_middle", &middle)] {
        compare(FILE, name, &expected, &found(name, ys));
    }
    let labels = Tensor::from_slice(&[3i64, 7, 1, 9]);
    let hard = largest.cross_entropy_loss::<Tensor>(&labels, None, Reduction::Mean, -100, 0.1);
    assert!((hard.double_value(&[]) - 2.372_221_519_039_301).abs() < 1e-4, "{hard:?}");
    let teacher = largest.detach().softmax(-1, Kind::Float);
    let soft = -(teacher * middle.log_softmax(-1, Kind::Float)).sum(Kind::Float) / 4.0;
    assert!((soft.double_value(&[]) - 2.300_282_391_666_936).abs() < 1e-4, "{soft:?}");
}
