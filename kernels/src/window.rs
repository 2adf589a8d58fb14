//! What a depthwise convolution or a pool reads: batch, map and window.

use crate::Level;

/// A square window that moves over maps `[n, c, h, w]` and makes maps `[n, c, out_h, out_w]`. As `Window` of autograd.cpp, of which it
/// may come: nothing but [`Window::new`] promises that the numbers fit one another, so whoever reads memory by them checks.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// A [`Level`]'s code.
    pub(crate) level: usize,
    pub(crate) n: usize,
    pub(crate) c: usize,
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) out_h: usize,
    pub(crate) out_w: usize,
    /// Side of the window, in taps.
    pub(crate) k: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    pub(crate) dilation: usize,
}

/// How a window moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moves {
    pub(crate) k: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    pub(crate) dilation: usize,
}

impl Window {
    /// None where the kernels do not take it: they know strides 1 and 2, windows of at most 15 taps a side that never see the border
    /// alone, and maps that are not empty.
    pub(crate) fn new(level: Level, [n, c, h, w]: [usize; 4], moves: Moves) -> Option<Self> {
        let Moves { k, stride, padding, dilation } = moves;
        let reach = (k.checked_sub(1)?).checked_mul(dilation)?;
        let out = |size: usize| Some((size + 2 * padding).checked_sub(reach + 1)? / stride + 1);
        let is_known = (1..=2).contains(&stride) && k <= 15 && dilation >= 1 && reach <= 4096;
        if level == Level::Off || !is_known || 2 * padding > reach || n * c * h * w == 0 {
            return None;
        }
        let (out_h, out_w) = (out(h)?, out(w)?);
        Some(Self { level: level as usize, n, c, h, w, out_h, out_w, k, stride, padding, dilation })
    }

    pub(crate) fn level(&self) -> Level {
        Level::of_code(self.level)
    }

    /// Numbers of a plane that is read.
    pub(crate) fn plane(&self) -> usize {
        self.h * self.w
    }

    /// Numbers of a plane that is made.
    pub(crate) fn out_plane(&self) -> usize {
        self.out_h * self.out_w
    }

    pub(crate) fn taps(&self) -> usize {
        self.k * self.k
    }

    /// Distance of the window's last tap from its first.
    pub(crate) fn reach(&self) -> usize {
        (self.k - 1) * self.dilation
    }
}
