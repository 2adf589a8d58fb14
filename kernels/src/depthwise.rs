//! Depthwise convolution and its two gradients, a range of planes or channels at a time.

use crate::Level;
use crate::correlation::{Correlation, is_one_go};
use crate::frame::Frame;
use crate::tap_sums::TapSums;
use crate::walk::{Taps, Walk};
use crate::window::Window;

/// Planes `y` of planes `x`, of which the first is number `begin` of all images' and channels'; `weight` is `[c, k, k]`.
pub(crate) fn forward(window: &Window, x: &[f32], weight: &[f32], y: &mut [f32], begin: usize) {
    let level = window.level().for_rows(window.out_w);
    let mut frame = Frame::of_window(window, 0.0, level.lanes());
    let sides = [window.out_h, window.out_w];
    let taps = Taps::of(window);
    let walk = Walk::new(&taps, &frame, level.lanes(), sides, may_repeat(&taps));
    let mut weights = Vec::with_capacity(window.taps());
    let planes = x.chunks_exact(window.plane()).zip(y.chunks_exact_mut(window.out_plane()));
    for (i, (x, dst)) in planes.enumerate() {
        frame.put(x);
        let weight = of_channel(window, weight, begin + i);
        weights.clear();
        weights.extend((0..window.taps()).map(|i| weight[i % window.k * window.k + i / window.k]));
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
    let sides = [window.out_h, window.out_w];
    let walk = Walk::new(&Taps::of(window), &frame, lanes, sides, false);
    let mut sums = vec![0.0; window.taps() * lanes];
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

/// Whether a correlation with these taps may make numbers twice.
pub(crate) fn may_repeat(taps: &Taps) -> bool {
    is_one_go(taps.rows, taps.stride)
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
    /// Which of the window's taps those of the walk are, column by column.
    taps: Vec<usize>,
    row: usize,
    column: usize,
    columns: usize,
    len: usize,
}

impl Transposed {
    pub(crate) fn new(window: &Window) -> Self {
        let Window { h, w, stride, padding, .. } = *window;
        let level = window.level().for_rows(w.div_ceil(stride));
        let border = (window.reach() - padding).div_ceil(stride);
        let side = |size: usize| (size - 1) / stride + padding.div_ceil(stride) + border + 1;
        let columns = (border, window.out_w, 0.0);
        let frame = Frame::new([side(h), side(w)], (1, level.lanes()), columns);
        let corners = (0..stride).flat_map(|row| (0..stride).map(move |column| (row, column)));
        let there = corners.filter(|&(row, column)| row < h && column < w);
        let parts = there.map(|corner| Part::new(window, &frame, (level.lanes(), border), corner));
        let parts = parts.collect();
        let made = vec![0.0; if stride == 1 { 0 } else { h.div_ceil(2) * w.div_ceil(2) }];
        Self { level, frame, parts, w, stride, weights: Vec::new(), made }
    }

    /// A plane `dx` of a plane `dy`; `weight` is `[k, k]`.
    pub(crate) fn run(&mut self, dy: &[f32], weight: &[f32], dx: &mut [f32]) {
        self.frame.put(dy);
        let src = self.frame.numbers();
        for part in &self.parts {
            self.weights.clear();
            self.weights.extend(part.taps.iter().map(|&tap| weight[tap]));
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

impl Part {
    fn new(
        window: &Window,
        frame: &Frame,
        (lanes, border): (usize, usize),
        (row, column): (usize, usize),
    ) -> Self {
        let Window { h, w, k, stride, padding, dilation, .. } = *window;
        // Taps that meet numbers here, with where in the frame, which is from the last to the first.
        let met = |first: usize| -> Vec<(usize, usize)> {
            let ahead = |tap: usize| first + padding + border * stride - tap * dilation;
            let taps = (0..k).rev().filter(|&tap| ahead(tap).is_multiple_of(stride));
            taps.map(|tap| (tap, ahead(tap) / stride)).collect()
        };
        let (down, right) = (met(row), met(column));
        let begin = |taps: &[(usize, usize)]| taps.first().map_or(0, |(_, at)| *at);
        let corner = (begin(&down), begin(&right));
        let taps = Taps {
            columns: right.iter().map(|(_, at)| at - corner.1).collect(),
            corner,
            rows: down.len(),
            dilation: if down.len() > 1 { down[1].1 - down[0].1 } else { 1 },
            stride: 1,
        };
        let sides = [(h - row).div_ceil(stride), (w - column).div_ceil(stride)];
        let walk = Walk::new(&taps, frame, lanes, sides, may_repeat(&taps));
        let taps = right.iter().flat_map(|(x, _)| down.iter().map(move |(y, _)| y * k + x));
        Self {
            walk,
            taps: taps.collect(),
            row,
            column,
            columns: sides[1],
            len: sides[0] * sides[1],
        }
    }
}
