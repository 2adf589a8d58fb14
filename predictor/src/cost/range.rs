//! Checks of numbers that configure a cost.

use crate::PredictError;

/// Checks that the number is finite and not below zero.
///
/// # Errors
/// [`PredictError::Range`] names the number if it is out of range.
pub fn at_least_zero(what: &'static str, found: f64) -> Result<(), PredictError> {
    if found.is_finite() && found >= 0.0 {
        return Ok(());
    }
    Err(PredictError::Range { what, allowed: "a number of at least 0", found })
}

/// Checks that the number is finite and above zero.
///
/// # Errors
/// [`PredictError::Range`] names the number if it is out of range.
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
