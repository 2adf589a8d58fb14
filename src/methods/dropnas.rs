//! `DropNAS`: Grouped Operation Dropout for Differentiable Architecture Search. Hong, Li, Zhang, Tang, Wang, Li, Yu, IJCAI 2020,
//! arXiv 2201.11679. Reference: <https://github.com/wiljohnhong/DropNAS>.
//!
//! Deviations: what was dropped rests wholly: neither its weights nor its alpha move on momentum, as they do in the reference, and a
//! weight counts as used where the loss depends on it, not where the first entry of its gradient differs from 0. The chance of a drop
//! is r^(1/n) with n the group's size; the reference's exponent 1/4 whatever the size is `fixed_exponent`. Groups that cannot drop (one
//! operation) keep it.
//!
//! The cost reads the softmax without masks, since what a network costs does not depend on what was dropped in a step; its gradient
//! joins the task's for the operations kept, before Adam, which would divide lambda out of a step of its own. Edges are as strong as
//! the exponential of their best alpha, so that cost and derivation rank them by raw alpha, as the paper does.
//! The quick preset raises the learning rate of alpha so that some hundred steps suffice.

use lat_space::{Decision, SearchSpace};
use rand::{Rng, RngCore};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::bilevel::{WeightConfig, WeightStep};
use super::cell_alphas::{ALPHA_BETAS, AlphaConfig, CellAlphas, masked_softmax, strengths};
use super::{
    Batches, Context, Method, MethodEntry, Preset, Schedule, StepReport, configure, expect,
};
use crate::error::SearchError;
use crate::optimizer::StateMap;
use crate::relaxed::Relaxed;
use crate::supernet::{AllChannels, BuildMixedOp, Gating, Path, SharedGates, Supernet};

pub(super) const ENTRY: MethodEntry = MethodEntry {
    name: "dropnas",
    summary: "DARTS of one level whose operations are dropped at random, in groups with and without weights",
    paper: "DropNAS: Grouped Operation Dropout, 2020, arXiv 2201.11679",
    is_sampling: false,
    schedule: |preset| match preset {
        Preset::Quick => Schedule { epochs: 8, batch: 64 },
        Preset::Paper => Schedule { epochs: 76, batch: 96 },
    },
    build: |preset, options, space, seed| {
        let config: Config = configure("dropnas", Config::preset(preset), options, space)?;
        let Config { drop_rate, .. } = config;
        expect("dropnas", (0.0..1.0).contains(&drop_rate), || {
            format!("drop_rate of at least 0 and below 1, found {drop_rate}")
        })?;
        Ok(Box::new(DropNas::new(config, space, seed)))
    },
};

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    /// Its decay is the partial one, of what was used in a step.
    #[serde(flatten)]
    weights: WeightConfig,
    #[serde(flatten)]
    alpha: AlphaConfig,
    /// r: the chance that all operations of a group would be dropped together.
    drop_rate: f64,
    /// A single operation's chance is r^(1/4) whatever the size of its group.
    fixed_exponent: bool,
}

impl Config {
    fn preset(preset: Preset) -> Self {
        let paper = Self {
            weights: WeightConfig { lr: 0.0375, lr_min: 0.0015, clip: 3.0, ..WeightConfig::DARTS },
            alpha: AlphaConfig::DARTS,
            drop_rate: 3e-5,
            fixed_exponent: false,
        };
        match preset {
            Preset::Paper => paper,
            Preset::Quick => Self {
                weights: WeightConfig { lr: 0.05, ..paper.weights },
                alpha: AlphaConfig { warmup: 0.0, ..AlphaConfig::QUICK },
                ..paper
            },
        }
    }
}

#[derive(Debug)]
struct DropNas {
    config: Config,
    alphas: CellAlphas,
    weights: WeightStep,
}

impl DropNas {
    fn new(config: Config, space: &dyn SearchSpace, seed: u64) -> Self {
        // Both decays are steps of their own.
        let alpha = AlphaConfig { alpha_decay: 0.0, ..config.alpha };
        Self {
            alphas: CellAlphas::new(space, alpha, ALPHA_BETAS, seed),
            weights: WeightStep::new(WeightConfig { decay: 0.0, ..config.weights }),
            config,
        }
    }

