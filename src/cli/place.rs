//! Where a cost was measured, so that further architectures can be measured there.

use lat::record::CostPlace;
use lat_data::RunHeader;
use lat_predictor::Label;
use lat_profiler::{ProfileOptions, available, measure_one};
use lat_space::{Architecture, SearchSpace};

/// A measured cost: its column, and where and how it was measured. The architecture that a search finds is measured the same way.
pub(super) struct MeasuredCost {
    column: String,
    pub(super) place: CostPlace,
    /// Undisturbed time of the CPU's reference network, milliseconds.
    pub(super) reference_ms: Option<f64>,
}

impl MeasuredCost {
    /// The measured cost behind a predictor; None if its training table does not say how it was measured.
    pub(super) fn of_label(label: &Label) -> Option<Self> {
        let place = CostPlace {
            device_name: label.device_name.clone()?,
            skeleton: label.skeleton?,
            batch: label.batch?,
            point: label.point.unwrap_or_default(),
        };
        Some(Self { column: label.column.clone(), place, reference_ms: label.reference_ms })
    }

    /// The measured cost behind a table of operations.
    pub(super) fn of_header(header: &RunHeader) -> Self {
        let place = CostPlace {
            device_name: header.device_name.clone(),
            skeleton: header.skeleton,
            batch: header.batch,
            point: header.point,
        };
        Self { column: "latency_ms".to_owned(), place, reference_ms: header.reference_ms }
    }

    /// Measures an architecture if this machine has the cost's device. The text says where it was measured, or why it was not.
    pub(super) fn measure(
        &self,
        space: &dyn SearchSpace,
        architecture: &Architecture,
    ) -> (Option<f64>, String) {
        let Self { column, place, reference_ms } = self;
        let name = &place.device_name;
        let Some(device) = available().into_iter().find(|d| d.name == *name) else {
            return (None, format!("not measured: the cost is that of {name}, which is not here"));
        };
        let defaults = ProfileOptions::new(place.skeleton, device.spec);
        let options = ProfileOptions {
            batch: place.batch,
            point: place.point,
            max_ms: 10.0 * defaults.max_ms,
            energy_fraction: if column == "energy_mj" { 1.0 } else { 0.0 },
            reference_ms: *reference_ms,
            ..defaults
        };
        match measure_one(space, &options, architecture) {
            Ok(row) => match row.target(column) {
                Some(value) => (Some(value), place.to_string()),
                None if row.reason.is_empty() => {
                    (None, format!("not measured: {name} does not tell {column}"))
                }
                None => (None, format!("not measured: {}", row.reason)),
            },
            Err(error) => (None, format!("not measured: {error}")),
        }
    }
}
