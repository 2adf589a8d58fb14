//! Two of AZ-NAS' measures of how cells transform their input, before any training.

use lat_nn::slice_like;
use tch::{Kind, Tensor};

use super::finite;

/// Lower bounds that keep the logarithm and the reciprocal of zero finite.
const LEAST_SHARE: f64 = 1e-8;
const LEAST_NORM: f64 = 1e-6;

/// Progressivity: the smallest growth over the cells, from a cell's input to its output, of the entropy of the features' directions.
/// The entropy is that of the eigenvalues of the channels' covariance, as shares of their sum.
pub(super) fn progressivity(cells: &[(Tensor, Tensor)]) -> f64 {
    let growth = |(read, computed): &(Tensor, Tensor)| entropy(computed) - entropy(read);
    finite(cells.iter().map(growth).fold(f64::INFINITY, f64::min))
}

/// Entropy of features `[n, c, h, w]`, in nats, at most `ln c`.
fn entropy(features: &Tensor) -> f64 {
    let rows = features.detach().permute([0, 2, 3, 1]).flatten(0, 2);
    let centred =
        (&rows - rows.mean_dim([0i64].as_slice(), true, Kind::Float)).to_kind(Kind::Double);
    let values = centred.tr().matmul(&centred).linalg_eigvalsh("L").clamp_min(0.0);
    let shares = &values / values.sum(Kind::Double).clamp_min(f64::MIN_POSITIVE);
    -(&shares * (&shares + LEAST_SHARE).log()).sum(Kind::Double).double_value(&[])
}

/// Trainability: the average over the cells of `2 - s - 1/s`, which is largest if `s` is 1. `s` is the spectral norm of the Jacobian
/// by which a cell passes gradients back. `signs` are gradients of +-1 at the cells' outputs; smaller outputs use their first
/// entries.
pub(super) fn trainability(cells: &[(Tensor, Tensor)], signs: &[Tensor]) -> f64 {
    let of_cell = |((read, computed), signs): (&(Tensor, Tensor), &Tensor)| {
        let s = passed_on(read, computed, signs);
        2.0 - s - 1.0 / (s + LEAST_NORM)
    };
    finite(cells.iter().zip(signs).map(of_cell).sum::<f64>() / cells.len().max(1) as f64)
}

/// Spectral norm of the channels' average Jacobian between two values, computed from gradients of random sign.
fn passed_on(read: &Tensor, computed: &Tensor, signs: &Tensor) -> f64 {
    let signs = slice_like(signs, &computed.size()[..2]);
    let hw = computed.size()[2];
    let signs = signs.narrow(2, 0, hw).narrow(3, 0, hw);
    let loss = (computed * &signs).sum(Kind::Float);
    let mut gradient = Tensor::run_backward(&[loss], &[read], true, false).remove(0);
    if !gradient.defined() {
        return 0.0;
    }
    let read_hw = gradient.size()[2];
    let stride = (read_hw + hw - 1) / hw;
    if stride > 1 {
        // A map of odd size that is halved has half a pixel too many, so the end is padded.
        let missing = stride * hw - read_hw;
        if missing > 0 {
            gradient = gradient.constant_pad_nd([0, missing, 0, missing]);
        }
        gradient = gradient.pixel_unshuffle(stride);
    }
    let rows = |t: &Tensor| t.permute([0, 2, 3, 1]).flatten(0, 2);
    let signs = rows(&signs);
    let mean = rows(&gradient).tr().matmul(&signs) / signs.size()[0] as f64;
    mean.linalg_norm(2, [0i64, 1].as_slice(), false, Kind::Float).double_value(&[])
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Features `[8, 4, 6, 6]` with independent channels. They do not come from libtorch's generator, because other tests draw from
    /// it at the same time.
    fn features() -> Tensor {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let values: Vec<f32> = (0..8 * 4 * 36).map(|_| rng.gen_range(-1.0..1.0)).collect();
        Tensor::from_slice(&values).view([8, 4, 6, 6]).set_requires_grad(true)
    }

    fn signs() -> Vec<Tensor> {
        vec![features().detach().sign()]
    }

    #[test]
    fn az_nas_entropy_is_that_of_the_directions() {
        let even = features();
        assert!((entropy(&even) - 4f64.ln()).abs() < 0.02, "four directions");
        let one = even.narrow(1, 0, 1).expand([8, 4, 6, 6], true);
        assert!(entropy(&one).abs() < 1e-6, "one direction");
        let moved = &even * 5.0 + 3.0;
        assert!((entropy(&moved) - entropy(&even)).abs() < 1e-5, "scale and mean do not matter");
        let cells = [(one.shallow_clone(), even.shallow_clone()), (even, one)];
        assert!((progressivity(&cells) + 4f64.ln()).abs() < 0.02, "the least growth counts");
    }

    #[test]
    fn az_nas_trainability_is_best_where_gradients_keep_their_size() {
        let of = |factor: f64| {
            let xs = features();
            trainability(&[(xs.shallow_clone(), &xs * factor)], &signs())
        };
        // The channel average of random signs is the identity up to their correlation.
        assert!(of(1.0) > -0.1, "{}", of(1.0));
        let exact = 2.0 - 3.0 - 1.0 / 3.0;
        assert!((of(3.0) - exact).abs() < 0.5, "{}", of(3.0));
        assert!(of(3.0) < of(1.0) && of(0.3) < of(1.0));
    }

    #[test]
    fn az_nas_trainability_knows_strides_and_cells_that_pass_nothing_on() {
        let xs = features();
        let signs = [signs()[0].slice(2, 0, None, 2).slice(3, 0, None, 2)];
        let halved = xs.slice(2, 0, None, 2).slice(3, 0, None, 2);
        assert!(trainability(&[(xs.shallow_clone(), halved)], &signs) > -0.3);
        let nothing = features().slice(2, 0, None, 2).slice(3, 0, None, 2);
        assert!(trainability(&[(xs, nothing)], &signs) < -1e5);
    }

    #[test]
    fn az_nas_trainability_knows_narrow_cells_and_odd_maps() {
        // A searched width is cut, and 5 pixels are halved to 3.
        let xs = features().detach().narrow(2, 0, 5).narrow(3, 0, 5).set_requires_grad(true);
        let cut = |t: &Tensor| t.slice(2, 0, None, 2).slice(3, 0, None, 2).narrow(1, 0, 2);
        let found = trainability(&[(xs.shallow_clone(), cut(&xs) * 3.0)], &signs());
        let like_even = {
            let xs = features().detach().narrow(2, 0, 6).narrow(3, 0, 6).set_requires_grad(true);
            trainability(&[(xs.shallow_clone(), cut(&xs) * 3.0)], &signs())
        };
        assert!(found.is_finite() && (found - like_even).abs() < 1e-5, "{found} {like_even}");
    }
}
