//! P-DARTS' mixed op: skip connections that lose entries while training.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lat_nn::LayerBuilder;
use lat_space::{Op, OpSpec};
use tch::{Device, Kind, Tensor, nn};

use super::gates::{Gate, Path};
use super::mixed_op::{BuildMixedOp, MixedOp, WeightedSum};

/// Rate and seed of the dropout on skip connections, which a method sets before each step.
#[derive(Debug, Default)]
pub struct SkipDropout {
    /// Bits of the rate.
    rate: AtomicU64,
    /// Moves on with every mask, so that no two are alike.
    seed: AtomicU64,
}

impl SkipDropout {
    /// Entries are zeroed with this chance from now on, which ones follows from the seed alone: libtorch's one generator would tie
    /// a resumed search to whatever else drew from it.
    pub fn set(&self, rate: f64, seed: u64) {
        self.rate.store(rate.to_bits(), Ordering::Relaxed);
        self.seed.store(seed, Ordering::Relaxed);
    }

    /// The chance that an entry is zeroed.
    pub fn rate(&self) -> f64 {
        f64::from_bits(self.rate.load(Ordering::Relaxed))
    }

    /// `xs` with entries zeroed and the rest divided by the chance to stay.
    fn apply(&self, xs: &Tensor) -> Tensor {
        let keep = 1.0 - self.rate();
        let seed = self.seed.fetch_add(1, Ordering::Relaxed);
        let stays = uniform(&xs.size(), seed, xs.device()).lt(keep);
        xs * stays.to_kind(xs.kind()) / keep
    }
}

/// Numbers from 0 to 1 that follow from `seed` and their place: the finaliser of `MurmurHash3` (Appleby 2011) on the numbers of
/// the entries, in libtorch's integers, so that masks are made where the network computes.
fn uniform(shape: &[i64], seed: u64, device: Device) -> Tensor {
    // Products of 32-bit numbers with these constants stay below 2^63.
    const BITS: i64 = 0x7fff_ffff;
    let n: i64 = shape.iter().product();
    let start = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as i64;
    let mut x =
        (Tensor::arange(n, (Kind::Int64, device)) * 0x9e37_79b1i64 + start).bitwise_and(BITS);
    for (shift, factor) in [(16i64, 0x85eb_ca6bi64), (13, 0xc2b2_ae35)] {
        x = x.bitwise_xor_tensor(&x.bitwise_right_shift_tensor_scalar(shift));
        x = (x * factor).bitwise_and(BITS);
    }
    let x = x.bitwise_xor_tensor(&x.bitwise_right_shift_tensor_scalar(16));
    (x.to_kind(Kind::Float) / (BITS as f64 + 1.0)).view(shape)
}

/// Builds sites whose skip connections of stride 1 are followed by dropout; those of stride 2 have weights and are left alone.
#[derive(Debug)]
pub struct DroppedSkips(pub Arc<SkipDropout>);

impl BuildMixedOp for DroppedSkips {
    fn build(
        &self,
        builder: &LayerBuilder,
        path: &nn::Path,
        candidates: &[OpSpec],
    ) -> Box<dyn MixedOp> {
        let skip = candidates.iter().position(|c| c.op == Op::Identity);
        let Some(skip) = skip else {
            return Box::new(WeightedSum::new(builder, path, candidates));
        };
        Box::new(DroppedSkip {
            others: WeightedSum::without(builder, path, candidates, &[skip]),
            skip,
            dropout: Arc::clone(&self.0),
        })
    }
}

#[derive(Debug)]
struct DroppedSkip {
    others: WeightedSum,
    skip: usize,
    dropout: Arc<SkipDropout>,
}

impl MixedOp for DroppedSkip {
    fn forward_t(&self, xs: &Tensor, gate: &Gate, train: bool) -> Tensor {
        let ys = self.others.forward_t(xs, &gate.without_edge(), train);
        let ys = if gate.paths[self.skip] == Path::Off {
            ys
        } else {
            let dropped = if train && self.dropout.rate() > 0.0 {
                self.dropout.apply(xs)
            } else {
                xs.shallow_clone()
            };
            ys + dropped * gate.weights.get(self.skip as i64)
        };
        gate.weigh(ys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_dropped_at_the_rate_and_the_mean_stays() {
        let dropout = SkipDropout::default();
        dropout.set(0.3, 7);
        let xs = Tensor::ones([8, 16, 32, 32], tch::kind::FLOAT_CPU);
        let (first, second) = (dropout.apply(&xs), dropout.apply(&xs));
        for ys in [&first, &second] {
            let dropped = ys.eq(0.0).to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
            assert!((dropped - 0.3).abs() < 0.005, "{dropped}");
            assert!((ys.mean(Kind::Double).double_value(&[]) - 1.0).abs() < 0.01);
        }
        let alike = first.eq_tensor(&second).to_kind(Kind::Double).mean(Kind::Double);
        // Independent masks agree in 0.3^2 + 0.7^2 of the entries.
        assert!(
            (alike.double_value(&[]) - 0.58).abs() < 0.01,
            "masks of two calls are independent"
        );
        dropout.set(0.3, 7);
        assert_eq!(dropout.apply(&xs), first, "the seed alone says what is dropped");
    }

    #[test]
    fn neighbours_are_independent() {
        let numbers = uniform(&[100_000], 3, Device::Cpu) - 0.5;
        for lag in [1, 2, 16, 32, 1024] {
            let n = 100_000 - lag;
            let product = numbers.narrow(0, 0, n) * numbers.narrow(0, lag, n);
            let correlation = 12.0 * product.mean(Kind::Double).double_value(&[]);
            assert!(correlation.abs() < 0.02, "lag {lag}: {correlation}");
        }
    }
}
