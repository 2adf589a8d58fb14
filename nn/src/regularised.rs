//! Parts that a training pass leaves out at random: entries of the classifier's input, and outputs of blocks that have a
//! shortcut.

use std::cell::Cell;

use tch::{Device, Kind, Tensor};

/// How much is left out, and the seed that decides what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regularisation {
    /// Probability, from 0 to below 1, that an entry of the classifier's input is set to zero (dropout, Srivastava 2014).
    pub dropout: f64,
    /// Probability, from 0 to below 1, that a block at the network's end adds nothing to its shortcut for an image (stochastic
    /// depth, Huang 2016, called drop-connect by `EfficientNet`). Other blocks have a share of it, which [`at_depth`] sets.
    pub drop_connect: f64,
    /// Seed of the masks. They do not use libtorch's single generator, because then a resumed search would depend on everything
    /// else that draws from it.
    pub seed: u64,
}

/// The state of the current pass.
#[derive(Debug, Clone, Copy)]
struct Pass {
    regularisation: Regularisation,
    /// Number of masks made so far, so that all masks are different.
    n_masks: u64,
    /// Share of `drop_connect` at the current place.
    depth: f64,
    rows: Rows,
}

/// The rows of the whole batch that a process has.
#[derive(Debug, Clone, Copy)]
struct Rows {
    rank: i64,
    n_ranks: i64,
}

thread_local! {
    static PASS: Cell<Option<Pass>> = const { Cell::new(None) };
}

/// Restores the previous state, even if a pass panics.
struct Ended(Option<Pass>);

impl Drop for Ended {
    fn drop(&mut self) {
        PASS.set(self.0);
    }
}

/// Runs the training pass `pass` with entries and blocks left out at random. What is kept is divided by its probability to be
/// kept.
pub fn regularised<T>(regularisation: Regularisation, pass: impl FnOnce() -> T) -> T {
    let rows = Rows { rank: 0, n_ranks: 1 };
    let begun = Pass { regularisation, n_masks: 0, depth: 0.0, rows };
    let _ended = Ended(PASS.replace(Some(begun)));
    pass()
}

/// Runs `pass` on images that are the `rank`th of `n_ranks` equal parts of a batch. Each process leaves out of its images exactly
/// what a single process would leave out of them in the whole batch.
pub fn on_rank<T>(rank: i64, n_ranks: i64, pass: impl FnOnce() -> T) -> T {
    if let Some(pass) = PASS.get() {
        PASS.set(Some(Pass { rows: Rows { rank, n_ranks }, ..pass }));
    }
    pass()
}

/// Runs `pass` with this share of the probability that a block is left out.
pub fn at_depth<T>(share: f64, pass: impl FnOnce() -> T) -> T {
    if let Some(pass) = PASS.get() {
        PASS.set(Some(Pass { depth: share, ..pass }));
    }
    pass()
}

/// Leaves out entries of `[n, c]`.
pub(crate) fn drop_entries(xs: Tensor) -> Tensor {
    match PASS.get() {
        Some(pass) if pass.regularisation.dropout > 0.0 => {
            let size = xs.size();
            masked(xs, &size, pass, pass.regularisation.dropout)
        }
        _ => xs,
    }
}

/// Leaves out, for some images, what a block adds to its shortcut, `[n, c, h, w]`.
pub(crate) fn drop_images(ys: Tensor) -> Tensor {
    match PASS.get() {
        Some(pass) if pass.regularisation.drop_connect * pass.depth > 0.0 => {
            let size = [ys.size()[0], 1, 1, 1];
            masked(ys, &size, pass, pass.regularisation.drop_connect * pass.depth)
        }
        _ => ys,
    }
}

/// `xs` times a mask of this size.
fn masked(xs: Tensor, size: &[i64], pass: Pass, chance: f64) -> Tensor {
    let Pass { regularisation: Regularisation { seed, .. }, n_masks, rows, .. } = pass;
    PASS.set(Some(Pass { n_masks: n_masks + 1, ..pass }));
    let mut whole = size.to_vec();
    whole[0] *= rows.n_ranks;
    let stays = uniform(&whole, seed.wrapping_add(n_masks), xs.device()).ge(chance);
    let own = stays.narrow(0, rows.rank * size[0], size[0]).to_kind(xs.kind());
    xs * own / (1.0 - chance)
}

