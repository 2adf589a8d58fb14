//! Time and memory that a search or an evaluation has spent so far, over all processes that worked on it.

use std::time::Instant;

use lat_profiler::{DeviceSpec, MemoryPeak};
use serde::{Deserialize, Serialize};

/// Time and memory spent up to some moment; checkpoints store them. Work of a process after its last checkpoint is lost and not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Seconds, added up over all processes.
    pub seconds: f64,
    /// Largest memory of any process, MiB; None if no process could measure it.
    #[serde(default)]
    pub peak_memory_mib: Option<f64>,
}

impl Spent {
    /// The amount stored in a checkpoint; older ones only have the seconds of each epoch.
    pub(crate) fn recorded(spent: Option<Self>, epochs: impl Iterator<Item = f64>) -> Self {
        spent.unwrap_or_else(|| Self { seconds: epochs.sum(), peak_memory_mib: None })
    }

    /// Adds two amounts: the sum of the times, the larger memory.
    fn and(self, other: Self) -> Self {
        let peaks = [self.peak_memory_mib, other.peak_memory_mib].into_iter().flatten();
        Self { seconds: self.seconds + other.seconds, peak_memory_mib: peaks.reduce(f64::max) }
    }
}

/// Measures what this process spends, and adds what earlier processes spent.
#[derive(Debug)]
pub struct Meter {
    start: Instant,
    /// None if memory is not measured.
    peak: Option<MemoryPeak>,
    before: Spent,
}

impl Meter {
    /// Starts now; also measures memory on this device, if one is given.
    pub fn begin(memory: Option<DeviceSpec>) -> Self {
        let peak = memory.map(MemoryPeak::begin);
        Self { start: Instant::now(), peak, before: Spent::default() }
    }

    /// Adds the amount that earlier processes spent.
    pub(crate) fn go_on(&mut self, before: Spent) {
        self.before = before;
    }

    /// The total so far.
    pub fn spent(&self) -> Spent {
        let peak_memory_mib = self.peak.as_ref().and_then(MemoryPeak::mib);
        self.before.and(Spent { seconds: self.start.elapsed().as_secs_f64(), peak_memory_mib })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_add_up_and_the_larger_memory_counts() {
        let spent = |seconds, peak_memory_mib| Spent { seconds, peak_memory_mib };
        assert_eq!(spent(3.0, Some(7.0)).and(spent(2.0, Some(5.0))), spent(5.0, Some(7.0)));
        assert_eq!(spent(3.0, None).and(spent(2.0, Some(5.0))), spent(5.0, Some(5.0)));
        assert_eq!(spent(3.0, None).and(spent(2.0, None)), spent(5.0, None));
        let epochs = [1.0, 2.5];
        assert_eq!(Spent::recorded(None, epochs.into_iter()), spent(3.5, None));
        let known = spent(9.0, Some(1.0));
        assert_eq!(Spent::recorded(Some(known), epochs.into_iter()), known);
    }
}
