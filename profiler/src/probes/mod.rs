//! What can be measured: one file and one row of [`PROBES`] per quantity.

mod latency;

use crate::{ProfileError, StopRule, Testbed, Workload};

/// A quantity with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantity {
    /// Name in lower case: `latency`.
    pub name: &'static str,
    /// Unit in lower case: `ms`.
    pub unit: &'static str,
}

impl Quantity {
    /// The column it fills and `--target` names: `latency_ms`.
    pub fn column(&self) -> String {
        format!("{}_{}", self.name, self.unit)
    }
}

/// What a probe read: one value per run, in the quantity's unit, in the order of the runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// The values.
    pub samples: Vec<f64>,
}

/// Measures one quantity of a workload.
pub trait Probe {
    /// What it measures.
    fn quantity(&self) -> Quantity;

    /// Runs the warmed-up workload until the rule says stop, and returns what was read.
    ///
    /// # Errors
    /// Whatever the workload or the device reports.
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
    /// What it measures.
    pub quantity: Quantity,
    /// One line for `lat list probes`.
    pub summary: &'static str,
    /// Makes the probe.
    pub build: fn() -> Box<dyn Probe>,
}

/// All probes, one row each.
pub const PROBES: &[ProbeEntry] = &[latency::ENTRY];

/// The probe of this name.
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
    use crate::{FakeTestbed, FakeWorkload, MedianInterval};

    #[test]
    fn every_row_builds_the_probe_it_names_and_reads_finite_values() {
        for entry in PROBES {
            let mut probe = find_probe(entry.quantity.name).unwrap();
            assert_eq!(probe.quantity(), entry.quantity);
            let mut bed = FakeTestbed::new(0, 1);
            let mut work = FakeWorkload::new(bed.clock(), 2.0, [7; 32]);
            let mut stop = MedianInterval::with_cap(80.0);
            let reading = probe.read(&mut bed, &mut work, &mut stop).unwrap();
            assert!(reading.samples.len() >= 10);
            assert!(reading.samples.iter().all(|v| v.is_finite()));
        }
    }

    #[test]
    fn columns_carry_their_unit() {
        assert_eq!(find_probe("latency").unwrap().quantity().column(), "latency_ms");
    }

    #[test]
    fn an_unknown_probe_lists_the_known() {
        let error = find_probe("speed").err().unwrap().to_string();
        assert_eq!(error, "unknown probe 'speed'; expected one of: latency");
    }
}
