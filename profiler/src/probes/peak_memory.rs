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

/// On a GPU: growth of libtorch's allocated memory at its peak, in one eager run after the first, plus the sizes of weights and
/// input. (The weights are counted by size because they are in an arena with those of other networks.) In a process with only
/// this network, `torch.cuda.max_memory_allocated` shows the same, except that weights are rounded to 512 bytes. On other devices
/// it is counted from the graph, so it is the same on all of them.
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
