//! Trains several subnets together: their gradients on one batch are summed before one step of the weights.

use std::cell::OnceCell;

use lat_nn::{Regularisation, regularised, unremembered};
use lat_space::{Architecture, Graph, SearchSpace};
use tch::Tensor;

use super::core::Core;
use super::distillation::Divergence;
use super::subnets::Extremes;
use crate::methods::{Batch, StepReport};
use crate::supernet::Supernet;

/// The largest and smallest architecture of a space in the searched network, computed when first needed.
#[derive(Debug, Default)]
pub(crate) struct Ends(OnceCell<Extremes>);

impl Ends {
    /// Both ends, for this network.
    pub(crate) fn of(&self, space: &dyn SearchSpace, graph: &Graph) -> &Extremes {
        self.0.get_or_init(|| Extremes::of(space, graph))
    }

    /// The largest architecture in the searched network, or in the space's first network if none is searched yet.
    pub(crate) fn largest(&self, space: &dyn SearchSpace) -> Architecture {
        let found = self.0.get().cloned();
        let first = || Extremes::of(space, &space.graph(&space.skeletons()[0].skeleton));
        found.unwrap_or_else(first).largest
    }
}

impl Core {
    /// One sandwich step (`BigNAS`, arXiv 2003.11142, section 3): the largest network learns from the labels, the others from its
    /// answers, which carry no gradient. Only the largest is regularised. Returns its report and the sums of all gradients. Batch
    /// norm remembers only the statistics of the largest network.
    pub(crate) fn sandwich(
        &self,
        net: &dyn Supernet,
        batch: &Batch,
        (largest, regularisation): (&Architecture, Regularisation),
        others: &[Architecture],
        divergence: Divergence,
    ) -> (StepReport, Vec<Tensor>) {
        let gates = self.hard(largest);
        let logits = regularised(regularisation, || net.forward_t(&batch.images, &gates, true));
        let teacher = logits.detach();
        let loss = self.weights.loss_of(logits, batch);
        let mut gradients = self.weights.add_gradients(net, &loss.value, Vec::new());
        for other in others {
            let gates = self.hard(other);
            let logits = unremembered(|| net.forward_t(&batch.images, &gates, true));
            let distilled = divergence.of(&logits, &teacher);
            gradients = self.weights.add_gradients(net, &distilled, gradients);
        }
        (StepReport::of(&loss), gradients)
    }
}
