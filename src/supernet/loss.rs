//! The loss of a supernet on a batch.

use tch::{Kind, Reduction, Tensor};

use crate::batches::Batch;

/// `PyTorch`'s mark for a sample without a label; here every sample has one.
const NO_LABEL: i64 = -100;

/// Loss and logits of a supernet on a batch.
#[derive(Debug)]
pub struct Loss {
    /// Average cross entropy, a scalar with its autograd graph.
    pub value: Tensor,
    logits: Tensor,
    labels: Tensor,
}

impl Loss {
    /// The loss of logits `[n, classes]`; `label_smoothing` is the share of a label's probability that is spread over all classes.
    pub fn of(logits: Tensor, batch: &Batch, label_smoothing: f64) -> Self {
        let labels = batch.labels.shallow_clone();
        let value = match label_smoothing {
            0.0 => logits.cross_entropy_for_logits(&labels),
            share => {
                let mean = Reduction::Mean;
                logits.cross_entropy_loss::<Tensor>(&labels, None, mean, NO_LABEL, share)
            }
        };
        Self { value, logits, labels }
    }

    /// Number of correct answers, a scalar. Computed only on request, since steps of the architecture do not need it.
    pub fn n_correct(&self) -> Tensor {
        self.logits.argmax(-1, false).eq_tensor(&self.labels).sum(Kind::Int64)
    }
}
