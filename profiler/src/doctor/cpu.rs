//! Checks for things that disturb measurements on a CPU.

use std::fs;
use std::thread;
use std::time::Duration;

use super::{Finding, Grade, stopwatch};
use crate::timing::summary::quantile;
use crate::{CpuStopwatch, PairedStopwatch, ProfileError, Stopwatch};

/// How long other programs are observed.
const WATCH: Duration = Duration::from_millis(700);
/// Number of runs of the reference network from which the machine's noise is found.
const NOISE_RUNS: usize = 200;

/// Everything that matters for timing on this machine's processor.
pub(super) fn findings() -> Result<Vec<Finding>, ProfileError> {
    let mut clock = CpuStopwatch::default();
    let mut findings = vec![
        stopwatch::clock_resolution(),
        stopwatch::floor(&mut clock)?,
        stopwatch::known_length(&mut clock)?,
        stopwatch::missing_wait(&mut clock)?,
    ];
    findings.extend(noise()?);
    findings.extend(others());
    findings.extend(governor());
    findings.push(threads());
    Ok(findings)
}

/// The spread of runs of one network, as the clock shows them and corrected by the reference network.
fn noise() -> Result<[Finding; 2], ProfileError> {
    // Spreads are relative, so the reference's undisturbed time does not matter. (Finding it takes seconds.)
    let mut paired = PairedStopwatch::new(Some(1.0), CpuStopwatch::default())?;
    let mut work = crate::timing::reference::reference_network()?;
    let spread = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        100.0 * (quantile(times, 0.75) - quantile(times, 0.25)) / quantile(times, 0.5)
    };
    let mut corrected = Vec::new();
    let mut raw = Vec::new();
    for _ in 0..NOISE_RUNS {
        corrected.push(paired.time_ms(&mut work)?);
        raw.push(CpuStopwatch::time_hot_ms(&mut work)?);
    }
    let (raw, corrected) = (spread(&mut raw), spread(&mut corrected));
    let advice = "end other programs; use one thread (--threads 1)";
    let shown = |percent: f64| format!("{percent:.1} % between the quartiles");
    Ok([
        Finding::check("noise of single runs", shown(raw), raw < 10.0, Grade::Doubtful, advice),
        Finding::check(
            "noise after correction",
            shown(corrected),
            corrected < 10.0,
            Grade::Doubtful,
            advice,
        ),
    ])
}

/// Jiffies of the whole machine: in total, idle, and stolen by the host of a virtual machine.
#[derive(Debug, PartialEq)]
struct Jiffies {
    all: f64,
    idle: f64,
    stolen: f64,
}

impl Jiffies {
    fn now() -> Option<Self> {
        Self::read(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// From the first line of the kernel's `stat` file: user, nice, system, idle, iowait, irq, softirq, steal.
    fn read(stat: &str) -> Option<Self> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        let fields: Vec<f64> =
            line.split_whitespace().take(8).filter_map(|field| field.parse().ok()).collect();
        let &[user, nice, system, idle, iowait, irq, softirq, stolen] = fields.as_slice() else {
            return None;
        };
        let all = user + nice + system + idle + iowait + irq + softirq + stolen;
        Some(Self { all, idle: idle + iowait, stolen })
    }
}

/// The share of the processor that other programs use while this one sleeps.
fn others() -> Vec<Finding> {
    let begin = Jiffies::now();
    thread::sleep(WATCH);
    let (Some(begin), Some(end)) = (begin, Jiffies::now()) else { return Vec::new() };
    let all = (end.all - begin.all).max(1.0);
    let busy = 100.0 * (1.0 - (end.idle - begin.idle) / all);
    let stolen = 100.0 * (end.stolen - begin.stolen) / all;
    let end_them = "end other programs: they take the processor's time and its caches";
    let own_machine = "the host gives this virtual machine's time to others; measure on a machine of your own, or expect noise";
    vec![
        Finding::check(
            "other programs",
            format!("{busy:.0} % of all processors busy"),
            busy < 10.0,
            Grade::Doubtful,
            end_them,
        ),
        Finding::check(
            "stolen time",
            format!("{stolen:.1} %"),
            stolen < 1.0,
            Grade::Doubtful,
            own_machine,
        ),
    ]
}

/// The clock governor, if the kernel has one.
fn governor() -> Option<Finding> {
    let file = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
    let governor = fs::read_to_string(file).ok()?;
    let governor = governor.trim();
    let advice = "set the governor to performance (cpupower frequency-set -g performance), so that the clock does not follow the load";
    Some(Finding::check(
        "clock governor",
        governor,
        governor == "performance",
        Grade::Doubtful,
        advice,
    ))
}

/// Whether there are more threads than processors.
fn threads() -> Finding {
    let threads = tch::get_num_threads().unsigned_abs() as usize;
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let found = format!("{threads} of {processors} processors");
    let advice = "set no more threads than there are processors (--threads)";
    Finding::check("threads", found, threads <= processors, Grade::Bad, advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jiffies_are_read_by_their_places() {
        let stat = "cpu  10 20 30 400 50 6 7 8 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n";
        let expected = Jiffies { all: 531.0, idle: 450.0, stolen: 8.0 };
        assert_eq!(Jiffies::read(stat), Some(expected));
        assert_eq!(Jiffies::read("intr 5"), None);
        assert_eq!(Jiffies::read("cpu  1 2 3"), None);
    }
}
