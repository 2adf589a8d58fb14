//! Accuracy of a network on images that it is not trained with.

use tch::{Kind, Tensor};

use crate::batches::Images;
use crate::methods::Batch;

/// Average loss and accuracy (percent) over some images, in eval mode and without augmentation.
pub(crate) fn accuracy(
    images: &Images,
    indices: &[usize],
    batch: usize,
    forward: impl Fn(&Batch) -> Tensor,
) -> (f64, f64) {
    let (mut loss, mut correct) = (0.0, 0);
    tch::no_grad(|| {
        for chunk in indices.chunks(batch) {
            let batch = images.plain(chunk);
            let logits = forward(&batch);
            let entropy = logits.cross_entropy_for_logits(&batch.labels);
            loss += entropy.double_value(&[]) * chunk.len() as f64;
            let hits = logits.argmax(-1, false).eq_tensor(&batch.labels).sum(Kind::Int64);
            correct += hits.int64_value(&[]);
        }
    });
    (loss / indices.len() as f64, 100.0 * correct as f64 / indices.len() as f64)
}
