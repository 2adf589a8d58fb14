//! P-DARTS: Progressive Differentiable Architecture Search: Bridging the Depth Gap between Search and Evaluation. Chen, Xie, Wu, Tian,
//! ICCV 2019, arXiv 1904.12760. Reference: <https://github.com/chenxin061/pdarts>, `train_search.py`.
//!
//! Deviations: alpha keeps a column for every operation, those given up masked out of the softmax, so that gates, cost and derivation
//! read one layout in all stages. Which entries of a skip connection are dropped follows from the search's seed, not from libtorch's
//! generator. An edge's gradient in the weights' clip is the weights' alone. The reference prints the cell for every cap on skip
//! connections from 8 down; here `most_skips` (2, which its author advises) is applied, in the normal cell as there.
//! Lists of another length of operations (NAS-Bench-201 has 5) are cut down in the proportions of 8, 5, 3. The rates of dropout are
//! the paper's for CIFAR-10; the README's command has 0.1, 0.4, 0.7, and for CIFAR-100 they are 0.1, 0.2, 0.3.
//! The quick preset has shallower stages and raises the learning rate of alpha so that some hundred steps suffice.

use std::sync::Arc;

use lat_space::{Architecture, ChoiceSet, SearchSpace};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::bilevel::{WeightConfig, WeightStep, gradients, task_loss};
use super::cell_alphas::{ALPHA_BETAS, AlphaConfig, CellAlphas, masked_softmax, strengths};
use super::coverage::covered_cells;
use super::{
    Batches, Context, Method, MethodEntry, Options, Preset, Schedule, Stage, StepReport, configure,
    derive, expect,
};
use crate::error::SearchError;
use crate::optimizer::{StateMap, clipped};
use crate::relaxed::Relaxed;
use crate::supernet::{
    AllChannels, BuildMixedOp, DroppedSkips, Gating, Path, SharedGates, SkipDropout, Supernet,
};

pub(super) const ENTRY: MethodEntry = MethodEntry {
    name: "p-darts",
    summary: "DARTS in stages: a deeper supernet each time, with fewer operations per edge",
    paper: "Progressive Differentiable Architecture Search, 2019, arXiv 1904.12760",
    is_sampling: false,
    schedule: |preset| match preset {
        Preset::Quick => Schedule { epochs: 18, batch: 64 },
        Preset::Paper => Schedule { epochs: 75, batch: 96 },
    },
    build,
};

fn build(
    preset: Preset,
    options: &Options,
    space: &dyn SearchSpace,
    seed: u64,
) -> Result<Box<dyn Method>, SearchError> {
    covered_cells("p-darts", space)?;
    let config: Config = configure("p-darts", Config::preset(preset, space), options, space)?;
    let (stages, n_choices) = (config.cells.len(), space.decisions()[0].choices.len());
    expect("p-darts", stages > 0, || "cells with a number per stage, found none".into())?;
    expect(
        "p-darts",
        config.drop.len() + 1 == stages && config.skip_dropout.len() == stages,
        || {
            let (drop, rates) = (config.drop.len(), config.skip_dropout.len());
            format!(
                "for {stages} stages in cells {} numbers in drop and {stages} in skip_dropout, found {drop} and {rates}",
                stages - 1
            )
        },
    )?;
    let dropped: usize = config.drop.iter().sum();
    expect("p-darts", dropped + 2 <= n_choices, || {
        format!("drop to leave at least 2 of {n_choices} operations, found {dropped} dropped")
    })?;
    expect("p-darts", config.skip_dropout.iter().all(|rate| (0.0..1.0).contains(rate)), || {
        format!("skip_dropout of at least 0 and below 1, found {:?}", config.skip_dropout)
    })?;
    let skeleton = space.skeletons()[0].skeleton;
    for &cells in &config.cells {
        let skeleton = lat_space::Skeleton { layers: cells, ..skeleton };
        space
            .check_skeleton(&skeleton)
            .map_err(|e| SearchError::Settings(format!("option of method p-darts: cells: {e}")))?;
    }
    Ok(Box::new(PDarts::new(config, space, seed)))
}

/// The options for `--set`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Config {
    #[serde(flatten)]
    weights: WeightConfig,
    /// The warm-up is a share of each stage.
    #[serde(flatten)]
    alpha: AlphaConfig,
    /// Bound of the norm of alpha's gradient.
    alpha_clip: f64,
    /// Cells of the supernet, per stage.
    cells: Vec<u16>,
    /// Operations that each edge loses at the end of a stage, per stage but the last.
    drop: Vec<usize>,
    /// Initial rate of the dropout on skip connections, per stage.
    skip_dropout: Vec<f64>,
    /// Skip connections that the derived normal cell may have.
    most_skips: usize,
}

