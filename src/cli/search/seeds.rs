//! Several seeds of one search: each result, their average and spread.

use lat::record::SearchRecord;
use serde::Serialize;

use crate::cli::output::{figure, table};

/// The contents of `seeds.json`.
#[derive(Serialize)]
pub(super) struct Summary {
    seeds: Vec<OneSearch>,
    /// The supernet's accuracy on the validation half in the last epoch, percent.
    valid_accuracy: Option<Spread>,
    predicted: Option<Spread>,
    measured: Option<Spread>,
    params: Option<Spread>,
    seconds: Option<Spread>,
}

#[derive(Serialize)]
struct OneSearch {
    seed: u64,
    valid_accuracy: Option<f64>,
    predicted: Option<f64>,
    measured: Option<f64>,
    params: u64,
    seconds: f64,
}

/// Average and standard deviation over the seeds that have a value.
#[derive(Serialize)]
struct Spread {
    n: usize,
    mean: f64,
    /// Standard deviation with n - 1; None for a single value.
    sd: Option<f64>,
}

impl Spread {
    fn of(values: impl Iterator<Item = Option<f64>>) -> Option<Self> {
        let values: ndarray::Array1<f64> = values.flatten().collect();
        let mean = values.mean()?;
        let n = values.len();
        Some(Self { n, mean, sd: (n > 1).then(|| values.std(1.0)) })
    }

    fn text(spread: Option<&Self>, digits: usize) -> String {
        match spread {
            None => "-".to_owned(),
            Some(Self { mean, sd: None, .. }) => format!("{mean:.digits$}"),
            Some(Self { mean, sd: Some(sd), .. }) => format!("{mean:.digits$} ± {sd:.digits$}"),
        }
    }
}

impl Summary {
    pub(super) fn of(results: &[SearchRecord]) -> Self {
        let seed = |r: &SearchRecord| OneSearch {
            seed: r.settings.seed,
            valid_accuracy: r.log.last().map(|e| e.valid_accuracy),
            predicted: r.predicted,
            measured: r.measured,
            params: r.params,
            seconds: r.seconds,
        };
        let seeds: Vec<OneSearch> = results.iter().map(seed).collect();
        Self {
            valid_accuracy: Spread::of(seeds.iter().map(|s| s.valid_accuracy)),
            predicted: Spread::of(seeds.iter().map(|s| s.predicted)),
            measured: Spread::of(seeds.iter().map(|s| s.measured)),
            params: Spread::of(seeds.iter().map(|s| Some(s.params as f64))),
            seconds: Spread::of(seeds.iter().map(|s| Some(s.seconds))),
            seeds,
        }
    }

    /// One line per seed, followed by average and standard deviation.
    pub(super) fn table(&self) -> String {
        let number = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), figure);
        let mut rows: Vec<Vec<String>> = self
            .seeds
            .iter()
            .map(|s| {
                vec![
                    s.seed.to_string(),
                    number(s.valid_accuracy),
                    number(s.predicted),
                    number(s.measured),
                    s.params.to_string(),
                    format!("{:.0}", s.seconds),
                ]
            })
            .collect();
        let text = |spread: &Option<Spread>, digits| Spread::text(spread.as_ref(), digits);
        rows.push(vec![
            "mean ± sd".to_owned(),
            text(&self.valid_accuracy, 2),
            text(&self.predicted, 4),
            text(&self.measured, 4),
            text(&self.params, 0),
            text(&self.seconds, 0),
        ]);
        table(&["seed", "supernet accuracy %", "predicted", "measured", "parameters", "s"], rows)
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn mean_and_deviation_are_those_of_the_seeds_that_have_a_value() {
        let spread = Spread::of([Some(1.0), None, Some(3.0)].into_iter()).unwrap();
        assert_eq!((spread.n, spread.mean), (2, 2.0));
        assert!((spread.sd.unwrap() - 2f64.sqrt()).abs() < 1e-12);
        assert!(Spread::of([None].into_iter()).is_none());
        assert_eq!(Spread::text(Spread::of([Some(2.0)].into_iter()).as_ref(), 1), "2.0");
    }
}
