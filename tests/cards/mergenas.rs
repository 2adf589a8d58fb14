//! `MergeNAS`, IJCAI 2020.
//!
//! Tested elsewhere: 1, 2, 3, 4, 7 and 8 (masks, linearity, gradients, sizes, scale) in `nn/src/merged_conv.rs`. 5 and 6 are
//! about the variant that merges pools and skips, which is not offered.

use lat::supernet::{BuildMixedOp, CellSupernet, MergedConvs, SharedGates, Supernet};
use lat_space::{Darts, NasBench201, SearchSpace, Space};
use tch::{Device, Tensor};

use super::paths::{built, refused, steps_on_images};
use crate::toy_net::parameter;
use crate::{formula, setup, toy};

fn net(space: &dyn SearchSpace, scaled: bool) -> CellSupernet {
    let _generator = setup::exclusive();
    let graph = space.graph(&toy::skeleton(space));
    let mixed_op: &dyn BuildMixedOp = &MergedConvs { scaled };
    let net = CellSupernet::new(graph, mixed_op, Device::Cpu).unwrap();
    formula::fill(net.weights());
    net
}

#[test]
fn mergenas_every_site_has_one_convolution() {
    setup::ready();
    let (darts, nasbench201) = (Darts::new(), NasBench201::new());
    let spaces: [(&dyn SearchSpace, i64); 2] = [(&darts, 9), (&nasbench201, 3)];
    for (space, side) in spaces {
        let net = net(space, false);
        let graph = space.graph(&toy::skeleton(space)).pruned(false);
        let weights = net.weights().variables();
        for (node, ..) in graph.sites() {
            let site = &graph.nodes[node].name;
            let kernel = &weights[&format!("{site}.merged.kernel.weight")];
            assert_eq!(kernel.size()[2..], [side, side]);
            let prefix = format!("{site}.");
            let of_site = weights.keys().filter(|name| name.starts_with(&prefix));
            let is_separate = |n: &&String| n.contains("_conv_");
            assert_eq!(of_site.filter(is_separate).count(), 0, "no candidate has its own");
        }
    }
}

#[test]
fn mergenas_8_only_ratios_among_convolutions_count_unless_scaled() {
    setup::ready();
    let space = NasBench201::new();
    let logits = |net: &CellSupernet, scale: f32| {
        // Only weights of the convolutions are scaled; skips and pools stay.
        let row = Tensor::from_slice(&[0.1f32, 0.2, 0.2 * scale, 0.1 * scale, 0.4]);
        let rows: Vec<Tensor> = (0..6).map(|_| row.copy()).collect();
        let gates = SharedGates::soft(space.decisions(), &rows, None);
        net.forward_t(&formula::tensor("x", &[4, 3, 8, 8]), &gates, true)
    };
    let change = |scaled: bool| {
        let net = net(&space, scaled);
        let (one, three) = (logits(&net, 1.0), logits(&net, 3.0));
        let size = one.abs().max().double_value(&[]);
        (one - three).abs().max().double_value(&[]) / size
    };
    let (bare, scaled) = (change(false), change(true));
    assert!(bare < 1e-2, "{bare}");
    assert!(scaled > 10.0 * bare, "{scaled} {bare}");
}

#[test]
fn mergenas_all_convolutions_learn_from_one() {
    setup::ready();
    let space = Darts::new();
    let net = net(&space, false);
    let mut method = built("mergenas", &space, &[("alpha_decay", 0.0.into())]);
    method.begin(&net);
    let (alpha, before) = (parameter(method.as_ref(), "alpha"), formula::values(net.weights()));
    steps_on_images(method.as_mut(), &space, &net);
    let moved = (parameter(method.as_ref(), "alpha") - alpha).narrow(1, 4, 4).abs();
    assert!(moved.min().double_value(&[]) > 0.0, "every convolution's alpha on every edge");
    let after = formula::values(net.weights());
    assert!(before.iter().all(|(name, value)| after[name] != *value));
}

#[test]
fn mergenas_refuses_a_scale_that_is_no_switch() {
    refused("mergenas", ("scaled", 3.into()), "scaled");
}
