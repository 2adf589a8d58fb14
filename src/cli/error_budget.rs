//! Where a predictor's error comes from.

use lat_data::LatencyTable;
use lat_predictor::{Metrics, noise_floor};

/// Where a predictor's error comes from, as MAPE in percent. Independent errors add by their squares; the shares are read so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ErrorBudget {
    /// What a perfect predictor would still show, since the same architecture measured twice differs.
    pub(super) noise: Option<f64>,
    /// What the device's drift adds: anchors, measured all through the run, differ by more than repeats do.
    pub(super) drift: Option<f64>,
    /// What neither explains: the model's own.
    pub(super) rest: Option<f64>,
}

impl ErrorBudget {
    /// From a table and the errors on its held-out rows.
    pub(super) fn of(measured: &LatencyTable, errors: Option<&Metrics>) -> Self {
        Self::split(
            noise_floor(&measured.repeats),
            noise_floor(&measured.anchors),
            errors.map(|errors| errors.mape),
        )
    }

    fn split(noise: Option<f64>, anchors: Option<f64>, mape: Option<f64>) -> Self {
        let beyond = |whole: f64, part: f64| (whole.powi(2) - part.powi(2)).max(0.0).sqrt();
        // Without repeats of its own a table's anchors still tell a floor, drift included.
        let floor = noise.or(anchors);
        let drift = noise.zip(anchors).map(|(noise, anchors)| beyond(anchors, noise));
        let explained = floor.map(|floor| floor.hypot(drift.unwrap_or(0.0)));
        Self { noise: floor, drift, rest: mape.zip(explained).map(|(mape, e)| beyond(mape, e)) }
    }

    /// The budget in words.
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
