//! Energy per run, by the device's own counter.

use crate::{Probe, ProbeEntry, ProfileError, Quantity, Reading, StopRule, Testbed, Workload};

const QUANTITY: Quantity = Quantity { name: "energy", unit: "mj" };
/// Counters are updated about every 100 ms and sample power only part of the time (arXiv 2312.02741), so shorter windows are not
/// accurate.
const WINDOW_S: f64 = 2.0;

/// The row of the table.
pub(super) const ENTRY: ProbeEntry = ProbeEntry {
    quantity: QUANTITY,
    summary: "energy of one batch by the device's own counter (NVML, RAPL), over two seconds of runs",
    build: || Box::new(Energy),
};

/// Makes runs between two readings of the counter. The power that the device draws when idle is included.
#[derive(Debug)]
struct Energy;

impl Probe for Energy {
    fn quantity(&self) -> Quantity {
        QUANTITY
    }

    fn read(
        &mut self,
        bed: &mut dyn Testbed,
        work: &mut dyn Workload,
        _: &mut dyn StopRule,
    ) -> Result<Reading, ProfileError> {
        let Some(begin_mj) = bed.sensor().energy_mj() else { return Ok(Reading::default()) };
        let begin_s = bed.now_s();
        let mut runs = 0.0;
        while bed.now_s() - begin_s < WINDOW_S {
            work.enqueue()?;
            work.synchronize()?;
            runs += 1.0;
        }
        let drawn_mj = bed.sensor().energy_mj().map(|end_mj| end_mj - begin_mj);
        // If the counter wrapped around in the meantime, or did not move, there is no result.
        let drawn_mj = drawn_mj.filter(|mj| *mj > 0.0);
        Ok(Reading { samples: drawn_mj.map(|mj| mj / runs).into_iter().collect() })
    }
}
