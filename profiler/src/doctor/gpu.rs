//! Checks for things that disturb measurements on a GPU, and whether its events give correct times.

use std::time::Instant;

use lat_device::{Card, sleep};
use lat_nn::guard;
use tch::{Kind, Tensor};

use super::{Finding, Grade, stopwatch};
use crate::{CudaStopwatch, DeviceSpec, ProfileError, Workload};

/// About ten milliseconds at the clock rates of today's cards.
const CYCLES: i64 = 20_000_000;
/// If the temperature is this many degrees below the slowdown threshold, there is enough headroom.
const HEADROOM_C: u32 = 10;

/// Everything that matters for timing on a GPU.
pub(super) fn findings(ordinal: u32) -> Result<Vec<Finding>, ProfileError> {
    let mut events = CudaStopwatch::new(ordinal)?;
    let mut findings = vec![stopwatch::clock_resolution(), launch_floor(&mut events, ordinal)?];
    findings.extend(spins(&mut events, ordinal)?);
    findings.push(slice(&DeviceSpec::Cuda(ordinal).name()));
    findings.extend(Card::read(ordinal).as_ref().map_or_else(|| vec![no_nvml()], state));
    Ok(findings)
}

fn no_nvml() -> Finding {
    Finding::graded(
        "NVML",
        "does not answer",
        Grade::Doubtful,
        "install NVIDIA's management library: without it clocks, temperature and throttling stay unknown",
    )
}

/// Other programs that compute on the card.
fn tenants(others: usize) -> Finding {
    let advice = "end the other programs on the card, or take another card";
    let found = format!("{others} others compute on the card");
    Finding::check("tenants", found, others == 0, Grade::Doubtful, advice)
}

/// Whether the device is a slice of a card, which CUDA names by its profile: `NVIDIA A100-SXM4-40GB MIG 1g.5gb`.
fn slice(device_name: &str) -> Finding {
    let slice = device_name.split_once(" MIG ").map(|(_, profile)| profile);
    let advice = "this is a slice of a card: its numbers hold for such slices only, and NVML tells little of it";
    let found = slice.map_or("a whole card".into(), |profile| format!("the slice {profile}"));
    Finding::check("slice", found, slice.is_none(), Grade::Doubtful, advice)
}

/// A kernel on one number.
struct Tiny(Tensor);

impl Workload for Tiny {
    fn enqueue(&mut self) -> Result<(), ProfileError> {
        guard(|| drop(&self.0 + 1.0))?;
        Ok(())
    }

    fn synchronize(&mut self) -> Result<(), ProfileError> {
        Ok(())
    }
}

/// Sleeps on the GPU.
struct GpuSpin {
    ordinal: u32,
    cycles: i64,
}

impl Workload for GpuSpin {
    fn enqueue(&mut self) -> Result<(), ProfileError> {
        Ok(sleep(self.cycles)?)
    }

    fn synchronize(&mut self) -> Result<(), ProfileError> {
        guard(|| tch::Cuda::synchronize(i64::from(self.ordinal)))?;
        Ok(())
    }
}

/// The time that events show for one kernel on one number: launch, gap and resolution together.
fn launch_floor(events: &mut CudaStopwatch, ordinal: u32) -> Result<Finding, ProfileError> {
    let one = guard(|| Tensor::zeros([1], (Kind::Float, tch::Device::Cuda(ordinal as usize))))?;
    let floor_us = 1e3 * stopwatch::median_ms(events, &mut Tiny(one), 201)?;
    let advice =
        "a single launch should take some ten microseconds; another program may be using the card";
    let found = format!("{floor_us:.1} us");
    Ok(Finding::check("empty launch", found, floor_us < 100.0, Grade::Doubtful, advice))
}

