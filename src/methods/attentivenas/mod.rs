//! `AttentiveNAS`: Improving Neural Architecture Search via Attentive Sampling. Wang, Li, Gong, Chandra, CVPR 2021, arXiv 2011.09011.
//! Reference: <https://github.com/facebookresearch/AttentiveNAS>, `train_attentive_nas.py`. With `divergence=alpha` and `sampling=uniform` it
//! is `AlphaNet` (Wang, Gong, Li, Liu, Chandra, ICML 2021, arXiv 2102.07954; <https://github.com/facebookresearch/AlphaNet>).
//!
//! Each step trains the largest network on the labels, and two attentive ones and the smallest on the largest one's answers. An
//! attentive network is the best or the worst, on the batch, of some candidates with about the same amount of multiply-adds (or
//! cost).
//!
//! Deviations: the authors drew their architectures from a file that is not public; here the categorical model of each bin is
//! counted from architectures drawn uniformly at the start of a search. There is a fixed number of bins over the whole space (70,
//! each of about the paper's 25 MFLOPs) instead of a fixed width, or bins of the search's own cost. Drop-connect applies to the
//! blocks of the last feature map size, which for small images are more than the last two stages. Batch norm remembers the largest
//! network's statistics, so that the log evaluates that network, where the reference remembers none; sub-networks need recomputed
//! statistics. The rate is that of a batch of 256 (0.1 per 256 images). Works on any space whose decisions are independent; the
//! largest network is then the one with most multiply-adds. The quick preset counts fewer architectures and has a lower rate.

mod bins;

use bins::Bins;
use lat_nn::{Regularisation, unremembered};
use lat_space::{Graph, count};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::tools::distillation::Divergence;
use super::tools::needs::SUBNETS;
use super::tools::prelude::*;
use super::tools::sandwich::Ends;
use super::tools::subnets::{self, Extremes};
use super::tools::warm_up::WarmUp;
use crate::error::SearchError;
use crate::objective::Objective;
use crate::optimizer::{clamped, cosine};

pub(super) const ENTRY: MethodEntry = MethodEntry::of::<Config>(
    "attentivenas",
    "supernet by the sandwich rule whose drawn sub-networks are the best or worst of some that take the same",
    "AttentiveNAS: Improving Neural Architecture Search via Attentive Sampling, 2021, arXiv 2011.09011",
    [(20, 64), (360, 256)],
)
.two_stage(SUBNETS);

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    /// `clip` bounds each entry of the sum of the gradients.
    #[serde(flatten)]
    weights: WeightConfig,
    /// 5 of 360 epochs in the paper.
    #[serde(flatten)]
    warm_up: WarmUp,
    /// Networks per step, including the largest and the smallest.
    subnets: u32,
    /// Rule that chooses which candidate is trained.
    sampling: Sampling,
    /// Candidates per attentive network; `uniform` has one.
    candidates: u32,
    /// Amount by which candidates are grouped: all candidates for one network are from one bin.
    bins: Amount,
    /// Number of bins from the smallest network's amount to the largest one's.
    n_bins: u32,
    /// Architectures that the bins are counted from.
    draws: u32,
    /// Loss by which the other networks learn from the largest one.
    divergence: Divergence,
    /// For the largest network: probability that an entry of the classifier's input is zeroed.
    dropout: f64,
    /// For the largest network: probability that a block adds nothing to its shortcut, times the share of blocks before it.
    drop_connect: f64,
}

/// Rule that chooses which candidate is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Sampling {
    /// The candidate with the smallest loss on the batch.
    BestUp,
    /// The candidate with the largest loss on the batch.
    WorstUp,
    /// No candidates: each decision is drawn uniformly, without bins.
    Uniform,
}

/// Amount by which architectures are put into bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Amount {
    /// Multiply-adds of convolutions and linear layers.
    Flops,
    /// The search's cost model.
    Cost,
}

