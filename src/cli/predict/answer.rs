//! Formats predictions as lines and JSON.

use std::io::Write;

use lat_data::{AccuracyColumn, AccuracyTable};
use lat_predictor::Predictions;
use serde::{Serialize, Serializer};

/// A table of published accuracies, and those of one architecture, if the table has it.
type Published<'a> = (&'a AccuracyTable, Option<&'a [f64]>);

/// The lines for a block of architectures, and its elements of the JSON array if one is wanted.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) lines: Vec<u8>,
    pub(super) json: Vec<u8>,
}

/// One prediction in the JSON.
#[derive(Serialize)]
struct Prediction<'a> {
    architecture: &'a str,
    column: &'a str,
    value: f64,
    /// Standard deviation of a measurement around `value`. Null if the predictor gives none, as is everything computed from it.
    sd: Option<f64>,
    /// The 90 % interval from `low` to `high`.
    low: Option<f64>,
    high: Option<f64>,
    /// Whether the architecture is unlike the training data.
    off_data: bool,
    /// Percent by column; null if the table lacks the architecture. The field is missing if there is no table.
    #[serde(skip_serializing_if = "Option::is_none")]
    published_accuracy: Option<Percents<'a>>,
}

/// Accuracies by column name; written as null if the architecture has none.
struct Percents<'a> {
    columns: &'a [AccuracyColumn],
    values: Option<&'a [f64]>,
}

impl<'a> Percents<'a> {
    fn of((table, values): Published<'a>) -> Self {
        Self { columns: &table.columns, values }
    }
}

impl Serialize for Percents<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.values {
            Some(values) => {
                to.collect_map(self.columns.iter().map(|column| &column.name).zip(values))
            }
            None => to.serialize_none(),
        }
    }
}

impl Answer {
    /// Adds a line without deviation and without line end.
    pub(super) fn line(&mut self, value: f64, unit: &str, text: &str) {
        push_fixed(&mut self.lines, value);
        for piece in [" ", unit, "\t", text] {
            self.lines.extend_from_slice(piece.as_bytes());
        }
    }

    /// Adds a line with deviation and off-data flag, without line end.
    pub(super) fn line_with_sd(&mut self, all: &Predictions, i: usize, unit: &str, text: &str) {
        push_fixed(&mut self.lines, all.values[i]);
        for piece in [" ", unit, "\t"] {
            self.lines.extend_from_slice(piece.as_bytes());
        }
        push_fixed(&mut self.lines, all.sds[i]);
        let flag = if all.is_off_data[i] { "off-data" } else { "on-data" };
        for piece in [" ", unit, "\t", flag, "\t", text] {
            self.lines.extend_from_slice(piece.as_bytes());
        }
    }

    /// Ends a line, after appending published accuracies if there is a table of them.
    pub(super) fn end_line(&mut self, published: Option<Published<'_>>) {
        if let Some((table, values)) = published {
            for column in 0..table.columns.len() {
                // Writing to a vector cannot fail.
                let _ = match values {
                    Some(values) => write!(self.lines, "\t{:.2} %", values[column]),
                    None => write!(self.lines, "\t-"),
                };
            }
        }
        self.lines.push(b'\n');
    }

    /// Adds an element of the JSON array.
    pub(super) fn element(
        &mut self,
        all: &Predictions,
        i: usize,
        (column, text): (&str, &str),
        published: Option<Published<'_>>,
    ) -> anyhow::Result<()> {
        let (low, high) = all.interval(i);
        let finite = |x: f64| x.is_finite().then_some(x);
        let prediction = Prediction {
            architecture: text,
            column,
            value: all.values[i],
            sd: finite(all.sds[i]),
            low: finite(low),
            high: finite(high),
            off_data: all.is_off_data[i],
            published_accuracy: published.map(Percents::of),
        };
        self.json.extend_from_slice(b"  ");
        serde_json::to_writer(&mut self.json, &prediction)?;
        self.json.extend_from_slice(b",\n");
        Ok(())
    }
}

/// Numbers below this are written with as many decimals as they need.
const SMALL: f64 = 1e-3;

