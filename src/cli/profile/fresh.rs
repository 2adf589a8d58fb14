//! Has a fresh process measure some rows once more.

use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;

use crate::cli::STOP;
use crate::cli::failure::failed;

/// How the error begins that reports a failed fresh process.
pub(super) const ENDED: &str = "the fresh process that repeats some rows ended with";
/// How often the fresh process is polled.
const PERIOD: Duration = Duration::from_millis(20);

/// Starts this program again with the same flags to repeat some rows in a fresh process. Effects of a restart (other algorithms
/// picked, memory at other addresses) then show as differences from the existing rows.
pub(super) fn measure_in_a_fresh_process() -> anyhow::Result<()> {
    let program = std::env::current_exe().context("could not find this program's own file")?;
    let flags = std::env::args_os().skip(1);
    let mut child = Command::new(&program)
        .args(flags)
        .arg("--fresh")
        .stdin(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start {}", program.display()))?;
    let status = loop {
        if STOP.load(Ordering::Relaxed) {
            // Closing its input asks it to stop, as the end of this process would.
            child.stdin = None;
        }
        // `wait` would close the pipe at once.
        match child.try_wait().context("could not wait for the fresh process")? {
            Some(status) => break status,
            None => std::thread::sleep(PERIOD),
        }
    };
    // The rows it finished are in the journal; missing ones make the run count as unfinished.
    match status.code() {
        Some(0 | 130) => Ok(()),
        _ => Err(failed(format!(
            "{ENDED} {status}; the rows so far are kept, run the same command again"
        ))),
    }
}
