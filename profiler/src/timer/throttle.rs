//! Detects rows that were timed at a lowered clock, compared with the run's usual clock.

use lat_data::median;
use std::collections::VecDeque;

/// Number of recent rows whose clocks determine the level.
const MEMORY: usize = 101;
/// With fewer rows, no clock is judged.
const FEWEST: usize = 10;
/// A clock below this share of the level counts as throttled.
const LOW: f64 = 0.9;

/// The clock at which a run usually measures. It is compared with this and not with the data sheet, so that a GPU that always
/// runs below its nominal clock does not have all its rows discarded (nvbench issue 231).
#[derive(Debug, Default)]
pub(crate) struct ClockLevel {
    recent_mhz: VecDeque<f64>,
}

impl ClockLevel {
    /// Adds the clock of a row that is kept.
    pub(crate) fn push(&mut self, clock_mhz: Option<f64>) {
        self.recent_mhz.extend(clock_mhz);
        if self.recent_mhz.len() > MEMORY {
            self.recent_mhz.pop_front();
        }
    }

    /// Whether the clock is clearly below the level.
    pub(crate) fn is_low(&self, clock_mhz: Option<f64>) -> bool {
        let level = median(self.recent_mhz.iter().copied());
        match (clock_mhz, level) {
            (Some(clock), Some(level)) if self.recent_mhz.len() >= FEWEST => clock < LOW * level,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_is_low_against_the_own_level() {
        let mut level = ClockLevel::default();
        (0..9).for_each(|_| level.push(Some(800.0)));
        assert!(!level.is_low(Some(100.0)), "too early to tell");
        level.push(Some(800.0));
        assert!(level.is_low(Some(719.0)) && !level.is_low(Some(721.0)));
        assert!(!level.is_low(None));
    }

    #[test]
    fn the_level_follows_a_lasting_change() {
        let mut level = ClockLevel::default();
        (0..50).for_each(|_| level.push(Some(1000.0)));
        assert!(level.is_low(Some(500.0)));
        (0..52).for_each(|_| level.push(Some(500.0)));
        assert!(!level.is_low(Some(500.0)));
    }
}