/// Sleeps of two lengths. Twice the cycles must take twice the time, events must agree with the host's clock, and enqueueing must
/// be far shorter than the sleep. Otherwise nothing would show that the stopwatch waits.
fn spins(events: &mut CudaStopwatch, ordinal: u32) -> Result<[Finding; 3], ProfileError> {
    let spin = |cycles| GpuSpin { ordinal, cycles };
    stopwatch::median_ms(events, &mut spin(CYCLES), 3)?;
    let single_ms = stopwatch::median_ms(events, &mut spin(CYCLES), 11)?;
    let double_ms = stopwatch::median_ms(events, &mut spin(2 * CYCLES), 11)?;
    let ratio = double_ms / single_ms;
    let mut work = spin(CYCLES);
    let begin = Instant::now();
    work.enqueue()?;
    let enqueued_ms = begin.elapsed().as_secs_f64() * 1e3;
    work.synchronize()?;
    let host_ms = begin.elapsed().as_secs_f64() * 1e3;
    let agreement = single_ms / host_ms;
    Ok([
        Finding::check(
            "run of known length",
            format!("{ratio:.3} times as long for twice the cycles ({single_ms:.2} ms)"),
            (ratio - 2.0).abs() < 0.04,
            Grade::Bad,
            "the card's clock moves or others use it: lock the clocks (nvidia-smi -lgc), end other programs",
        ),
        Finding::check(
            "events and host clock",
            format!("{single_ms:.2} ms by events, {host_ms:.2} ms by the host"),
            (agreement - 1.0).abs() < 0.05,
            Grade::Bad,
            "events and the host's clock disagree: report this, no number of this build can be trusted",
        ),
        Finding::check(
            "missing wait",
            format!("the enqueue alone takes {enqueued_ms:.3} ms of {host_ms:.2} ms"),
            enqueued_ms < 0.2 * single_ms && single_ms > 0.8 * host_ms,
            Grade::Bad,
            "what is timed is not what the card does: report this, no number of this build can be trusted",
        ),
    ])
}

/// State of the card according to NVML: other programs, slices, clocks, temperature.
fn state(card: &Card) -> Vec<Finding> {
    let mut findings: Vec<Finding> = card.n_tenants.map(tenants).into_iter().collect();
    findings.extend(card.is_cut.map(|is_cut| {
        let advice =
            "the card is cut into slices: work on others of them shares its memory and power";
        Finding::check("MIG", if is_cut { "on" } else { "off" }, !is_cut, Grade::Doubtful, advice)
    }));
    let has_mps = std::env::var_os("CUDA_MPS_PIPE_DIRECTORY").is_some();
    let advice = "programs share the card through MPS: stop its daemon while measuring";
    let found = if has_mps { "named by the environment" } else { "not in use" };
    findings.push(Finding::check("MPS", found, !has_mps, Grade::Doubtful, advice));
    findings.extend(card.heat_c.map(|(now_c, limit_c)| heat(now_c, limit_c)));
    findings.extend(card.are_clocks_restricted.map(clocks));
    findings
}

fn heat(now_c: u32, limit_c: u32) -> Finding {
    let found = format!("{now_c} C, slows down at {limit_c} C");
    let ok = now_c + HEADROOM_C < limit_c;
    let advice = "the card is near its slowdown temperature: cool it, or let it rest";
    Finding::check("heat", found, ok, Grade::Doubtful, advice)
}

/// Whether clocks could be locked. Nothing is changed to find out. By default the driver allows it to root only.
fn clocks(are_restricted: bool) -> Finding {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt;
        own.uid() == 0
    });
    let may = !are_restricted || is_root;
    let found = if may { "may be locked" } else { "may not be locked by this user" };
    let advice = "ask an administrator to lock them (nvidia-smi -lgc), or expect clocks that follow heat and load";
    Finding::check("clocks", found, may, Grade::Doubtful, advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_tenants_slices_and_no_nvml_are_doubtful_and_say_what_to_do() {
        let doubtful = [tenants(2), slice("NVIDIA A100-SXM4-40GB MIG 1g.5gb"), no_nvml()];
        let found = ["2 others compute on the card", "the slice 1g.5gb", "does not answer"];
        for (finding, found) in doubtful.into_iter().zip(found) {
            assert_eq!((finding.found.as_str(), finding.grade), (found, Grade::Doubtful));
            assert!(!finding.advice.is_empty());
        }
        for good in [tenants(0), slice("NVIDIA H100 80GB HBM3")] {
            assert_eq!(good.grade, Grade::Good, "{good:?}");
        }
    }
}
