//! Temperatures that fall during a search.

use serde::{Deserialize, Serialize};

use super::settings::ensure;

/// Start and end of a falling temperature; part of a method's options.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cooling {
    /// Temperature at the start.
    pub tau: f64,
    /// Temperature at the end.
    pub tau_min: f64,
}

impl Cooling {
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self { tau, tau_min } = *self;
        ensure(tau_min > 0.0 && tau_min <= tau, || {
            format!("0 < tau_min <= tau, found tau_min={tau_min} and tau={tau}")
        })
    }

    /// Falls linearly.
    pub(crate) fn linear(&self, progress: f64) -> f64 {
        self.tau + (self.tau_min - self.tau) * progress
    }

    /// Falls exponentially.
    pub(crate) fn exponential(&self, progress: f64) -> f64 {
        self.tau * (self.tau_min / self.tau).powf(progress)
    }
}
