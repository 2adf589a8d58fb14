//! Splits a predictor's error by its causes.

use lat_data::LatencyTable;
use lat_predictor::{Metrics, noise_floor};

/// A predictor's error split by cause, each part as MAPE in percent. Independent errors add up as squares, so the parts are split that
/// way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ErrorBudget {
    /// Error that even a perfect predictor would show, because two measurements of one architecture differ.
    pub(super) noise: Option<f64>,
    /// Error from the device's drift: anchors, measured all through the run, differ by more than repeats do.
    pub(super) drift: Option<f64>,
    /// The remaining error, which comes from the model.
    pub(super) rest: Option<f64>,
}

impl ErrorBudget {
    /// Computes the budget from a table and the errors on its held-out rows.
    pub(super) fn of(measured: &LatencyTable, errors: Option<&Metrics>) -> Self {
        Self::split(
            noise_floor(&measured.repeats),
            noise_floor(&measured.anchors),
            errors.map(|errors| errors.mape),
        )
    }

    fn split(noise: Option<f64>, anchors: Option<f64>, mape: Option<f64>) -> Self {
        let beyond = |whole: f64, part: f64| (whole.powi(2) - part.powi(2)).max(0.0).sqrt();
        // If a table has no repeats, its anchors still give a noise floor, but with drift included.
        let floor = noise.or(anchors);
        let drift = noise.zip(anchors).map(|(noise, anchors)| beyond(anchors, noise));
        let explained = floor.map(|floor| floor.hypot(drift.unwrap_or(0.0)));
        Self { noise: floor, drift, rest: mape.zip(explained).map(|(mape, e)| beyond(mape, e)) }
    }

    /// The budget as a sentence.
    pub(super) fn line(&self, n_repeats: usize) -> String {
        let Some(noise) = self.noise else {
            return format!("noise floor: unknown, {n_repeats} repeated measurements are too few");
        };
        let mut line = format!(
            "noise floor: a perfect predictor would still show {noise:.2} % MAPE ({n_repeats} repeated measurements)"
        );
        if let Some(drift) = self.drift {
            line += &format!("; drift of the device adds {drift:.2} %");
        }
        if let Some(rest) = self.rest {
            line += &format!("; {rest:.2} % is the model's own");
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_by_their_squares() {
        let budget = ErrorBudget::split(Some(3.0), Some(5.0), Some(13.0));
        assert_eq!(budget, ErrorBudget { noise: Some(3.0), drift: Some(4.0), rest: Some(12.0) });
        let line = budget.line(9);
        assert!(line.contains("3.00 % MAPE (9") && line.contains("adds 4.00 %"), "{line}");
        assert!(line.ends_with("12.00 % is the model's own"), "{line}");
    }

    #[test]
    fn a_predictor_at_the_floor_has_no_error_of_its_own() {
        let budget = ErrorBudget::split(Some(3.0), Some(2.0), Some(2.9));
        assert_eq!((budget.drift, budget.rest), (Some(0.0), Some(0.0)));
        assert!(ErrorBudget::split(None, None, Some(1.0)).line(2).contains("unknown"));
    }
}
