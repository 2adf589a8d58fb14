//! Measurements as a table with one column per field, and the header's values as constant columns.

use std::io::Write;

use polars::prelude::{Column, DataFrame, PolarsResult};
use polars_io::parquet::write::ParquetWriter;

use crate::{Measurement, RunHeader, superseded};

/// Columns that contain the header; `skeleton`, `reference_ms` and `versions` are JSON.
pub(crate) const HEADER_COLUMNS: [&str; 15] = [
    "format_version",
    "space",
    "skeleton",
    "seed",
    "batch",
    "device",
    "device_name",
    "precision",
    "mode",
    "channels_last",
    "cold",
    "shard",
    "threads",
    "reference_ms",
    "versions",
];

/// A table with one row per measurement. Numbers that are missing or NaN become null.
///
/// # Errors
/// [`polars::error::PolarsError`] if polars fails; bad rows are no reason for that.
pub(crate) fn from_measurements(
    header: &RunHeader,
    rows: &[Measurement],
) -> PolarsResult<DataFrame> {
    let mut columns = identity(rows);
    columns.extend(latencies(rows));
    columns.extend(proof(rows));
    columns.extend(constants(header, rows.len()));
    DataFrame::new(rows.len(), columns)
}

/// Writes the table as Parquet, compressed with zstd.
///
/// # Errors
/// [`polars::error::PolarsError`] if the file cannot be written.
pub(crate) fn write_parquet(file: &mut impl Write, frame: &mut DataFrame) -> PolarsResult<()> {
    ParquetWriter::new(file).finish(frame).map(|_| ())
}

fn identity(rows: &[Measurement]) -> Vec<Column> {
    vec![
        Column::new("index".into(), rows.iter().map(|r| r.index).collect::<Vec<_>>()),
        texts("role", rows, |r| r.role.name()),
        counts("occurrence", rows, |r| r.occurrence),
        counts("attempt", rows, |r| r.attempt),
        Column::new("superseded".into(), superseded(rows)),
        texts("architecture", rows, |r| &r.architecture),
        texts("status", rows, |r| r.status.name()),
        texts("reason", rows, |r| &r.reason),
    ]
}

fn latencies(rows: &[Measurement]) -> Vec<Column> {
    vec![
        numbers("latency_ms", rows, |r| Some(r.latency_ms)),
        numbers("latency_eager_ms", rows, |r| Some(r.latency_eager_ms)),
        numbers("latency_graph_ms", rows, |r| Some(r.latency_graph_ms)),
        Column::new("launch_bound".into(), rows.iter().map(|r| r.launch_bound).collect::<Vec<_>>()),
        numbers("latency_raw_ms", rows, |r| Some(r.latency_raw_ms)),
        numbers("latency_mad_ms", rows, |r| Some(r.latency_mad_ms)),
        numbers("latency_q1_ms", rows, |r| Some(r.latency_q1_ms)),
        numbers("latency_q3_ms", rows, |r| Some(r.latency_q3_ms)),
        numbers("latency_min_ms", rows, |r| Some(r.latency_min_ms)),
        numbers("latency_ci_low_ms", rows, |r| Some(r.latency_ci_low_ms)),
        numbers("latency_ci_high_ms", rows, |r| Some(r.latency_ci_high_ms)),
        numbers("latency_p90_ms", rows, |r| Some(r.latency_p90_ms)),
        numbers("latency_p99_ms", rows, |r| Some(r.latency_p99_ms)),
    ]
}

