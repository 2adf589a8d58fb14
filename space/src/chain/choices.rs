//! Architectures with one choice per decision: checking them and numbering them.

use crate::{Architecture, Decision, SpaceError};

/// Checks that the architecture has exactly one choice for each decision.
pub(crate) fn check_single(
    id: &str,
    decisions: &[Decision],
    architecture: &Architecture,
) -> Result<(), SpaceError> {
    let invalid = |reason: String| Err(SpaceError::Invalid { space: id.into(), reason });
    let (n, found) = (decisions.len(), architecture.choices.len());
    if architecture.space != id || found != n {
        let space = &architecture.space;
        return invalid(format!("expected {n} decisions, found {found} of space {space}"));
    }
    let mut pairs = decisions.iter().zip(&architecture.choices);
    match pairs.find(|(d, set)| set.only().is_none_or(|choice| choice >= d.choices.len())) {
        Some((d, _)) => {
            let n = d.choices.len();
            invalid(format!("decision {} needs exactly one choice of {n}", d.name))
        }
        None => Ok(()),
    }
}

/// The digits of a number in mixed radix, lowest first; each is below its radix.
pub(crate) fn digits(mut number: u128, radices: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let digit = |radix: usize| {
        let radix = radix as u128;
        let digit = number % radix;
        number /= radix;
        // The remainder is below the radix, which is a usize.
        digit as usize
    };
    radices.into_iter().map(digit).collect()
}

/// A choice that is a number.
pub(crate) fn number(value: u32) -> crate::Choice {
    crate::Choice::number(&value.to_string())
}
