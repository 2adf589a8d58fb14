use crate::{Probe, ProbeEntry, ProfileError, Quantity, Reading, StopRule, Testbed, Workload};

const QUANTITY: Quantity = Quantity { name: "peak_memory", unit: "mib" };
const MIB: f64 = 1_048_576.0;

/// The row of the table.
pub(super) const ENTRY: ProbeEntry = ProbeEntry {
    quantity: QUANTITY,
    summary: "weights and activations at their peak, counted from the graph; libraries' workspaces are not in it",
    build: || Box::new(PeakMemory),
};

/// Counted, not measured: the same on every device.
#[derive(Debug)]
struct PeakMemory;

impl Probe for PeakMemory {
    fn quantity(&self) -> Quantity {
        QUANTITY
    }

    fn read(
        &mut self,
        _: &mut dyn Testbed,
        work: &mut dyn Workload,
        _: &mut dyn StopRule,
    ) -> Result<Reading, ProfileError> {
        let bytes = work.peak_memory_bytes();
        Ok(Reading { samples: bytes.map(|bytes| bytes as f64 / MIB).into_iter().collect() })
    }
}
