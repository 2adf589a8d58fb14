//! What asks a command to stop: Ctrl-C, a scheduler's SIGTERM, and the end of a parent process.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

/// Set when the command should stop; loops look at it between rows and steps.
pub(super) static STOP: AtomicBool = AtomicBool::new(false);
/// Set where it was a scheduler or the parent process that asked: what is done so far is then all that is wanted for now.
static TERMINATED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// From now on the first Ctrl-C or SIGTERM sets [`STOP`], and a second Ctrl-C ends the program at once.
#[expect(clippy::exit, reason = "who presses Ctrl-C twice wants no orderly end")]
pub(super) fn install() {
    // Where a handler cannot be installed the signal ends the program at once; what is recorded is safe either way.
    let _ = ctrlc::set_handler(|| {
        // Schedulers send SIGTERM to each process and to all of them together: the second must not cut the sealing short.
        if STOP.swap(true, Ordering::SeqCst) && !terminated() {
            std::process::exit(130);
        }
    });
    let _ = signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&TERMINATED));
}

/// Whether a scheduler or the parent process asked to stop.
pub(super) fn terminated() -> bool {
    TERMINATED.load(Ordering::SeqCst)
}

/// From now on the end of standard input asks to stop: it comes when the parent closes it, and also when the parent is killed.
pub(super) fn stop_when_input_ends() {
    std::thread::spawn(|| {
        let mut input = std::io::stdin().lock();
        let mut byte = [0];
        // An input that cannot be read has no one who still writes to it.
        while input.read(&mut byte).is_ok_and(|n| n > 0) {}
        TERMINATED.store(true, Ordering::SeqCst);
        STOP.store(true, Ordering::SeqCst);
    });
}
