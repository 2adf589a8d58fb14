//! `--fake-fault`: faults of the fake device, so that tests can check how the program handles them.

use std::str::FromStr;
use std::time::Duration;

use lat_profiler::FakeFaults;

/// One fault, as typed.
#[derive(Debug, Clone, Copy)]
pub(super) enum FakeFault {
    /// `abort=17`: sample 17 aborts the process.
    Abort(u64),
    /// `abort-again=17`: sample 17 aborts the process when it is measured again because its stretch of rows was slow.
    AbortAgain(u64),
    /// `slow-round=3`: the anchors of round 3 take a fifth longer.
    SlowRound(u32),
    /// `lose=17`: at sample 17 the process loses the device.
    Lose(u64),
    /// `pause-ms=20`: each row takes 20 ms of real time.
    PauseMs(u64),
}

impl FromStr for FakeFault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = text.split_once('=').and_then(|(kind, n)| Some((kind, n.parse().ok()?)));
        match found {
            Some(("abort", sample)) => Ok(Self::Abort(sample)),
            Some(("abort-again", sample)) => Ok(Self::AbortAgain(sample)),
            Some(("slow-round", round)) => {
                Ok(Self::SlowRound(u32::try_from(round).unwrap_or(u32::MAX)))
            }
            Some(("lose", sample)) => Ok(Self::Lose(sample)),
            Some(("pause-ms", ms)) => Ok(Self::PauseMs(ms)),
            _ => Err(format!(
                "expected abort=N, abort-again=N, slow-round=N, lose=N or pause-ms=N; found '{text}'"
            )),
        }
    }
}

/// Combines the faults into the form that the fake device takes.
pub(super) fn together(faults: &[FakeFault]) -> FakeFaults {
    let mut all = FakeFaults::default();
    for fault in faults {
        match *fault {
            FakeFault::Abort(sample) => _ = all.aborting.insert(sample),
            FakeFault::AbortAgain(sample) => _ = all.aborting_again.insert(sample),
            FakeFault::SlowRound(round) => all.slow_round = Some(round),
            FakeFault::Lose(sample) => _ = all.losing.insert(sample),
            FakeFault::PauseMs(ms) => all.pause = Duration::from_millis(ms),
        }
    }
    all
}
