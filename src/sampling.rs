//! Chooses which samples a profile measures until predictions are good enough, and decides when they are.
//!
//! The numbers of the run's draw are divided into two separate streams. The first 24, and from there on every fourth, are random
//! samples, on which predictions are judged. The others are candidates, from which the most informative are chosen. So choosing does
//! not bias the random ones. In a simulation on eight published tables, choosing saved 3 % of the samples compared with drawing all
//! at random, and 20 to 25 % if the priors were known beforehand: random networks are already balanced.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use lat_data::{Judgement, Measurement, Role, Round, Status, superseded};
use lat_predictor::{LEAST_SAMPLES, Samples, Validation, most_informative, noise_floor, validate};
use lat_space::{SearchSpace, architecture_at};
use ndarray::Array2;

use crate::error::SearchError;

/// Number of samples in the first round, all random.
const FIRST: u64 = 24;
/// Growth of the number of samples from round to round.
const GROWTH: f64 = 1.4;
/// After the first round one in this many samples is random.
const ONE_IN: u64 = 4;
/// Candidates considered at once, random architectures used as the reference for their choice, and the most picks from one batch of
/// candidates.
const CANDIDATES: usize = 1500;
const REFERENCE: u64 = 300;
const PICKS: usize = 500;
/// Makes the reference's seed differ from that of the run's draw.
const REFERENCE_SALT: u64 = 0x7265_6665_7265;
/// Smallest number of random samples for a judgement.
const LEAST_JUDGED: usize = 20;
/// If the noise is above the goal, the run continues only if the error has fallen by more than the share IDLE over this many rounds.
const IDLE_ROUNDS: usize = 3;
const IDLE: f64 = 0.05;

/// The accuracy that predictions should reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ErrorGoal {
    /// Mean absolute percentage error, percent. The upper end of the error's interval must be below it.
    pub mape: f64,
}

impl FromStr for ErrorGoal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("expected a goal like 'mape<3%', found '{text}'");
        let mut rest = text.trim();
        for part in ["mape", "<"] {
            rest = rest.strip_prefix(part).ok_or_else(refuse)?.trim_start();
        }
        let number = rest.strip_suffix('%').ok_or_else(refuse)?.trim_end();
        let mape: f64 = number.parse().map_err(|_| refuse())?;
        if !(mape > 0.0 && mape < 100.0) {
            return Err(format!("expected a goal above 0 and below 100 %, found '{text}'"));
        }
        Ok(Self { mape })
    }
}

/// Whether a run continues after a round, or why it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Another round is needed.
    GoOn,
    /// The interval of the error is below the goal.
    Reached,
    /// The largest allowed number of samples has been measured.
    Capped,
    /// Measurements repeat so badly that even a perfect predictor would miss the goal, and more samples no longer help.
    BelowNoise,
}

/// A run that chooses its samples, with what it has measured so far.
#[derive(Debug, Clone, Copy)]
pub struct Sampling<'a> {
    /// The space of the architectures.
    pub space: &'a dyn SearchSpace,
    /// Seed of the draw.
    pub seed: u64,
    /// Largest number of samples.
    pub cap: u64,
    /// Rounds so far.
    pub rounds: &'a [Round],
    /// Rows so far.
    pub rows: &'a [Measurement],
}

