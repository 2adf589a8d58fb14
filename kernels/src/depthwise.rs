//! Depthwise convolution and its two gradients, a range of planes or channels at a time.

use crate::Level;
use crate::correlation::Correlation;
use crate::frame::Frame;
use crate::tap_sums::{SumWalk, TapSums};
use crate::walk::Walk;
use crate::window::Window;

/// Planes `y` of planes `x`, of which the first is number `begin` of all images' and channels'; `weight` is `[c, k, k]`.
pub(crate) fn forward(window: &Window, x: &[f32], weight: &[f32], y: &mut [f32], begin: usize) {
    let level = window.level().for_rows(window.out_w);
    let mut frame = Frame::of_window(window, 0.0, level.lanes());
    let walk = Walk::forward(window, &frame, level.lanes());
    let mut weights = Vec::with_capacity(window.taps());
    let planes = x.chunks_exact(window.plane()).zip(y.chunks_exact_mut(window.out_plane()));
    for (i, (x, dst)) in planes.enumerate() {
        frame.put(x);
        walk.choose(of_channel(window, weight, begin + i), &mut weights);
        level.run(Correlation { walk: &walk, weights: &weights, src: frame.numbers(), dst });
    }
}

/// Gradients `dx` of the planes that were read, from those of the planes that were made.
pub(crate) fn input_gradient(
    window: &Window,
    dy: &[f32],
    weight: &[f32],
    dx: &mut [f32],
    begin: usize,
) {
    let mut transposed = Transposed::new(window);
    let planes = dy.chunks_exact(window.out_plane()).zip(dx.chunks_exact_mut(window.plane()));
    for (i, (dy, dx)) in planes.enumerate() {
        transposed.run(dy, of_channel(window, weight, begin + i), dx);
    }
}

/// Gradients `dw` `[channels, k, k]` of the weights of some channels, the first of which is number `begin`, from whole batches.
pub(crate) fn weight_gradient(
    window: &Window,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    begin: usize,
) {
    let level = window.level().for_rows(window.out_w);
    let lanes = level.lanes();
    let mut frame = Frame::of_window(window, 0.0, lanes);
    let walk = SumWalk::new(window, &frame, lanes);
    let mut sums = vec![0.0; walk.sums_len()];
    for (i, dw) in dw.chunks_exact_mut(window.taps()).enumerate() {
        sums.fill(0.0);
        for image in 0..window.n {
            let plane = image * window.c + begin + i;
            frame.put(&x[plane * window.plane()..][..window.plane()]);
            let dy = &dy[plane * window.out_plane()..][..window.out_plane()];
            level.run(TapSums { walk: &walk, src: frame.numbers(), dy, sums: &mut sums });
        }
        for (dw, sums) in dw.iter_mut().zip(sums.chunks_exact(lanes)) {
            *dw = sums.iter().sum();
        }
    }
}

/// The weights `[k, k]` of the channel that a plane belongs to.
fn of_channel<'a>(window: &Window, weight: &'a [f32], plane: usize) -> &'a [f32] {
    &weight[plane % window.c * window.taps()..][..window.taps()]
}

/// What a window read, from what it made: each number of a plane gets those that were made with it, times the weights. Where the window
/// moves by two, only every other tap meets a number; which ones, its row and column being even or odd tells.
#[derive(Debug)]
pub(crate) struct Transposed {
    level: Level,
    frame: Frame,
    parts: Vec<Part>,
    w: usize,
    stride: usize,
    weights: Vec<f32>,
    /// What a part makes, where it is not the whole.
    made: Vec<f32>,
}

/// The numbers of rows and columns that are even or odd alike; all of them where the window moves by one.
#[derive(Debug)]
struct Part {
    walk: Walk,
    row: usize,
    column: usize,
    columns: usize,
    len: usize,
}

impl Transposed {
    pub(crate) fn new(window: &Window) -> Self {
        let Window { h, w, stride, padding, .. } = *window;
        let level = window.level().for_rows(w.div_ceil(stride));
        let lanes = level.lanes();
        let border = (window.reach() - padding).div_ceil(stride);
        let side = |size: usize| (size - 1) / stride + (stride - 1 + padding) / stride + border + 1;
        let frame = Frame::new([side(h), side(w)], (1, lanes), (border, window.out_w, 0.0));
        let corners = (0..stride).flat_map(|row| (0..stride).map(move |column| (row, column)));
        let parts = corners.filter(|&(row, column)| row < h && column < w).map(|(row, column)| {
            let sides = [(h - row).div_ceil(stride), (w - column).div_ceil(stride)];
            let taps = (0..window.taps()).filter_map(|tap| {
                let back = |first: usize, tap: usize| {
                    let ahead = first + padding + border * stride - tap * window.dilation;
                    ahead.is_multiple_of(stride).then_some(ahead / stride)
                };
                let (down, right) = (back(row, tap / window.k)?, back(column, tap % window.k)?);
                Some((frame.at(down, right), tap))
            });
            let walk = Walk::new(taps.collect(), &frame, (1, lanes), sides);
            Part { walk, row, column, columns: sides[1], len: sides[0] * sides[1] }
        });
        let parts = parts.collect();
        let made = vec![0.0; if stride == 1 { 0 } else { h.div_ceil(2) * w.div_ceil(2) }];
        Self { level, frame, parts, w, stride, weights: Vec::new(), made }
    }

    /// A plane `dx` of a plane `dy`; `weight` is `[k, k]`.
    pub(crate) fn run(&mut self, dy: &[f32], weight: &[f32], dx: &mut [f32]) {
        self.frame.put(dy);
        let src = self.frame.numbers();
        for part in &self.parts {
            part.walk.choose(weight, &mut self.weights);
            let (walk, weights) = (&part.walk, self.weights.as_slice());
            if self.stride == 1 {
                self.level.run(Correlation { walk, weights, src, dst: dx });
                continue;
            }
            let dst = &mut self.made[..part.len];
            self.level.run(Correlation { walk, weights, src, dst });
            let rows = dx.chunks_exact_mut(self.w).skip(part.row).step_by(2);
            for (made, row) in self.made[..part.len].chunks_exact(part.columns).zip(rows) {
                let every_other = row[part.column..].iter_mut().step_by(2);
                every_other.zip(made).for_each(|(to, from)| *to = *from);
            }
        }
    }
}
