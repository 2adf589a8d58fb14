//! Requests to stop a command: Ctrl-C, a scheduler's SIGTERM, and the end of the parent process.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

/// Set when the command should stop; loops look at it between rows and steps.
pub(super) static STOP: AtomicBool = AtomicBool::new(false);
/// Set for commands that never look at [`STOP`] and save nothing before they end, so they have nothing to finish when they are stopped.
static AT_ONCE: AtomicBool = AtomicBool::new(false);
/// Set if the request came from a scheduler or the parent process. The work done so far is then all that is wanted for now.
static TERMINATED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// From now on the first Ctrl-C or SIGTERM sets [`STOP`], and a second Ctrl-C ends the program at once. With `at_once` already the first
/// one ends it.
pub(super) fn install(at_once: bool) {
    AT_ONCE.store(at_once, Ordering::SeqCst);
    // If no handler can be installed, the signal ends the program at once. Recorded rows are safe either way.
    let _ = ctrlc::set_handler(|| {
        // Schedulers may send SIGTERM to each process and to the whole group: the second one must not interrupt the sealing.
        let again = STOP.swap(true, Ordering::SeqCst) && !terminated();
        if again || AT_ONCE.load(Ordering::SeqCst) {
            end();
        }
    });
    let _ = signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&TERMINATED));
    // With this flag registered, exceeding `ulimit -f` makes the write fail with an error that we report, instead of ending the process.
    let _ = signal_hook::flag::register(libc::SIGXFSZ, Arc::default());
}

/// Ends the program without the usual clean-up: libtorch's would wait for, or crash on, work that is still running.
#[expect(clippy::print_stderr, reason = "the command line's last word")]
fn end() -> ! {
    eprintln!("lat: interrupted");
    signal_hook::low_level::exit(130)
}

/// Whether a scheduler or the parent process asked to stop.
pub(super) fn terminated() -> bool {
    TERMINATED.load(Ordering::SeqCst)
}

/// From now on the end of standard input is a request to stop. It ends when the parent closes it, and also when the parent is killed.
pub(super) fn stop_when_input_ends() {
    std::thread::spawn(|| {
        let mut input = std::io::stdin().lock();
        let mut byte = [0];
        // An input that cannot be read has no writer any more.
        while input.read(&mut byte).is_ok_and(|n| n > 0) {}
        TERMINATED.store(true, Ordering::SeqCst);
        STOP.store(true, Ordering::SeqCst);
    });
}
