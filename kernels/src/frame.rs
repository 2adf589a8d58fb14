//! A plane with a border.

use crate::window::Window;

/// A plane with a border, in which each tap of a window lies at the same distance from every place of it. Of a window that moves by two,
/// each row is kept as its even columns and, behind them, its odd ones: so neighbours in what is made are neighbours in what is read.
#[derive(Debug)]
pub(crate) struct Frame {
    numbers: Vec<f32>,
    rows: usize,
    columns: usize,
    /// 2 where columns are kept apart, else 1.
    step: usize,
    /// Width of the plane's border above and at the left.
    border: usize,
    /// Columns of the plane.
    w: usize,
}

impl Frame {
    /// Of these rows and columns, filled with `value`; a plane of `w` columns is put `border` below and right of its corner. Registers of
    /// so many `lanes` may be read from any place.
    pub(crate) fn new(
        [rows, columns]: [usize; 2],
        (step, lanes): (usize, usize),
        (border, w, value): (usize, usize, f32),
    ) -> Self {
        let numbers = vec![value; rows * columns.div_ceil(step) * step + lanes];
        Self { numbers, rows, columns, step, border, w }
    }

    /// For what a window reads.
    pub(crate) fn of_window(window: &Window, value: f32, lanes: usize) -> Self {
        let side = |out: usize| (out - 1) * window.stride + window.reach() + 1;
        let sides = [side(window.out_h), side(window.out_w)];
        Self::new(sides, (window.stride, lanes), (window.padding, window.w, value))
    }

    /// Puts a plane into it. Rows and columns that no window reads are left out.
    pub(crate) fn put(&mut self, plane: &[f32]) {
        let (pitch, half) = (self.pitch(), self.half());
        let width = self.w.min(self.columns.saturating_sub(self.border));
        let rows = plane.chunks_exact(self.w);
        let to = self.numbers.chunks_exact_mut(pitch).take(self.rows).skip(self.border);
        for (from, to) in rows.zip(to) {
            match self.step {
                1 => copy(&from[..width], &mut to[self.border..][..width]),
                _ => split(&from[..width], self.border, to.split_at_mut(half)),
            }
        }
    }

    /// All its numbers.
    pub(crate) fn numbers(&self) -> &[f32] {
        &self.numbers
    }

    /// Where a row and column lie among them.
    pub(crate) fn at(&self, row: usize, column: usize) -> usize {
        row * self.pitch() + column % self.step * self.half() + column / self.step
    }

    /// Numbers from one row to the next.
    fn pitch(&self) -> usize {
        self.half() * self.step
    }

    fn half(&self) -> usize {
        self.columns.div_ceil(self.step)
    }
}

/// Copies a row of the same length, which is too short to be worth a call of `memcpy`.
fn copy(from: &[f32], to: &mut [f32]) {
    let ((from, from_rest), (to, to_rest)) = (from.as_chunks::<8>(), to.as_chunks_mut::<8>());
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    to_rest.iter_mut().zip(from_rest).for_each(|(to, from)| *to = *from);
}

/// Puts a row `left` places into its even and odd columns.
fn split(row: &[f32], left: usize, (even, odd): (&mut [f32], &mut [f32])) {
    let (first, second) = match left % 2 {
        0 => (&mut even[left / 2..], &mut odd[left / 2..]),
        _ => (&mut odd[left / 2..], &mut even[left / 2 + 1..]),
    };
    let pairs = row.chunks_exact(2);
    if let [last] = pairs.remainder() {
        first[row.len() / 2] = *last;
    }
    for (pair, (first, second)) in pairs.zip(first.iter_mut().zip(second)) {
        (*first, *second) = (pair[0], pair[1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_a_plane_is_where_its_row_and_column_say() {
        for (step, border, [h, w]) in
            [(1, 2, [3, 4]), (2, 1, [5, 5]), (2, 2, [4, 7]), (2, 0, [1, 1])]
        {
            let plane: Vec<f32> = (0..h * w).map(|i| i as f32 + 1.0).collect();
            let mut frame = Frame::new([h + border, w + border], (step, 8), (border, w, -1.0));
            frame.put(&plane);
            for (row, column) in (0..h + border).flat_map(|r| (0..w + border).map(move |c| (r, c)))
            {
                let inside = row >= border && column >= border;
                let expected =
                    if inside { plane[(row - border) * w + column - border] } else { -1.0 };
                assert_eq!(
                    frame.numbers()[frame.at(row, column)],
                    expected,
                    "{step} {row} {column}"
                );
            }
        }
    }
}