impl Sampling<'_> {
    /// The samples of the next round. In the first round all are random, in later ones three quarters are chosen.
    ///
    /// # Errors
    /// [`SearchError::Predict`] if the predictor fails, [`SearchError::Space`] if the space lacks an architecture with a number from
    /// the seed.
    pub fn next(&self) -> Result<Round, SearchError> {
        let before = self.n_samples();
        if before == 0 {
            let random = (0..FIRST.min(self.cap)).collect();
            return Ok(Round { random, ..Round::default() });
        }
        let grown = (GROWTH * before as f64).ceil() as u64;
        let wanted = grown.max(before + 1).min(self.cap).saturating_sub(before);
        let used: HashSet<u64> = self.rounds.iter().flat_map(Round::samples).collect();
        let size = u64::try_from(self.space.size()).unwrap_or(u64::MAX);
        let is_random = |i: &u64| i.is_multiple_of(ONE_IN);
        let left = |random: bool| {
            let used = &used;
            (FIRST.min(size)..size).filter(move |i| is_random(i) == random && !used.contains(i))
        };
        let n_random = wanted.div_ceil(ONE_IN) as usize;
        let random: Vec<u64> = left(true).take(n_random).collect();
        let n_chosen = wanted as usize - random.len();
        let chosen = self.choose(n_chosen, &mut left(false))?;
        // A small space may run out of candidates first; random samples then fill the round.
        let more = n_chosen - chosen.len();
        let random = left(true).take(random.len() + more).collect();
        Ok(Round { random, chosen, judgement: None })
    }

    /// Judges a predictor fitted to all samples so far; None if there are too few samples.
    ///
    /// # Errors
    /// Those of [`Sampling::next`].
    pub fn judge(&self) -> Result<Option<Judgement>, SearchError> {
        let (numbers, samples) = self.measured()?;
        let random: HashSet<u64> =
            self.rounds.iter().flat_map(|round| round.random.iter().copied()).collect();
        let judged: Vec<usize> =
            (0..numbers.len()).filter(|&row| random.contains(&numbers[row])).collect();
        // Each fit leaves out a fifth of the judged samples.
        if judged.len() < LEAST_JUDGED || samples.len() - judged.len().div_ceil(5) < LEAST_SAMPLES {
            return Ok(None);
        }
        let Validation { n, mape, standard_error, .. } =
            validate(self.space, &samples, &judged, self.seed)?;
        let noise_floor = noise_floor(&self.pairs());
        Ok(Some(Judgement { n_judged: n as u64, mape, standard_error, noise_floor }))
    }

    /// Whether to continue, decided by the last round's judgement.
    pub fn outcome(&self, goal: ErrorGoal) -> Outcome {
        let judgements: Vec<&Judgement> =
            self.rounds.iter().filter_map(|round| round.judgement.as_ref()).collect();
        let last = self.rounds.last().and_then(|round| round.judgement.as_ref());
        if last.is_some_and(|last| interval(last).1 < goal.mape) {
            return Outcome::Reached;
        }
        if self.n_samples() >= self.cap {
            return Outcome::Capped;
        }
        let is_below_noise = last.and_then(|last| last.noise_floor) > Some(goal.mape);
        let earlier = judgements.len().checked_sub(IDLE_ROUNDS + 1).map(|i| judgements[i].mape);
        let is_idle = |(last, earlier): (&Judgement, f64)| last.mape > (1.0 - IDLE) * earlier;
        match is_below_noise && last.zip(earlier).is_some_and(is_idle) {
            true => Outcome::BelowNoise,
            false => Outcome::GoOn,
        }
    }

    fn n_samples(&self) -> u64 {
        self.rounds.iter().map(|round| round.samples().len() as u64).sum()
    }

    /// The `n` most informative candidates; the first ones if too little is measured to decide.
    fn choose(
        &self,
        n: usize,
        candidates: &mut dyn Iterator<Item = u64>,
    ) -> Result<Vec<u64>, SearchError> {
        let (_, measured) = self.measured()?;
        if measured.len() < LEAST_SAMPLES {
            return Ok(candidates.take(n).collect());
        }
        let n_reference = REFERENCE.min(u64::try_from(self.space.size()).unwrap_or(REFERENCE));
        let reference = self.gates(self.seed ^ REFERENCE_SALT, 0..n_reference)?;
        let mut chosen = Vec::with_capacity(n);
        while chosen.len() < n {
            let pool: Vec<u64> = candidates.take(CANDIDATES).collect();
            if pool.is_empty() {
                break;
            }
            let wanted = (n - chosen.len()).min(PICKS);
            let gates = self.gates(self.seed, pool.iter().copied())?;
            let picks = most_informative(
                self.space,
                &measured,
                gates.view(),
                reference.view(),
                wanted,
                self.seed,
            )?;
            chosen.extend(picks.into_iter().map(|pick| pool[pick]));
        }
        Ok(chosen)
    }

    fn gates(
        &self,
        seed: u64,
        numbers: impl IntoIterator<Item = u64>,
    ) -> Result<Array2<f32>, SearchError> {
        let draw = |i| architecture_at(self.space, seed, i);
        let all = numbers.into_iter().map(draw).collect::<Result<Vec<_>, _>>()?;
        Ok(Samples::of(self.space, all.iter().map(|a| (a, 1.0)))?.gates)
    }

    /// Numbers of the samples that have a latency, in the order of the draw, and their latencies in milliseconds.
    fn measured(&self) -> Result<(Vec<u64>, Samples), SearchError> {
        let mut latencies: Vec<(u64, f64)> = self.latencies(Role::Sample).into_iter().collect();
        latencies.sort_unstable_by_key(|(number, _)| *number);
        let draw = |&(i, ms): &(u64, f64)| Ok((architecture_at(self.space, self.seed, i)?, ms));
        let all = latencies.iter().map(draw).collect::<Result<Vec<_>, SearchError>>()?;
        let samples = Samples::of(self.space, all.iter().map(|(a, ms)| (a, *ms)))?;
        Ok((latencies.into_iter().map(|(number, _)| number).collect(), samples))
    }

    /// Latencies of the valid rows with this role, by their number.
    fn latencies(&self, role: Role) -> HashMap<u64, f64> {
        let rows = self.rows.iter().zip(superseded(self.rows));
        let counts = |row: &Measurement| {
            let has_value = row.latency_ms.is_finite() && row.latency_ms > 0.0;
            row.role == role && row.status != Status::Failed && has_value
        };
        rows.filter(|(row, superseded)| !superseded && counts(row))
            .map(|(row, _)| (row.index, row.latency_ms))
            .collect()
    }

    fn pairs(&self) -> Vec<(f64, f64)> {
        let (first, again) = (self.latencies(Role::Sample), self.latencies(Role::Repeat));
        let mut numbers: Vec<&u64> = again.keys().collect();
        numbers.sort_unstable();
        numbers.into_iter().filter_map(|i| Some((*first.get(i)?, again[i]))).collect()
    }
}

/// The 90 % interval of a judgement's MAPE, percent.
pub fn interval(judgement: &Judgement) -> (f64, f64) {
    let Judgement { n_judged, mape, standard_error, .. } = *judgement;
    Validation { n: n_judged as usize, mape, standard_error }.interval()
}

#[cfg(test)]
#[path = "sampling_tests.rs"]
mod tests;
