//! Flushes a file to the disk without making the writer wait.
//!
//! When a write returns, the kernel has the data, so it survives the end of the process. Until it is on the disk, only a power
//! cut or a crash of the kernel can undo it. Waiting for the disk between two measurements would cost milliseconds if others
//! write to it, while a row on a GPU should take 30 ms.

use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Written data waits at most this long before it is flushed to the disk.
const PERIOD: Duration = Duration::from_millis(200);

/// Flushes one file to the disk, on a thread of its own.
#[derive(Debug)]
pub(crate) struct Flusher {
    file: Arc<File>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// When the oldest data that is not on the disk yet was written.
    written: Option<Instant>,
    /// The disk's error, until it has been reported.
    error: Option<io::Error>,
    is_closed: bool,
}

impl Flusher {
    /// A flusher for this file, which may be written through other handles.
    ///
    /// # Errors
    /// If the system gives no second handle or no thread.
    pub(crate) fn new(file: &File) -> io::Result<Self> {
        let file = Arc::new(file.try_clone()?);
        let shared = Arc::<Shared>::default();
        let (of_thread, state) = (Arc::clone(&file), Arc::clone(&shared));
        let thread = thread::Builder::new().name("flusher".into());
        let thread = thread.spawn(move || state.flush_now_and_then(&of_thread))?;
        Ok(Self { file, shared, thread: Some(thread) })
    }

    /// Tells the flusher that something was written; flushing it begins within a fifth of a second.
    ///
    /// # Errors
    /// If *earlier* data did not reach the disk.
    pub(crate) fn written(&self) -> io::Result<()> {
        let mut state = self.shared.lock();
        if let Some(error) = state.error.take() {
            return Err(error);
        }
        state.written.get_or_insert_with(Instant::now);
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Waits until everything written so far is on the disk.
    ///
    /// # Errors
    /// If this data or earlier data did not reach the disk.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.shared.lock().written = None;
        self.file.sync_data()?;
        // The system may have reported the error to the thread instead.
        self.shared.lock().error.take().map_or(Ok(()), Err)
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_one();
        // A caller who needs to know whether the last rows reached the disk has called `flush` before.
        self.thread.take().map(JoinHandle::join);
    }
}

impl Shared {
    /// A panic in another thread cannot leave this state half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Flushes until the flusher is dropped, and then what is left.
    fn flush_now_and_then(&self, file: &File) {
        while self.wait_until_due() {
            if let Err(error) = file.sync_data() {
                self.lock().error.get_or_insert(error);
            }
        }
    }

    /// Waits until there is something to flush; false if nothing is left and nothing will come.
    fn wait_until_due(&self) -> bool {
        let mut state = self.lock();
        loop {
            let waited = state.written.map(|written| written.elapsed());
            let left = match waited {
                None if state.is_closed => return false,
                None => Duration::MAX,
                Some(waited) => PERIOD.saturating_sub(waited),
            };
            if waited.is_some() && (state.is_closed || left.is_zero()) {
                state.written = None;
                return true;
            }
            state = self.wait(state, left);
        }
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, State>, most: Duration) -> MutexGuard<'a, State> {
        let woken = self.changed.wait_timeout(state, most);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_was_written_is_flushed_by_itself_and_once() {
        let mut file = tempfile::tempfile().unwrap();
        let flusher = Flusher::new(&file).unwrap();
        file.write_all(b"row").unwrap();
        let begin = Instant::now();
        flusher.written().unwrap();
        while flusher.shared.lock().written.is_some() {
            assert!(begin.elapsed() < Duration::from_secs(60), "not flushed after a minute");
            thread::sleep(Duration::from_millis(5));
        }
        assert!(begin.elapsed() >= PERIOD, "rows close together are to be flushed together");
        flusher.flush().unwrap();
    }

    #[test]
    fn dropping_it_flushes_what_is_left_and_ends_the_thread() {
        let file = tempfile::tempfile().unwrap();
        let flusher = Flusher::new(&file).unwrap();
        let shared = Arc::clone(&flusher.shared);
        flusher.written().unwrap();
        drop(flusher);
        assert!(shared.lock().written.is_none());
        // The thread's own reference is gone once the thread has ended.
        assert_eq!(Arc::strong_count(&shared), 1);
    }

    #[test]
    fn an_error_of_the_disk_is_told_once() {
        let flusher = Flusher::new(&tempfile::tempfile().unwrap()).unwrap();
        for told in [Flusher::written, Flusher::flush] {
            flusher.shared.lock().error = Some(io::Error::other("the disk is gone"));
            assert_eq!(told(&flusher).unwrap_err().to_string(), "the disk is gone");
            told(&flusher).unwrap();
        }
    }
}
