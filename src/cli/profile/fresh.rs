use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use anyhow::Context;

use crate::cli::STOP;

/// Has the rows that a fresh process repeats measured by one: this program with the same flags. What a restart changes (the
/// algorithms that are picked, where memory lies) then shows as a difference from the rows that are there.
pub(super) fn measure_in_a_fresh_process() -> anyhow::Result<()> {
    let program = std::env::current_exe().context("could not find this program's own file")?;
    let flags = std::env::args_os().skip(1);
    let mut child = Command::new(&program)
        .args(flags)
        .arg("--fresh")
        .stdin(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start {}", program.display()))?;
    // `wait` would close the pipe, and the process would take it for the end of this one.
    let lifeline = child.stdin.take();
    let status = child.wait().context("could not wait for the fresh process")?;
    drop(lifeline);
    // Whatever it got done is in the journal; what lacks shows as unfinished.
    match status.code() {
        Some(0 | 130) => Ok(()),
        _ => anyhow::bail!(
            "the fresh process that repeats some rows ended with {status}; the rows so far are kept, run the same command again"
        ),
    }
}

/// Ends this fresh process with the one that started it, however that ends: the pipe from it then closes. The row at hand is
/// finished first.
pub(super) fn end_with_the_parent() {
    std::thread::spawn(|| {
        // Nothing is ever written, so whatever this returns, the other end is gone.
        let _ = std::io::stdin().read(&mut [0]);
        STOP.store(true, Ordering::Relaxed);
    });
}
