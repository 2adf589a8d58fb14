//! `DropNAS`: Grouped Operation Dropout for Differentiable Architecture Search. Hong, Li, Zhang, Tang, Wang, Li, Yu, IJCAI 2020,
//! arXiv 2201.11679. Reference: <https://github.com/wiljohnhong/DropNAS>.
//!
//! Deviations: dropped operations do not change at all: neither their weights nor their alpha move by momentum, as they do in the
//! reference. A weight counts as used if the loss depends on it, not if the first entry of its gradient differs from 0. The
//! probability of a drop is r^(1/n) with n the group's size; the reference's exponent 1/4 for any size is `fixed_exponent`. Groups
//! that cannot drop (one operation) keep it.
//!
//! The cost reads the softmax without masks, because a network's cost does not depend on what was dropped in a step. Its gradient is
//! added to the task's for the operations kept, before Adam; in a step of its own Adam would divide lambda out. Edge strength is the
//! exponential of the edge's best alpha, so that cost and derivation rank edges by raw alpha, as the paper does. The quick preset
//! raises the learning rate of alpha so that some hundred steps suffice.

use lat_space::Decision;
use rand::{Rng, RngCore};

use super::tools::alphas::{masked_softmax, strengths};
use super::tools::needs::ONE_LIST;
use super::tools::prelude::*;

pub(super) const ENTRY: MethodEntry = MethodEntry::of::<Config>(
    "dropnas",
    "DARTS of one level whose operations are dropped at random, in groups with and without weights",
    "DropNAS: Grouped Operation Dropout, 2020, arXiv 2201.11679",
    [(8, 64), (76, 96)],
)
.needing(ONE_LIST);

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    /// Both decays are partial: they apply only to what was used in a step.
    #[serde(flatten)]
    core: CoreConfig,
    /// r: the probability that all operations of a group would be dropped together.
    drop_rate: f64,
    /// A single operation's probability is r^(1/4) for any group size.
    fixed_exponent: bool,
}

impl Settings for Config {
    fn paper(_: &dyn SearchSpace) -> Self {
        let weights = WeightConfig { lr: 0.0375, lr_min: 0.0015, clip: 3.0, ..WeightConfig::DARTS };
        let core = CoreConfig { weights, ..CoreConfig::DARTS };
        Self { core, drop_rate: 3e-5, fixed_exponent: false }
    }

    fn quick(_: &dyn SearchSpace) -> Options {
        quick_rates_and(toml! { warmup = 0.0 })
    }

    fn check(&self, _: &dyn SearchSpace) -> Result<(), String> {
        ensure((0.0..1.0).contains(&self.drop_rate), || {
            format!("drop_rate of at least 0 and below 1, found {}", self.drop_rate)
        })
    }

    fn build(self, space: &dyn SearchSpace, seed: u64) -> Result<Box<dyn Method>> {
        let CoreConfig { mut weights, mut alpha } = self.core;
        // Both decays are separate steps, see `decay`.
        (weights.decay, alpha.alpha_decay) = (0.0, 0.0);
        let core = Core::new(space.decisions(), CoreConfig { weights, alpha }, seed);
        Ok(Box::new(DropNas { core, config: self }))
    }
}

#[derive(Debug)]
struct DropNas {
    core: Core,
    config: Config,
}

impl DropNas {
    /// `[n_decisions, n_choices]` of 1 (kept) and 0 (dropped): each group of each edge loses operations at random, but never all.
    fn mask(&self, rng: &mut dyn RngCore) -> Tensor {
        let mut mask = Vec::new();
        for decision in &self.core.decisions {
            let mut row = vec![1.0f32; decision.choices.len()];
            for group in groups(decision) {
                let exponent = if self.config.fixed_exponent { 4.0 } else { group.len() as f64 };
                let chance = self.config.drop_rate.powf(1.0 / exponent);
                for (&c, kept) in group.iter().zip(kept(group.len(), chance, rng)) {
                    row[c] = f32::from(u8::from(kept));
                }
            }
            mask.extend(row);
        }
        Tensor::from_slice(&mask).view_as(self.core.alpha())
    }

    /// Gates with the softmax over the kept operations; dropped ones are not computed.
    fn gates_of(&self, logits: &Tensor, mask: &Tensor) -> SharedGates {
        self.core.partly(&masked_softmax(logits, mask), mask)
    }

    fn relaxed_at(&self, logits: &Tensor) -> Relaxed {
        let probs = logits.softmax(-1, Kind::Float).unbind(0);
        Relaxed::competing(probs, strengths(&self.core.decisions, &logits.exp()))
    }

    /// Partial decay: weights and alphas that took part in the loss move along `rate * ||w||^2` and `rate * alpha^2`, in a second
    /// step of both optimizers. The reference has no factor 1/2 there, so the gradient is twice the usual one.
    fn decay(&mut self, used: &[Tensor], mask: Option<&Tensor>, progress: f64) {
        let rate = 2.0 * self.config.core.weights.decay;
        let shrink = |(w, g): (&Tensor, &Tensor)| {
            if g.defined() { w.detach() * rate } else { Tensor::new() }
        };
        let step = &mut self.core.weights;
        let of_weights: Vec<Tensor> = step.weights().iter().zip(used).map(shrink).collect();
        step.apply_clipped(&of_weights, progress, f64::INFINITY);
        if let Some(mask) = mask {
            let rate = 2.0 * self.config.core.alpha.alpha_decay;
            self.core.apply(&[self.core.alpha().detach() * mask * rate]);
        }
    }
}

