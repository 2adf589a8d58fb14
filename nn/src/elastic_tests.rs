//! Tests that operations that are cut down, their gradients and their sorting match the authors' own code, see
//! `nn/parity/README.md`.

use std::collections::HashMap;
use std::path::Path;

use lat_space::{
    Activation, InvertedResidual as Block, Norm, Op, OpSpec, Shortcut, SqueezeExcite as Rule,
};
use tch::{Device, Kind, Tensor, nn};

use crate::block_tests::{builder, double_wave as wave, fill};
use crate::squeeze_excite::SqueezeExcite;
use crate::{BatchNorm, Conv, ElasticLayer, Extent, Extents, WeightInit, derived_weight};

/// Names of a block's weights in the order of once-for-all's code, including the kernel matrices. A block may lack some of them.
const OFA_BLOCK: &str = "pw1.weight bn1.weight bn1.bias dw.to3 dw.to5 dw.weight bn2.weight bn2.bias \
    se.reduce.weight se.reduce.bias se.expand.weight se.expand.bias pw2.weight bn3.weight bn3.bias";
/// Names of a block's weights in the order of `AttentiveNAS`' code. The shortcut's convolution is not part of the official block.
const ATTENTIVENAS_BLOCK: &str = "pw1.weight bn1.weight bn1.bias dw.weight bn2.weight bn2.bias \
    se.reduce.weight se.reduce.bias se.expand.weight se.expand.bias pw2.weight bn3.weight bn3.bias";
const SIDES: [i64; 3] = [3, 5, 7];

type Arrays = HashMap<String, Tensor>;

fn official() -> Arrays {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/elastic.npz");
    Tensor::read_npz(path).unwrap().into_iter().collect()
}

/// A store of weights in double precision, like the official arrays, because batch norm over few pixels makes rounding errors
/// large.
fn held() -> nn::VarStore {
    nn::VarStore::new(Device::Cpu)
}

/// Allows errors of up to 1e-5 of the largest number.
fn assert_close(name: &str, found: &Tensor, expected: &Tensor) {
    let is_first = name.contains("_train_");
    let found = if is_first { found.narrow(0, 0, 1) } else { found.shallow_clone() };
    assert_eq!(found.size(), expected.size(), "{name}");
    let (found, expected) = (found.to_kind(Kind::Double), expected.to_kind(Kind::Double));
    let error = (found - &expected).abs().max().double_value(&[]);
    let largest = expected.abs().max().double_value(&[]).max(1.0);
    assert!(error <= 1e-5 * largest, "{name}: {error} of {largest}");
}

fn set(weight: &Tensor, values: &Tensor) {
    tch::no_grad(|| weight.shallow_clone().copy_(values));
}

/// Computes gradients of the sum of products with a wave. A weight that took no part has a gradient of zeros.
fn pulled(ys: &Tensor, number: usize) {
    (ys * wave(number, &ys.size(), 1.0, 0.0)).sum(Kind::Float).backward();
}

fn first(side: i64) -> Extents {
    Extents { kernel: Extent::First(side), ..Extents::FULL }
}

/// A depthwise convolution of 4 channels with kernels of 7, 5 and 3, and its weights.
fn depthwise() -> (Conv, Arrays) {
    let mut store = held();
    let place = store.root() / "dw";
    let conv = Conv::depthwise(&WeightInit::Uniform, &place, 4, 7).transforming(&place, &SIDES);
    store.double();
    set(&store.variables()["dw.weight"], &wave(0, &[4, 1, 7, 7], 1.0, 0.0));
    (conv, store.variables())
}

fn distort(weights: &Arrays) {
    for (name, number, n) in [("dw.to5", 1, 25), ("dw.to3", 2, 9)] {
        let identity = Tensor::eye(n, (Kind::Double, Device::Cpu));
        set(&weights[name], &(identity + wave(number, &[n, n], 0.1, 0.0)));
    }
}

