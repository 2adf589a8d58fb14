//! Average pooling without the border's zeros, and its gradient, a range of planes at a time: correlations with ones.

use crate::correlation::Correlation;
use crate::depthwise::{Transposed, may_repeat};
use crate::frame::Frame;
use crate::walk::{Taps, Walk};
use crate::window::Window;

/// Planes `y` of planes `x`.
pub(crate) fn forward(window: &Window, x: &[f32], y: &mut [f32]) {
    let level = window.level().for_rows(window.out_w);
    let mut frame = Frame::of_window(window, 0.0, level.lanes());
    let sides = [window.out_h, window.out_w];
    let taps = Taps::of(window);
    let walk = Walk::new(&taps, &frame, level.lanes(), sides, may_repeat(&taps));
    let (weights, counts) = (vec![1.0; window.taps()], counts(window));
    let planes = x.chunks_exact(window.plane()).zip(y.chunks_exact_mut(window.out_plane()));
    for (x, dst) in planes {
        frame.put(x);
        level.run(Correlation { walk: &walk, weights: &weights, src: frame.numbers(), dst });
        dst.iter_mut().zip(&counts).for_each(|(sum, count)| *sum /= count);
    }
}

/// Gradients `dx` of the planes that were read.
pub(crate) fn gradient(window: &Window, dy: &[f32], dx: &mut [f32]) {
    let mut transposed = Transposed::new(window);
    let (weights, counts) = (vec![1.0; window.taps()], counts(window));
    let mut shares = vec![0.0; window.out_plane()];
    let planes = dy.chunks_exact(window.out_plane()).zip(dx.chunks_exact_mut(window.plane()));
    for (dy, dx) in planes {
        let each = shares.iter_mut().zip(dy.iter().zip(&counts));
        each.for_each(|(share, (dy, count))| *share = dy / count);
        transposed.run(&shares, &weights, dx);
    }
}

/// For each number that is made how many of its window's taps lie on the plane.
fn counts(window: &Window) -> Vec<f32> {
    let within = |i: usize, size: usize| {
        let begin = i * window.stride;
        (begin + window.k).min(size + window.padding) - begin.max(window.padding)
    };
    let row = |i: usize| {
        (0..window.out_w).map(move |j| (within(i, window.h) * within(j, window.w)) as f32)
    };
    (0..window.out_h).flat_map(row).collect()
}
