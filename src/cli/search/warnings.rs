//! Warnings while a search runs, based on the reports of its epochs.

use lat::search::EpochReport;

/// A warning comes if the cost's share of alpha's gradient is above COST_SHARE during the first EARLY part of the search, where
/// accuracy should decide.
const COST_SHARE: f64 = 0.5;
const EARLY: f64 = 0.3;

/// Finds warnings in the epochs' reports; each is given once.
pub(super) struct Warnings {
    hessian_every: u32,
    epochs: u32,
    said: [bool; 2],
}

impl Warnings {
    /// For a search of this many epochs, whose curvature is computed every `hessian_every` epochs.
    pub(super) fn new(hessian_every: u32, epochs: u32) -> Self {
        Self { hessian_every, epochs, said: [false; 2] }
    }

    /// The warnings that this epoch adds.
    pub(super) fn of(&mut self, report: &EpochReport) -> Vec<&'static str> {
        let Some(found) = report.diagnostics else { return Vec::new() };
        let early = f64::from(report.epoch) <= EARLY * f64::from(self.epochs);
        // `cost_share` comes after the joining, which may bound the cost's gradient. The diagnostics measure both gradients before that.
        let share = report.cost_share.or(found.cost_gradient_share);
        let rushed = early && share.is_some_and(|share| share > COST_SHARE);
        let looked = self.hessian_every > 0 && report.epoch.is_multiple_of(self.hessian_every);
        let flat = looked && found.hessian_eigenvalue.is_none();
        let all = [
            (
                rushed,
                "warning: early in the search more than half of alpha's gradient is the cost's, so that it decides before accuracy can; lower --lambda",
            ),
            (
                flat,
                "warning: --hessian-every finds nothing to look at: this method runs single paths, whose loss is no function of alpha",
            ),
        ];
        let new = all.into_iter().zip(&mut self.said).filter_map(|((holds, line), said)| {
            let is_new = holds && !*said;
            *said |= holds;
            is_new.then_some(line)
        });
        new.collect()
    }
}

#[cfg(test)]
mod tests {
    use lat::diagnostics::Diagnostics;

    use super::*;

    #[test]
    fn each_is_said_once_and_only_where_it_holds() {
        let report = |epoch, cost_gradient_share, hessian_eigenvalue| EpochReport {
            epoch,
            diagnostics: Some(Diagnostics {
                cost_gradient_share,
                hessian_eigenvalue,
                ..Diagnostics::default()
            }),
            ..EpochReport::default()
        };
        let mut warnings = Warnings::new(2, 10);
        assert!(warnings.of(&report(1, Some(0.4), None)).is_empty());
        assert_eq!(warnings.of(&report(2, Some(0.6), Some(1.0))).len(), 1);
        assert!(warnings.of(&report(3, Some(0.9), None)).is_empty(), "said already");
        assert_eq!(warnings.of(&report(4, Some(0.9), None)).len(), 1);
        let bounded = EpochReport { cost_share: Some(0.1), ..report(2, Some(0.9), Some(1.0)) };
        assert!(Warnings::new(2, 10).of(&bounded).is_empty(), "the bound keeps it small");
        assert!(warnings.of(&report(6, None, None)).is_empty());
        assert!(Warnings::new(0, 10).of(&report(9, Some(0.9), None)).is_empty(), "no longer early");
    }
}
