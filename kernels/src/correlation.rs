//! Weighted sums of what a window sees, one plane.

#![expect(unsafe_code, reason = "reads and writes where a walk goes, which is checked once")]

use crate::simd::{Kernel, Simd};
use crate::unrolled::unrolled;
use crate::walk::{Place, Walk};

/// Each number that is made is the sum of the taps' numbers times their weights.
pub(crate) struct Correlation<'a> {
    pub(crate) walk: &'a Walk,
    /// Of each column of taps those of its rows.
    pub(crate) weights: &'a [f32],
    /// A frame's numbers.
    pub(crate) src: &'a [f32],
    /// The plane that is made.
    pub(crate) dst: &'a mut [f32],
}

impl Kernel for Correlation<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        self.walk.check(S::LANES, self.src, self.dst);
        let (rows, stride) = (self.walk.tap_rows(), self.walk.stride());
        if rows * self.walk.columns().len() == 0 {
            self.dst.fill(0.0);
        }
        // Rows of taps, as many at once as there is code for.
        let mut from = 0;
        while from < rows {
            from += match (stride, rows - from) {
                (1, 7..) => self.tap_rows::<S, 7, 1>(simd, from),
                (1, 5..) => self.tap_rows::<S, 5, 1>(simd, from),
                (1, 4) => self.tap_rows::<S, 4, 1>(simd, from),
                (1, 3) => self.tap_rows::<S, 3, 1>(simd, from),
                (1, 2) => self.tap_rows::<S, 2, 1>(simd, from),
                (1, _) => self.tap_rows::<S, 1, 1>(simd, from),
                (_, 7..) => self.tap_rows::<S, 7, 2>(simd, from),
                (_, 5..) => self.tap_rows::<S, 5, 2>(simd, from),
                (_, 3..) => self.tap_rows::<S, 3, 2>(simd, from),
                (_, _) => self.tap_rows::<S, 1, 2>(simd, from),
            };
        }
    }
}

/// Whether [`Correlation`] makes a plane in one go, so that numbers may be made twice.
pub(crate) fn is_one_go(tap_rows: usize, stride: usize) -> bool {
    match stride {
        1 => matches!(tap_rows, 0..=5 | 7),
        _ => matches!(tap_rows, 0 | 1 | 3 | 5 | 7),
    }
}

impl Correlation<'_> {
    /// What `K` rows of taps add, the first of which is number `from`; the very first overwrites what was there. Gives `K`.
    #[inline(always)]
    fn tap_rows<S: Simd, const K: usize, const STRIDE: usize>(
        &mut self,
        simd: S,
        from: usize,
    ) -> usize {
        let (full, (rest, width)) = self.walk.places();
        for (places, width) in [(full, S::LANES), (rest, width)] {
            let mask = (simd.first(width), width == S::LANES);
            for &place in &places.by8 {
                self.piece::<S, 8, K, STRIDE>(simd, (place, mask), from);
            }
            for &place in &places.by4 {
                self.piece::<S, 4, K, STRIDE>(simd, (place, mask), from);
            }
            for &place in &places.by1 {
                self.piece::<S, 1, K, STRIDE>(simd, (place, mask), from);
            }
        }
        K
    }

    /// The same for `ROWS` rows of one place.
    #[inline(always)]
    fn piece<S: Simd, const ROWS: usize, const K: usize, const STRIDE: usize>(
        &mut self,
        simd: S,
        (place, width): (Place, (S::Mask, bool)),
        from: usize,
    ) {
        let Self { walk, weights, src, dst } = self;
        let (row_step, dst_step) = (walk.row_step(), walk.dst_step());
        let mut sums = [simd.splat(0.0); ROWS];
        if from > 0 {
            for (row, sum) in sums.iter_mut().enumerate() {
                // SAFETY: `check` said that so many numbers fit behind each place.
                *sum = unsafe { simd.load_first(dst, place.dst + row * dst_step, width.0) };
            }
        }
        let start = place.src + from * row_step;
        for (&column, weights) in walk.columns().iter().zip(weights.chunks_exact(walk.tap_rows())) {
            let weights: &[f32; K] = weights[from..][..K].try_into().expect("as many as asked for");
            let weights = weights.map(|weight| simd.splat(weight));
            unrolled!(seen < (ROWS - 1) * STRIDE + K, {
                // SAFETY: `check` said that a register fits behind each tap of each place.
                let numbers = unsafe { simd.load(src, start + column + seen * row_step) };
                for row in 0..ROWS {
                    if seen >= row * STRIDE && seen - row * STRIDE < K {
                        sums[row] = simd.mul_add(numbers, weights[seen - row * STRIDE], sums[row]);
                    }
                }
            });
        }
        // What is added must not be added twice.
        let first = if from > 0 { place.done } else { 0 };
        for (row, sum) in sums.into_iter().enumerate().skip(first) {
            let at = place.dst + row * dst_step;
            // SAFETY: as for the loads of what was there.
            unsafe { simd.store_width(dst, at, width, sum) }
        }
    }
}
