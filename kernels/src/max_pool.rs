//! Max pooling and its gradient, a range of planes at a time.

#![expect(unsafe_code, reason = "reads and writes where a walk goes, which is checked once")]

use crate::frame::Frame;
use crate::simd::{Kernel, Simd};
use crate::walk::{Place, Taps, Walk};
use crate::window::Window;

/// Planes `y` of planes `x`, and which of the window's taps each number comes from: of equal ones the first, as in libtorch, which also
/// lets anything that is no number win.
pub(crate) fn forward(window: &Window, x: &[f32], y: &mut [f32], taps: &mut [u8]) {
    let level = window.level().for_rows(window.out_w);
    let mut frame = Frame::of_window(window, f32::NEG_INFINITY, level.lanes());
    let sides = [window.out_h, window.out_w];
    let walk = Walk::new(&Taps::of(window), &frame, level.lanes(), sides, true);
    let first = first_taps(window);
    let mut found = vec![0.0; window.out_plane()];
    let made =
        y.chunks_exact_mut(window.out_plane()).zip(taps.chunks_exact_mut(window.out_plane()));
    for (x, (dst, taps)) in x.chunks_exact(window.plane()).zip(made) {
        frame.put(x);
        let src = frame.numbers();
        level.run(Maxima { walk: &walk, src, first: &first, dst, taps: &mut found });
        taps.iter_mut().zip(&found).for_each(|(to, from)| *to = *from as i32 as u8);
    }
}

/// Gradients `dx` of the planes that were read: those of each maximum go where it came from.
pub(crate) fn gradient(window: &Window, dy: &[f32], taps: &[u8], dx: &mut [f32]) {
    let mut distances = [0; 256];
    for (tap, distance) in distances.iter_mut().enumerate().take(window.taps()) {
        *distance = tap / window.k * window.w + tap % window.k;
    }
    dx.fill(0.0);
    let made = dy.chunks_exact(window.out_plane()).zip(taps.chunks_exact(window.out_plane()));
    for (dx, (dy, taps)) in dx.chunks_exact_mut(window.plane()).zip(made) {
        let rows = dy.chunks_exact(window.out_w).zip(taps.chunks_exact(window.out_w));
        for (i, (dy, taps)) in rows.enumerate() {
            // Left of and above the plane at its border; with the tap it is inside again.
            let row = (i * window.stride * window.w)
                .wrapping_sub(window.padding * window.w + window.padding);
            for (j, (dy, tap)) in dy.iter().zip(taps).enumerate() {
                let distance = distances[usize::from(*tap)];
                dx[row.wrapping_add(j * window.stride + distance)] += dy;
            }
        }
    }
}

/// For each number that is made the first tap that lies on the plane: where all are minus infinity, it is the maximum.
fn first_taps(window: &Window) -> Vec<f32> {
    let first = |i: usize| window.padding.saturating_sub(i * window.stride);
    let row = |i: usize| (0..window.out_w).map(move |j| first(i) * window.k + first(j));
    (0..window.out_h).flat_map(row).map(|tap| tap as f32).collect()
}

/// The maxima of one plane.
struct Maxima<'a> {
    walk: &'a Walk,
    /// A frame's numbers.
    src: &'a [f32],
    /// See [`first_taps`].
    first: &'a [f32],
    /// The plane that is made.
    dst: &'a mut [f32],
    /// The tap of each of its numbers.
    taps: &'a mut [f32],
}

impl Kernel for Maxima<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        self.walk.check(S::LANES, self.src, self.dst);
        let n = self.dst.len();
        assert!(self.first.len() >= n && self.taps.len() >= n, "a tap for each number");
        let (full, (rest, width)) = self.walk.places();
        for (places, width) in [(full, S::LANES), (rest, width)] {
            let width = (simd.first(width), width == S::LANES);
            // Eight rows at once are twice four.
            for &place in &places.by8 {
                let half = 4 * self.walk.stride() * self.walk.row_step();
                let (src, dst) = (place.src + half, place.dst + 4 * self.walk.dst_step());
                let second = Place { src, dst, ..place };
                self.piece::<S, 4>(simd, (place, width));
                self.piece::<S, 4>(simd, (second, width));
            }
            for &place in &places.by4 {
                self.piece::<S, 4>(simd, (place, width));
            }
            for &place in &places.by1 {
                self.piece::<S, 1>(simd, (place, width));
            }
        }
    }
}

impl Maxima<'_> {
    /// For `ROWS` rows of one place.
    #[inline(always)]
    fn piece<S: Simd, const ROWS: usize>(
        &mut self,
        simd: S,
        (place, width): (Place, (S::Mask, bool)),
    ) {
        let Self { walk, src, first, dst, taps } = self;
        let at: [usize; ROWS] = std::array::from_fn(|row| place.dst + row * walk.dst_step());
        let mut best = at.map(|at| {
            // SAFETY: there are as many first taps as numbers, and for those `check` said it.
            let tap = unsafe { simd.load_first(first, at, width.0) };
            (simd.splat(f32::NEG_INFINITY), tap)
        });
        let down = walk.stride() * walk.row_step();
        let mut tap = 0.0;
        for tap_row in 0..walk.tap_rows() {
            for column in walk.columns() {
                let (seen, which) =
                    (place.src + tap_row * walk.row_step() + column, simd.splat(tap));
                for (row, best) in best.iter_mut().enumerate() {
                    // SAFETY: `check` said that a register fits behind each tap of each place.
                    let value = unsafe { simd.load(src, seen + row * down) };
                    *best = simd.larger((value, which), *best);
                }
                tap += 1.0;
            }
        }
        for (at, (value, tap)) in at.into_iter().zip(best) {
            for (to, value) in [(&mut **dst, value), (&mut **taps, tap)] {
                // SAFETY: `check` said that so many numbers fit behind each place, and taps are as many.
                unsafe { simd.store_width(to, at, width, value) }
            }
        }
    }
}