/// Numbers from 0 to 1 that depend on `seed` and their place: the finaliser of `MurmurHash3` (Appleby 2011), applied to the
/// numbers of the entries in libtorch's integers, so that masks are made on the device of the network.
pub fn uniform(shape: &[i64], seed: u64, device: Device) -> Tensor {
    // Products of 32-bit numbers with these constants stay below 2^63.
    const BITS: i64 = 0x7fff_ffff;
    let n: i64 = shape.iter().product();
    let start = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as i64;
    let mut x =
        (Tensor::arange(n, (Kind::Int64, device)) * 0x9e37_79b1i64 + start).bitwise_and(BITS);
    for (shift, factor) in [(16i64, 0x85eb_ca6bi64), (13, 0xc2b2_ae35)] {
        x = x.bitwise_xor_tensor(&x.bitwise_right_shift_tensor_scalar(shift));
        x = (x * factor).bitwise_and(BITS);
    }
    let x = x.bitwise_xor_tensor(&x.bitwise_right_shift_tensor_scalar(16));
    (x.to_kind(Kind::Float) / (BITS as f64 + 1.0)).view(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: Regularisation = Regularisation { dropout: 0.3, drop_connect: 0.4, seed: 7 };

    fn mean(xs: &Tensor) -> f64 {
        xs.to_kind(Kind::Double).mean(Kind::Double).double_value(&[])
    }

    #[test]
    fn entries_are_left_out_at_the_rate_and_the_mean_stays() {
        let xs = Tensor::ones([64, 1024], tch::kind::FLOAT_CPU);
        let (first, second) = regularised(SOME, || {
            (drop_entries(xs.shallow_clone()), drop_entries(xs.shallow_clone()))
        });
        for ys in [&first, &second] {
            assert!((mean(&ys.eq(0.0)) - 0.3).abs() < 0.01);
            assert!((mean(ys) - 1.0).abs() < 0.01);
        }
        // Independent masks agree in a share of 0.3^2 + 0.7^2 of the entries.
        assert!((mean(&first.eq_tensor(&second)) - 0.58).abs() < 0.01);
        let again = regularised(SOME, || drop_entries(xs.shallow_clone()));
        assert_eq!(again, first, "the seed alone says what is left out");
        assert_eq!(drop_entries(xs.shallow_clone()), xs, "nothing outside such a pass");
    }

    #[test]
    fn blocks_are_left_out_by_their_depth_for_whole_images() {
        let ys = Tensor::ones([4000, 2, 3, 3], tch::kind::FLOAT_CPU);
        for depth in [0.0, 0.5, 1.0] {
            let left = regularised(SOME, || at_depth(depth, || drop_images(ys.shallow_clone())));
            let of_image = left.flatten(1, -1);
            let even = of_image.eq_tensor(&of_image.narrow(1, 0, 1));
            assert_eq!(mean(&even), 1.0, "an image is left out as a whole");
            assert!((mean(&left.eq(0.0)) - 0.4 * depth).abs() < 0.03, "{depth}");
            assert!((mean(&left) - 1.0).abs() < 0.05);
        }
    }

    #[test]
    fn ranks_leave_out_of_their_images_what_one_process_leaves_out_of_them() {
        let xs = Tensor::ones([6, 50], tch::kind::FLOAT_CPU);
        let whole = regularised(SOME, || drop_entries(xs.shallow_clone()));
        let own = |rank| {
            let part = || drop_entries(xs.narrow(0, 0, 3));
            regularised(SOME, || on_rank(rank, 2, part))
        };
        assert_eq!(Tensor::cat(&[own(0), own(1)], 0), whole);
    }

    #[test]
    fn neighbours_are_independent() {
        let numbers = uniform(&[100_000], 3, Device::Cpu) - 0.5;
        for lag in [1, 2, 16, 32, 1024] {
            let n = 100_000 - lag;
            let product = numbers.narrow(0, 0, n) * numbers.narrow(0, lag, n);
            let correlation = 12.0 * product.mean(Kind::Double).double_value(&[]);
            assert!(correlation.abs() < 0.02, "lag {lag}: {correlation}");
        }
    }
}
