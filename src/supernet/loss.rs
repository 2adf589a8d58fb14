//! The loss of a supernet on a batch.

use tch::{Kind, Reduction, Tensor};

use crate::batches::Batch;

/// `PyTorch`'s mark for a sample that has no label; ours all have one.
const NO_LABEL: i64 = -100;

/// What a supernet says of a batch.
#[derive(Debug)]
pub struct Loss {
    /// Mean cross entropy, a scalar that autograd can go on from.
    pub value: Tensor,
    logits: Tensor,
    labels: Tensor,
}

impl Loss {
    /// Of logits `[n, classes]`; `label_smoothing` is the share of a label's mass that is spread over all classes.
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

    /// Correct answers, a scalar; counted when asked, since steps of the architecture do not.
    pub fn n_correct(&self) -> Tensor {
        self.logits.argmax(-1, false).eq_tensor(&self.labels).sum(Kind::Int64)
    }
}
