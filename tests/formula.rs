//! Weights computed from their names and shapes: the formula of `tests/parity/README.md`.

use tch::{Kind, Tensor, nn};

/// `n` numbers in [-1, 1): a hash of the name plus a Weyl sequence, mixed.
pub(crate) fn uniform(name: &str, n: usize) -> Vec<f64> {
    let fnv = |h: u32, byte: u8| (h ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let hash = name.bytes().fold(0x811C_9DC5, fnv);
    let number = |i: u32| {
        let mut z = hash.wrapping_add(i.wrapping_mul(0x9E37_79B9));
        z ^= z >> 16;
        z = z.wrapping_mul(0x21F0_AAAD);
        z ^= z >> 15;
        z = z.wrapping_mul(0x735A_2D97);
        z ^= z >> 15;
        f64::from(z) / f64::from(1u32 << 31) - 1.0
    };
    (0..n as u32).map(number).collect()
}

/// The tensor for this name and shape.
pub(crate) fn tensor(name: &str, shape: &[i64]) -> Tensor {
    let fan_in: i64 = shape.iter().skip(1).product();
    let value = |u: f64| match shape.len() {
        2 | 4 if name.ends_with("weight") => u * (6.0 / fan_in as f64).sqrt(),
        1 if name.ends_with("weight") => 1.0 + 0.25 * u,
        1 if name.ends_with("running_var") => 1.0 + 0.5 * u,
        1 if name.ends_with("bias") || name.ends_with("running_mean") => 0.1 * u,
        _ => u,
    };
    let values = uniform(name, shape.iter().product::<i64>() as usize).into_iter().map(value);
    Tensor::from_slice(&values.collect::<Vec<f64>>()).view(shape).to_kind(Kind::Float)
}

/// Sets all weights and running statistics, and deletes their gradients.
pub(crate) fn fill(store: &nn::VarStore) {
    for (name, mut variable) in store.variables() {
        let values = tensor(&name, &variable.size());
        tch::no_grad(|| variable.copy_(&values));
        variable.zero_grad();
    }
}

/// Copies of all weights and running statistics by name.
pub(crate) fn values(store: &nn::VarStore) -> std::collections::HashMap<String, Tensor> {
    store.variables().into_iter().map(|(name, v)| (name, v.copy())).collect()
}

#[test]
fn the_formula_gives_the_check_values_of_its_description() {
    crate::setup::ready();
    let first = |name: &str, shape: &[i64], expected: [f64; 3]| {
        let values = tensor(name, shape).view([-1]);
        for (i, expected) in expected.into_iter().enumerate() {
            let found = values.double_value(&[i as i64]);
            assert!((found - expected).abs() < 1e-7, "{name} {i}: {found}");
        }
    };
    first("x", &[3], [-0.536_316_39, -0.321_086_35, -0.790_873_41]);
    first("s1.conv.weight", &[2, 3, 3, 3], [-0.087_673_35, 0.458_701_61, -0.279_937_51]);
    first("s1.bn.weight", &[3], [0.806_134_64, 0.853_737_24, 0.877_619_03]);
    first("s1.bn.running_var", &[3], [1.331_873_18, 1.209_066_87, 1.267_297_86]);
    first("s1.bn.bias", &[3], [0.050_374_95, 0.061_505_05, -0.067_858_76]);
}