fn proof(rows: &[Measurement]) -> Vec<Column> {
    let reasons: Vec<Option<&str>> = rows.iter().map(|r| r.throttle_reasons.as_deref()).collect();
    vec![
        counts("n_runs", rows, |r| r.n_runs),
        counts("n_discarded", rows, |r| r.n_discarded),
        counts("n_warmup", rows, |r| r.n_warmup),
        Column::new("params".into(), rows.iter().map(|r| r.params).collect::<Vec<_>>()),
        Column::new(
            "multiply_adds".into(),
            rows.iter().map(|r| r.multiply_adds).collect::<Vec<_>>(),
        ),
        numbers("peak_memory_mib", rows, |r| r.peak_memory_mib),
        numbers("peak_rss_mib", rows, |r| r.peak_rss_mib),
        numbers("energy_mj", rows, |r| r.energy_mj),
        numbers("clock_mhz", rows, |r| r.clock_mhz),
        numbers("temperature_c", rows, |r| r.temperature_c),
        numbers("power_w", rows, |r| r.power_w),
        Column::new("throttle_reasons".into(), reasons),
        numbers("timed_s", rows, |r| Some(r.timed_s)),
        numbers("wall_s", rows, |r| Some(r.wall_s)),
        numbers("unix_s", rows, |r| Some(r.unix_s)),
    ]
}

fn constants(header: &RunHeader, n: usize) -> Vec<Column> {
    // A skeleton and a list of texts can always be written as JSON.
    let skeleton = serde_json::to_string(&header.skeleton).unwrap_or_default();
    let versions = serde_json::to_string(&header.versions).unwrap_or_default();
    let reference = serde_json::to_string(&header.reference_ms).unwrap_or_default();
    let text = |name: &str, value: &str| Column::new(name.into(), vec![value; n]);
    vec![
        Column::new("format_version".into(), vec![header.version; n]),
        text("space", &header.space),
        text("skeleton", &skeleton),
        Column::new("seed".into(), vec![header.seed; n]),
        Column::new("batch".into(), vec![header.batch; n]),
        text("device", &header.device),
        text("device_name", &header.device_name),
        text("precision", header.point.precision.name()),
        text("mode", header.point.mode.name()),
        text("channels_last", &header.point.channels_last.to_string()),
        text("cold", &header.point.cold.to_string()),
        text("shard", header.shard.as_deref().unwrap_or("all")),
        Column::new("threads".into(), vec![header.threads; n]),
        text("reference_ms", &reference),
        text("versions", &versions),
    ]
}

fn texts<'a>(name: &str, rows: &'a [Measurement], get: fn(&'a Measurement) -> &'a str) -> Column {
    Column::new(name.into(), rows.iter().map(get).collect::<Vec<_>>())
}

fn counts(name: &str, rows: &[Measurement], get: fn(&Measurement) -> u32) -> Column {
    Column::new(name.into(), rows.iter().map(get).collect::<Vec<_>>())
}

fn numbers(name: &str, rows: &[Measurement], get: fn(&Measurement) -> Option<f64>) -> Column {
    let values = rows.iter().map(|r| get(r).filter(|value| value.is_finite()));
    Column::new(name.into(), values.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;
    use crate::run::measurement::tests::{failed, header, measurement};

    /// Every field of the two records becomes a column with the same name, so no field can be forgotten.
    #[test]
    fn every_field_has_a_column() {
        let rows = [measurement(1, Role::Sample, 1.5), failed(2)];
        let frame = from_measurements(&header(), &rows).unwrap();
        let names: Vec<&str> = frame.get_column_names().iter().map(|name| name.as_str()).collect();
        let row = serde_json::to_value(&rows[0]).unwrap();
        for field in row.as_object().unwrap().keys() {
            assert!(names.contains(&field.as_str()), "{field}");
        }
        let head = serde_json::to_value(header()).unwrap();
        for field in head.as_object().unwrap().keys().filter(|field| *field != "version") {
            assert!(names.contains(&field.as_str()), "{field}");
        }
        assert!(HEADER_COLUMNS.iter().all(|name| names.contains(name)));
        assert_eq!(frame.height(), 2);
        assert_eq!(frame.column("latency_ms").unwrap().null_count(), 1);
        assert_eq!(frame.column("temperature_c").unwrap().null_count(), 2);
    }
}
