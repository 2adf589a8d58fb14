//! What asks a command to stop: Ctrl-C, a scheduler's SIGTERM, and the end of a parent process.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

/// Set when the command should stop; loops look at it between rows and steps.
pub(super) static STOP: AtomicBool = AtomicBool::new(false);
/// Set where there is nothing to finish first: the command looks at no [`STOP`] and keeps nothing before its end.
static AT_ONCE: AtomicBool = AtomicBool::new(false);
/// Set where it was a scheduler or the parent process that asked: what is done so far is then all that is wanted for now.
static TERMINATED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// From now on the first Ctrl-C or SIGTERM sets [`STOP`], and a second Ctrl-C ends the program at once; the first one does where
/// nothing is to be finished before.
pub(super) fn install(at_once: bool) {
    AT_ONCE.store(at_once, Ordering::SeqCst);
    // Where a handler cannot be installed the signal ends the program at once; what is recorded is safe either way.
    let _ = ctrlc::set_handler(|| {
        // Schedulers send SIGTERM to each process and to all of them together: the second must not cut the sealing short.
        let again = STOP.swap(true, Ordering::SeqCst) && !terminated();
        if again || AT_ONCE.load(Ordering::SeqCst) {
            end();
        }
    });
    let _ = signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&TERMINATED));
    // The limit of `ulimit -f` is then an error of the write, which is told, and not the end of the process.
    let _ = signal_hook::flag::register(libc::SIGXFSZ, Arc::default());
}

/// Ends the program without what else is done at its end: libtorch's own would wait for, or trip over, what still runs.
#[expect(clippy::print_stderr, reason = "the command line's last word")]
fn end() -> ! {
    eprintln!("lat: interrupted");
    signal_hook::low_level::exit(130)
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
