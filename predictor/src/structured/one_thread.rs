//! Limits libtorch to one thread while small problems are fitted.

/// Limits libtorch to one thread as long as it lives. A step on so little data takes less time than threads need to synchronise,
/// above all on a busy machine. The result does not depend on the number of threads.
pub(crate) struct OneThread {
    before: i32,
}

impl OneThread {
    pub(crate) fn start() -> Self {
        let before = tch::get_num_threads();
        tch::set_num_threads(1);
        Self { before }
    }
}

impl Drop for OneThread {
    fn drop(&mut self) {
        tch::set_num_threads(self.before);
    }
}
