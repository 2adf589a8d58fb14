//! From errors to sentences and exit codes.

use std::fmt::{Debug, Display};
use std::process::ExitCode;

use lat::error::SearchError;
use lat_data::DataError;
use lat_profiler::ProfileError;

/// Bad input or usage, found by the command line itself.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadInput(pub(super) String);

/// An error of bad input as `anyhow` carries it.
pub(super) fn bad(message: impl Into<String>) -> anyhow::Error {
    BadInput(message.into()).into()
}

/// Work that failed although what was asked for can be done.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct WorkFailed(anyhow::Error);

/// An error of work that failed as `anyhow` carries it.
pub(super) fn failed(message: impl Display + Debug + Send + Sync + 'static) -> anyhow::Error {
    WorkFailed(anyhow::Error::msg(message)).into()
}

/// Ctrl-C came; what is done is kept.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; what is measured is kept: run the same command again to go on")]
pub(super) struct Interrupted;

/// Prints an error as one sentence and gives the exit code: 2 for bad input, 1 for work that failed, 130 for Ctrl-C.
#[expect(clippy::print_stderr, reason = "the command line's last word")]
pub(super) fn exit_code(done: anyhow::Result<()>) -> ExitCode {
    let Err(error) = done else { return ExitCode::SUCCESS };
    if is_broken_pipe(&error) {
        // The reader has seen enough, as in `lat list spaces | head -1`.
        return ExitCode::SUCCESS;
    }
    eprintln!("lat: {error:#}");
    ExitCode::from(code(&error))
}

fn code(error: &anyhow::Error) -> u8 {
    if error.is::<Interrupted>() {
        return 130;
    }
    if error.is::<WorkFailed>() {
        return 1;
    }
    match error.downcast_ref::<SearchError>() {
        Some(SearchError::Interrupted) => return 130,
        Some(error) => return if error.is_bad_input() { 2 } else { 1 },
        None => {}
    }
    match error.downcast_ref::<ProfileError>() {
        Some(
            ProfileError::Network(_)
            | ProfileError::Cuda { .. }
            | ProfileError::DeviceLost { .. }
            | ProfileError::Data(DataError::Append { .. }),
        ) => 1,
        _ => 2,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}
