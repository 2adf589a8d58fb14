//! The difference between the cost of an expected architecture and that of real ones.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::Objective;
use crate::error::SearchError;
use crate::relaxed::Relaxed;

/// A relaxed architecture's cost computed in two ways, in the cost's unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RelaxationGap {
    /// Cost of the exactly expected code, which no architecture has.
    pub expected: f64,
    /// Average cost of architectures drawn from the same distribution.
    pub sampled: f64,
    /// Standard error of that average, due to the random draws.
    pub standard_error: f64,
}

impl RelaxationGap {
    /// How far the first is above the second, in percent of the second.
    pub fn percent(&self) -> f64 {
        100.0 * (self.expected / self.sampled - 1.0)
    }

    /// Standard error of [`RelaxationGap::percent`].
    pub fn error_percent(&self) -> f64 {
        100.0 * self.standard_error / self.sampled
    }
}

impl Objective<'_> {
    /// Compares the cost of the expected code with the average cost of `n` architectures drawn from the same distribution. The draws
    /// have a separate generator, so that nothing else changes.
    ///
    /// # Errors
    /// [`SearchError`] if the cost model cannot compute a cost.
    pub fn relaxation_gap(
        &self,
        relaxed: &Relaxed,
        n: i64,
        seed: u64,
    ) -> Result<RelaxationGap, SearchError> {
        tch::no_grad(|| {
            let expected = self.expected_cost(relaxed)?;
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let samples = self.blocks.sample(relaxed, n, None, &mut rng);
            let costs = self.cost.relaxed(&samples.gates)?.to_kind(tch::Kind::Double);
            let sampled = costs.mean(tch::Kind::Double).double_value(&[]);
            let spread = costs.std(true).double_value(&[]);
            Ok(RelaxationGap { expected, sampled, standard_error: spread / (n as f64).sqrt() })
        })
    }
}