impl Settings for Config {
    fn paper(_: &dyn SearchSpace) -> Self {
        let weights = WeightConfig {
            lr: 0.1,
            lr_min: 0.0,
            momentum: 0.9,
            nesterov: true,
            decay: 1e-5,
            clip: 1.0,
            label_smoothing: 0.1,
        };
        Self {
            weights,
            warm_up: WarmUp { warmup: 5.0 / 360.0 },
            subnets: 4,
            sampling: Sampling::BestUp,
            candidates: 3,
            bins: Amount::Flops,
            n_bins: 70,
            draws: 10_000,
            divergence: Divergence::Kl,
            dropout: 0.2,
            drop_connect: 0.2,
        }
    }

    fn quick(_: &dyn SearchSpace) -> Options {
        toml! {
            lr = 0.05
            warmup = 0.05
            draws = 1000
            dropout = 0.0
            drop_connect = 0.0
        }
    }

    fn check(&self, _: &dyn SearchSpace) -> Result<(), String> {
        ensure(self.subnets >= 2, || format!("subnets of at least 2, found {}", self.subnets))?;
        for (name, n) in
            [("candidates", self.candidates), ("n_bins", self.n_bins), ("draws", self.draws)]
        {
            ensure(n >= 1, || format!("{name} of at least 1, found {n}"))?;
        }
        Ok(())
    }

    fn build(self, space: &dyn SearchSpace, seed: u64) -> Result<Box<dyn Method>> {
        Ok(Box::new(AttentiveNas {
            core: Core::of_subnets(space.decisions(), self.weights),
            config: self,
            ends: Ends::default(),
            uniform: Relaxed::uniform(space),
            bins: None,
            seed,
        }))
    }
}

#[derive(Debug)]
struct AttentiveNas {
    core: Core,
    config: Config,
    ends: Ends,
    uniform: Relaxed,
    /// Determined by seed, network and cost, so it is not saved in the state.
    bins: Option<Bins>,
    seed: u64,
}

/// Computes the amount of an architecture.
struct Amounts<'a> {
    of: Amount,
    graph: &'a Graph,
    objective: Option<&'a Objective<'a>>,
}

impl Amounts<'_> {
    fn amount(&self, architecture: &Architecture) -> Result<f64> {
        match (self.of, self.objective) {
            (Amount::Flops, _) => Ok(count(&self.graph.derive(architecture)).conv_linear as f64),
            (Amount::Cost, Some(objective)) => Ok(objective.cost().cost(architecture)?),
            (Amount::Cost, None) => Err(SearchError::Settings(
                "option of method attentivenas: expected a search with a cost for bins=cost, found none. Give it a predictor or a table, \
                 or choose bins=flops"
                    .to_owned(),
            )),
        }
    }
}

impl AttentiveNas {
    /// Counts the bins from architectures drawn uniformly.
    fn counted(&self, space: &str, ends: &Extremes, amounts: &Amounts<'_>) -> Result<Bins> {
        // A separate generator, so that a resumed search counts the same bins.
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ BINS_SEED);
        let live = subnets::all(&self.core.decisions);
        let seen = (0..self.config.draws).map(|_| {
            let architecture = subnets::drawn(space, &live, &mut rng);
            let amount = amounts.amount(&architecture)?;
            Ok((architecture, amount))
        });
        let seen: Vec<(Architecture, f64)> = seen.collect::<Result<_>>()?;
        let range = amounts.amount(&ends.largest)? - amounts.amount(&ends.smallest)?;
        // If the cost is the same for all architectures, there is one bin.
        let step = if range.abs() > 0.0 { range.abs() } else { 1.0 };
        Ok(Bins::count(&self.core.decisions, seen, step / f64::from(self.config.n_bins)))
    }

    /// The candidate to train. Each is scored by the loss that weights are trained on, on the same batch and without a gradient.
    fn attentive(&self, net: &dyn Supernet, batch: &Batch, of: Vec<Architecture>) -> Architecture {
        let loss = |candidate: &Architecture| {
            let gates = self.core.hard(candidate);
            let loss = || unremembered(|| self.core.weights.loss(net, &gates, batch).value);
            net.mean_over_ranks(&tch::no_grad(loss)).double_value(&[])
        };
        let losses: Vec<f64> = of.iter().map(loss).collect();
        of.into_iter().nth(picked(self.config.sampling, &losses)).expect("as many as losses")
    }

    /// The attentive (or uniform) networks of a step, without the largest and the smallest.
    fn between(&self, cx: &mut Context<'_, '_>, batch: &Batch) -> Result<Vec<Architecture>> {
        let (space, live) = (cx.space.id(), subnets::all(&self.core.decisions));
        let objective = cx.objective.as_deref();
        let amounts = Amounts { of: self.config.bins, graph: cx.net.graph(), objective };
        let one = |_| -> Result<Architecture> {
            let Some(bins) = &self.bins else { return Ok(subnets::drawn(space, &live, cx.rng)) };
            let bin = bins.draw_bin(cx.rng);
            let candidates = (0..self.config.candidates)
                .map(|_| bins.draw(space, bin, cx.rng, |a| amounts.amount(a)))
                .collect::<Result<Vec<_>>>()?;
            Ok(self.attentive(cx.net, batch, candidates))
        };
        (2..self.config.subnets).map(one).collect()
    }
}

