//! Max pooling and its gradient, a range of planes at a time.

#![expect(unsafe_code, reason = "reads and writes where a walk goes, which is checked once")]

use crate::frame::Frame;
use crate::simd::{Kernel, Simd};
use crate::walk::{GROUP, Walk};
use crate::window::Window;

/// Planes `y` of planes `x`, and which of the window's taps each number comes from: of equal ones the first, as in libtorch, which also
/// lets anything that is no number win.
pub(crate) fn forward(window: &Window, x: &[f32], y: &mut [f32], taps: &mut [u8]) {
    let level = window.level().for_rows(window.out_w);
    let mut frame = Frame::of_window(window, f32::NEG_INFINITY, level.lanes());
    let walk = Walk::forward(window, &frame, level.lanes());
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
    fn run<S: Simd>(self, simd: S) {
        let Self { walk, src, first, dst, taps } = self;
        walk.check(S::LANES, src, dst);
        assert!(first.len() >= dst.len() && taps.len() >= dst.len(), "a tap for each number");
        let width = walk.width();
        for group in walk.groups().as_flattened().as_chunks::<{ GROUP / 2 }>().0 {
            let mut best = group.map(|place| {
                let tap = match width == S::LANES {
                    // SAFETY: there are as many first taps as numbers, and for those `check` said it.
                    true => unsafe { simd.load(first, place.dst) },
                    false => simd.load_part(&first[place.dst..][..width]),
                };
                (simd.splat(f32::NEG_INFINITY), tap)
            });
            for (tap, &distance) in walk.taps().iter().enumerate() {
                let tap = simd.splat(tap as f32);
                for (best, place) in best.iter_mut().zip(group) {
                    // SAFETY: `check` said that a register fits behind each tap of each place.
                    let value = unsafe { simd.load(src, place.src + distance) };
                    *best = simd.larger((value, tap), *best);
                }
            }
            for (place, (value, tap)) in group.iter().zip(best) {
                if width == S::LANES {
                    // SAFETY: `check` said that so many numbers fit behind each place, and taps are as many.
                    unsafe {
                        simd.store(dst, place.dst, value);
                        simd.store(taps, place.dst, tap);
                    }
                } else {
                    simd.store_part(&mut dst[place.dst..][..width], value);
                    simd.store_part(&mut taps[place.dst..][..width], tap);
                }
            }
        }
    }
}
