//! The gradient of a window's weights, one plane.

#![expect(unsafe_code, reason = "reads where its places are, which is checked once")]

use crate::frame::Frame;
use crate::simd::{Kernel, Simd};
use crate::walk::{Place, tap_at};
use crate::window::Window;

/// Taps that are summed at once: of 3x3 all, of 5x5 a third. More would not fit into AVX2's registers.
const AT_ONCE: usize = 9;

/// Where the sums are made: like a walk, but no number is met twice.
#[derive(Debug)]
pub(crate) struct SumWalk {
    /// Distances in the frame, filled up to whole groups; sums of what fills up are not looked at.
    taps: Vec<[usize; AT_ONCE]>,
    /// Of a register each.
    full: Vec<Place>,
    /// What is left of each row.
    rest: Vec<Place>,
    rest_width: usize,
    lanes: usize,
    src_len: usize,
    dst_len: usize,
}

impl SumWalk {
    pub(crate) fn new(window: &Window, frame: &Frame, lanes: usize) -> Self {
        let mut taps: Vec<usize> =
            (0..window.taps()).map(|tap| tap_at(window, frame, tap)).collect();
        let furthest = taps.iter().max().copied().unwrap_or(0);
        taps.resize(taps.len().next_multiple_of(AT_ONCE), 0);
        let (n_full, rest_width) = (window.out_w / lanes, window.out_w % lanes);
        let at = |row: usize, column: usize| Place {
            src: frame.at(row * window.stride, column * window.stride),
            dst: row * window.out_w + column,
        };
        let rows = 0..window.out_h;
        let full = rows.clone().flat_map(|row| (0..n_full).map(move |i| at(row, i * lanes)));
        let rest = rows.filter(|_| rest_width > 0).map(|row| at(row, n_full * lanes));
        let src_len = at(window.out_h - 1, window.out_w - 1).src + furthest + 1;
        Self {
            taps: taps.as_chunks().0.to_vec(),
            full: full.collect(),
            rest: rest.collect(),
            rest_width,
            lanes,
            src_len,
            dst_len: window.out_plane(),
        }
    }

    /// Numbers of sums: a register for each tap and for what fills up.
    pub(crate) fn sums_len(&self) -> usize {
        self.taps.len() * AT_ONCE * self.lanes
    }
}

/// To each tap's sums, a register of them, adds the products of what the tap sees and the gradients.
pub(crate) struct TapSums<'a> {
    pub(crate) walk: &'a SumWalk,
    /// A frame's numbers.
    pub(crate) src: &'a [f32],
    /// The plane of gradients.
    pub(crate) dy: &'a [f32],
    /// [`SumWalk::sums_len`] numbers.
    pub(crate) sums: &'a mut [f32],
}

impl Kernel for TapSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { walk, src, dy, sums } = self;
        assert_eq!(S::LANES, walk.lanes, "a walk is for registers of one size");
        assert!(src.len() >= walk.src_len && dy.len() >= walk.dst_len, "a walk stays inside");
        assert!(sums.len() >= walk.sums_len(), "each tap has its sums");
        for (group, taps) in walk.taps.iter().enumerate() {
            let at = |i: usize| (group * AT_ONCE + i) * S::LANES;
            let mut found = [simd.splat(0.0); AT_ONCE];
            for i in 0..AT_ONCE {
                // SAFETY: there are sums for each tap of each group.
                found[i] = unsafe { simd.load(sums, at(i)) };
            }
            for place in &walk.full {
                // SAFETY: the last register of a row ends with it, and rows lie inside, as was asked above.
                let gradient = unsafe { simd.load(dy, place.dst) };
                for i in 0..AT_ONCE {
                    // SAFETY: the same of the frame; its last tap of the last place lies inside too.
                    let seen = unsafe { simd.load(src, place.src + taps[i]) };
                    found[i] = simd.mul_add(seen, gradient, found[i]);
                }
            }
            // What lies beyond a row is not even multiplied by zero: it may be no number.
            for place in &walk.rest {
                let gradient = simd.load_part(&dy[place.dst..][..walk.rest_width]);
                for i in 0..AT_ONCE {
                    let seen = simd.load_part(&src[place.src + taps[i]..][..walk.rest_width]);
                    found[i] = simd.mul_add(seen, gradient, found[i]);
                }
            }
            for i in 0..AT_ONCE {
                // SAFETY: as for the loads of sums.
                unsafe { simd.store(sums, at(i), found[i]) }
            }
        }
    }
}