    /// `[n_decisions, n_choices]` of 1 (kept) and 0: each group of each edge loses operations at random, never all.
    fn mask(&self, rng: &mut dyn RngCore) -> Tensor {
        let mut mask = Vec::new();
        for decision in &self.alphas.decisions {
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
        Tensor::from_slice(&mask).view_as(&self.alphas.logits)
    }

    /// The softmax over what is kept; the rest is not computed.
    fn gates_of(&self, logits: &Tensor, mask: &Tensor) -> SharedGates {
        let kept = Vec::<Vec<f32>>::try_from(mask).expect("two dimensions");
        let weights = self.alphas.rows(&masked_softmax(logits, mask));
        SharedGates::with_paths(&self.alphas.decisions, &weights, |d, c| {
            if kept[d][c] > 0.0 { Path::On } else { Path::Off }
        })
    }

    fn relaxed_at(&self, logits: &Tensor) -> Relaxed {
        let probs = logits.softmax(-1, Kind::Float).unbind(0);
        Relaxed::competing(probs, strengths(&self.alphas.decisions, &logits.exp()))
    }

    /// Partial decay: what took part in the loss moves along `rate * ||w||^2` and `rate * alpha^2`, by a second step of both
    /// optimizers. The reference has no 1/2 there, so the gradient is twice the usual.
    fn decay(&mut self, used: &[Tensor], mask: Option<&Tensor>, progress: f64) {
        let rate = 2.0 * self.config.weights.decay;
        let shrink = |(w, g): (&Tensor, &Tensor)| {
            if g.defined() { w.detach() * rate } else { Tensor::new() }
        };
        let of_weights: Vec<Tensor> = self.weights.weights().iter().zip(used).map(shrink).collect();
        self.weights.apply_clipped(&of_weights, progress, f64::INFINITY);
        if let Some(mask) = mask {
            let rate = 2.0 * self.config.alpha.alpha_decay;
            self.alphas.apply(&[self.alphas.logits.detach() * mask * rate]);
        }
    }
}

/// Operations with weights, and those without (`none` among them); a group without members is left out.
fn groups(decision: &Decision) -> Vec<Vec<usize>> {
    let is_free = |c: &usize| decision.is_weightless(*c);
    let (free, weighted): (Vec<usize>, Vec<usize>) = (0..decision.choices.len()).partition(is_free);
    [weighted, free].into_iter().filter(|g| !g.is_empty()).collect()
}

/// Which of `n` operations stay where each is dropped with this chance, given that not all are.
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

/// Alpha-adjust: after kept entries moved from `before` to `after`, all kept entries of a row shift alike, so that together they have
/// the same share of the row's softmax as before and what was dropped is neither punished nor favoured.
fn adjusted(before: &Tensor, after: &Tensor, mask: &Tensor) -> Tensor {
    let mass = |logits: &Tensor, mask: &Tensor| {
        let unit = logits - before.amax([-1i64].as_slice(), true);
        (unit.exp() * mask).sum_dim_intlist(1, true, Kind::Float)
    };
    let dropped = 1.0 - mask;
    // The odds of the kept against the dropped, as they were and as they are.
    let (was, is) =
        (mass(before, mask) / mass(before, &dropped), mass(after, mask) / mass(after, &dropped));
    let shift = (was / is).log();
    // A row without drops has nothing to be weighed against.
    let has_drops = dropped.amax([-1i64].as_slice(), true);
    after + shift.nan_to_num(0.0, 0.0, 0.0) * has_drops * mask
}

impl Method for DropNas {
    fn mixed_op(&self) -> Box<dyn BuildMixedOp> {
        Box::new(AllChannels)
    }

    fn begin(&mut self, net: &dyn Supernet) -> Result<(), SearchError> {
        self.alphas.begin(net);
        self.weights.begin(net);
        Ok(())
    }

    fn is_one_level(&self) -> bool {
        true
    }

    fn step(
        &mut self,
        cx: &mut Context<'_, '_>,
        batches: &Batches,
    ) -> Result<StepReport, SearchError> {
        let logits = self.alphas.logits.shallow_clone();
        if cx.progress < self.config.alpha.warmup {
            // Nothing is dropped in the warm-up.
            let gates = self.gates_of(&logits.detach(), &logits.ones_like());
            let answer = self.weights.answer(cx.net, &gates, &batches.train);
            let (gradients, _) = self.weights.joint_gradients(&answer.loss, &[]);
            self.weights.apply(&gradients, cx.progress);
            self.decay(&gradients, None, cx.progress);
            return Ok(answer.report());
        }
        let mask = self.mask(cx.rng);
        let before = logits.detach().copy();
        let gates = self.gates_of(&logits, &mask);
        let answer = self.weights.answer(cx.net, &gates, &batches.train);
        let report = answer.report();
        let alphas = [logits.shallow_clone()];
        let cost = cx.cost_gradient(&self.relaxed_at(&logits), &alphas)?;
        let (of_weights, of_alpha) = self.weights.joint_gradients(&answer.loss, &alphas);
        let of_alpha = cx.joined(of_alpha, cost);
        self.weights.apply(&of_weights, cx.progress);
        self.alphas.apply(&[&of_alpha[0] * &mask]);
        self.decay(&of_weights, Some(&mask), cx.progress);
        tch::no_grad(|| {
            // Dropped entries stay where they were, whatever Adam's moments say.
            let moved = logits.where_self(&mask.ne(0.0), &before);
            self.alphas.logits.copy_(&adjusted(&before, &moved, &mask));
        });
        Ok(report)
    }

    fn gates(&self, _: &dyn SearchSpace) -> Box<dyn Gating> {
        Box::new(self.alphas.soft_gates())
    }

    fn relaxed(&self) -> Relaxed {
        self.relaxed_at(&self.alphas.logits.detach())
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.weights.state().into_iter().chain(self.alphas.state()).collect()
    }

    fn load(&mut self, state: &StateMap) -> Result<(), String> {
        self.weights.load(state)?;
        self.alphas.load(state)
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
