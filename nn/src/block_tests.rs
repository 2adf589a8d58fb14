//! Tests that blocks compute the same as the authors' own code, see `nn/parity/README.md`.

use std::collections::HashMap;
use std::path::Path;

use lat_space::{
    Activation, Grouping, InvertedResidual as Block, Norm, Op, OpSpec, SplitAttention,
    SqueezeExcite,
};
use tch::{Device, Kind, Tensor, nn};

use crate::{BnRule, Extent, Extents, LayerBuilder, Phase, WeightInit, recalibrate};

/// Names of a block's weights in the order of the official code. A block may lack some of them.
const BLOCK: &str = "pw1.weight pw1.bias bn1.weight bn1.bias dw.weight dw.bias bn2.weight bn2.bias \
    se.reduce.weight se.reduce.bias se.expand.weight se.expand.bias \
    pw2.weight pw2.bias bn3.weight bn3.bias";
const SPLIT_ATTENTION: &str = "pw1.weight bn1.weight bn1.bias splits.weight bn2.weight bn2.bias \
    fc1.weight fc1.bias bn_fc.weight bn_fc.bias fc2.weight fc2.bias pw2.weight bn3.weight bn3.bias";
const CONV: &str = "conv.weight bn.weight bn.bias";

/// A tensor whose element i, from 0, is `shift + scale * sin((i + 1) * (1 + k / 10))`.
fn wave(k: usize, size: &[i64], scale: f64, shift: f64) -> Tensor {
    double_wave(k, size, scale, shift).to_kind(Kind::Float)
}

/// [`wave`] in double precision.
pub(crate) fn double_wave(k: usize, size: &[i64], scale: f64, shift: f64) -> Tensor {
    let n: i64 = size.iter().product();
    let value = |i: i64| shift + scale * ((i + 1) as f64 * (1.0 + k as f64 / 10.0)).sin();
    let values: Vec<f64> = (0..n).map(value).collect();
    Tensor::from_slice(&values).view(size)
}

/// Fills those weights that exist with waves, numbered from `start` on, and returns the next number. The numbers in `without`
/// have no weight here.
pub(crate) fn fill(store: &nn::VarStore, names: &str, start: usize, without: &[usize]) -> usize {
    let weights = store.variables();
    let there = names.split_whitespace().filter(|name| weights.contains_key(*name));
    let mut number = start;
    for name in there {
        while without.contains(&number) {
            number += 1;
        }
        let mut weight = weights[name].shallow_clone();
        let is_bn = name.starts_with("bn");
        let wave = match (name.ends_with("bias"), is_bn) {
            (true, _) => double_wave(number, &weight.size(), 0.1, 0.0),
            (false, true) => double_wave(number, &weight.size(), 0.1, 1.0),
            (false, false) => double_wave(number, &weight.size(), 0.3, 0.0),
        };
        tch::no_grad(|| weight.copy_(&wave));
        number += 1;
    }
    number
}

pub(crate) fn builder() -> LayerBuilder {
    LayerBuilder { phase: Phase::Search, pools_normalised: false, init: WeightInit::Uniform }
}

/// Compares the first image of a batch with an official array.
fn assert_official(name: &str, found: &Tensor) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/blocks.npz");
    let all: HashMap<String, Tensor> = Tensor::read_npz(path).unwrap().into_iter().collect();
    let expected = &all[name];
    let found = found.narrow(0, 0, 1);
    assert_eq!(found.size(), expected.size(), "{name}");
    let error = (&found - expected).abs().max().double_value(&[]);
    let largest = expected.abs().max().double_value(&[]);
    assert!(error <= 1e-4 * largest, "{name}: {error} of {largest}");
}

fn spec(op: Op, [c_in, c_out]: [u32; 2], stride: u8) -> OpSpec {
    OpSpec { op, c_in, c_out, stride, hw_in: 9 }
}

/// Tests a block by itself, in training mode.
fn assert_block(name: &str, spec: OpSpec, names: &str, without: &[usize]) {
    let store = nn::VarStore::new(Device::Cpu);
    let layer = builder().layer(&store.root(), &spec);
    fill(&store, names, 0, without);
    let xs = wave(30, &[2, i64::from(spec.c_in), 9, 9], 1.0, 0.0);
    assert_official(name, &layer.forward_t(&xs, true));
}