/// Writes a number with 6 decimals, exactly as `{:.6}` would for any f32: such a number times a million is exact in f64. Numbers so
/// small that hardly a digit would show get six significant digits.
fn push_fixed(out: &mut Vec<u8>, value: f64) {
    if value != 0.0 && value.abs() < SMALL {
        // Writing to a vector cannot fail.
        let _ = write!(out, "{value:.0$}", (5.0 - value.abs().log10().floor()).min(40.0) as usize);
        return;
    }
    let scaled = (value * 1e6).round_ties_even();
    if !(value.is_sign_positive() && scaled < 9e15) {
        // Writing to a vector cannot fail.
        let _ = write!(out, "{value:.6}");
        return;
    }
    let mut left = scaled as u64;
    let mut digits = [b'0'; 24];
    let mut at = digits.len();
    let mut n = 0;
    while left > 0 || n < 7 {
        if n == 6 {
            at -= 1;
            digits[at] = b'.';
        }
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        n += 1;
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_the_standard_library_writes_them() {
        let mut values = vec![0.0, -1.5, 1e12, 1e300, f64::NAN, f64::INFINITY, 0.5e-6, 1.5e-6];
        values.extend((0..20_000).map(|i: u32| {
            f64::from(f32::from_bits(0x3000_0000 + i.wrapping_mul(2_654_435_761) % 0x1c00_0000))
        }));
        for value in values {
            let mut out = Vec::new();
            if value.abs() < SMALL && value != 0.0 {
                continue;
            }
            push_fixed(&mut out, value);
            let plain = f64::from(value as f32);
            if plain.to_bits() == value.to_bits() || value.is_nan() {
                assert_eq!(String::from_utf8(out).unwrap(), format!("{value:.6}"));
            }
        }
    }

    #[test]
    fn small_numbers_keep_their_digits() {
        for (value, text) in [(3.123_456_7e-7, "0.000000312346"), (-2e-5, "-0.0000200000")] {
            let mut out = Vec::new();
            push_fixed(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn published_accuracies_stand_at_the_end() {
        let table = lat_data::published_accuracies("nasbench201").unwrap().unwrap();
        let all = Predictions { values: vec![1.25], sds: vec![0.5], is_off_data: vec![true] };
        let mut answer = Answer::default();
        for values in [Some(&[93.914, 70.2, 44.0][..]), None] {
            answer.line(1.25, "ms", "a");
            answer.end_line(Some((&table, values)));
            answer.element(&all, 0, ("latency_ms", "a"), Some((&table, values))).unwrap();
        }
        let lines = String::from_utf8(answer.lines).unwrap();
        let expected = "1.250000 ms\ta\t93.91 %\t70.20 %\t44.00 %\n1.250000 ms\ta\t-\t-\t-\n";
        assert_eq!(lines, expected);
        let json = String::from_utf8(answer.json).unwrap();
        assert!(json.contains("\"published_accuracy\":{\"cifar10_test_acc\":93.914,"), "{json}");
        assert!(json.ends_with("\"published_accuracy\":null},\n"), "{json}");
    }

    #[test]
    fn lines_have_their_columns() {
        let all = Predictions { values: vec![1.25], sds: vec![0.5], is_off_data: vec![true] };
        let mut answer = Answer::default();
        answer.line(1.25, "ms", "a");
        answer.end_line(None);
        answer.line_with_sd(&all, 0, "ms", "a");
        answer.end_line(None);
        answer.element(&all, 0, ("latency_ms", "a"), None).unwrap();
        let lines = String::from_utf8(answer.lines).unwrap();
        assert_eq!(lines, "1.250000 ms\ta\n1.250000 ms\t0.500000 ms\toff-data\ta\n");
        let json = String::from_utf8(answer.json).unwrap();
        assert!(json.starts_with("  {\"architecture\":\"a\",\"column\":\"latency_ms\",\"value\":1.25,\"sd\":0.5,\"low\":0.42"), "{json}");
        assert!(json.ends_with("\"off_data\":true},\n"), "{json}");
    }
}
