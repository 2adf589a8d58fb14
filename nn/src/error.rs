//! Errors of networks, and how libtorch's failures are turned into them.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

/// An error in a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NnError {
    /// libtorch reported an error in a computation.
    #[error("libtorch: {message}")]
    Torch {
        /// The first line of libtorch's message.
        message: String,
    },
}

impl From<tch::TchError> for NnError {
    fn from(error: tch::TchError) -> Self {
        Self::Torch { message: first_line(&error.to_string()) }
    }
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}
static QUIET_HOOK: Once = Once::new();

/// Runs a computation whose tch calls may panic, and turns the panic into an error. This is the only place where that happens.
///
/// # Errors
/// [`NnError::Torch`] with the panic's message.
pub fn guard<T>(compute: impl FnOnce() -> T) -> Result<T, NnError> {
    // The default hook would print a backtrace for an error that will be reported in a sentence.
    QUIET_HOOK.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                loud(info);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(compute));
    GUARDED.set(outer);
    result.map_err(|payload| {
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("unknown panic");
        NnError::Torch { message: first_line(text) }
    })
}

/// The first line of libtorch's message, which says what is wrong. A C++ stack follows it.
fn first_line(message: &str) -> String {
    let start = message.find("Torch(\"").map_or(0, |at| at + 7);
    message[start..].split("\\n").next().unwrap_or(message).lines().next().unwrap_or("").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_shape_becomes_an_error_with_libtorchs_words() {
        let (a, b) = (
            tch::Tensor::zeros([2, 3], tch::kind::FLOAT_CPU),
            tch::Tensor::zeros([2, 3], tch::kind::FLOAT_CPU),
        );
        let error = guard(|| a.matmul(&b)).unwrap_err().to_string();
        assert!(error.contains("mat1 and mat2"), "{error}");
        assert!(!error.contains('\n'));
    }
}
