//! Learning rates that start low.

use serde::{Deserialize, Serialize};

/// Linear increase of the learning rate at the start of a search.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct WarmUp {
    /// Share of the search that the warm-up takes.
    pub warmup: f64,
}

/// First factor in `AttentiveNAS`.
const FIRST: f64 = 1e-3;

impl WarmUp {
    /// Factor of the learning rate: rises linearly from 0.001 to 1.
    pub(crate) fn factor(self, progress: f64) -> f64 {
        if progress >= self.warmup { 1.0 } else { FIRST + (1.0 - FIRST) * progress / self.warmup }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::cosine;

    /// 1000 steps, of which 50 are warm-up, computed by the authors' code.
    #[test]
    fn rates_are_those_of_attentivenas() {
        let warm_up = WarmUp { warmup: 0.05 };
        for (step, expected) in [
            (0.0, 0.0008),
            (1.0, 0.016_783_958_587_173_995),
            (25.0, 0.399_782_850_213_372_23),
            (49.0, 0.779_380_473_690_582_9),
            (50.0, 0.795_075_336_238_055_2),
            (500.0, 0.4),
        ] {
            let progress = step / 1000.0;
            let found = cosine(0.8, 0.0, progress) * warm_up.factor(progress);
            assert!((found - expected).abs() < 1e-9, "{step}: {found}");
        }
        assert_eq!(WarmUp { warmup: 0.0 }.factor(0.0).to_bits(), 1f64.to_bits());
    }
}