// Number 1 of what must be true of once-for-all.
#[test]
fn kernels_are_transformed_as_the_official_code_does_it() {
    let all = official();
    let xs = wave(3, &[2, 3, 9, 9], 1.0, 0.0);
    let (conv, weights) = depthwise();
    for side in [5, 3] {
        let kernel = derived_weight(&weights, "dw.weight", &[4, 1, side, side]).unwrap();
        assert_close("identity", &kernel, &all[&format!("transform/filter{side}_identity")]);
        let plain = crate::slice_like(&weights["dw.weight"], &[4, 1, side, side]);
        assert_eq!(kernel, plain, "at first a kernel is the centre");
    }
    distort(&weights);
    for side in SIDES {
        let name = |what: &str| format!("transform/{what}_k{side}_s1");
        let (conv, weights) = depthwise();
        distort(&weights);
        let size = [3, 1, side, side];
        let kernel = tch::no_grad(|| derived_weight(&weights, "dw.weight", &size)).unwrap();
        assert_close("filter", &kernel, &all[&format!("transform/filter{side}")]);
        let ys = conv.forward_cut(&xs, &Extent::Full, &Extent::First(side));
        assert_close(&name("y"), &ys, &all[&name("y")]);
        pulled(&ys, 4);
        for (weight, official) in [("dw.weight", "weight"), ("dw.to5", "m75"), ("dw.to3", "m53")] {
            let expected = &all[&name(&format!("grad_{official}"))];
            let found = weights[weight].grad();
            assert_eq!(found.defined(), expected.numel() > 0, "{} {weight}", name("grad"));
            if found.defined() {
                assert_close(&name(weight), &found, expected);
            }
        }
    }
    let whole = conv.forward_cut(&xs, &Extent::Full, &Extent::Full);
    assert_close("largest", &whole, &all["transform/y_k7_s1"]);
}

#[test]
fn a_blend_of_one_kernel_is_that_kernel() {
    let (conv, weights) = depthwise();
    distort(&weights);
    let xs = wave(3, &[2, 4, 9, 9], 1.0, 0.0);
    let shares = |open: i64| {
        let share = |side: i64| (side, Tensor::from(f64::from(u8::from(side == open))));
        Extent::Blended(SIDES.map(share).into())
    };
    for side in SIDES {
        let blended = conv.forward_cut(&xs, &Extent::Full, &shares(side));
        let hard = conv.forward_cut(&xs, &Extent::Full, &Extent::First(side));
        assert_close("blend", &blended, &hard);
    }
}

#[test]
fn slices_are_those_of_the_official_code() {
    let all = official();
    let mut store = held();
    let conv = Conv::new(&WeightInit::Uniform, &store.root(), [6, 8], 1);
    store.double();
    set(&store.variables()["weight"], &wave(0, &[8, 6, 1, 1], 1.0, 0.0));
    let xs = wave(5, &[2, 4, 5, 5], 1.0, 0.0);
    let ys = conv.forward_cut(&xs, &Extent::First(5), &Extent::Full);
    assert_close("conv", &ys, &all["slicing/conv_y"]);
    pulled(&ys, 6);
    let gradient = store.variables()["weight"].grad();
    assert_close("gradient", &gradient, &all["slicing/conv_grad_weight"]);
}

#[test]
fn a_narrower_squeeze_and_excite_and_batch_norm_are_the_official_ones() {
    let all = official();
    let mut store = held();
    let place = store.root() / "se";
    let se = SqueezeExcite::new(&builder(), &place, (Rule::Ofa, Activation::Relu), 48);
    store.double();
    let names = "reduce.weight reduce.bias expand.weight expand.bias";
    for (i, name) in names.split_whitespace().enumerate() {
        let weight = store.variables()[&format!("se.{name}")].shallow_clone();
        let scale = if name.ends_with("bias") { 0.1 } else { 0.3 };
        set(&weight, &wave(10 + i, &weight.size(), scale, 0.0));
    }
    let ys = se.forward(&wave(20, &[2, 32, 3, 3], 1.0, 0.0));
    assert_close("se", &ys, &all["slicing/se_y_of_32_channels"]);

    let bn = BatchNorm::new(&WeightInit::Uniform, &store.root(), 8, true);
    store.double();
    let weights = store.variables();
    set(&weights["weight"], &wave(21, &[8], 0.1, 1.0));
    set(&weights["bias"], &wave(22, &[8], 0.1, 0.0));
    let ys = bn.forward_first_t(&wave(23, &[4, 5, 3, 3], 1.0, 0.0), true);
    assert_close("bn", &ys, &all["slicing/bn_y_of_5_channels"]);
    for (name, official) in [("running_mean", "bn_mean_after_5"), ("running_var", "bn_var_after_5")]
    {
        assert_close(name, &weights[name], &all[&format!("slicing/{official}")]);
    }
}

