//! Latency.

use crate::{Probe, ProbeEntry, ProfileError, Quantity, Reading, StopRule, Testbed, Workload};

const QUANTITY: Quantity = Quantity { name: "latency", unit: "ms" };

/// The row of the table.
pub(super) const ENTRY: ProbeEntry = ProbeEntry {
    quantity: QUANTITY,
    summary: "time from the start of a batch to its result, on the device's own clock",
    build: || Box::new(Latency),
};

/// Time of one batch, in runs one after the other on an otherwise idle device.
#[derive(Debug)]
struct Latency;

impl Probe for Latency {
    fn quantity(&self) -> Quantity {
        QUANTITY
    }

    fn read(
        &mut self,
        bed: &mut dyn Testbed,
        work: &mut dyn Workload,
        stop: &mut dyn StopRule,
    ) -> Result<Reading, ProfileError> {
        stop.reset();
        let mut samples = Vec::new();
        let begin_s = bed.now_s();
        loop {
            let time_ms = bed.stopwatch().time_ms(work)?;
            samples.push(time_ms);
            if stop.push(time_ms, (bed.now_s() - begin_s) * 1e3) {
                return Ok(Reading { samples });
            }
        }
    }
}
