//! P-DARTS: Progressive Differentiable Architecture Search: Bridging the Depth Gap between Search and Evaluation. Chen, Xie, Wu, Tian,
//! ICCV 2019, arXiv 1904.12760. Reference: <https://github.com/chenxin061/pdarts>, `train_search.py`.
//!
//! Deviations: alpha keeps a column for every operation, and dropped ones are masked out of the softmax, so that gates, cost and
//! derivation have one layout in all stages. Which entries of a skip connection are dropped follows from the search's seed, not from
//! libtorch's generator. The weights' gradient is clipped by its own norm alone. The reference prints the cell for every limit on
//! skip connections from 8 down; here `most_skips` (2, as its author advises) is applied, in the normal cell as there. Lists with
//! another number of operations (NAS-Bench-201 has 5) shrink in the proportions 8, 5, 3. The dropout rates are the paper's for
//! CIFAR-10; the README's command has 0.1, 0.4, 0.7, and for CIFAR-100 they are 0.1, 0.2, 0.3. The quick preset has shallower stages
//! and raises the learning rate of alpha so that some hundred steps suffice.

use std::sync::Arc;

use lat_space::{ChoiceSet, Skeleton, SpaceError};

use super::tools::alphas::{mask, masked_softmax};
use super::tools::derive::derive;
use super::tools::prelude::*;
use super::tools::stage::Stage;
use crate::optimizer::clipped;
use crate::supernet::{AllChannels, DroppedSkips, SkipDropout};

pub(super) const ENTRY: MethodEntry = MethodEntry::of::<Config>(
    "p-darts",
    "DARTS in stages: a deeper supernet each time, with fewer operations per edge",
    "Progressive Differentiable Architecture Search, 2019, arXiv 1904.12760",
    [(18, 64), (75, 96)],
)
.needing(CELLS);

/// The options for `--set`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Config {
    /// The warm-up is a share of each stage.
    #[serde(flatten)]
    core: CoreConfig,
    /// Bound on the norm of alpha's gradient.
    alpha_clip: f64,
    /// Number of cells of the supernet, per stage.
    cells: Vec<u16>,
    /// Number of operations that each edge loses at the end of a stage, for every stage but the last.
    drop: Vec<usize>,
    /// Initial rate of the dropout on skip connections, per stage.
    skip_dropout: Vec<f64>,
    /// Largest number of skip connections in the derived normal cell.
    most_skips: usize,
}

impl Settings for Config {
    fn paper(space: &dyn SearchSpace) -> Self {
        let n_choices = space.decisions()[0].choices.len();
        let left = |eighths: usize| (n_choices * eighths).div_ceil(8).clamp(2, n_choices);
        // 8, 5, 3 operations in the paper.
        let (second, third) = (left(5), left(3));
        let weights = WeightConfig { lr_min: 0.0, ..WeightConfig::DARTS };
        let alpha = AlphaConfig { alpha_lr: 6e-4, warmup: 0.4, ..AlphaConfig::DARTS };
        Self {
            core: CoreConfig { weights, alpha },
            alpha_clip: 5.0,
            cells: [5, 11, 17].map(|cells| buildable(space, cells)).into(),
            drop: vec![n_choices - second, second - third],
            skip_dropout: vec![0.0, 0.4, 0.7],
            most_skips: 2,
        }
    }

    fn quick(space: &dyn SearchSpace) -> Options {
        let cells = [3, 4, 5].map(|cells| i64::from(buildable(space, cells))).to_vec();
        quick_rates_and(Options::from_iter([("cells".to_owned(), cells.into())]))
    }

    fn check(&self, space: &dyn SearchSpace) -> Result<(), String> {
        let (stages, n_choices) = (self.cells.len(), space.decisions()[0].choices.len());
        ensure(stages > 0, || "cells with a number per stage, found none".into())?;
        let (drop, rates) = (self.drop.len(), &self.skip_dropout);
        ensure(drop + 1 == stages && rates.len() == stages, || {
            let (wanted, rates) = (stages - 1, rates.len());
            format!(
                "for {stages} stages in cells {wanted} numbers in drop and {stages} in skip_dropout, found {drop} and {rates}"
            )
        })?;
        let dropped: usize = self.drop.iter().sum();
        ensure(dropped + 2 <= n_choices, || {
            format!("drop to leave at least 2 of {n_choices} operations, found {dropped} dropped")
        })?;
        ensure(rates.iter().all(|rate| (0.0..1.0).contains(rate)), || {
            format!("skip_dropout of at least 0 and below 1, found {rates:?}")
        })?;
        let cannot = |&cells: &u16| can_build(space, cells).err();
        self.cells
            .iter()
            .find_map(cannot)
            .map_or(Ok(()), |e| Err(format!("cells that can be built: {e}")))
    }

