//! Decisions that are plain numbers: any value of a range, without a list of choices.

/// This bit marks a choice as a number; the bits below it are those of the number as `f32`.
const MARK: u64 = 1 << 32;
/// If the ends of a range are further apart than this factor, values are drawn evenly in their logarithm.
const WIDE: f64 = 10.0;

/// The range of a decision that is a number, both ends included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NumberRange {
    /// The smallest value.
    pub from: f64,
    /// The largest value; must be greater than `from`.
    pub to: f64,
}

impl NumberRange {
    /// Names of the gates of such a decision, in order: the value itself and, if all values are above zero, its logarithm. Each
    /// is scaled so that it is 0 at the range's beginning and 1 at its end.
    pub fn gate_names(&self) -> &'static [&'static str] {
        if self.has_log() { &["value", "ln value"] } else { &["value"] }
    }

    /// The gates of a value.
    pub fn gates(&self, value: f32) -> Vec<f32> {
        let share = |v: f64, from: f64, to: f64| ((v - from) / (to - from)) as f32;
        let (value, Self { from, to }) = (f64::from(value), *self);
        let mut gates = vec![share(value, from, to)];
        if self.has_log() {
            gates.push(share(value.ln(), from.ln(), to.ln()));
        }
        gates
    }

    /// The choice for a number in a table or text; None if it is not a number of the range.
    pub fn find(&self, cell: &str) -> Option<usize> {
        let value: f64 = cell.trim().parse().ok()?;
        let slack = 1e-9 * self.from.abs().max(self.to.abs());
        let is_in = (self.from - slack..=self.to + slack).contains(&value);
        is_in.then(|| choice_of(value.clamp(self.from, self.to) as f32))
    }

    /// The value at a share of the range from 0 to 1: evenly, or evenly in the logarithm if the range is wide.
    pub fn at(&self, share: f64) -> f32 {
        let Self { from, to } = *self;
        let is_wide = self.has_log() && to > WIDE * from;
        (if is_wide { from * (to / from).powf(share) } else { from + share * (to - from) }) as f32
    }

    /// Whether all values have a logarithm.
    pub fn has_log(&self) -> bool {
        self.from > 0.0
    }
}

/// The choice that stands for a number.
pub fn choice_of(value: f32) -> usize {
    // Minus zero equals zero, so both must be the same choice.
    (MARK | u64::from((value + 0.0).to_bits())) as usize
}

/// The number that a choice stands for; None if it is a choice from a list.
pub fn number_of(choice: usize) -> Option<f32> {
    (choice as u64 & MARK != 0).then(|| f32::from_bits(choice as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_keeps_its_number() {
        for value in [0.0, -1.5, 1.0, 55.333, 32_768.0, 1e-9] {
            assert_eq!(number_of(choice_of(value)), Some(value));
        }
        assert_eq!(choice_of(-0.0), choice_of(0.0));
        assert_eq!((number_of(0), number_of(31)), (None, None));
    }

    #[test]
    fn values_of_the_range_are_found_and_others_not() {
        let range = NumberRange { from: 1.0, to: 32_768.0 };
        for (cell, value) in
            [("1", 1.0), (" 2048.0 ", 2048.0), ("3e3", 3000.0), ("32768", 32_768.0)]
        {
            assert_eq!(range.find(cell).and_then(number_of), Some(value), "{cell}");
        }
        for cell in ["0", "0.5", "32769", "nan", "inf", "x", ""] {
            assert_eq!(range.find(cell), None, "{cell}");
        }
        assert_eq!((range.gates(1.0), range.gates(32_768.0)), (vec![0.0, 0.0], vec![1.0, 1.0]));
        assert!((range.gates(8.0)[1] - 0.2).abs() < 1e-6, "three octaves of fifteen");
        assert!((range.at(0.5) - 181.02).abs() < 0.01, "{}", range.at(0.5));
        let whole = NumberRange { from: 0.0, to: 100.0 };
        assert_eq!((whole.gates(7.0), whole.at(0.5)), (vec![0.07], 50.0));
    }
}
