//! Batch norm over the images of several processes: the means over all of them while a pass is synchronised.

use std::cell::RefCell;
use std::fmt::Debug;
use std::rc::Rc;

use tch::Tensor;

/// Processes that compute the same network, each on its share of a batch. All shares have the same size.
pub trait MeanOverRanks: Debug {
    /// The mean over all processes of a tensor that each has, with its gradient. The common loss is that of all processes
    /// together, each being a mean over its share of the images; so the gradient of a process's tensor is the average of the
    /// gradients that the processes have. All processes must call this in the same order, in backward passes too.
    fn differentiable_mean(&self, xs: &Tensor) -> Tensor;

    /// The number of processes.
    fn size(&self) -> i64;
}

thread_local! {
    static RANKS: RefCell<Option<Rc<dyn MeanOverRanks>>> = const { RefCell::new(None) };
}

/// The processes over which batch norm in training mode averages in this pass; None if it is this one only.
pub(crate) fn current_ranks() -> Option<Rc<dyn MeanOverRanks>> {
    RANKS.with_borrow(Clone::clone)
}

/// Restores the previous state, even if a pass panics.
struct Ended(Option<Rc<dyn MeanOverRanks>>);

impl Drop for Ended {
    fn drop(&mut self) {
        RANKS.set(self.0.take());
    }
}

/// Runs `pass` so that batch norm in training mode uses the statistics of all ranks' images, and learns from these.
pub fn synchronised<T>(ranks: &Rc<dyn MeanOverRanks>, pass: impl FnOnce() -> T) -> T {
    let _ended = Ended(RANKS.replace(Some(Rc::clone(ranks))));
    pass()
}
