//! One thread for libtorch while small things are fitted.

/// Keeps libtorch to one thread while it lives: a step on so little takes less time than threads need to meet, above all on a
/// machine that does other work, and the result does not depend on their number.
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