impl Config {
    fn preset(preset: Preset, space: &dyn SearchSpace) -> Self {
        let n_choices = space.decisions()[0].choices.len();
        let left = |eighths: usize| (n_choices * eighths).div_ceil(8).clamp(2, n_choices);
        // 8, 5, 3 operations in the paper.
        let (second, third) = (left(5), left(3));
        let paper = Self {
            weights: WeightConfig { lr_min: 0.0, ..WeightConfig::DARTS },
            alpha: AlphaConfig { alpha_lr: 6e-4, warmup: 0.4, ..AlphaConfig::DARTS },
            alpha_clip: 5.0,
            cells: [5, 11, 17].map(|cells| buildable(space, cells)).into(),
            drop: vec![n_choices - second, second - third],
            skip_dropout: vec![0.0, 0.4, 0.7],
            most_skips: 2,
        };
        match preset {
            Preset::Paper => paper,
            Preset::Quick => Self {
                weights: WeightConfig { lr: 0.05, ..paper.weights },
                alpha: AlphaConfig::QUICK,
                cells: [3, 4, 5].map(|cells| buildable(space, cells)).into(),
                ..paper
            },
        }
    }
}

/// The least number of cells from this one on that the space can build.
fn buildable(space: &dyn SearchSpace, cells: u16) -> u16 {
    let skeleton = space.skeletons()[0].skeleton;
    let can = |layers: &u16| {
        space.check_skeleton(&lat_space::Skeleton { layers: *layers, ..skeleton }).is_ok()
    };
    (cells..2 * cells).find(can).unwrap_or(cells)
}

#[derive(Debug)]
struct PDarts {
    config: Config,
    seed: u64,
    alphas: CellAlphas,
    weights: WeightStep,
    stage: Stage,
    /// `[n_decisions, n_choices]`: 1 where a choice is still searched.
    live: Tensor,
    dropout: Arc<SkipDropout>,
}

impl PDarts {
    fn new(config: Config, space: &dyn SearchSpace, seed: u64) -> Self {
        let alphas = CellAlphas::new(space, config.alpha, ALPHA_BETAS, seed);
        Self {
            weights: WeightStep::new(config.weights),
            stage: Stage::of_whole(0),
            live: alphas.logits.ones_like(),
            dropout: Arc::default(),
            alphas,
            config,
            seed,
        }
    }

    /// `[n_decisions, n_choices]`: softmax over what is still searched, 0 elsewhere.
    fn probs(&self) -> Tensor {
        masked_softmax(&self.alphas.logits, &self.live)
    }

    fn gates_of(&self, probs: &Tensor) -> SharedGates {
        let sets = &self.stage.live;
        SharedGates::with_paths(&self.alphas.decisions, &self.alphas.rows(probs), |d, c| {
            let is_live = sets.as_ref().is_none_or(|sets| sets[d].contains(c));
            if is_live { Path::On } else { Path::Off }
        })
    }

    fn relaxed_of(&self, probs: &Tensor) -> Relaxed {
        Relaxed::competing(probs.unbind(0), strengths(&self.alphas.decisions, probs))
    }

    /// Per decision the live choices without the `n` least probable; `none` competes like any other.
    fn survivors(&self, n: usize) -> Vec<ChoiceSet> {
        let probs = Vec::<Vec<f64>>::try_from(&self.probs().detach().to_kind(Kind::Double));
        let live = Vec::<Vec<f64>>::try_from(&self.live.to_kind(Kind::Double));
        let rows = probs.expect("two dimensions").into_iter().zip(live.expect("two dimensions"));
        rows.map(|(probs, live)| {
            let mut order: Vec<usize> = (0..probs.len()).filter(|&c| live[c] > 0.0).collect();
            // A stable sort: of equals the earlier goes first.
            order.sort_by(|&a, &b| probs[a].total_cmp(&probs[b]));
            ChoiceSet::of(order.split_off(n))
        })
        .collect()
    }

    /// The alpha step on the validation batch.
    fn step_alpha(
        &mut self,
        cx: &mut Context<'_, '_>,
        batches: &Batches,
    ) -> Result<f64, SearchError> {
        let probs = self.probs();
        let task = task_loss(cx.net, &self.gates_of(&probs), &batches.valid);
        let value = task.double_value(&[]);
        let alphas = [self.alphas.logits.shallow_clone()];
        let cost = cx.cost_gradient(&self.relaxed_of(&probs), &alphas)?;
        let gradients = cx.joined(gradients(&task, &alphas), cost);
        self.alphas.apply(&clipped(&gradients, self.config.alpha_clip));
        Ok(value)
    }
}

