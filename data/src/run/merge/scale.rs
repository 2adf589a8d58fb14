//! How much faster or slower one device is than others of its model, computed from the anchors that all of them measured.

use std::collections::BTreeMap;

use crate::{Measurement, Role, Status, median, superseded};

/// The factor of one device relative to all devices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Factor by which its latencies are multiplied.
    pub factor: f64,
    /// Largest relative difference between this factor and that of a single anchor: the error that scaling cannot remove.
    pub spread: f64,
}

/// Each device's scale from its rows: the median over the anchors of (median of the anchor's latency over all devices / its
/// median on this device). None for a device without a measured anchor.
pub(crate) fn fit(devices: &[&[Measurement]]) -> Vec<Option<Scale>> {
    let series: Vec<BTreeMap<u64, Vec<f64>>> = devices.iter().map(|rows| anchors(rows)).collect();
    let mut pooled: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (anchor, latencies) in series.iter().flatten() {
        pooled.entry(*anchor).or_default().extend(latencies);
    }
    let pooled: BTreeMap<u64, f64> =
        pooled.into_iter().filter_map(|(a, l)| Some((a, median(l)?))).collect();
    series.into_iter().map(|own| scale(&pooled, own)).collect()
}

/// The row with its latencies multiplied. The clock's readings are unchanged.
pub(crate) fn scaled(row: Measurement, scale: Option<Scale>) -> Measurement {
    let Some(Scale { factor, .. }) = scale else { return row };
    Measurement {
        latency_ms: row.latency_ms * factor,
        latency_eager_ms: row.latency_eager_ms * factor,
        latency_graph_ms: row.latency_graph_ms * factor,
        latency_mad_ms: row.latency_mad_ms * factor,
        latency_q1_ms: row.latency_q1_ms * factor,
        latency_q3_ms: row.latency_q3_ms * factor,
        latency_min_ms: row.latency_min_ms * factor,
        latency_ci_low_ms: row.latency_ci_low_ms * factor,
        latency_ci_high_ms: row.latency_ci_high_ms * factor,
        latency_p90_ms: row.latency_p90_ms * factor,
        latency_p99_ms: row.latency_p99_ms * factor,
        ..row
    }
}

/// For each anchor, the latencies that count.
fn anchors(rows: &[Measurement]) -> BTreeMap<u64, Vec<f64>> {
    let mut series: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (row, superseded) in rows.iter().zip(superseded(rows)) {
        let counts = row.role == Role::Anchor && row.status != Status::Failed && !superseded;
        if counts && row.latency_ms.is_finite() && row.latency_ms > 0.0 {
            series.entry(row.index).or_default().push(row.latency_ms);
        }
    }
    series
}

fn scale(pooled: &BTreeMap<u64, f64>, own: BTreeMap<u64, Vec<f64>>) -> Option<Scale> {
    let ratios: Vec<f64> =
        own.into_iter().filter_map(|(a, values)| Some(pooled[&a] / median(values)?)).collect();
    let factor = median(ratios.iter().copied())?;
    let spread = ratios.iter().map(|ratio| (ratio / factor - 1.0).abs()).fold(0.0, f64::max);
    Some(Scale { factor, spread })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::measurement::tests::{failed, measurement};

    fn device(anchors: &[(u64, f64)]) -> Vec<Measurement> {
        let row = |(i, &(index, ms)): (usize, &(u64, f64))| Measurement {
            occurrence: i as u32,
            ..measurement(index, Role::Anchor, ms)
        };
        anchors.iter().enumerate().map(row).collect()
    }

    #[test]
    fn the_anchors_tell_how_the_devices_differ() {
        let (one, two) = (device(&[(0, 1.0), (1, 2.0)]), device(&[(0, 1.5), (1, 3.0)]));
        let scales = fit(&[&one, &two]);
        // The pooled medians are 1.25 and 2.5.
        let factors: Vec<f64> = scales.iter().map(|scale| scale.unwrap().factor).collect();
        assert!((factors[0] - 1.25).abs() < 1e-12 && (factors[1] - 1.25 / 1.5).abs() < 1e-12);
        assert!(scales.iter().all(|scale| scale.unwrap().spread < 1e-12));
    }

    #[test]
    fn one_odd_anchor_shows_as_spread_and_does_not_move_the_factor() {
        let usual = device(&[(0, 1.0), (1, 1.0), (2, 1.0)]);
        let odd = device(&[(0, 1.0), (1, 1.0), (2, 2.0)]);
        let scale = fit(&[&usual, &odd])[1].unwrap();
        assert!((scale.factor - 1.0).abs() < 1e-12 && (scale.spread - 0.25).abs() < 1e-12);
    }

    #[test]
    fn failed_and_superseded_anchors_and_samples_do_not_count() {
        let mut rows = device(&[(0, 2.0)]);
        rows.push(Measurement { role: Role::Anchor, ..failed(0) });
        rows.push(measurement(0, Role::Sample, 9.0));
        rows.push(Measurement { attempt: 1, ..device(&[(0, 3.0)]).remove(0) });
        let other = device(&[(0, 3.0)]);
        assert!(fit(&[&rows, &other]).iter().all(|s| (s.unwrap().factor - 1.0).abs() < 1e-12));
        assert_eq!(fit(&[&other, &[failed(1)]])[1], None);
    }

    #[test]
    fn all_latencies_but_the_raw_one_are_multiplied() {
        let row = measurement(0, Role::Sample, 2.0);
        let twice = scaled(row.clone(), Some(Scale { factor: 2.0, spread: 0.0 }));
        let fields = |row: &Measurement| serde_json::to_value(row).unwrap();
        let (before, after) = (fields(&row), fields(&twice));
        for (name, value) in before.as_object().unwrap() {
            let is_scaled = name.starts_with("latency_") && name != "latency_raw_ms";
            let ratio = value.as_f64().map(|v| after[name].as_f64().unwrap() / v);
            match ratio.filter(|_| is_scaled) {
                Some(ratio) => assert!((ratio - 2.0).abs() < 1e-12, "{name}"),
                None => assert_eq!(value, &after[name], "{name}"),
            }
        }
    }
}
