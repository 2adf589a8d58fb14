//! Peak memory of one run.

use crate::{Probe, ProbeEntry, ProfileError, Quantity, Reading, StopRule, Testbed, Workload};

const QUANTITY: Quantity = Quantity { name: "peak_memory", unit: "mib" };
const MIB: f64 = 1_048_576.0;

/// The row of the table.
pub(super) const ENTRY: ProbeEntry = ProbeEntry {
    quantity: QUANTITY,
    summary: "weights and activations at their peak: by libtorch's allocator on a GPU, workspaces included; elsewhere counted from the graph",
    build: || Box::new(PeakMemory),
};

/// On a GPU what libtorch's allocator saw in one eager run after the first: growth at its peak, and weights and input by their sizes,
/// since the weights lie in an arena with those of other networks. It is what `torch.cuda.max_memory_allocated` shows in a process
/// with this network alone, but for the rounding of weights to 512 bytes. Elsewhere it is counted, the same on every device.
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