    fn build(self, space: &dyn SearchSpace, seed: u64) -> Result<Box<dyn Method>> {
        Ok(Box::new(PDarts {
            core: Core::new(space.decisions(), self.core, seed),
            stage: Stage::of_whole(0),
            live: mask(space.decisions(), |_, _| true),
            dropout: Arc::default(),
            config: self,
            seed,
        }))
    }
}

fn can_build(space: &dyn SearchSpace, cells: u16) -> Result<(), SpaceError> {
    space.check_skeleton(&Skeleton { layers: cells, ..space.skeletons()[0].skeleton })
}

/// The smallest number of cells, from `cells` on, that the space can build.
fn buildable(space: &dyn SearchSpace, cells: u16) -> u16 {
    (cells..2 * cells).find(|&cells| can_build(space, cells).is_ok()).unwrap_or(cells)
}

#[derive(Debug)]
struct PDarts {
    core: Core,
    config: Config,
    seed: u64,
    stage: Stage,
    /// `[n_decisions, n_choices]`: 1 for choices that are still searched.
    live: Tensor,
    dropout: Arc<SkipDropout>,
}

impl PDarts {
    /// `[n_decisions, n_choices]`: softmax over the choices that are still searched, 0 elsewhere.
    fn probs(&self) -> Tensor {
        masked_softmax(self.core.alpha(), &self.live)
    }

    fn gates_of(&self, probs: &Tensor) -> SharedGates {
        self.core.partly(probs, &self.live)
    }

    /// For each decision the live choices without the `n` least probable; `none` competes like any other.
    fn survivors(&self, n: usize) -> Vec<ChoiceSet> {
        let probs = Vec::<Vec<f64>>::try_from(&self.probs().detach().to_kind(Kind::Double));
        let live = Vec::<Vec<f64>>::try_from(&self.live.to_kind(Kind::Double));
        let rows = probs.expect("two dimensions").into_iter().zip(live.expect("two dimensions"));
        rows.map(|(probs, live)| {
            let mut order: Vec<usize> = (0..probs.len()).filter(|&c| live[c] > 0.0).collect();
            // The sort is stable: among equals the earlier one is dropped first.
            order.sort_by(|&a, &b| probs[a].total_cmp(&probs[b]));
            ChoiceSet::of(order.split_off(n))
        })
        .collect()
    }

    /// The alpha step on the validation batch.
    fn step_alpha(&mut self, cx: &mut Context<'_, '_>, batches: &Batches) -> Result<DeviceScalar> {
        let probs = self.probs();
        let task = cx.net.loss(&batches.valid, &self.gates_of(&probs)).value;
        let value = DeviceScalar::of(&task);
        let gradients = self.core.gradients(cx, &task, &self.core.competing(&probs))?;
        self.core.apply(&clipped(&gradients, self.config.alpha_clip));
        Ok(value)
    }
}

/// Epochs of a stage in the paper, and how many of them pass before alpha learns.
const STAGE_EPOCHS: f64 = 25.0;
const WARMUP_EPOCHS: f64 = 10.0;

/// The dropout rate on skip connections, as in the reference: falls from `rate * 24/25` in equal steps per epoch, returns to `rate`
/// when alpha begins to learn, and decays exponentially from there. `progress` is the finished share of the stage.
fn skip_dropout_rate(rate: f64, progress: f64) -> f64 {
    let epoch = (STAGE_EPOCHS * progress + 1e-9).floor().min(STAGE_EPOCHS - 1.0);
    if epoch < WARMUP_EPOCHS {
        rate * (STAGE_EPOCHS - epoch - 1.0) / STAGE_EPOCHS
    } else {
        rate * (-0.2 * (epoch - WARMUP_EPOCHS)).exp()
    }
}

