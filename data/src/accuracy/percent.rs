//! Tells whether a column of accuracies is in percent or in fractions.

use std::str::FromStr;

/// The unit of accuracies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccuracyUnit {
    /// From 0 to 100.
    Percent,
    /// From 0 to 1.
    Fraction,
}

/// A value may be this many times the column's best and still be plausible in that column.
const SLACK: f64 = 1.3;
/// In a table in percent, the best network must reach at least this. If the best is smaller, it is more likely an error among
/// fractions.
const BEST: f64 = 10.0;

impl FromStr for AccuracyUnit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "percent" => Ok(Self::Percent),
            "fraction" => Ok(Self::Fraction),
            _ => Err(format!("expected percent or fraction, found '{text}'")),
        }
    }
}

impl AccuracyUnit {
    /// The largest possible accuracy.
    pub(super) fn most(self) -> f64 {
        match self {
            Self::Percent => 100.0,
            Self::Fraction => 1.0,
        }
    }

    /// Converts an accuracy to percent. A fraction keeps its number of digits; multiplication adds none.
    pub(super) fn percent(self, value: f64) -> f64 {
        match self {
            Self::Percent => value,
            Self::Fraction => (value * 1e10).round() / 1e8,
        }
    }

    /// The unit of a column's values, which all lie from 0 to 100. If none is above 1, they are fractions. Otherwise they are
    /// percent, and values up to 1 belong to networks that learned nothing. This is only accepted if such a value would make no
    /// sense as a fraction, that is, would be 1.3 times the column's best or more (0.83 % beside 47 % of 120 classes: as a
    /// fraction it would be 83 %), and if the best is at least 10 %.
    ///
    /// # Errors
    /// The index of the first value that could be either.
    pub(super) fn of(values: &[f64]) -> Result<Self, usize> {
        let most = values.iter().copied().fold(0.0, f64::max);
        if most <= 1.0 {
            return Ok(Self::Fraction);
        }
        let passes = |fraction: f64| 100.0 * fraction < SLACK * most || most < BEST;
        let may_be_either = |v: &f64| *v > 0.0 && *v <= 1.0 && passes(*v);
        values.iter().position(may_be_either).map_or(Ok(Self::Percent), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_and_fractions_are_told_apart_and_mixtures_found() {
        assert_eq!(AccuracyUnit::of(&[93.2, 10.0, 0.0]), Ok(AccuracyUnit::Percent));
        assert_eq!(AccuracyUnit::of(&[0.932, 0.1, 1.0]), Ok(AccuracyUnit::Fraction));
        assert_eq!(AccuracyUnit::of(&[93.2, 0.94, 0.5]), Err(1));
        assert_eq!(AccuracyUnit::of(&[0.1, 93.2]), Err(0));
        assert_eq!(AccuracyUnit::of(&[0.93, 1.2]), Err(0));
        // Networks of 120 and of 100 classes that learned nothing.
        assert_eq!(AccuracyUnit::of(&[47.3, 0.8333, 0.8333]), Ok(AccuracyUnit::Percent));
        assert_eq!(AccuracyUnit::of(&[73.5, 1.0]), Ok(AccuracyUnit::Percent));
    }

    #[test]
    fn fractions_keep_their_digits() {
        let text = |fraction: f64| AccuracyUnit::Fraction.percent(fraction).to_string();
        assert_eq!((text(0.9391), text(0.07)), ("93.91".to_owned(), "7".to_owned()));
        assert_eq!("fraction".parse(), Ok(AccuracyUnit::Fraction));
        assert!("percents".parse::<AccuracyUnit>().unwrap_err().contains("'percents'"));
    }
}