/// Makes the bins' generator differ from others with the same seed.
const BINS_SEED: u64 = 0x0b1f_5eed;

/// Index of the loss whose candidate is trained; among equals the first.
fn picked(sampling: Sampling, losses: &[f64]) -> usize {
    let sign = if sampling == Sampling::WorstUp { -1.0 } else { 1.0 };
    let least =
        (0..losses.len()).min_by(|&a, &b| (sign * losses[a]).total_cmp(&(sign * losses[b])));
    least.unwrap_or(0)
}

impl Method for AttentiveNas {
    fn core(&self) -> &Core {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    fn initialise(&self, space: &dyn SearchSpace, net: &dyn Supernet) {
        self.ends.of(space, net.graph());
        net.silence_residuals();
    }

    fn step(&mut self, cx: &mut Context<'_, '_>, batches: &Batches) -> Result<StepReport> {
        let ends = self.ends.of(cx.space, cx.net.graph()).clone();
        if self.bins.is_none() && self.config.sampling != Sampling::Uniform {
            let objective = cx.objective.as_deref();
            let amounts = Amounts { of: self.config.bins, graph: cx.net.graph(), objective };
            self.bins = Some(self.counted(cx.space.id(), &ends, &amounts)?);
        }
        let mut others = self.between(cx, &batches.train)?;
        others.push(ends.smallest);
        let Config { divergence, dropout, drop_connect, .. } = self.config;
        let seed = cx.rng.next_u64();
        let largest = (&ends.largest, Regularisation { dropout, drop_connect, seed });
        let (report, gradients) =
            self.core.sandwich(cx.net, &batches.train, largest, &others, divergence);
        let WeightConfig { lr, lr_min, clip, .. } = self.config.weights;
        let lr = cosine(lr, lr_min, cx.progress) * self.config.warm_up.factor(cx.progress);
        self.core.weights.move_at(&clamped(gradients, clip), lr, f64::INFINITY);
        Ok(report)
    }

    fn sees_cost(&self) -> bool {
        self.config.bins == Amount::Cost
    }

    fn relaxed(&self) -> Relaxed {
        self.uniform.shallow_clone()
    }

    fn derive(&self, space: &dyn SearchSpace) -> Architecture {
        self.ends.largest(space)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Number 5 of what must be true of AttentiveNAS.
    #[test]
    fn attentivenas_5_best_up_takes_the_least_loss_and_worst_up_the_largest() {
        let losses = [2.0, 0.5, 3.0];
        assert_eq!(picked(Sampling::BestUp, &losses), 1);
        assert_eq!(picked(Sampling::WorstUp, &losses), 2);
        assert_eq!(picked(Sampling::WorstUp, &[1.0]), 0, "one candidate is plain drawing");
    }
}
