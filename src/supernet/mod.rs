//! The supernet: a graph whose searched sites hold all candidates at once.

mod cell_supernet;
mod elastic;
mod gates;
mod loss;
mod merged_convs;
mod mixed_op;
mod parallel;
mod partial_channels;
mod sizes;
mod skip_dropout;

use std::collections::HashSet;

use lat_nn::{BnRule, NnError, StaticNet, recalibrate};
use lat_space::{Architecture, ChoiceSet, DecisionId, Graph};
use tch::{Tensor, nn};

use crate::batches::Batch;
use crate::optimizer::gradients;

pub use cell_supernet::{CellSupernet, Look, OwnChoice};
pub use gates::{Gate, Gating, Path, SharedGates};
pub use loss::Loss;
pub use merged_convs::MergedConvs;
pub use mixed_op::{AllChannels, BuildMixedOp, MixedOp, Outputs, SharedSources, WeightedSum};
pub(crate) use parallel::sorted;
pub use parallel::{Parallel, Ranks};
pub use partial_channels::{PartialChannels, shuffle};
pub use skip_dropout::{DroppedSkips, SkipDropout};

/// A network with searched sites. Methods control it only through gates.
pub trait Supernet: std::fmt::Debug {
    /// Logits: `[n, 3, h, w]` to `[n, classes]`, with the sites mixed by the gates. `train` as in [`Supernet::features_t`].
    fn forward_t(&self, images: &Tensor, gates: &dyn Gating, train: bool) -> Tensor;

    /// The classifier's input: `[n, 3, h, w]` to `[n, c, h, w]`. If gates mix image sizes, it is as large as the largest size's.
    /// With `train`, batch norm uses the batch's own statistics and updates its running ones.
    fn features_t(&self, images: &Tensor, gates: &dyn Gating, train: bool) -> Tensor;

    /// Number of channels of [`Supernet::features_t`].
    fn width(&self) -> i64;

    /// Logits `[n, classes]` of features `[n, c, h, w]`, so that [`Supernet::forward_t`] equals this of [`Supernet::features_t`].
    fn classify(&self, features: &Tensor) -> Tensor;

    /// Names (in [`Supernet::weights`]) of the weights that the features under these gates depend on: all but the classifier's and
    /// those of candidates whose paths are off.
    fn used(&self, gates: &dyn Gating) -> HashSet<String>;

    /// A second supernet of the same graph with copies of weights and statistics, whose weights need no gradients. `mixed_op` must
    /// be the one that this supernet was built with.
    ///
    /// # Errors
    /// [`NnError::Torch`] if libtorch cannot create the weights.
    fn twin(&self, mixed_op: &dyn BuildMixedOp) -> Result<Box<dyn Supernet>, NnError>;

    /// Cross entropy of a batch in training mode.
    fn loss(&self, batch: &Batch, gates: &dyn Gating) -> Loss {
        self.smoothed_loss(batch, gates, 0.0)
    }

    /// Cross entropy of a batch in training mode, with the share `label_smoothing` of each label's probability spread over all classes.
    fn smoothed_loss(&self, batch: &Batch, gates: &dyn Gating, label_smoothing: f64) -> Loss {
        Loss::of(self.forward_t(&batch.images, gates, true), batch, label_smoothing)
    }

    /// Gradients of a scalar computed by the network, only for these tensors. Undefined for a tensor that took no part.
    fn gradients(&self, loss: &Tensor, of: &[Tensor]) -> Vec<Tensor> {
        gradients(loss, of)
    }

    /// Average of a number over the processes that train this network, each of which computed it on its own images. For numbers by
    /// which a method decides, such as a loss, since all processes must decide the same.
    fn mean_over_ranks(&self, number: &Tensor) -> Tensor {
        number.shallow_clone()
    }

    /// Number of processes that train this network, each on as many images.
    fn n_ranks(&self) -> u32 {
        1
    }

    /// Cuts out the network of one architecture: it computes what the supernet computes with the architecture's hard gates. Its
    /// weights are copies.
    ///
    /// # Errors
    /// [`NnError::Torch`] if libtorch cannot create the weights.
    fn extract(&self, architecture: &Architecture) -> Result<StaticNet, NnError>;

    /// Recomputes the batch norm statistics under these gates from batches of images `[n, 3, h, w]`. Layers that take no part keep
    /// theirs. Weights and gradients do not change.
    fn recalibrate(&self, batches: &[Tensor], gates: &dyn Gating, rule: BnRule) {
        recalibrate(rule, batches, |images| drop(self.forward_t(images, gates, true)));
    }

    /// The operation weights and BN statistics.
    fn weights(&self) -> &nn::VarStore;

    /// For each searched site, in the order of the network, its decision and the number of its cell.
    fn sites(&self) -> Vec<(DecisionId, u16)>;

    /// The supernet's graph.
    fn graph(&self) -> &Graph;

    /// Sorts the middle channels of blocks that are cut there, so that the most important ones remain after a cut (Once-for-All).
    /// The output of the largest network does not change. `trained` has for each decision the choices that the weights were trained
    /// for.
    fn sort_channels(&self, _trained: &[ChoiceSet]) {}

    /// Sets the last scale of each block with a shortcut to 0, so that the block starts as its shortcut alone.
    fn silence_residuals(&self) {}
}
