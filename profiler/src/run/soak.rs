//! Warms a device up until its latency no longer changes.

use std::sync::atomic::{AtomicBool, Ordering};

use lat_data::{Role, median};

use super::bench::Bench;
use crate::verdict::Soak;
use crate::{ProfileError, Task};

/// Seconds of runs whose median is one point.
const BLOCK_S: f64 = 0.25;
/// Number of points that must agree.
const POINTS: usize = 3;
/// The largest relative difference between these points.
const FLAT: f64 = 0.01;

/// Runs the first anchor until the medians of the last three quarter seconds agree within 1 %, at most for `limit_s`. Then clocks
/// and temperature are those that the rows will have.
pub(crate) fn soak(
    bench: &mut Bench<'_>,
    limit_s: f64,
    stop: &AtomicBool,
) -> Result<Soak, ProfileError> {
    let anchor = Task { role: Role::Anchor, index: 0, occurrence: u32::MAX };
    let architecture = anchor.architecture(bench.space, 0)?;
    let begin_s = bench.bed.now_s();
    let mut work = bench.load(&architecture, anchor)?;
    let mut points: Vec<f64> = Vec::new();
    let mut flat = false;
    while !flat && bench.bed.now_s() - begin_s < limit_s && !stop.load(Ordering::Relaxed) {
        let end_s = bench.bed.now_s() + BLOCK_S;
        let mut times = Vec::new();
        while times.is_empty() || bench.bed.now_s() < end_s {
            times.push(bench.bed.stopwatch().time_ms(work.as_mut())?);
        }
        points.extend(median(times));
        flat = is_flat(&points);
    }
    Ok(Soak { seconds: bench.bed.now_s() - begin_s, flat })
}

fn is_flat(points: &[f64]) -> bool {
    let Some(start) = points.len().checked_sub(POINTS) else { return false };
    let last = &points[start..];
    let (low, high) = last.iter().fold((f64::MAX, 0.0f64), |(l, h), &p| (l.min(p), h.max(p)));
    high <= low * (1.0 + FLAT)
}

#[cfg(test)]
mod tests {
    use lat_space::{find_skeleton, find_space};

    use super::*;
    use crate::{DeviceSpec, FakeTestbed, ProfileOptions};

    fn soaked(drift_per_hour: f64, interrupted: bool) -> Soak {
        let space = find_space("darts").unwrap();
        let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
        let options = ProfileOptions::new(skeleton, DeviceSpec::Fake);
        let mut bed = FakeTestbed::new(0, 1);
        bed.faults.drift_per_hour = drift_per_hour;
        let mut bench = Bench::new(&mut bed, space.as_ref(), &options).unwrap();
        soak(&mut bench, 5.0, &AtomicBool::new(interrupted)).unwrap()
    }

    #[test]
    fn a_steady_device_is_flat_after_three_blocks() {
        let soak = soaked(0.0, false);
        assert!(soak.flat && (0.75..0.8).contains(&soak.seconds), "{soak:?}");
    }

    #[test]
    fn a_device_that_keeps_slowing_down_ends_at_the_limit() {
        // 20 % per second, so three blocks are 10 % apart.
        let soak = soaked(720.0, false);
        assert!(!soak.flat && (5.0..5.5).contains(&soak.seconds), "{soak:?}");
    }

    #[test]
    fn an_interrupt_ends_it_at_once() {
        assert!(soaked(0.0, true).seconds <= 0.0);
    }
}
