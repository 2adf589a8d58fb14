//! The quantities that can be measured: one file and one row of [`PROBES`] per quantity.

mod energy;
mod latency;
mod peak_memory;

use crate::{ProfileError, StopRule, Testbed, Workload};

/// A quantity with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantity {
    /// Name in lower case, such as `latency`.
    pub name: &'static str,
    /// Unit in lower case, such as `ms`.
    pub unit: &'static str,
}

impl Quantity {
    /// The column that it fills and that `--target` names, such as `latency_ms`.
    pub fn column(&self) -> String {
        format!("{}_{}", self.name, self.unit)
    }
}

/// The values that a probe read, in the quantity's unit: one per run in the order of the runs, or one for all. Empty if the
/// device does not give any.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// The values.
    pub samples: Vec<f64>,
}

/// Measures one quantity of a workload.
pub trait Probe {
    /// The quantity that it measures.
    fn quantity(&self) -> Quantity;

    /// Runs the warmed-up workload until the rule says stop, and returns the values.
    ///
    /// # Errors
    /// Errors of the workload or the device.
    fn read(
        &mut self,
        bed: &mut dyn Testbed,
        work: &mut dyn Workload,
        stop: &mut dyn StopRule,
    ) -> Result<Reading, ProfileError>;
}

/// A row of [`PROBES`].
#[derive(Debug, Clone, Copy)]
pub struct ProbeEntry {
    /// The quantity that it measures.
    pub quantity: Quantity,
    /// One line for `lat list probes`.
    pub summary: &'static str,
    /// Makes the probe.
    pub build: fn() -> Box<dyn Probe>,
}

/// All probes, one row each.
pub const PROBES: &[ProbeEntry] = &[latency::ENTRY, peak_memory::ENTRY, energy::ENTRY];

/// The probe with this name.
///
/// # Errors
/// [`ProfileError::Unknown`] lists the names.
pub fn find_probe(name: &str) -> Result<Box<dyn Probe>, ProfileError> {
    let found = PROBES.iter().find(|entry| entry.quantity.name == name);
    found.map(|entry| (entry.build)()).ok_or_else(|| ProfileError::Unknown {
        kind: "probe",
        name: name.to_owned(),
        known: PROBES.iter().map(|entry| entry.quantity.name).collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FakeTestbed, MedianInterval, fake_latency_ms};

    #[test]
    fn energy_is_power_times_latency() {
        let space = lat_space::find_space("nasbench201").unwrap();
        let skeleton = space.skeletons()[0].skeleton;
        let graph = space.graph(&skeleton).derive(&space.at(9_000)).without_auxiliary();
        let mut bed = FakeTestbed::new(0, 1);
        let task = crate::Task { role: lat_data::Role::Sample, index: 0, occurrence: 0 };
        let mut work = bed.load(&graph, task).unwrap();
        let mut stop = MedianInterval::with_cap(80.0);
        let reading = find_probe("energy").unwrap().read(&mut bed, work.as_mut(), &mut stop);
        // 50 W are 50 mJ per millisecond.
        let ratio = reading.unwrap().samples[0] / (50.0 * fake_latency_ms(&graph, 1));
        assert!((ratio - 1.0).abs() < 0.01, "{ratio}");
    }

    #[test]
    fn every_row_builds_the_probe_it_names_and_reads_finite_values() {
        for entry in PROBES {
            let mut probe = find_probe(entry.quantity.name).unwrap();
            assert_eq!(probe.quantity(), entry.quantity);
            let mut bed = FakeTestbed::new(0, 1);
            let space = lat_space::find_space("darts").unwrap();
            let skeleton = space.skeletons()[0].skeleton;
            let graph = space.graph(&skeleton).derive(&space.at(5)).without_auxiliary();
            let task = crate::Task { role: lat_data::Role::Sample, index: 0, occurrence: 0 };
            let mut work = bed.load(&graph, task).unwrap();
            let mut stop = MedianInterval::with_cap(80.0);
            let reading = probe.read(&mut bed, work.as_mut(), &mut stop).unwrap();
            assert!(!reading.samples.is_empty(), "{}", entry.quantity.name);
            assert!(reading.samples.iter().all(|v| v.is_finite() && *v > 0.0));
        }
    }

    #[test]
    fn columns_carry_their_unit() {
        assert_eq!(find_probe("latency").unwrap().quantity().column(), "latency_ms");
    }

    #[test]
    fn an_unknown_probe_lists_the_known() {
        let error = find_probe("speed").err().unwrap().to_string();
        assert_eq!(error, "unknown probe 'speed'; expected one of: latency, peak_memory, energy");
    }
}