/// Epochs of a stage in the paper, and those of them before alpha learns.
const STAGE_EPOCHS: f64 = 25.0;
const WARMUP_EPOCHS: f64 = 10.0;

/// The dropout on skip connections as the reference has it: from `rate * 24/25` in equal steps per epoch down, back at `rate` where
/// alpha begins to learn, and from there an exponential decay. `progress` is the share of the stage that is done.
fn skip_dropout_rate(rate: f64, progress: f64) -> f64 {
    let epoch = (STAGE_EPOCHS * progress + 1e-9).floor().min(STAGE_EPOCHS - 1.0);
    if epoch < WARMUP_EPOCHS {
        rate * (STAGE_EPOCHS - epoch - 1.0) / STAGE_EPOCHS
    } else {
        rate * (-0.2 * (epoch - WARMUP_EPOCHS)).exp()
    }
}

impl Method for PDarts {
    fn n_stages(&self) -> usize {
        self.config.cells.len()
    }

    fn stage(&self, number: usize) -> Stage {
        let live = number.checked_sub(1).map(|last| self.survivors(self.config.drop[last]));
        Stage { number, cells: Some(self.config.cells[number]), live }
    }

    /// Everything is new in a stage but what was learnt about which operations to keep.
    fn enter(&mut self, stage: &Stage) {
        self.stage = stage.clone();
        self.alphas.restart(
            self.config.alpha,
            ALPHA_BETAS,
            self.seed.wrapping_add(stage.number as u64),
        );
        self.weights = WeightStep::new(self.config.weights);
        let Some(sets) = &stage.live else { return };
        let n = self.alphas.decisions[0].choices.len();
        let row = |set: &ChoiceSet| (0..n).map(|c| f32::from(u8::from(set.contains(c)))).collect();
        let rows: Vec<Vec<f32>> = sets.iter().map(row).collect();
        self.live = Tensor::from_slice(&rows.concat()).view_as(&self.alphas.logits);
    }

    fn mixed_op(&self) -> Box<dyn BuildMixedOp> {
        // A stage whose rate begins at 0 has no dropout at all.
        match self.config.skip_dropout[self.stage.number] {
            0.0 => Box::new(AllChannels),
            _ => Box::new(DroppedSkips(Arc::clone(&self.dropout))),
        }
    }

    fn begin(&mut self, net: &dyn Supernet) -> Result<(), SearchError> {
        self.alphas.begin(net);
        self.weights.begin(net);
        Ok(())
    }

    fn step(
        &mut self,
        cx: &mut Context<'_, '_>,
        batches: &Batches,
    ) -> Result<StepReport, SearchError> {
        let progress = Stage::progress(cx.progress, self.stage.number, self.n_stages());
        let rate = self.config.skip_dropout[self.stage.number];
        if rate > 0.0 {
            self.dropout.set(skip_dropout_rate(rate, progress), cx.rng.next_u64());
        }
        let mut valid_loss = f64::NAN;
        if progress >= self.config.alpha.warmup {
            valid_loss = self.step_alpha(cx, batches)?;
        }
        let gates = self.gates_of(&self.probs().detach());
        let report = self.weights.step(cx.net, &gates, &batches.train, progress);
        Ok(StepReport { valid_loss, ..report })
    }

    fn gates(&self, _: &dyn SearchSpace) -> Box<dyn Gating> {
        Box::new(self.gates_of(&self.probs().detach()))
    }

    fn relaxed(&self) -> Relaxed {
        tch::no_grad(|| self.relaxed_of(&self.probs()))
    }

    /// DARTS' rule, then the cap: while the first cell type has too many skip connections, the least probable one is given up and
    /// all is derived anew, so that its edge falls back to its next operation or to another edge.
    fn derive(&self, space: &dyn SearchSpace) -> Architecture {
        let probs = self.probs().detach();
        loop {
            let architecture = derive(space, &self.relaxed_of(&probs));
            let Some((d, c)) = weakest_skip(space, &architecture, &probs, self.config.most_skips)
            else {
                return architecture;
            };
            let _ = probs.get(d).get(c).fill_(0.0);
        }
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.weights.state().into_iter().chain(self.alphas.state()).collect()
    }

    fn load(&mut self, state: &StateMap) -> Result<(), String> {
        self.weights.load(state)?;
        self.alphas.load(state)
    }
}

/// Decision and choice of the least probable skip connection of the first cell type, where there are more than `most` and its edge
/// has another operation left.
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
        let is_skip = |c: &usize| decision.choices[*c] == "skip_connect";
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
