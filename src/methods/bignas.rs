//! `BigNAS`: Scaling Up Neural Architecture Search with Big Single-Stage Models. Yu, Jin, Liu, Bender, Kindermans, Tan, Huang, Song, Pang, Le,
//! ECCV 2020, arXiv 2003.11142. The authors published no code; reference: <https://github.com/xfey/pytorch-BigNAS>.
//!
//! Each step trains the largest network on the labels, and the smallest and some uniformly drawn ones on the largest one's answers.
//! The weights take one step along the sum of all gradients. Blocks with a shortcut start as the shortcut alone.
//!
//! Deviations: the weights are trained by SGD with Nesterov momentum as in the reference; the paper uses `RMSProp`. Batch norm
//! remembers the largest network's statistics, so that the log evaluates that network; sub-networks need recomputed statistics. The
//! rate falls in 150 steps over the search, the paper's 2.4 epochs of 360 each. Works on any space whose decisions are independent;
//! the largest network is then the one with most multiply-adds. The quick preset has a lower rate, which suits small batches.

use lat_nn::Regularisation;

use super::tools::distillation::Divergence;
use super::tools::needs::SUBNETS;
use super::tools::prelude::*;
use super::tools::sandwich::Ends;
use super::tools::subnets;

pub(super) const ENTRY: MethodEntry = MethodEntry::of::<Config>(
    "bignas",
    "supernet by the sandwich rule: largest, smallest and drawn sub-networks in each step, distilled in place",
    "BigNAS: Scaling Up Neural Architecture Search with Big Single-Stage Models, 2020, arXiv 2003.11142",
    [(20, 64), (360, 128)],
)
.two_stage(SUBNETS);

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    /// `lr_min` is a lower bound of the rate: 5 % of the initial one in the paper.
    #[serde(flatten)]
    weights: WeightConfig,
    /// Networks per step, including the largest and the smallest.
    subnets: u32,
    /// For the largest network: probability that an entry of the classifier's input is zeroed.
    dropout: f64,
}

impl Settings for Config {
    fn paper(_: &dyn SearchSpace) -> Self {
        let weights = WeightConfig {
            lr: 0.256,
            lr_min: 0.0128,
            momentum: 0.9,
            nesterov: true,
            decay: 1e-5,
            clip: 5.0,
            label_smoothing: 0.1,
        };
        Self { weights, subnets: 4, dropout: 0.2 }
    }

    fn quick(_: &dyn SearchSpace) -> Options {
        toml! {
            lr = 0.05
            lr_min = 0.0025
            dropout = 0.0
        }
    }

    fn check(&self, _: &dyn SearchSpace) -> Result<(), String> {
        ensure(self.subnets >= 2, || format!("subnets of at least 2, found {}", self.subnets))
    }

    fn build(self, space: &dyn SearchSpace, _seed: u64) -> Result<Box<dyn Method>> {
        let core = Core::of_subnets(space.decisions(), self.weights);
        let (ends, uniform) = (Ends::default(), Relaxed::uniform(space));
        Ok(Box::new(BigNas { core, config: self, ends, uniform }))
    }
}

#[derive(Debug)]
struct BigNas {
    core: Core,
    config: Config,
    ends: Ends,
    uniform: Relaxed,
}

/// How often the rate falls during a search, and the factor each time.
const FALLS: f64 = 150.0;
const FALL: f64 = 0.97;

impl Config {
    /// The learning rate when this share of the search is done.
    fn lr(&self, progress: f64) -> f64 {
        let n_falls = (FALLS * progress).floor();
        (self.weights.lr * FALL.powf(n_falls)).max(self.weights.lr_min)
    }
}

impl Method for BigNas {
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
        let ends = self.ends.of(cx.space, cx.net.graph());
        let live = subnets::all(&self.core.decisions);
        let n_drawn = self.config.subnets - 2;
        let mut others: Vec<Architecture> =
            (0..n_drawn).map(|_| subnets::drawn(cx.space.id(), &live, cx.rng)).collect();
        others.push(ends.smallest.clone());
        let dropout = self.config.dropout;
        let regularisation = Regularisation { dropout, drop_connect: 0.0, seed: cx.rng.next_u64() };
        let largest = (&ends.largest, regularisation);
        let (report, gradients) =
            self.core.sandwich(cx.net, &batches.train, largest, &others, Divergence::Kl);
        let lr = self.config.lr(cx.progress);
        self.core.weights.move_at(&gradients, lr, self.config.weights.clip);
        Ok(report)
    }

    fn sees_cost(&self) -> bool {
        false
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
    use lat_space::NasBenchMacro;

    use super::*;

    #[test]
    fn the_rate_falls_by_3_percent_each_2_4_epochs_of_360_to_5_percent() {
        let config = Config::paper(&NasBenchMacro::new());
        let at = |epoch: f64| config.lr(epoch / 360.0) / 0.256;
        for (epoch, expected) in [(0.0, 1.0), (2.3, 1.0), (2.5, 0.97), (24.1, 0.97f64.powi(10))] {
            assert!((at(epoch) - expected).abs() < 1e-9, "{epoch}: {}", at(epoch));
        }
        assert!((at(359.0) - 0.05).abs() < 1e-9);
    }
}
