//! Batch norm over the images of several processes: who knows the mean over them, while a pass is synchronised.

use std::cell::RefCell;
use std::fmt::Debug;
use std::rc::Rc;

use tch::Tensor;

/// Processes that compute the same network, each on its share of a batch, all of one size.
pub trait MeanOverRanks: Debug {
    /// The mean over all of a tensor that each has, with its gradient: of all losses together, each being a mean over a share of the
    /// images, a process's tensor has the mean of the gradients that the processes find. All must ask in the same order, in backward
    /// passes too.
    fn differentiable_mean(&self, xs: &Tensor) -> Tensor;

    /// How many there are.
    fn size(&self) -> i64;
}

thread_local! {
    static RANKS: RefCell<Option<Rc<dyn MeanOverRanks>>> = const { RefCell::new(None) };
}

/// Over whom batch norm in training mode goes in this pass.
pub(crate) fn current_ranks() -> Option<Rc<dyn MeanOverRanks>> {
    RANKS.with_borrow(Clone::clone)
}

/// Puts back what was there also where a pass panics.
struct Ended(Option<Rc<dyn MeanOverRanks>>);

impl Drop for Ended {
    fn drop(&mut self) {
        RANKS.set(self.0.take());
    }
}

/// What `pass` computes where batch norm in training mode goes by the statistics of all ranks' images, and remembers these.
pub fn synchronised<T>(ranks: &Rc<dyn MeanOverRanks>, pass: impl FnOnce() -> T) -> T {
    let _ended = Ended(RANKS.replace(Some(Rc::clone(ranks))));
    pass()
}
