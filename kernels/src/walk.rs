//! Where a kernel reads and writes: the same in every plane, so worked out once.

use crate::frame::Frame;
use crate::window::Window;

/// Where a piece of work begins: so many neighbours of a row of what is made as a register holds, or fewer, in one or several rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// In a frame, of the first tap.
    pub(crate) src: usize,
    /// In the plane that is made.
    pub(crate) dst: usize,
    /// Rows, from the first, that another place makes too: what is left over is done together with them.
    pub(crate) done: usize,
}

/// Places by the rows that are made at once, [`Walk::dst_step`] apart. The more, the more often a row that was loaded is used.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) by8: Vec<Place>,
    pub(crate) by4: Vec<Place>,
    pub(crate) by1: Vec<Place>,
}

/// A window's taps, by the distances of their columns and the number and distance of their rows in a frame, and where it goes.
#[derive(Debug)]
pub(crate) struct Walk {
    /// Distances of the columns of taps.
    columns: Vec<usize>,
    tap_rows: usize,
    /// Distance of a row of taps from the next.
    row_step: usize,
    /// Rows of taps from a row that is made to the next of the same piece of work: 1 or 2.
    stride: usize,
    dst_step: usize,
    /// A whole register each.
    full: Places,
    /// `rest_width` numbers each, fewer than a register has.
    rest: Places,
    rest_width: usize,
    lanes: usize,
    src_len: usize,
    dst_len: usize,
}

/// A window's taps and its steps.
#[derive(Debug, Clone)]
pub(crate) struct Taps {
    /// Columns in the frame, from the window's first.
    pub(crate) columns: Vec<usize>,
    /// Row and column in the frame where the first tap begins.
    pub(crate) corner: (usize, usize),
    pub(crate) rows: usize,
    /// Rows of the frame from a row of taps to the next.
    pub(crate) dilation: usize,
    /// Rows and columns of the frame that the window moves at a time.
    pub(crate) stride: usize,
}

impl Taps {
    /// All of a window.
    pub(crate) fn of(window: &Window) -> Self {
        let columns = (0..window.k).map(|tap| tap * window.dilation).collect();
        let Window { k: rows, dilation, stride, .. } = *window;
        Self { columns, corner: (0, 0), rows, dilation, stride }
    }
}

impl Walk {
    /// Over a frame; makes a plane of `[rows, columns]`, of which there must be some. Where `repeats`, what is left over of a row is made
    /// together with some of it that was made before; otherwise it is made alone, and none twice but for the rows that places name.
    pub(crate) fn new(
        taps: &Taps,
        frame: &Frame,
        lanes: usize,
        [rows, columns]: [usize; 2],
        repeats: bool,
    ) -> Self {
        // Rows that are made from the same rows of a frame lie this far apart.
        let common = if taps.stride == 2 && taps.dilation.is_multiple_of(2) { 2 } else { 1 };
        let apart = taps.dilation / common;
        let at = |row: usize, column: usize| {
            let (down, right) = taps.corner;
            let src = frame.at(row * taps.stride + down, column * taps.stride + right);
            Place { src, dst: row * columns + column, done: 0 }
        };
        let add = |places: &mut Places, column: usize| {
            for first in 0..apart.min(rows) {
                let n = (rows - first).div_ceil(apart);
                pieces(places, n, |i| at(first + i * apart, column));
            }
        };
        let (mut full, mut rest) = (Places::default(), Places::default());
        let n_full = columns / lanes;
        (0..n_full).for_each(|i| add(&mut full, i * lanes));
        let mut rest_width = columns % lanes;
        if repeats && n_full > 0 && rest_width > 0 {
            add(&mut full, columns - lanes);
            rest_width = 0;
        }
        if rest_width > 0 {
            add(&mut rest, n_full * lanes);
        }
        let row_step = frame.at(taps.dilation, 0);
        let distances: Vec<usize> = taps.columns.iter().map(|&tap| frame.at(0, tap)).collect();
        let furthest = distances.iter().max().copied().unwrap_or(0);
        let last_row = taps.rows.saturating_sub(1) * row_step;
        let src_len = at(rows - 1, columns - 1).src + last_row + furthest + lanes;
        Self {
            columns: distances,
            tap_rows: taps.rows,
            row_step,
            stride: taps.stride / common,
            dst_step: apart * columns,
            full,
            rest,
            rest_width,
            lanes,
            src_len,
            dst_len: rows * columns,
        }
    }

    pub(crate) fn columns(&self) -> &[usize] {
        &self.columns
    }

    pub(crate) fn tap_rows(&self) -> usize {
        self.tap_rows
    }

    pub(crate) fn row_step(&self) -> usize {
        self.row_step
    }

    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    pub(crate) fn dst_step(&self) -> usize {
        self.dst_step
    }

    /// Whole registers, and what is less with its width.
    pub(crate) fn places(&self) -> (&Places, (&Places, usize)) {
        (&self.full, (&self.rest, self.rest_width))
    }

    /// Panics unless a register of so many lanes can be read from `src` at each tap of each place, and as much as a place has be written to
    /// `dst` there.
    pub(crate) fn check(&self, lanes: usize, src: &[f32], dst: &[f32]) {
        assert_eq!(lanes, self.lanes, "a walk is for registers of one size");
        assert!(src.len() >= self.src_len && dst.len() >= self.dst_len, "a walk stays inside");
    }
}

/// Divides `n` rows, which `at` finds, among places of 8, 4 and single ones.
fn pieces(places: &mut Places, n: usize, at: impl Fn(usize) -> Place) {
    let mut done = 0;
    for (size, places) in [(8, &mut places.by8), (4, &mut places.by4), (1, &mut places.by1)] {
        while n - done >= size {
            places.push(at(done));
            done += size;
        }
        // A larger piece that repeats some rows takes no longer than two or more smaller ones.
        if n >= size && n - done >= (size / 4).max(1) {
            places.push(Place { done: size - (n - done), ..at(n - size) });
            done = n;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;
    use crate::window::Moves;

    /// How often each number of what is made is made.
    fn times_made(walk: &Walk, lanes: usize) -> Vec<u32> {
        let mut times = vec![0; walk.dst_len];
        let (full, (rest, width)) = walk.places();
        for (places, width) in [(full, lanes), (rest, width)] {
            for (n, places) in [(8, &places.by8), (4, &places.by4), (1, &places.by1)] {
                for (place, row) in places.iter().flat_map(|p| (p.done..n).map(move |row| (p, row)))
                {
                    let begin = place.dst + row * walk.dst_step();
                    times[begin..begin + width].iter_mut().for_each(|times| *times += 1);
                }
            }
        }
        times
    }

    #[test]
    fn everything_is_made_and_nothing_twice_unless_it_may_be() {
        for (side, stride, dilation) in (1..40)
            .flat_map(|side| [(side, 1, 1), (side, 1, 2), (side, 2, 1), (side, 2, 2), (side, 1, 3)])
        {
            let moves = Moves { k: 3, stride, padding: dilation, dilation };
            let window = Window::new(Level::Portable, [1, 1, side, side], moves).unwrap();
            for lanes in [8, 16] {
                let frame = Frame::of_window(&window, 0.0, lanes);
                let sides = [window.out_h, window.out_w];
                let walk = |repeats| Walk::new(&Taps::of(&window), &frame, lanes, sides, repeats);
                assert!(times_made(&walk(false), lanes).iter().all(|&n| n == 1), "{window:?}");
                assert!(times_made(&walk(true), lanes).iter().all(|&n| n > 0), "{window:?}");
                assert!(walk(true).src_len <= frame.numbers().len());
            }
        }
    }
}
