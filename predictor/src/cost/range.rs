//! Ranges of the numbers that say how a cost counts.

use crate::PredictError;

/// Whether the number is finite and not below zero.
///
/// # Errors
/// [`PredictError::Range`] names it where it is not.
pub fn at_least_zero(what: &'static str, found: f64) -> Result<(), PredictError> {
    if found.is_finite() && found >= 0.0 {
        return Ok(());
    }
    Err(PredictError::Range { what, allowed: "a number of at least 0", found })
}

/// Whether the number is finite and above zero.
///
/// # Errors
/// [`PredictError::Range`] names it where it is not.
pub fn above_zero(what: &'static str, found: f64) -> Result<(), PredictError> {
    if found.is_finite() && found > 0.0 {
        return Ok(());
    }
    Err(PredictError::Range { what, allowed: "a number above 0", found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_named() {
        let lambda = |lambda| at_least_zero("lambda", lambda).unwrap_err().to_string();
        assert_eq!(lambda(-1.0), "lambda must be a number of at least 0, found -1");
        assert!(lambda(f64::NAN).contains("found NaN"));
        assert!(lambda(f64::INFINITY).contains("found inf"));
        assert!(at_least_zero("lambda", 0.0).is_ok());
        let target = above_zero("target", 0.0).unwrap_err().to_string();
        assert_eq!(target, "target must be a number above 0, found 0");
        assert!(above_zero("target", 1e-9).is_ok());
    }
}
