//! Weighted sums of what a window sees, one plane.

#![expect(unsafe_code, reason = "reads and writes where a walk goes, which is checked once")]

use crate::simd::{Kernel, Simd};
use crate::walk::{GROUP, Walk};

/// Each number that is made is the sum of the taps' numbers times their weights.
pub(crate) struct Correlation<'a> {
    pub(crate) walk: &'a Walk,
    /// As many as the walk has taps.
    pub(crate) weights: &'a [f32],
    /// A frame's numbers.
    pub(crate) src: &'a [f32],
    /// The plane that is made.
    pub(crate) dst: &'a mut [f32],
}

impl Kernel for Correlation<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { walk, weights, src, dst } = self;
        walk.check(S::LANES, src, dst);
        let (taps, width) = (walk.taps(), walk.width());
        for group in walk.groups() {
            let starts = group.map(|place| place.src);
            let mut sums = [simd.splat(0.0); GROUP];
            for (&tap, &weight) in taps.iter().zip(weights) {
                let weight = simd.splat(weight);
                for i in 0..GROUP {
                    // SAFETY: `check` said that a register fits behind each tap of each place.
                    let seen = unsafe { simd.load(src, starts[i] + tap) };
                    sums[i] = simd.mul_add(seen, weight, sums[i]);
                }
            }
            for (place, sum) in group.iter().zip(sums) {
                if width == S::LANES {
                    // SAFETY: `check` said that so many numbers fit behind each place.
                    unsafe { simd.store(dst, place.dst, sum) }
                } else {
                    simd.store_part(&mut dst[place.dst..][..width], sum);
                }
            }
        }
    }
}
