//! The contrastive loss of a batch of queries against their keys and a queue of earlier ones.

use tch::{Kind, Tensor};

/// `InfoNCE` (van den Oord 2018, arXiv 1807.03748, in `MoCo`'s form) of `queries` `[n, c]`. Positives are the `keys` `[n, c]` in the
/// same rows, negatives are the columns of `queue` `[c, length]`. The loss is the average over rows of the cross entropy of `[q.k,
/// q.queue] / temperature` with the first entry as the class. All vectors have length one, except that columns of the queue may be
/// shorter. Gradients reach only the queries if keys and queue carry none.
#[derive(Debug)]
pub(super) struct Contrast {
    /// The loss, a scalar.
    pub(super) value: Tensor,
    logits: Tensor,
}

impl Contrast {
    pub(super) fn of(queries: &Tensor, keys: &Tensor, queue: &Tensor, temperature: f64) -> Self {
        let positives = (queries * keys).sum_dim_intlist(1, true, queries.kind());
        let logits = Tensor::cat(&[positives, queries.matmul(queue)], 1) / temperature;
        let of_first = logits.log_softmax(-1, logits.kind()).select(1, 0);
        Self { value: -of_first.mean(logits.kind()), logits }
    }

    /// Number of queries that are nearest to their own key, a scalar.
    pub(super) fn n_correct(&self) -> Tensor {
        self.logits.argmax(-1, false).eq(0).sum(Kind::Int64)
    }
}

/// Writes keys `[n, c]` into the columns of a queue `[c, length]`, starting at `pointer` `[1]` and wrapping around its end. Moves
/// the pointer.
pub(super) fn enqueue(queue: &Tensor, pointer: &Tensor, keys: &Tensor) {
    let (n, length) = (keys.size()[0], queue.size()[1]);
    tch::no_grad(|| {
        let places = Tensor::arange(n, (Kind::Int64, queue.device()));
        let places = (places + pointer).remainder(length);
        let _ = queue.shallow_clone().index_copy_(1, &places, &keys.tr());
        let next = (pointer + n).remainder(length);
        pointer.shallow_clone().copy_(&next);
    });
}

/// Normalises rows to length one. Rows of zeros stay 0.
pub(super) fn normalised(rows: &Tensor) -> Tensor {
    let norms = rows.norm_scalaropt_dim(2, [1i64].as_slice(), true);
    rows / norms.clamp_min(1e-12)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::optimizer::gradients;

    // Number 5 of what must be true of Pi-NAS.
    #[test]
    fn pi_nas_5_the_loss_of_a_match_against_orthogonal_keys_is_known() {
        let (length, temperature) = (6, 0.2);
        let basis = Tensor::eye(8, tch::kind::DOUBLE_CPU);
        let queries = basis.narrow(0, 0, 2);
        let queue = basis.narrow(0, 2, length).tr();
        let found = Contrast::of(&queries, &queries, &queue, temperature);
        let expected = (1.0 + length as f64 * (-1.0f64 / temperature).exp()).ln();
        assert!((found.value.double_value(&[]) - expected).abs() < 1e-12);
        assert_eq!(found.n_correct().int64_value(&[]), 2);
        let wrong = Contrast::of(&queries, &basis.narrow(0, 4, 2), &basis.tr(), temperature);
        assert_eq!(wrong.n_correct().int64_value(&[]), 0);
    }

    // Number 6.
    #[test]
    fn pi_nas_6_the_queue_goes_around_and_takes_the_mean_of_both_keys() {
        let queue = Tensor::zeros([2, 6], tch::kind::FLOAT_CPU);
        let pointer = Tensor::from_slice(&[0i64]);
        let [k0, k1] =
            [[[1.0f32, 0.0], [0.0, 1.0], [0.6, 0.8]], [[0.0, 1.0], [0.0, 1.0], [0.8, 0.6]]]
                .map(|rows| Tensor::from_slice2(&rows));
        let mean = (&k0 + &k1) / 2.0;
        for (step, expected) in [3, 0].into_iter().enumerate() {
            enqueue(&queue, &pointer, &(&mean * (step + 1) as f64));
            assert_eq!(pointer.int64_value(&[0]), expected);
        }
        enqueue(&queue, &pointer, &mean);
        assert_eq!(queue.narrow(1, 0, 3).tr(), mean, "the third batch is over the first");
        assert_eq!(queue.narrow(1, 3, 3).tr(), &mean * 2.0);
        let norms = mean.norm_scalaropt_dim(2, [1i64].as_slice(), false);
        assert!(norms.max().double_value(&[]) <= 1.0 + 1e-6 && norms.double_value(&[0]) < 0.75);
        // The last batch of an epoch may be smaller; the following keys continue behind it and wrap around the end.
        enqueue(&queue, &pointer, &mean.narrow(0, 0, 2));
        enqueue(&queue, &pointer, &mean.narrow(0, 0, 2));
        assert_eq!(pointer.int64_value(&[0]), 1);
        assert_eq!(queue.get(0).double_value(&[0]), 0.0);
    }

    /// Compares with `official_pi_nas_loss` of `tests/parity/README.md`: the loss of raw queries, its gradient, and the queue's new
    /// contents.
    #[test]
    fn the_loss_is_the_official_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parity/official_pi_nas_loss.npz");
        let file: HashMap<String, Tensor> = Tensor::read_npz(path).unwrap().into_iter().collect();
        let wave = |k: f64| {
            let places = Tensor::arange(32, tch::kind::DOUBLE_CPU) + 1.0;
            (places * (1.0 + k / 10.0)).sin().view([4, 8])
        };
        let raw = wave(110.0).set_requires_grad(true);
        let [k0, k1] = [112.0, 113.0].map(|k| normalised(&wave(k)));
        let found = Contrast::of(&normalised(&raw), &k1, &file["queue"], 0.2).value;
        let close = |found: &Tensor, name: &str| {
            let error = (found - &file[name]).abs().max().double_value(&[]);
            assert!(error < 1e-12, "{name}: {error:e}");
        };
        close(&found.detach(), "loss0");
        close(&gradients(&found, &[raw])[0], "grad_raw_q0");
        let mean = (k0 + k1) / 2.0;
        close(&mean, "enqueued");
        close(&mean.norm_scalaropt_dim(2, [1i64].as_slice(), false), "enqueued_norms");
    }

    #[test]
    fn rows_become_of_length_one_and_zeros_stay() {
        let rows = Tensor::from_slice2(&[[3.0f32, 4.0], [0.0, 0.0]]);
        let found = Vec::<Vec<f32>>::try_from(&normalised(&rows)).unwrap();
        assert_eq!(found, [[0.6, 0.8], [0.0, 0.0]]);
    }
}