impl Method for PDarts {
    fn core(&self) -> &Core {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    fn n_stages(&self) -> usize {
        self.config.cells.len()
    }

    fn stage(&self, number: usize) -> Stage {
        let live = number.checked_sub(1).map(|last| self.survivors(self.config.drop[last]));
        Stage { number, cells: Some(self.config.cells[number]), live, keeps_weights: false }
    }

    /// A new stage starts from scratch, except for the choice of which operations to keep.
    fn enter(&mut self, stage: &Stage) {
        self.stage = stage.clone();
        let seed = self.seed.wrapping_add(stage.number as u64);
        self.core = Core::new(&self.core.decisions, self.config.core, seed);
        if let Some(sets) = &stage.live {
            self.live = mask(&self.core.decisions, |d, c| sets[d].contains(c));
        }
    }

    fn mixed_op(&self) -> Box<dyn BuildMixedOp> {
        // A stage whose rate starts at 0 has no dropout at all.
        match self.config.skip_dropout[self.stage.number] {
            0.0 => Box::new(AllChannels),
            _ => Box::new(DroppedSkips(Arc::clone(&self.dropout))),
        }
    }

    fn step(&mut self, cx: &mut Context<'_, '_>, batches: &Batches) -> Result<StepReport> {
        let cx = &mut cx.at(Stage::progress(cx.progress, self.stage.number, self.n_stages()));
        let rate = self.config.skip_dropout[self.stage.number];
        if rate > 0.0 {
            self.dropout.set(skip_dropout_rate(rate, cx.progress), cx.rng.next_u64());
        }
        let is_warming_up = self.config.core.is_warming_up(cx.progress);
        let valid_loss = if is_warming_up { None } else { Some(self.step_alpha(cx, batches)?) };
        let gates = self.gates_of(&self.probs().detach());
        Ok(StepReport { valid_loss, ..self.core.train(cx, &gates, &batches.train) })
    }

    fn gates(&self, _: &dyn SearchSpace, _: &dyn Supernet) -> Box<dyn Gating> {
        Box::new(self.gates_of(&self.probs().detach()))
    }

    fn relaxed(&self) -> Relaxed {
        self.core.competing(&self.probs().detach())
    }

    /// DARTS' rule, then the limit on skip connections: while the first cell type has too many, the least probable one is removed
    /// and the cell is derived again, so that its edge takes its next operation or another edge replaces it.
    fn derive(&self, space: &dyn SearchSpace) -> Architecture {
        let probs = self.probs().detach();
        loop {
            let architecture = derive(space, &self.core.competing(&probs));
            let Some((d, c)) = weakest_skip(space, &architecture, &probs, self.config.most_skips)
            else {
                return architecture;
            };
            let _ = probs.get(d).get(c).fill_(0.0);
        }
    }
}

/// Decision and choice of the least probable skip connection of the first cell type whose edge has another operation left. None
/// unless there are more than `most` skip connections.
fn weakest_skip(
    space: &dyn SearchSpace,
    architecture: &Architecture,
    probs: &Tensor,
    most: usize,
) -> Option<(i64, i64)> {
    let decisions = space.decisions();
    let cell = decisions[0].cell_type();
    let mut skips = Vec::new();
    for (d, decision) in decisions.iter().enumerate().filter(|(_, d)| d.cell_type() == cell) {
        let is_skip = |c: &usize| decision.choices[*c].is_skip();
        let probability = |c: usize| probs.double_value(&[d as i64, c as i64]);
        let skip = architecture.choices[d].iter().find(is_skip);
        skips.extend(skip.map(|c| (d as i64, c as i64, probability(c))));
    }
    if skips.len() <= most {
        return None;
    }
    let has_another = |&(d, c, _): &(i64, i64, f64)| {
        (0..probs.size()[1]).any(|other| {
            let is_none = Some(other as usize) == decisions[d as usize].none();
            other != c && !is_none && probs.double_value(&[d, other]) > 0.0
        })
    };
    let removable = skips.into_iter().filter(|s| s.2 > 0.0 && has_another(s));
    removable.min_by(|a, b| a.2.total_cmp(&b.2)).map(|(d, c, _)| (d, c))
}

#[cfg(test)]
mod tests {
    use super::skip_dropout_rate;

    // Number 3 of what must be true of P-DARTS.
    #[test]
    fn p_darts_3_the_dropout_falls_jumps_back_and_decays() {
        let at = |epoch: u32| skip_dropout_rate(0.7, f64::from(epoch) / 25.0) / 0.7;
        for (epoch, expected) in [(0, 0.96), (9, 0.60), (10, 1.0), (24, 0.0608)] {
            assert!((at(epoch) - expected).abs() < 1e-4, "epoch {epoch}: {}", at(epoch));
        }
    }
}
