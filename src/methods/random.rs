//! Random search with weight sharing: Random Search and Reproducibility for Neural Architecture Search. Li, Talwalkar, UAI 2019,
//! arXiv 1902.07638. Reference: <https://github.com/liamcli/randomNAS_release>.
//!
//! Each step trains one architecture drawn uniformly. In the last part of the search, a fixed list of architectures, drawn once, is
//! compared by the average validation loss with shared weights plus the cost; all see the same batches.
//!
//! With `fair` the weights learn by strict fairness (`FairNAS`, Chu, Zhang, Xu, 2019, arXiv 1907.01845, algorithm 1): in each step a
//! random permutation of each decision's choices gives as many paths as there are choices, with each choice on exactly one of them.
//! The paths' gradients on the same batch are summed before one step of the weights.
//!
//! Deviations: the reference draws 1000 architectures after the search and compares them on 10 batches, then the best of them on the
//! whole validation half; here the list is compared during the last steps of training. BN uses each batch's own statistics.

use lat_space::{architecture_at, sample};
use rand::RngCore;
use rand::seq::SliceRandom;

use super::tools::frequencies::{frequencies, numbers, of_numbers};
use super::tools::prelude::*;

pub(super) const ENTRY: MethodEntry = MethodEntry::of::<Config>(
    "random",
    "supernet trained on uniform draws, the best of a list of random architectures by loss and cost",
    "Random Search and Reproducibility for Neural Architecture Search, 2019, arXiv 1902.07638",
    [(20, 64), (50, 64)],
)
.sampling();

/// Upper limit for candidates: all are held in memory, and compared in each of the last steps.
const MOST_CANDIDATES: u128 = 100_000;

/// The options for `--set`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Config {
    #[serde(flatten)]
    weights: WeightConfig,
    /// Number of architectures that are compared.
    candidates: u32,
    /// Share of the search after which they are compared.
    compare_from: f64,
    /// Whether each step trains every choice once.
    fair: bool,
}

impl Settings for Config {
    fn paper(_: &dyn SearchSpace) -> Self {
        Self { weights: WeightConfig::DARTS, candidates: 1000, compare_from: 0.98, fair: false }
    }

    fn quick(_: &dyn SearchSpace) -> Options {
        toml! {
            lr = 0.05
            candidates = 32
            compare_from = 0.5
        }
    }

    fn check(&self, space: &dyn SearchSpace) -> Result<(), String> {
        let Self { candidates, compare_from, .. } = self;
        ensure(*candidates >= 1, || format!("candidates of at least 1, found {candidates}"))?;
        let most = space.size().min(MOST_CANDIDATES);
        ensure(u128::from(*candidates) <= most, || {
            format!("candidates of at most {most} in {}, found {candidates}", space.id())
        })?;
        ensure((0.0..1.0).contains(compare_from), || {
            format!("compare_from of at least 0 and below 1, found {compare_from}")
        })?;
        let n_choices = |d: usize| space.decisions()[d].choices.len();
        let alike = (1..space.decisions().len()).all(|d| n_choices(d) == n_choices(0));
        ensure(!self.fair || (alike && space.groups().is_empty()), || {
            let space = space.id();
            format!(
                "fair=false in {space}, whose decisions compete or have different numbers of choices; found true"
            )
        })
    }

    fn build(self, space: &dyn SearchSpace, seed: u64) -> Result<Box<dyn Method>> {
        let n = self.candidates as usize;
        let (mut drawn, mut number) = (Vec::with_capacity(n), 0);
        while drawn.len() < n {
            let architecture = architecture_at(space, seed, number)?;
            number += 1;
            // A network that ignores its input is useless.
            if space.reads_input(&architecture) {
                drawn.push(numbers(&architecture));
            }
        }
        let mut core = Core::bare(space.decisions(), self.weights);
        // The list depends on the seed alone, but is saved so that the state is complete.
        core.keep(CANDIDATES, Tensor::stack(&drawn, 0));
        core.keep(LOSSES, Tensor::zeros([n as i64], tch::kind::DOUBLE_CPU));
        core.keep(PRICES, Tensor::zeros([n as i64], tch::kind::DOUBLE_CPU));
        core.keep(N_BATCHES, Tensor::from(0i64));
        Ok(Box::new(Random { core, config: self, space: space.id().to_owned() }))
    }
}

/// Name of the state entry with the choices `[n, n_decisions]` of the candidates.
const CANDIDATES: &str = "candidates";
/// Name of the state entry with the sum `[n]` of each candidate's validation losses.
const LOSSES: &str = "losses";
/// Name of the state entry with what each candidate's cost adds to its average loss, `[n]`.
const PRICES: &str = "prices";
/// Name of the state entry with the number of batches on which candidates were compared.
const N_BATCHES: &str = "n_batches";

#[derive(Debug)]
struct Random {
    core: Core,
    config: Config,
    /// The space's id.
    space: String,
}

impl Random {
    fn candidate(&self, number: i64) -> Architecture {
        of_numbers(&self.space, &self.core.kept(CANDIDATES).get(number))
    }