#[test]
fn mobile_visions_blocks() {
    let plain = |k, middle| Block { biased: true, norm: Norm::Affine, ..Block::new(k, middle) };
    let unexpanded = Block { unexpanded: true, ..plain(3, 8) };
    assert_block(
        "fbnet_ir_k3_e1_bias_skip",
        spec(Op::InvertedResidual(unexpanded), [8, 8], 1),
        BLOCK,
        &[],
    );
    let wide = Op::InvertedResidual(plain(5, 48));
    assert_block("fbnet_ir_k5_e6_stride2", spec(wide, [8, 16], 2), BLOCK, &[]);
    let grouped = Block { k: 5, grouping: Grouping::Projection, ..unexpanded };
    assert_block(
        "fbnet_ir_k5_g2_e1_pwl2_skip",
        spec(Op::InvertedResidual(grouped), [8, 8], 1),
        BLOCK,
        &[],
    );
    let excited = Block {
        biased: false,
        activation: Activation::HSwish,
        squeeze_excite: Some(SqueezeExcite::MobileVision { divisor: 8 }),
        ..plain(5, 72)
    };
    let excited = spec(Op::InvertedResidual(excited), [16, 16], 1);
    assert_block("fbnet_ir_k5_sehsig_hs_e4_507", excited, BLOCK, &[]);
    let skip =
        Op::ConvBnAct { k: 1, activation: Activation::Relu, biased: false, norm: Norm::Affine };
    assert_block("fbnet_skip_8_16_stride2", spec(skip, [8, 16], 2), CONV, &[]);
}

#[test]
fn the_pooled_block_before_a_classifier() {
    let activation = Activation::HSwish;
    let expand = Op::ConvBnAct { k: 1, activation, biased: false, norm: Norm::Affine };
    let stores = [(), ()].map(|()| nn::VarStore::new(Device::Cpu));
    let expand = builder().layer(&stores[0].root(), &spec(expand, [8, 48], 1));
    let mix = builder().layer(&stores[1].root(), &spec(Op::FeatureMix { activation }, [48, 32], 1));
    let next = fill(&stores[0], CONV, 0, &[]);
    fill(&stores[1], CONV, next, &[]);
    let xs = wave(30, &[2, 8, 9, 9], 1.0, 0.0);
    let ys = mix.forward_t(&expand.forward_t(&xs, true), true);
    assert_official("fbnet_ir_pool_hs_e6", &ys);
}

#[test]
fn largest_blocks_of_once_for_all() {
    // Numbers 3 and 4 are kernel matrices, which the largest kernel does not use.
    let block = Block { norm: Norm::Affine, ..Block::new(7, 48) };
    let plain = spec(Op::InvertedResidual(block), [8, 16], 2);
    assert_block("ofa_plain_train_k7_e6", plain, BLOCK, &[3, 4]);
    let block =
        Block { activation: Activation::HSwish, squeeze_excite: Some(SqueezeExcite::Ofa), ..block };
    let excited = spec(Op::InvertedResidual(block), [8, 16], 2);
    assert_block("ofa_se_hswish_train_k7_e6", excited, BLOCK, &[3, 4]);
}

#[test]
fn attentivenas_blocks_cut_down() {
    for (kind, squeeze_excite) in [("plain", None), ("se", Some(SqueezeExcite::Ofa))] {
        let block = Block {
            activation: Activation::Swish,
            squeeze_excite,
            norm: Norm::Affine,
            ..Block::new(5, 0).expanded(6, 16)
        };
        let store = nn::VarStore::new(Device::Cpu);
        let spec = spec(Op::InvertedResidual(block), [16, 16], 2);
        let layer = builder().elastic_layer(&store.root(), &spec).unwrap();
        fill(&store, BLOCK, 0, &[]);
        let of_kind = match kind {
            "plain" => &[(16, 16, 5, 6), (8, 16, 3, 4), (8, 8, 5, 4), (16, 8, 3, 6)][..],
            _ => &[(8, 16, 3, 4), (16, 8, 3, 6)],
        };
        for &(c_in, c_out, k, expansion) in of_kind {
            let extents = Extents {
                out: Extent::First(c_out),
                middle: Extent::Full,
                kernel: Extent::First(k),
                expansion: Some(expansion),
            };
            let xs = wave(30, &[2, c_in, 9, 9], 1.0, 0.0);
            let name = format!("attentivenas_{kind}_in{c_in}_out{c_out}_k{k}_e{expansion}");
            assert_official(&name, &layer.forward_cut_t(&xs, &extents, true));
        }
    }
}

