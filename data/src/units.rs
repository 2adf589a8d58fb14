//! Units, as given by the ends of columns' names.

/// Units that a name may end in, such as `latency_ms`. Other names give no unit, such as `pixel3_latency`.
const UNITS: [&str; 10] = ["ms", "us", "ns", "s", "mj", "j", "w", "mib", "mhz", "c"];
/// Columns that contain counts.
const COUNTS: [&str; 2] = ["params", "multiply_adds"];

/// The text for a unit that is not known.
const UNKNOWN_UNIT: &str = "unit unknown";

/// The unit at the end of a column's name, in lower case.
pub(crate) fn suffix(column: &str) -> Option<&'static str> {
    let (_, suffix) = column.rsplit_once('_').filter(|_| !is_rate(column))?;
    UNITS.into_iter().find(|unit| unit.eq_ignore_ascii_case(suffix))
}

/// A column's unit: the end of its name, `1` for counts, else `unit unknown`.
pub fn unit(column: &str) -> &'static str {
    if is_rate(column) {
        return "per s";
    }
    if COUNTS.contains(&column) { "1" } else { suffix(column).unwrap_or(UNKNOWN_UNIT) }
}

/// Whether a column's name says that it holds a number per second, as `images_per_s` does.
fn is_rate(column: &str) -> bool {
    column.to_ascii_lowercase().ends_with("_per_s")
}

/// How many of this unit of time make a millisecond; None if it is no unit of time.
pub fn per_ms(unit: &str) -> Option<f64> {
    match unit {
        "s" => Some(1e-3),
        "ms" => Some(1.0),
        "us" => Some(1e3),
        "ns" => Some(1e6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_known_suffixes() {
        for (column, expected) in [
            ("latency_ms", "ms"),
            ("latency_MS", "ms"),
            ("peak_memory_mib", "mib"),
            ("params", "1"),
            ("multiply_adds", "1"),
            ("pixel3_latency", UNKNOWN_UNIT),
            ("latency_mean_encoder", UNKNOWN_UNIT),
            ("latency", UNKNOWN_UNIT),
            ("throughput_images_per_s", "per s"),
            ("ms", UNKNOWN_UNIT),
        ] {
            assert_eq!(unit(column), expected, "{column}");
        }
        assert_eq!(["s", "us", "mib"].map(per_ms), [Some(1e-3), Some(1e3), None]);
    }
}