/// A once-for-all block from 8 to `c_out` channels at its largest, with waves as weights.
fn ofa_block(excites: bool, c_out: u32, stride: u8) -> (Box<dyn ElasticLayer>, nn::VarStore) {
    let activation = if excites { Activation::HSwish } else { Activation::Relu };
    let squeeze_excite = excites.then_some(Rule::Ofa);
    let block = Block { activation, squeeze_excite, norm: Norm::Affine, ..Block::new(7, 48) };
    let spec = OpSpec { op: Op::InvertedResidual(block), c_in: 8, c_out, stride, hw_in: 9 };
    let mut store = held();
    let layer = builder().transforming_layer(&store.root(), &spec, &SIDES).unwrap();
    store.double();
    fill(&store, OFA_BLOCK, 0, &[]);
    (layer, store)
}

#[test]
fn blocks_of_once_for_all_cut_down_and_their_gradients() {
    let all = official();
    let xs = wave(30, &[2, 8, 9, 9], 1.0, 0.0);
    for (kind, excites) in [("plain", false), ("se_hswish", true)] {
        let of_kind = |name: &&String| name.starts_with(&format!("ofa/{kind}_train"));
        let mut n = 0;
        for name in all.keys().filter(of_kind) {
            let (rest, expansion) = name.rsplit_once("_e").unwrap();
            let side = rest.rsplit_once("_k").unwrap().1.parse().unwrap();
            let middle = 8 * expansion.parse::<i64>().unwrap();
            let (layer, _store) = ofa_block(excites, 16, 2);
            let extents = Extents { middle: Extent::First(middle), ..first(side) };
            assert_close(name, &layer.forward_cut_t(&xs, &extents, true), &all[name]);
            n += 1;
        }
        assert!(n >= 2, "{kind}");
        let (layer, store) = ofa_block(excites, 16, 2);
        let extents = Extents { middle: Extent::First(24), ..first(3) };
        pulled(&layer.forward_cut_t(&xs, &extents, true), 31);
        assert_gradients(&all, &format!("ofa/{kind}_grad_k3_e3/"), &store);
    }
}

/// Compares gradients with all official arrays under the prefix.
fn assert_gradients(all: &Arrays, prefix: &str, store: &nn::VarStore) {
    let ours = [
        ("inverted_bottleneck.conv.conv.", "pw1."),
        ("inverted_bottleneck.bn.bn.", "bn1."),
        ("depth_conv.conv.5to3_matrix", "dw.to3"),
        ("depth_conv.conv.7to5_matrix", "dw.to5"),
        ("depth_conv.conv.conv.", "dw."),
        ("depth_conv.bn.bn.", "bn2."),
        ("depth_conv.se.fc.", "se."),
        ("point_linear.conv.conv.", "pw2."),
        ("point_linear.bn.bn.", "bn3."),
    ];
    let weights = store.variables();
    let of_case = all.iter().filter_map(|(name, a)| Some((name.strip_prefix(prefix)?, a)));
    let mut n = 0;
    for (name, expected) in of_case {
        let (official, our) = ours.iter().find(|(official, _)| name.starts_with(official)).unwrap();
        let weight = &weights[&name.replace(official, our)];
        let gradient = weight.grad();
        let found = if gradient.defined() { gradient } else { weight.zeros_like() };
        assert_close(&format!("{prefix}{name}"), &found, expected);
        n += 1;
    }
    assert!(n >= 6, "{prefix}: {n} arrays");
}

