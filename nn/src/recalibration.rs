//! Recalibrates batch norm's statistics for a part of a supernet, which is needed before the part is judged.

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;

use tch::Tensor;

/// How the statistics of several batches are combined. In each rule every layer sees activations that are normalised by the
/// batch's own statistics. Variances are averaged like means, so no variance includes the differences between the batches' means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BnRule {
    /// Plain averages over batches, with unbiased variances: `PyTorch`'s `momentum=None`, as in `AttentiveNAS`, `BigNAS` and
    /// Pi-NAS.
    PerBatch,
    /// Batches are weighted by their images, with biased variances: once-for-all's `set_running_statistics`.
    PerImage,
}

impl BnRule {
    /// All rules.
    pub const ALL: [Self; 2] = [Self::PerImage, Self::PerBatch];

    /// The name by which users choose it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PerBatch => "per-batch",
            Self::PerImage => "per-image",
        }
    }
}

impl fmt::Display for BnRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BnRule {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(" or ");
        let found = Self::ALL.into_iter().find(|rule| rule.name() == name);
        found.ok_or_else(|| format!("expected {}, found '{name}'", known()))
    }
}

/// How a batch changes the statistics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Update {
    /// Weight of the new batch in the average.
    pub(crate) share: f64,
    /// Whether the variance is divided by the count minus one.
    pub(crate) unbiased: bool,
}

thread_local! {
    static UPDATE: Cell<Option<Update>> = const { Cell::new(None) };
}

/// How layers should update their statistics in this pass; None outside [`recalibrate`] and [`unremembered`].
pub(crate) fn current_update() -> Option<Update> {
    UPDATE.get()
}

/// Ends the update, even if a pass panics.
struct Ended;

impl Drop for Ended {
    fn drop(&mut self) {
        UPDATE.set(None);
    }
}

/// Runs these batches `[n, 3, h, w]` through a network in training mode, by `pass`, without gradients. Afterwards batch norm has
/// the statistics of all of them and nothing of the earlier ones. Layers that `pass` does not run keep theirs.
pub fn recalibrate(rule: BnRule, batches: &[Tensor], mut pass: impl FnMut(&Tensor)) {
    let _ended = Ended;
    let mut total = 0.0;
    for images in batches {
        let weight = match rule {
            BnRule::PerBatch => 1.0,
            BnRule::PerImage => images.size()[0] as f64,
        };
        total += weight;
        let unbiased = rule == BnRule::PerBatch;
        UPDATE.set(Some(Update { share: weight / total, unbiased }));
        tch::no_grad(|| pass(images));
    }
}

/// Runs `pass` with batch norm in training mode, using each batch's own statistics, without changing the stored ones.
pub fn unremembered<T>(pass: impl FnOnce() -> T) -> T {
    let _ended = Ended;
    UPDATE.set(Some(Update { share: 0.0, unbiased: false }));
    pass()
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, nn};

    use super::*;
    use crate::{BatchNorm, WeightInit};

    fn batch(values: &[f32]) -> Tensor {
        Tensor::from_slice(values).view([-1, 1, 1, 1])
    }

    #[test]
    fn each_rule_makes_its_own_statistics() {
        let store = nn::VarStore::new(Device::Cpu);
        let bn = BatchNorm::new(&WeightInit::Uniform, &store.root(), 1, true);
        let _ = bn.forward_t(&batch(&[7.0, 9.0]), true);
        // Means 1 and 5; variances 2 and 12 of 2 and 4 images, or biased 1 and 9.
        let batches = [batch(&[0.0, 2.0]), batch(&[2.0, 2.0, 8.0, 8.0])];
        let statistic = |name: &str| store.variables()[name].double_value(&[0]);
        for (rule, mean, var) in [
            (BnRule::PerBatch, 3.0, 7.0),
            (BnRule::PerImage, (1.0 * 2.0 + 5.0 * 4.0) / 6.0, (1.0 * 2.0 + 9.0 * 4.0) / 6.0),
        ] {
            recalibrate(rule, &batches, |xs| {
                let ys = bn.forward_t(xs, true);
                assert!(ys.mean(Kind::Double).double_value(&[]).abs() < 1e-6, "own statistics");
            });
            let found = ["running_mean", "running_var"].map(statistic);
            assert!((found[0] - mean).abs() < 1e-6 && (found[1] - var).abs() < 1e-6, "{found:?}");
        }
        assert!(current_update().is_none());
    }

    #[test]
    fn what_is_not_remembered_is_normalised_all_the_same() {
        let store = nn::VarStore::new(Device::Cpu);
        let bn = BatchNorm::new(&WeightInit::Uniform, &store.root(), 1, true);
        let before = store.variables()["running_mean"].copy();
        let ys = unremembered(|| bn.forward_t(&batch(&[7.0, 9.0]), true));
        assert!(ys.mean(Kind::Double).double_value(&[]).abs() < 1e-6);
        assert_eq!(store.variables()["running_mean"], before);
        let _ = bn.forward_t(&batch(&[7.0, 9.0]), true);
        assert_ne!(store.variables()["running_mean"], before, "afterwards it is");
    }

    #[test]
    fn rules_are_found_by_name_and_others_are_told_which_there_are() {
        for rule in BnRule::ALL {
            assert_eq!(rule.to_string().parse(), Ok(rule));
        }
        let error = "per-epoch".parse::<BnRule>().unwrap_err();
        assert_eq!(error, "expected per-image or per-batch, found 'per-epoch'");
    }

    #[test]
    fn no_batches_change_nothing() {
        recalibrate(BnRule::PerBatch, &[], |_| unreachable!("there is no batch"));
        assert!(current_update().is_none());
    }
}
