//! Whole supernets with kernels for depthwise convolutions and pools, and without.

use lat::supernet::{
    AllChannels, BuildMixedOp, CellSupernet, PartialChannels, SharedGates, Supernet,
};
use lat_kernels::{Level, at_level};
use lat_space::{SearchSpace, find_skeleton, find_space};
use tch::{Device, Kind, Tensor};

use crate::setup;

/// Loss, and gradients of weights and of architecture parameters, each as one row of numbers.
fn step(space: &dyn SearchSpace, net: &CellSupernet) -> [Tensor; 3] {
    let alphas: Vec<Tensor> = (0..space.decisions().len() as i64)
        .map(|i| (Tensor::arange(8, (Kind::Float, Device::Cpu)) + i).sin().set_requires_grad(true))
        .collect();
    let probabilities: Vec<Tensor> = alphas.iter().map(|a| a.softmax(-1, Kind::Float)).collect();
    let gates = SharedGates::soft(space.decisions(), &probabilities, None);
    let pixels = Tensor::arange(8 * 3 * 16 * 16, (Kind::Float, Device::Cpu)) * 1.7;
    let logits = net.forward_t(&pixels.sin().view([8, 3, 16, 16]), &gates, true);
    let labels = Tensor::arange(8, (Kind::Int64, Device::Cpu));
    let loss = logits.cross_entropy_for_logits(&labels);
    let weights = net.weights().trainable_variables();
    let all: Vec<&Tensor> = weights.iter().chain(&alphas).collect();
    let gradients = Tensor::run_backward(&[&loss], &all, false, false);
    let flat =
        |of: &[Tensor]| Tensor::cat(&of.iter().map(|g| g.flatten(0, -1)).collect::<Vec<_>>(), 0);
    let (of_weights, of_alphas) = gradients.split_at(weights.len());
    [loss.detach().view([1]), flat(of_weights), flat(of_alphas)]
}

fn assert_alike(name: &str, mixed_op: &dyn BuildMixedOp) {
    let space = find_space("darts").unwrap();
    let net = {
        let _generator = setup::exclusive();
        tch::manual_seed(5);
        let mut skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
        skeleton.channels = 8;
        CellSupernet::new(space.graph(&skeleton), mixed_op, Device::Cpu).unwrap()
    };
    let expected = at_level(Level::Off, || step(space.as_ref(), &net));
    for level in [Level::Portable, Level::Avx2, Level::Avx512] {
        let found = at_level(level, || step(space.as_ref(), &net));
        assert_ne!(found[1], expected[1], "{name}: no kernel was used");
        for (what, (found, expected)) in
            ["loss", "weights", "alphas"].iter().zip(found.iter().zip(&expected))
        {
            let error = f64::try_from((found - expected).norm() / expected.norm()).unwrap();
            assert!(error <= 1e-5, "{name}, {what} at {level:?}: {error}");
        }
    }
}

#[test]
fn a_darts_step_is_the_same_with_kernels_and_without() {
    assert_alike("darts", &AllChannels);
}

/// Its maps are parts of wider ones, which lie apart in memory.
#[test]
fn a_step_with_partial_channels_is_the_same_with_kernels_and_without() {
    assert_alike("pc-darts", &PartialChannels { divisor: 4 });
}
