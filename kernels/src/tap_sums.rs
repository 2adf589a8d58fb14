//! The gradient of a window's weights, one plane.

#![expect(unsafe_code, reason = "reads where a walk goes, which is checked once")]

use crate::simd::{Kernel, Simd};
use crate::unrolled::unrolled;
use crate::walk::{Place, Walk};

/// To each tap's sums, a register of them, adds the products of what the tap sees and the gradients.
pub(crate) struct TapSums<'a> {
    /// One that meets nothing twice.
    pub(crate) walk: &'a Walk,
    /// A frame's numbers.
    pub(crate) src: &'a [f32],
    /// The plane of gradients.
    pub(crate) dy: &'a [f32],
    /// A register for each tap, row by row.
    pub(crate) sums: &'a mut [f32],
}

impl Kernel for TapSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        self.walk.check(S::LANES, self.src, self.dy);
        let (rows, stride) = (self.walk.tap_rows(), self.walk.stride());
        let n_sums = rows * self.walk.columns().len() * S::LANES;
        assert!(self.sums.len() >= n_sums, "each tap has its sums");
        let mut from = 0;
        while from < rows {
            from += match (stride, rows - from) {
                (1, 7..) => self.tap_rows::<S, 7, 1>(simd, from),
                (1, 5..) => self.tap_rows::<S, 5, 1>(simd, from),
                (1, 3..) => self.tap_rows::<S, 3, 1>(simd, from),
                (1, _) => self.tap_rows::<S, 1, 1>(simd, from),
                (_, 7..) => self.tap_rows::<S, 7, 2>(simd, from),
                (_, 5..) => self.tap_rows::<S, 5, 2>(simd, from),
                (_, 3..) => self.tap_rows::<S, 3, 2>(simd, from),
                (_, _) => self.tap_rows::<S, 1, 2>(simd, from),
            };
        }
    }
}

impl TapSums<'_> {
    /// For `K` rows of taps, the first of which is number `from`. Gives `K`.
    #[inline(always)]
    fn tap_rows<S: Simd, const K: usize, const STRIDE: usize>(
        &mut self,
        simd: S,
        from: usize,
    ) -> usize {
        let (full, (rest, width)) = self.walk.places();
        for (places, width) in [(full, S::LANES), (rest, width)] {
            let mask = simd.first(width);
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
        (place, mask): (Place, S::Mask),
        from: usize,
    ) {
        let Self { walk, src, dy, sums } = self;
        let (row_step, dst_step) = (walk.row_step(), walk.dst_step());
        let mut gradients = [simd.splat(0.0); ROWS];
        for (row, gradient) in gradients.iter_mut().enumerate().skip(place.done) {
            // SAFETY: `check` said that so many numbers lie behind each place.
            *gradient = unsafe { simd.load_first(dy, place.dst + row * dst_step, mask) };
        }
        let start = place.src + from * row_step;
        let columns = walk.columns();
        for (i, &column) in columns.iter().enumerate() {
            let mut found = [simd.splat(0.0); K];
            let sums_of = |tap: usize| ((from + tap) * columns.len() + i) * S::LANES;
            for (tap, found) in found.iter_mut().enumerate() {
                // SAFETY: there are sums for each tap.
                *found = unsafe { simd.load(sums, sums_of(tap)) };
            }
            unrolled!(seen < (ROWS - 1) * STRIDE + K, {
                let at = start + column + seen * row_step;
                // What lies beyond a row is not even multiplied by zero: it may be no number.
                // SAFETY: `check` said that a register fits behind each tap of each place.
                let numbers = unsafe { simd.load_first(src, at, mask) };
                for (row, &gradient) in gradients.iter().enumerate() {
                    if seen >= row * STRIDE && seen - row * STRIDE < K {
                        let tap = seen - row * STRIDE;
                        found[tap] = simd.mul_add(numbers, gradient, found[tap]);
                    }
                }
            });
            for (tap, found) in found.into_iter().enumerate() {
                // SAFETY: as for the loads of sums.
                unsafe { simd.store(sums, sums_of(tap), found) }
            }
        }
    }
}