/// Operations with weights, and operations without (including `none`). An empty group is left out.
fn groups(decision: &Decision) -> Vec<Vec<usize>> {
    let is_free = |c: &usize| decision.is_weightless(*c);
    let (free, weighted): (Vec<usize>, Vec<usize>) = (0..decision.choices.len()).partition(is_free);
    [weighted, free].into_iter().filter(|g| !g.is_empty()).collect()
}

/// Which of `n` operations are kept if each is dropped with this probability, given that not all are dropped.
fn kept(n: usize, chance: f64, rng: &mut dyn RngCore) -> Vec<bool> {
    // The number of redraws is bounded, since `chance` may be near 1.
    for _ in 0..100 {
        let kept: Vec<bool> = (0..n).map(|_| rng.gen_range(0.0..1.0) >= chance).collect();
        if kept.contains(&true) {
            return kept;
        }
    }
    let last = rng.gen_range(0..n);
    (0..n).map(|i| i == last).collect()
}

/// Alpha-adjust: after the kept entries moved from `before` to `after`, all kept entries of a row are shifted by the same amount, so
/// that together they have the same share of the row's softmax as before. Dropped entries are then neither punished nor favoured.
fn adjusted(before: &Tensor, after: &Tensor, mask: &Tensor) -> Tensor {
    let mass = |logits: &Tensor, mask: &Tensor| {
        let unit = logits - before.amax([-1i64].as_slice(), true);
        (unit.exp() * mask).sum_dim_intlist(1, true, Kind::Float)
    };
    let dropped = 1.0 - mask;
    // The odds of kept against dropped entries, before and after the step.
    let (was, is) =
        (mass(before, mask) / mass(before, &dropped), mass(after, mask) / mass(after, &dropped));
    let shift = (was / is).log();
    // A row without drops has no odds to restore.
    let has_drops = dropped.amax([-1i64].as_slice(), true);
    after + shift.nan_to_num(0.0, 0.0, 0.0) * has_drops * mask
}

impl Method for DropNas {
    fn core(&self) -> &Core {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    fn is_one_level(&self) -> bool {
        true
    }

    fn step(&mut self, cx: &mut Context<'_, '_>, batches: &Batches) -> Result<StepReport> {
        let logits = self.core.alpha().shallow_clone();
        let loss = |gates: &SharedGates| self.core.weights.loss(cx.net, gates, &batches.train);
        if self.config.core.is_warming_up(cx.progress) {
            // Nothing is dropped in the warm-up.
            let loss = loss(&self.gates_of(&logits.detach(), &logits.ones_like()));
            let gradients = cx.net.gradients(&loss.value, self.core.weights.weights());
            self.core.weights.apply(&gradients, cx.progress);
            self.decay(&gradients, None, cx.progress);
            return Ok(StepReport::of(&loss));
        }
        let mask = self.mask(cx.rng);
        let before = logits.detach().copy();
        let loss = loss(&self.gates_of(&logits, &mask));
        let report = StepReport::of(&loss);
        let relaxed = self.relaxed_at(&logits);
        let (of_weights, of_alpha) = self.core.joint_gradients(cx, &loss.value, &relaxed)?;
        self.core.weights.apply(&of_weights, cx.progress);
        self.core.apply(&[&of_alpha[0] * &mask]);
        self.decay(&of_weights, Some(&mask), cx.progress);
        tch::no_grad(|| {
            // Dropped entries stay unchanged, whatever Adam's moments say.
            let moved = logits.where_self(&mask.ne(0.0), &before);
            logits.shallow_clone().copy_(&adjusted(&before, &moved, &mask));
        });
        Ok(report)
    }

    fn gates(&self, _: &dyn SearchSpace, _: &dyn Supernet) -> Box<dyn Gating> {
        Box::new(self.core.soft(&self.core.probs().detach()))
    }

    fn relaxed(&self) -> Relaxed {
        self.relaxed_at(&self.core.alpha().detach())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: &[f32]) -> Tensor {
        Tensor::from_slice(values).view([-1, 4])
    }

    // Numbers 4 and 5 of what must be true of DropNAS.
    #[test]
    fn dropnas_4_adjusting_keeps_the_mass_of_what_was_dropped() {
        let before = rows(&[0.3, -0.5, 1.0, 0.2, 0.0, 0.1, -0.2, 0.4]);
        let mask = rows(&[1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
        let after = &before + rows(&[0.5, 0.1, 0.0, -0.3, 0.0, 2.0, 0.0, 1.0]);
        let found = adjusted(&before, &after, &mask);
        let probs = |logits: &Tensor| logits.softmax(-1, Kind::Double);
        let mass =
            |logits: &Tensor| (probs(logits) * &mask).sum_dim_intlist(1, false, Kind::Double);
        assert!(mass(&found).allclose(&mass(&before), 0.0, 1e-6, false));
        assert!(!mass(&after).allclose(&mass(&before), 0.0, 1e-2, false), "it had something to do");
        let dropped = 1.0 - &mask;
        assert!((probs(&found) * &dropped).allclose(
            &(probs(&before) * &dropped),
            0.0,
            1e-6,
            false
        ));
        let shift = (&found - &after) * &mask;
        let first_kept = [(0, 0), (1, 1)];
        for (row, first) in first_kept {
            for c in (0..4).filter(|&c| mask.double_value(&[row, c]) > 0.0) {
                let differs = shift.double_value(&[row, c]) - shift.double_value(&[row, first]);
                assert!(differs.abs() < 1e-6, "kept alphas shift alike");
            }
        }
    }

    #[test]
    fn dropnas_5_a_row_without_drops_stays() {
        let before = rows(&[0.3, -0.5, 1.0, 0.2]);
        let after = rows(&[0.4, -0.1, 0.0, 9.0]);
        assert_eq!(adjusted(&before, &after, &before.ones_like()), after);
    }
}
