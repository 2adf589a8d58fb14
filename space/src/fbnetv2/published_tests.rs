//! Builds the published networks from the same operations as the space, and checks their parameters and multiply-adds.

use crate::chain::{Chain, nearest_divisible};
use crate::{Activation, InvertedResidual, Norm, Op, SqueezeExcite, count};

/// Appends a layer written as in mobile-vision's definitions: operation, width, stride, expansion.
fn put(chain: &mut Chain, layer: &str, divisor: u8) {
    let parts: Vec<&str> = layer.split(':').collect();
    let (name, width) = (parts[0], parts[1].parse().unwrap());
    let stride: u8 = parts[2].parse().unwrap();
    let expansion: f64 = parts[3].parse().unwrap();
    let activation = if name.ends_with("_hs") { Activation::HSwish } else { Activation::Relu };
    let c_in = chain.shape().c;
    let middle = nearest_divisible(f64::from(c_in) * expansion, u32::from(divisor));
    let conv = |k, biased| Op::ConvBnAct { k, activation, biased, norm: Norm::Affine };
    if name == "skip" && (stride > 1 || c_in != width) {
        chain.fixed(conv(1, false), width, stride);
    } else if name.starts_with("conv_k3") {
        chain.fixed(conv(3, true), width, stride);
    } else if name == "ir_pool_hs" {
        chain.fixed(conv(1, false), middle, 1);
        chain.fixed(Op::FeatureMix { activation }, width, 1);
    } else if let Some(rest) = name.strip_prefix("ir_k") {
        let excites = name.contains("_sehsig");
        let block = InvertedResidual {
            unexpanded: expansion == 1.0,
            activation,
            squeeze_excite: excites.then_some(SqueezeExcite::MobileVision { divisor }),
            norm: Norm::Affine,
            ..InvertedResidual::new(rest[..1].parse().unwrap(), middle)
        };
        chain.fixed(Op::InvertedResidual(block), width, stride);
    }
}

#[test]
fn published_networks_have_their_numbers() {
    let networks = include_str!("golden.txt").lines().filter(|line| !line.starts_with('#'));
    let n = networks.map(|line| {
        let cells: Vec<&str> = line.split('\t').collect();
        let [name, resolution, params, conv_linear, ptflops, layers] = cells[..] else {
            panic!("six cells: {line}");
        };
        // Middle widths are whole numbers in these networks, and multiples of 8 in the others.
        let divisor = if name.starts_with("dmasking") { 1 } else { 8 };
        let mut chain = Chain::new(resolution.parse().unwrap());
        layers.split(' ').for_each(|layer| put(&mut chain, layer, divisor));
        // Their code pools a map that is already pooled, and their counter counts it again.
        let again = u64::from(chain.shape().c);
        let cost = count(&chain.finish(1000));
        let counted = [cost.params, cost.conv_linear, cost.multiply_adds + again];
        let counted = counted.map(|n| n.to_string());
        assert_eq!(counted, [params, conv_linear, ptflops], "{name}");
    });
    assert_eq!(n.count(), 8);
}
