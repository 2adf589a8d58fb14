//! Where a kernel reads and writes: the same in every plane, so worked out once.

use crate::frame::Frame;
use crate::window::Window;

/// Places that are computed together, so that a tap's weight is loaded once for all of them.
pub(crate) const GROUP: usize = 8;

/// Neighbours in a row of what is made: as many as a register holds, or the whole of a shorter row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// In a frame, of the first tap.
    pub(crate) src: usize,
    /// In the plane that is made.
    pub(crate) dst: usize,
}

/// Where a window with its taps goes in a frame.
#[derive(Debug)]
pub(crate) struct Walk {
    /// Distances in the frame from a place.
    taps: Vec<usize>,
    /// Which of the window's taps each is.
    window_taps: Vec<usize>,
    /// They cover all that is made, and some of it twice: a row's last place ends with it. Groups are whole: the last place may come
    /// several times.
    places: Vec<Place>,
    /// Numbers made at a place.
    width: usize,
    lanes: usize,
    src_len: usize,
    dst_len: usize,
}

impl Walk {
    /// A window's way over a frame of what it reads.
    pub(crate) fn forward(window: &Window, frame: &Frame, lanes: usize) -> Self {
        let taps = (0..window.taps()).map(|tap| (tap_at(window, frame, tap), tap)).collect();
        Self::new(taps, frame, (window.stride, lanes), [window.out_h, window.out_w])
    }

    /// Over a frame, by `stride`, with taps at distances, each with its number; makes a plane of `[rows, columns]`, of which there must
    /// be some.
    pub(crate) fn new(
        taps: Vec<(usize, usize)>,
        frame: &Frame,
        (stride, lanes): (usize, usize),
        [rows, columns]: [usize; 2],
    ) -> Self {
        let width = lanes.min(columns);
        let starts = (0..columns).step_by(width).map(|start| start.min(columns - width));
        let mut places: Vec<Place> = (0..rows)
            .flat_map(|row| {
                let place = move |column| Place {
                    src: frame.at(row * stride, column * stride),
                    dst: row * columns + column,
                };
                starts.clone().map(place)
            })
            .collect();
        let last = places[places.len() - 1];
        places.resize(places.len().next_multiple_of(GROUP), last);
        let (taps, window_taps): (Vec<usize>, Vec<usize>) = taps.into_iter().unzip();
        let furthest = taps.iter().max().copied().unwrap_or(0);
        let src_len = last.src + furthest + lanes;
        let dst_len = rows * columns;
        Self { taps, window_taps, places, width, lanes, src_len, dst_len }
    }

    pub(crate) fn taps(&self) -> &[usize] {
        &self.taps
    }

    /// Of a channel's weights those of the taps, in their order.
    pub(crate) fn choose(&self, weights: &[f32], chosen: &mut Vec<f32>) {
        chosen.clear();
        chosen.extend(self.window_taps.iter().map(|&tap| weights[tap]));
    }

    /// The places in groups.
    pub(crate) fn groups(&self) -> &[[Place; GROUP]] {
        self.places.as_chunks().0
    }

    /// Numbers made at a place: those of a register, or fewer in all places.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Panics unless a register of so many lanes can be read from `src` at each tap of each place, and `width` numbers be written to `dst`
    /// at each place.
    pub(crate) fn check(&self, lanes: usize, src: &[f32], dst: &[f32]) {
        assert_eq!(lanes, self.lanes, "a walk is for registers of one size");
        assert!(src.len() >= self.src_len && dst.len() >= self.dst_len, "a walk stays inside");
    }
}

/// A tap's distance in a frame.
pub(crate) fn tap_at(window: &Window, frame: &Frame, tap: usize) -> usize {
    frame.at(tap / window.k * window.dilation, tap % window.k * window.dilation)
}
