//! libtorch is one for the whole program: its threads, its search for GPUs and its random numbers.

use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// Makes libtorch ready; whatever touches a tensor calls this (or [`exclusive`]) first, since libtorch looks for GPUs once.
pub(crate) fn ready() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        lat_profiler::enable_cuda();
        // Tests run side by side on tiny tensors: with two threads each they wait for one another, three times as long in all.
        tch::set_num_threads(1);
    });
}

/// The right to draw from libtorch's one random generator, which first weights and drop path do: a draw of another test in
/// between would change what a seed gives.
pub(crate) fn exclusive() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    ready();
    // A test that failed while it held the right has nothing to leave broken.
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}