    /// One step of the weights on paths that together contain each choice of each decision once.
    fn train_fairly(&mut self, cx: &mut Context<'_, '_>, batch: &Batch) -> StepReport {
        let (mut losses, mut n_correct) = (Vec::new(), Vec::new());
        let weights = &mut self.core.weights;
        let mut sums: Vec<Tensor> = weights.weights().iter().map(|_| Tensor::new()).collect();
        for path in fair_paths(cx.space, cx.rng) {
            let gates = SharedGates::hard(&self.core.decisions, &path, self.core.device);
            let loss = weights.loss(cx.net, &gates, batch);
            let gradients = cx.net.gradients(&loss.value, weights.weights());
            for (sum, gradient) in sums.iter_mut().zip(gradients).filter(|(_, g)| g.defined()) {
                *sum = if sum.defined() { &*sum + gradient } else { gradient };
            }
            n_correct.push(loss.n_correct().to_kind(Kind::Double));
            losses.push(loss.value.detach());
        }
        weights.apply(&sums, cx.progress);
        let mean = |of: &[Tensor]| DeviceScalar::of(&Tensor::stack(of, 0).mean(of[0].kind()));
        let (train_loss, n_correct) = (mean(&losses), mean(&n_correct));
        StepReport { train_loss, n_correct, valid_loss: None }
    }

    /// Adds each candidate's loss on one batch to its sum. Returns the average of these losses.
    fn compare(&mut self, cx: &mut Context<'_, '_>, batch: &Batch) -> Result<f64> {
        let n = i64::from(self.config.candidates);
        let mut losses = Vec::new();
        for number in 0..n {
            let gates = self.core.hard(&self.candidate(number));
            let loss = tch::no_grad(|| cx.net.loss(batch, &gates).value);
            losses.push(cx.net.mean_over_ranks(&loss).double_value(&[]));
        }
        let sums = self.core.kept(LOSSES) + Tensor::from_slice(&losses);
        let n_batches = self.core.kept(N_BATCHES) + 1;
        let price = |number: i64| {
            let mean = sums.double_value(&[number]) / n_batches.double_value(&[]);
            cx.objective.as_ref().map_or(Ok(0.0), |o| o.price(&self.candidate(number), mean))
        };
        let prices = (0..n).map(price).collect::<Result<Vec<f64>>>()?;
        self.core.keep(LOSSES, sums);
        self.core.keep(PRICES, Tensor::from_slice(&prices));
        self.core.keep(N_BATCHES, n_batches);
        Ok(losses.iter().sum::<f64>() / n as f64)
    }

    /// The candidate with the smallest average loss plus price; None before any comparison.
    fn best(&self) -> Option<Architecture> {
        let n_batches = self.core.kept(N_BATCHES).int64_value(&[]);
        let [losses, prices] = [LOSSES, PRICES].map(|name| self.core.kept(name));
        let score =
            |i: &i64| losses.double_value(&[*i]) / n_batches as f64 + prices.double_value(&[*i]);
        let all = 0..i64::from(self.config.candidates);
        let best = all.min_by(|a, b| score(a).total_cmp(&score(b)));
        best.filter(|_| n_batches > 0).map(|i| self.candidate(i))
    }
}

/// As many architectures as a decision has choices; each decision's choices are in an order of their own.
fn fair_paths(space: &dyn SearchSpace, rng: &mut dyn RngCore) -> Vec<Architecture> {
    let orders: Vec<Vec<usize>> = space
        .decisions()
        .iter()
        .map(|decision| {
            let mut order: Vec<usize> = (0..decision.choices.len()).collect();
            order.shuffle(rng);
            order
        })
        .collect();
    let path = |k: usize| Architecture::new(space.id(), orders.iter().map(|order| order[k]));
    (0..orders[0].len()).map(path).collect()
}

impl Method for Random {
    fn core(&self) -> &Core {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    fn step(&mut self, cx: &mut Context<'_, '_>, batches: &Batches) -> Result<StepReport> {
        let report = if self.config.fair {
            self.train_fairly(cx, &batches.train)
        } else {
            let drawn = sample(cx.space, cx.rng);
            self.core.train(cx, &self.core.hard(&drawn), &batches.train)
        };
        if cx.progress < self.config.compare_from {
            return Ok(report);
        }
        let valid_loss = self.compare(cx, &batches.valid)?;
        Ok(StepReport { valid_loss: Some(valid_loss.into()), ..report })
    }

    fn relaxed(&self) -> Relaxed {
        let all = || (0..i64::from(self.config.candidates)).map(|i| self.candidate(i)).collect();
        let looked_at: Vec<Architecture> = self.best().map_or_else(all, |best| vec![best]);
        frequencies(&self.core.decisions, &looked_at)
    }

    fn proposal(&self, space: &dyn SearchSpace) -> Relaxed {
        Relaxed::uniform(space)
    }

    fn derive(&self, _: &dyn SearchSpace) -> Architecture {
        self.best().unwrap_or_else(|| self.candidate(0))
    }
}
