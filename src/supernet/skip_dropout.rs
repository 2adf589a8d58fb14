//! P-DARTS' mixed op: skip connections with dropout during training.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lat_nn::{LayerBuilder, uniform};
use lat_space::{Op, OpSpec};
use tch::{Tensor, nn};

use super::gates::{Gate, Path};
use super::mixed_op::{BuildMixedOp, MixedOp, WeightedSum};

/// Rate and seed of the dropout on skip connections, which a method sets before each step.
#[derive(Debug, Default)]
pub struct SkipDropout {
    /// Bits of the rate, an f64.
    rate: AtomicU64,
    /// Changes with every mask, so that no two masks are equal.
    seed: AtomicU64,
}

impl SkipDropout {
    /// Sets the probability that an entry is zeroed. Which entries are zeroed follows from the seed alone: with libtorch's single
    /// generator, a resumed search would depend on everything else that draws from it.
    pub fn set(&self, rate: f64, seed: u64) {
        self.rate.store(rate.to_bits(), Ordering::Relaxed);
        self.seed.store(seed, Ordering::Relaxed);
    }

    /// The probability that an entry is zeroed.
    pub fn rate(&self) -> f64 {
        f64::from_bits(self.rate.load(Ordering::Relaxed))
    }

    /// Zeroes entries of `xs` and divides the others by the probability to be kept.
    fn apply(&self, xs: &Tensor) -> Tensor {
        let keep = 1.0 - self.rate();
        let seed = self.seed.fetch_add(1, Ordering::Relaxed);
        let stays = uniform(&xs.size(), seed, xs.device()).lt(keep);
        xs * stays.to_kind(xs.kind()) / keep
    }
}

/// Builds mixed operations whose skip connections of stride 1 are followed by dropout. Those of stride 2 have weights and no dropout.
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
    use tch::Kind;

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
        // Two independent masks agree in 0.3^2 + 0.7^2 of the entries.
        assert!(
            (alike.double_value(&[]) - 0.58).abs() < 0.01,
            "masks of two calls are independent"
        );
        dropout.set(0.3, 7);
        assert_eq!(dropout.apply(&xs), first, "the seed alone says what is dropped");
    }
}
