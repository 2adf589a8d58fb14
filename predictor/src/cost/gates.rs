//! The layout of a gate vector: where the gates of each decision are.

use lat_space::{Architecture, Decision, Space};
use tch::Tensor;

use crate::PredictError;

/// The layout of a gate vector: where the gates of each decision are.
#[derive(Debug, Clone)]
pub(crate) struct GateLayout {
    space: String,
    decisions: Vec<Decision>,
}

impl GateLayout {
    pub(crate) fn of(space: &dyn Space) -> Self {
        Self { space: space.id().to_owned(), decisions: space.decisions().to_vec() }
    }

    /// Number of gates: choices over all decisions, `none` included.
    pub(crate) fn n_gates(&self) -> usize {
        self.decisions.iter().map(Decision::n_gates).sum()
    }

    /// The 0/1 gates of an architecture of the layout's space.
    pub(crate) fn gates(&self, architecture: &Architecture) -> Result<Vec<f32>, PredictError> {
        self.check(architecture)?;
        Ok(architecture.gates(&self.decisions))
    }

    /// Checks that the architecture belongs to the layout's space.
    pub(crate) fn check(&self, architecture: &Architecture) -> Result<(), PredictError> {
        if architecture.space != self.space {
            return Err(PredictError::Mismatch {
                what: "an architecture of space",
                expected: self.space.clone(),
                found: architecture.space.clone(),
                advice: "name the architecture's space with --space",
            });
        }
        let (expected, found) = (self.decisions.len(), architecture.choices.len());
        if expected != found {
            return Err(PredictError::Width { what: "decisions", expected, found });
        }
        Ok(())
    }

    /// Gates as a matrix `[m, n_gates]`, and whether they were given as a single vector.
    pub(crate) fn rows(&self, gates: &Tensor) -> Result<(Tensor, bool), PredictError> {
        let expected = self.n_gates();
        match *gates.size() {
            [n] if n as usize == expected => Ok((gates.unsqueeze(0), true)),
            [_, n] if n as usize == expected => Ok((gates.shallow_clone(), false)),
            ref size => {
                let found = size.last().map_or(0, |&n| n as usize);
                Err(PredictError::Width { what: "gates", expected, found })
            }
        }
    }
}
