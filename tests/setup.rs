//! libtorch exists once in the whole program: its threads, its search for GPUs and its random numbers are shared by all tests.

use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// Makes libtorch ready. Code that uses tensors must call this (or [`exclusive`]) first, because libtorch looks for GPUs only
/// once.
pub(crate) fn ready() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        lat_profiler::enable_cuda();
        // Tests run at the same time on tiny tensors. With two threads each they would wait for each other and take three times
        // as long.
        tch::set_num_threads(1);
    });
}

/// Locks libtorch's only random generator, which initial weights and drop path use. A draw of another test in between would
/// change the results for a seed.
pub(crate) fn exclusive() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    ready();
    // A test that failed while it held the lock cannot have left anything broken.
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}