#[test]
fn pi_nas_candidates() {
    let candidates = [(1, 1, 16), (2, 1, 16), (1, 2, 20)];
    for (c, (radix, cardinality, width)) in candidates.into_iter().enumerate() {
        for stride in [1, 2] {
            let block = Op::SplitAttention(SplitAttention { radix, cardinality, width });
            let stores = [(), ()].map(|()| nn::VarStore::new(Device::Cpu));
            let block = builder().layer(&stores[0].root(), &spec(block, [8, 64], stride));
            let shortcut = spec(Op::PoolConvBn, [8, 64], stride);
            let shortcut = builder().layer(&stores[1].root(), &shortcut);
            let next = fill(&stores[0], SPLIT_ATTENTION, 0, &[]);
            fill(&stores[1], CONV, next, &[]);
            let xs = wave(31, &[3, 8, 7, 7], 1.0, 0.0);
            let ys = (block.forward_t(&xs, true) + shortcut.forward_t(&xs, true)).relu();
            assert_official(&format!("pinas_candidate{c}_stride{stride}"), &ys);
        }
    }
}

/// The results of a rule for three batches of 4, 4 and 2 images: means and variances of two layers of BN, and the first outputs
/// in eval mode.
type Calibrated = [&'static [f64]; 5];

/// The rule of once-for-all's `set_running_statistics`. The first layer's statistics were computed by its code, the others by the
/// same rule written in numpy, in double precision.
const BY_IMAGE: Calibrated = [
    &[-0.037_896_943_9, -0.000_135_610_1, 0.037_976_177_8, -0.022_053_020_6],
    &[7.665_594_332_9, 0.876_535_617_9, 6.452_007_645_5, 3.993_478_809_8],
    &[0.171_250_670_5, 0.435_402_957_9, 0.236_736_418_4, -0.213_573_040_4, -0.436_861_478_4],
    &[0.380_190_654_2, 0.758_387_942_3, 0.924_809_585_4, 0.359_892_453_5, 0.827_290_045_9],
    &[0.068_716_02, 0.055_969_16, 0.056_736_62, 0.057_500_03],
];
/// The rule of `AttentiveNAS` and of Pi-NAS, whose codes agree.
const BY_BATCH: Calibrated = [
    &[-0.072_560_852_3, 0.007_085_674_3, 0.068_420_851_4, -0.047_062_446_3],
    &[7.768_140_599_0, 0.879_333_873_1, 6.555_618_732_1, 4.029_627_762_6],
    &[0.170_843_087_9, 0.435_579_652_3, 0.237_309_569_7, -0.213_212_673_0, -0.437_096_953_4],
    &[0.379_416_121_5, 0.769_273_278_4, 0.941_232_840_4, 0.358_442_469_1, 0.840_355_354_5],
    &[0.084_870_35, 0.072_190_59, 0.072_956_86, 0.073_719_05],
];

#[test]
fn recalibrated_batch_norm_is_the_official_codes() {
    let relu =
        Op::ConvBnAct { k: 3, activation: Activation::Relu, biased: false, norm: Norm::Affine };
    let builder = LayerBuilder { phase: Phase::Evaluation, ..builder() };
    let stores = [(), ()].map(|()| nn::VarStore::new(Device::Cpu));
    let first = builder.layer(&stores[0].root(), &spec(relu, [3, 4], 1));
    let second = builder.layer(&stores[1].root(), &spec(Op::ConvBn { k: 1 }, [4, 5], 1));
    fill(&stores[1], CONV, fill(&stores[0], CONV, 0, &[]), &[]);
    for store in &stores {
        let weight = &store.variables()["conv.weight"];
        tch::no_grad(|| weight.shallow_clone().copy_(&(weight / 0.3)));
    }
    let images = |k, n| wave(k, &[n, 3, 6, 6], 1.0, 0.0);
    let batches = [images(50, 4), images(51, 4), images(52, 2)];
    let forward = |xs: &Tensor, train| second.forward_t(&first.forward_t(xs, train), train);
    for (rule, expected) in [(BnRule::PerImage, BY_IMAGE), (BnRule::PerBatch, BY_BATCH)] {
        recalibrate(rule, &batches, |xs| drop(forward(xs, true)));
        let statistic = |store: &nn::VarStore, name: &str| store.variables()[name].copy();
        let found = [
            statistic(&stores[0], "bn.running_mean"),
            statistic(&stores[0], "bn.running_var"),
            statistic(&stores[1], "bn.running_mean"),
            statistic(&stores[1], "bn.running_var"),
            forward(&images(53, 2), false).flatten(0, -1).narrow(0, 0, 4).detach(),
        ];
        for (part, (found, expected)) in found.iter().zip(expected).enumerate() {
            let error = (found - Tensor::from_slice(expected)).abs().max().double_value(&[]);
            assert!(error <= 1e-5, "{rule}, part {part}: {error}");
        }
    }
}