// Number 3 of what must be true of AttentiveNAS.
#[test]
fn attentivenas_gradients_are_zero_outside_what_is_cut_out() {
    let all = official();
    for (kind, squeeze_excite) in [("plain", None), ("se", Some(Rule::Ofa))] {
        let block = Block {
            activation: Activation::Swish,
            squeeze_excite,
            norm: Norm::Affine,
            shortcut: Shortcut::Never,
            ..Block::new(5, 0).expanded(6, 16)
        };
        let op = Op::InvertedResidual(block);
        let spec = OpSpec { op, c_in: 16, c_out: 16, stride: 2, hw_in: 9 };
        let mut store = held();
        let layer = builder().elastic_layer(&store.root(), &spec).unwrap();
        store.double();
        fill(&store, ATTENTIVENAS_BLOCK, 0, &[]);
        let extents = Extents { out: Extent::First(8), expansion: Some(4), ..first(3) };
        let xs = wave(30, &[2, 8, 9, 9], 1.0, 0.0);
        pulled(&layer.forward_cut_t(&xs, &extents, true), 31);
        assert_gradients(&all, &format!("attentivenas/{kind}_grad_in8_out8_k3_e4/"), &store);
        // Beyond the official arrays: the cut leaves no gradient in other channels and at the kernel's rim.
        let weights = store.variables();
        let depthwise = weights["dw.weight"].grad();
        assert!(depthwise.narrow(0, 32, 64).abs().max().double_value(&[]) <= 0.0);
        assert!(depthwise.narrow(3, 0, 1).abs().max().double_value(&[]) <= 0.0);
        assert!(weights["pw2.weight"].grad().narrow(0, 8, 8).abs().max().double_value(&[]) <= 0.0);
    }
}

// Number 2 of what must be true of once-for-all.
#[test]
fn channels_are_sorted_as_the_official_code_does_it() {
    let all = official();
    for (stage, trained) in [(0, &[48][..]), (1, &[32, 48])] {
        let (layer, store) = ofa_block(true, 8, 1);
        let weights = store.variables();
        for (number, name, shift) in [(40, "running_mean", 0.0), (41, "running_var", 1.0)] {
            for bn in ["bn1", "bn2", "bn3"] {
                let statistic = &weights[&format!("{bn}.{name}")];
                set(statistic, &wave(number, &statistic.size(), 0.1, shift));
            }
        }
        let xs = wave(42, &[1, 8, 6, 6], 1.0, 0.0);
        let compute = || tch::no_grad(|| layer.forward_cut_t(&xs, &Extents::FULL, false));
        let before = compute();
        let depthwise = weights["dw.weight"].copy();
        layer.sort_middle(trained);
        assert_close("the whole", &compute(), &before);
        let importance = weights["pw2.weight"].abs().sum_dim_intlist(
            [0i64, 2, 3].as_slice(),
            false,
            Kind::Float,
        );
        assert_close("importance", &importance, &all[&format!("sorting/importance_stage{stage}")]);
        let order = &all[&format!("sorting/order_stage{stage}")];
        assert_eq!(weights["dw.weight"], depthwise.index_select(0, order), "stage {stage}");
        let sides = Vec::<f64>::try_from(&importance.to_kind(Kind::Double)).unwrap();
        let mut left = 0;
        for &right in trained {
            assert!(sides[left..right as usize].is_sorted_by(|a, b| a >= b));
            left = right as usize;
        }
    }
}

/// In blocks with squeeze-and-excite, the channels inside are sorted as a whole, as in the official code. This changes narrower
/// blocks, so they are not tested here.
#[test]
fn a_width_that_was_trained_stays_what_it_is() {
    for (trained, stays) in [(&[48][..], false), (&[32, 48], true)] {
        let (layer, _store) = ofa_block(false, 8, 1);
        let xs = wave(42, &[1, 8, 6, 6], 1.0, 0.0);
        let narrow = Extents { middle: Extent::First(32), ..Extents::FULL };
        let compute = || tch::no_grad(|| layer.forward_cut_t(&xs, &narrow, false));
        let before = compute();
        layer.sort_middle(trained);
        let change = (compute() - before).abs().max().double_value(&[]);
        assert_eq!(change < 1e-9, stays, "{trained:?}: {change}");
    }
}
