//! Detects from its epochs' diagnostics where a search collapsed.

use serde::{Deserialize, Serialize};

use super::Diagnostics;

/// Share of skip connections among a cell's kept edges from which the cell counts as collapsed. DARTS+ stops at 2 of a normal cell's
/// 8 edges. With a latency term skips are wanted, so the limit here is half.
const SKIPS: f64 = 0.5;
/// Number of consecutive epochs in which a rule must hold; a single epoch's architecture is too noisy.
const RUNNING: usize = 2;
/// Share of the search in which the architecture has hardly begun to learn, so that no collapse is reported.
const YOUNG: f64 = 1.0 / 3.0;
/// `RobustDARTS`' rule: the average of WINDOW curvatures is compared with the average LAG curvatures earlier, from this epoch on.
const WINDOW: usize = 5;
const LAG: usize = 4;
const GROWTH: f64 = 1.3;
const FIRST_EPOCH: u32 = 10;

/// The epoch at which a search collapsed, with the reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Collapse {
    /// The epoch, from 1.
    pub epoch: u32,
    /// The last epoch before the collapse, whose architecture is to be used; the first epoch if there is none before.
    pub keep: u32,
    /// The reason, as the end of a sentence.
    pub reason: String,
}

/// The first collapse that the diagnostics of a search's epochs show; `planned` is the planned number of epochs. Epochs without
/// diagnostics are ignored.
pub fn collapse(log: &[Option<Diagnostics>], planned: u32) -> Option<Collapse> {
    (1..=log.len()).find_map(|n| weightless(&log[..n], planned).or_else(|| sharp(&log[..n])))
}

/// Whether at the end of this log no operation with weights is left, or a cell consists of skips.
fn weightless(log: &[Option<Diagnostics>], planned: u32) -> Option<Collapse> {
    let young = (YOUNG * f64::from(planned)).ceil() as u32;
    let first = log.len().checked_sub(RUNNING)?;
    // The number (from 1) of the epoch before the first of these.
    let before = first as u32;
    if before < young {
        return None;
    }
    let all = |holds: &dyn Fn(&Diagnostics) -> bool| {
        log[first..].iter().all(|d| d.as_ref().is_some_and(holds))
    };
    let reason = if all(&|d| d.free_share >= 1.0) {
        "all operations are skips, pools and none: lower --lambda or raise --target-ms".to_owned()
    } else if all(&|d| d.skip_share >= SKIPS) {
        let share = 100.0 * (*log.last()?)?.skip_share;
        format!("{share:.0} % of a cell's edges are skip connections")
    } else {
        return None;
    };
    Some(Collapse { epoch: log.len() as u32, keep: before.max(1), reason })
}

/// Whether the curvature has grown fast at the end of this log.
fn sharp(log: &[Option<Diagnostics>]) -> Option<Collapse> {
    let eigenvalue = |d: &Option<Diagnostics>| d.as_ref()?.hessian_eigenvalue;
    eigenvalue(log.last()?)?;
    let looks: Vec<(u32, f64)> =
        (1..).zip(log).filter_map(|(epoch, d)| Some((epoch, eigenvalue(d)?))).collect();
    let mean = |end: usize| -> Option<f64> {
        let window = &looks[end.checked_sub(WINDOW)?..end];
        Some(window.iter().map(|(_, value)| value).sum::<f64>() / WINDOW as f64)
    };
    let (now, before) = (mean(looks.len())?, mean(looks.len().checked_sub(LAG)?)?);
    let epoch = log.len() as u32;
    if epoch < FIRST_EPOCH || before <= 0.0 || now / before <= GROWTH {
        return None;
    }
    let reason = format!(
        "the dominant eigenvalue of the validation loss grew {:.2}-fold within {LAG} looks",
        now / before
    );
    Some(Collapse { epoch, keep: looks[looks.len() - 1 - LAG].0, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(diagnostics: impl IntoIterator<Item = Diagnostics>) -> Vec<Option<Diagnostics>> {
        diagnostics.into_iter().map(Some).collect()
    }

    fn skips(shares: &[f64]) -> Vec<Option<Diagnostics>> {
        log(shares.iter().map(|&skip_share| Diagnostics { skip_share, ..Diagnostics::default() }))
    }

    #[test]
    fn skips_count_once_they_stay_and_the_search_is_no_longer_young() {
        let of = |shares: &[f64]| collapse(&skips(shares), 9).map(|c| (c.epoch, c.keep));
        assert_eq!(of(&[0.2; 9]), None);
        assert_eq!(of(&[0.9, 0.9, 0.9, 0.1, 0.1, 0.1]), None, "noise of the first third");
        assert_eq!(of(&[0.1, 0.1, 0.1, 0.1, 0.9, 0.1, 0.9]), None, "never two running");
        assert_eq!(of(&[0.1, 0.1, 0.1, 0.1, 0.6, 0.7, 0.2]), Some((6, 4)));
        assert_eq!(of(&[0.9; 9]), Some((5, 3)));
    }

    #[test]
    fn nothing_that_learns_is_a_collapse_whatever_it_is_made_of() {
        let free = |free_share| Diagnostics { free_share, ..Diagnostics::default() };
        let found = collapse(&log([0.0, 0.5, 1.0, 1.0].map(free)), 4).unwrap();
        assert_eq!((found.epoch, found.keep), (4, 2));
        assert!(found.reason.contains("--lambda"), "{}", found.reason);
        assert_eq!(collapse(&log([0.0, 0.5, 1.0, 0.9].map(free)), 4), None);
    }

    #[test]
    fn curvature_is_judged_by_means_of_five_from_epoch_10_on() {
        let of = |values: &[f64]| {
            let look =
                |&v: &f64| Diagnostics { hessian_eigenvalue: Some(v), ..Diagnostics::default() };
            collapse(&log(values.iter().map(look)), 50)
        };
        assert_eq!(of(&[1.0; 20]), None);
        let mut growing = vec![1.0; 12];
        growing.extend([1.5, 2.0, 2.5]);
        let found = of(&growing).unwrap();
        // Averages of five: 1 up to epoch 12, then 1.1, 1.3, 1.6 in epochs 13 to 15; the average four epochs earlier is 1.
        assert_eq!((found.epoch, found.keep), (15, 11));
        assert!(found.reason.contains("1.60-fold"), "{}", found.reason);
        assert_eq!(of(&[1.0, 1.0, 1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 5.0]), None, "before epoch 10");
    }

    #[test]
    fn a_log_without_diagnostics_is_not_judged() {
        assert_eq!(collapse(&[None; 5], 5), None);
    }
}
