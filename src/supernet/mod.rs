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

/// A network with searched sites, which methods drive through gates alone.
pub trait Supernet: std::fmt::Debug {
    /// Logits: `[n, 3, h, w]` to `[n, classes]`, the sites mixed as the gates say. `train` as in [`Supernet::features_t`].
    fn forward_t(&self, images: &Tensor, gates: &dyn Gating, train: bool) -> Tensor;

    /// What the classifier reads: `[n, 3, h, w]` to `[n, c, h, w]`; where gates mix sizes of the image, as many pixels as the largest has.
    /// Where `train` holds, batch norm goes by the batch's own statistics
    /// and remembers them.
    fn features_t(&self, images: &Tensor, gates: &dyn Gating, train: bool) -> Tensor;

    /// Channels of [`Supernet::features_t`].
    fn width(&self) -> i64;

    /// Logits `[n, classes]` of features `[n, c, h, w]`: what [`Supernet::forward_t`] makes of [`Supernet::features_t`].
    fn classify(&self, features: &Tensor) -> Tensor;

    /// Names in [`Supernet::weights`] of what the features under these gates are computed with: all but the classifier and the
    /// candidates whose paths are off.
    fn used(&self, gates: &dyn Gating) -> HashSet<String>;

    /// A second supernet of the same graph with copies of weights and statistics, whose weights no gradient moves. `mixed_op` as this
    /// one was built.
    ///
    /// # Errors
    /// [`NnError::Torch`] where libtorch cannot make the weights.
    fn twin(&self, mixed_op: &dyn BuildMixedOp) -> Result<Box<dyn Supernet>, NnError>;

    /// Cross entropy of a batch in training mode.
    fn loss(&self, batch: &Batch, gates: &dyn Gating) -> Loss {
        self.smoothed_loss(batch, gates, 0.0)
    }

    /// Cross entropy where a share of each label's mass, `label_smoothing`, is spread over all classes.
    fn smoothed_loss(&self, batch: &Batch, gates: &dyn Gating, label_smoothing: f64) -> Loss {
        Loss::of(self.forward_t(&batch.images, gates, true), batch, label_smoothing)
    }

    /// Gradients for these tensors alone of a scalar made from what the network computed. Undefined for a tensor that took no part.
    fn gradients(&self, loss: &Tensor, of: &[Tensor]) -> Vec<Tensor> {
        gradients(loss, of)
    }

    /// The mean over the processes that train this network of a number that each found on its own images, as a loss by which a method
    /// decides: all must decide alike.
    fn mean_over_ranks(&self, number: &Tensor) -> Tensor {
        number.shallow_clone()
    }

    /// How many processes train this network, each on as many images.
    fn n_ranks(&self) -> u32 {
        1
    }

    /// The network of one architecture, cut out: it computes what the supernet computes with the architecture's hard gates. Its weights
    /// are copies.
    ///
    /// # Errors
    /// [`NnError::Torch`] where libtorch cannot make the weights.
    fn extract(&self, architecture: &Architecture) -> Result<StaticNet, NnError>;

    /// Batch norm's statistics anew, of what these gates compute of batches of images `[n, 3, h, w]`; those of layers that take no part
    /// stay. Weights and gradients are not touched.
    fn recalibrate(&self, batches: &[Tensor], gates: &dyn Gating, rule: BnRule) {
        recalibrate(rule, batches, |images| drop(self.forward_t(images, gates, true)));
    }

    /// The operation weights and BN statistics.
    fn weights(&self) -> &nn::VarStore;

    /// Per searched site in the order of the network its decisions, each with the number of the cell.
    fn sites(&self) -> Vec<(DecisionId, u16)>;

    /// The network that is walked.
    fn graph(&self) -> &Graph;

    /// Sorts the middle channels of blocks that are cut there, so that the most important ones stay when they are (Once-for-All); what
    /// the largest network computes does not change. `trained` has per decision the choices that the weights were trained for.
    fn sort_channels(&self, _trained: &[ChoiceSet]) {}

    /// Sets the last scale of each block with a shortcut to 0, so that it begins as its shortcut alone.
    fn silence_residuals(&self) {}
}
