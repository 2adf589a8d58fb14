//! Orders candidates by the average of their ranks in several measures.

use super::candidates::Candidate;
use super::signals::Signals;

/// A candidate with its measures in each untrained network, and the resulting score.
#[derive(Debug, Clone)]
pub(super) struct Ranked {
    pub(super) candidate: Candidate,
    pub(super) signals: Vec<Signals>,
    /// The score, from 0 to 1.
    pub(super) score: f64,
}

impl Ranked {
    pub(super) fn new(candidate: Candidate, signals: Signals) -> Self {
        Self { candidate, signals: vec![signals], score: 0.0 }
    }

    /// Average of a measure over the networks.
    pub(super) fn mean(&self, measure: impl Fn(&Signals) -> f64) -> f64 {
        self.signals.iter().map(measure).sum::<f64>() / self.signals.len() as f64
    }
}

/// Selects one of the measures.
type Measure = fn(&Signals) -> f64;

/// Scores each candidate by the average of its ranks in all measures of all networks, and sorts them, best first; equals keep their
/// order. Trainability counts if it was asked for.
pub(super) fn rank(listed: &mut [Ranked]) {
    let measures: [Measure; 4] =
        [|s| s.patterns, |s| s.correlation, |s| s.progressivity, |s| s.trainability.unwrap_or(0.0)];
    let has_trainability = |r: &Ranked| r.signals.iter().all(|s| s.trainability.is_some());
    let n_measures = if listed.iter().all(has_trainability) { 4 } else { 3 };
    let n_nets = listed.iter().map(|r| r.signals.len()).min().unwrap_or(0);
    let column = |net: usize, measure: Measure| {
        ranks(&listed.iter().map(|r| measure(&r.signals[net])).collect::<Vec<f64>>())
    };
    let ranked: Vec<Vec<f64>> = (0..n_nets)
        .flat_map(|net| measures[..n_measures].iter().map(move |&measure| (net, measure)))
        .map(|(net, measure)| column(net, measure))
        .collect();
    for (i, r) in listed.iter_mut().enumerate() {
        r.score = ranked.iter().map(|column| column[i]).sum::<f64>() / ranked.len() as f64;
    }
    listed.sort_by(|a, b| b.score.total_cmp(&a.score));
}

/// For each value the share of the others that it exceeds, ties counted half: 0 for the worst, 1 for the best. This makes the scale
/// of a measure irrelevant.
fn ranks(values: &[f64]) -> Vec<f64> {
    let others = values.len().saturating_sub(1).max(1) as f64;
    let rank = |v: &f64| {
        let below = values.iter().filter(|x| *x < v).count() as f64;
        let equal = values.iter().filter(|x| *x == v).count() as f64;
        (below + (equal - 1.0) / 2.0) / others
    };
    values.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use lat_space::Architecture;

    use super::*;

    #[test]
    fn ranks_know_no_scale_and_ties_share_theirs() {
        assert_eq!(ranks(&[3.0, f64::NEG_INFINITY, 1e9, 3.0]), [0.5, 0.0, 1.0, 0.5]);
        assert_eq!(ranks(&[1.0]), [0.0]);
    }

    /// A candidate with one network per list of measures: patterns, correlation, progressivity, and trainability if given.
    fn ranked(choice: usize, nets: &[[f64; 3]], trainability: Option<f64>) -> Ranked {
        let architecture = Architecture::new("s", vec![choice]);
        let signals = nets.iter().map(|&[patterns, correlation, progressivity]| Signals {
            patterns,
            correlation,
            progressivity,
            trainability,
        });
        let candidate = Candidate { architecture, cost: None };
        Ranked { candidate, signals: signals.collect(), score: 0.0 }
    }

    fn order(listed: &[Ranked]) -> Vec<usize> {
        listed.iter().map(|r| r.candidate.architecture.choices[0].only().unwrap()).collect()
    }

    #[test]
    fn the_score_is_the_mean_rank_over_measures_and_networks_and_equals_keep_their_order() {
        let both = |a: [f64; 3], b: [f64; 3]| [a, b];
        let mut listed = [
            ranked(0, &both([1.0, 0.0, 0.0], [0.0, 0.0, 5.0]), None),
            ranked(1, &both([9.0, 7.0, 3.0], [2.0, 1.0, 6.0]), None),
            ranked(2, &both([1.0, 0.0, 0.0], [0.0, 0.0, 5.0]), None),
        ];
        rank(&mut listed);
        assert_eq!(order(&listed), [1, 0, 2]);
        assert_eq!(listed.each_ref().map(|r| r.score), [1.0, 0.25, 0.25]);
    }

    #[test]
    fn trainability_decides_where_it_was_asked_for() {
        let same = [[1.0, 1.0, 1.0]];
        let mut listed = [ranked(0, &same, Some(-3.0)), ranked(1, &same, Some(-1.0))];
        rank(&mut listed);
        assert_eq!(order(&listed), [1, 0]);
        // If one candidate lacks trainability, the other three measures decide.
        let mut listed = [ranked(0, &same, Some(-3.0)), ranked(1, &same, None)];
        rank(&mut listed);
        assert_eq!(order(&listed), [0, 1]);
    }
}
