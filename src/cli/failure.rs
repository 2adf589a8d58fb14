//! Turns errors into sentences and exit codes.

use std::fmt::{Debug, Display};
use std::io::{self, ErrorKind};
use std::process::ExitCode;

use lat::error::SearchError;
use lat_data::DataError;
use lat_predictor::PredictError;
use lat_profiler::ProfileError;

use super::output::plain;

/// Bad input or usage, found by the command line's own checks.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadInput(pub(super) String);

/// Bad input as an `anyhow` error.
pub(super) fn bad(message: impl Into<String>) -> anyhow::Error {
    BadInput(message.into()).into()
}

/// Work that failed although the request was valid.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct WorkFailed(anyhow::Error);

/// Failed work as an `anyhow` error.
pub(super) fn failed(message: impl Display + Debug + Send + Sync + 'static) -> anyhow::Error {
    WorkFailed(anyhow::Error::msg(message)).into()
}

/// Stopped by Ctrl-C; finished work is kept.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; what is measured is kept: run the same command again to go on")]
pub(super) struct Interrupted;

/// Prints an error as one sentence and gives the exit code: 2 for bad input, 1 for work that failed, 130 for Ctrl-C.
#[expect(clippy::print_stderr, reason = "the command line's last word")]
pub(super) fn exit_code(done: anyhow::Result<()>) -> ExitCode {
    let Err(error) = done else { return ExitCode::SUCCESS };
    if is_broken_pipe(&error) {
        // The program that reads the output has closed it, as in `lat list spaces | head -1`.
        return ExitCode::SUCCESS;
    }
    eprintln!("lat: {}", plain(&sentence(&error)));
    ExitCode::from(code(&error))
}

/// An error with its causes, each said once: many messages already contain the system's reason.
pub(super) fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        match text.is_empty() {
            true => text = cause,
            false if text.contains(&cause) => {}
            false => text = format!("{text}: {cause}"),
        }
    }
    text
}

/// Whether the machine failed rather than the request: a full or broken disk, or a resource that ran out. A path that does not exist or
/// may not be written is bad input.
pub(super) fn is_machines(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    const TOO_MANY_OPEN: [i32; 2] = [23, 24];
    let number = error.raw_os_error().unwrap_or_default();
    let is_failure = matches!(
        error.kind(),
        ErrorKind::StorageFull
            | ErrorKind::QuotaExceeded
            | ErrorKind::FileTooLarge
            | ErrorKind::WriteZero
            | ErrorKind::OutOfMemory
            | ErrorKind::StaleNetworkFileHandle
    );
    is_failure || number == EIO || TOO_MANY_OPEN.contains(&number)
}

fn code(error: &anyhow::Error) -> u8 {
    if error.is::<Interrupted>() {
        return 130;
    }
    let machine_failed =
        |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref().is_some_and(is_machines);
    let run_failed = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(DataError::Append { .. } | DataError::Gone { .. }))
    };
    let torch_failed = matches!(error.downcast_ref(), Some(PredictError::TorchScript { .. }));
    let mut causes = error.chain();
    if error.is::<WorkFailed>()
        || torch_failed
        || causes.any(|cause| machine_failed(cause) || run_failed(cause))
    {
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
            | ProfileError::Driver(_)
            | ProfileError::DeviceLost { .. }
            | ProfileError::Data(DataError::Append { .. } | DataError::Gone { .. }),
        ) => 1,
        _ => 2,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let full = || io::Error::from_raw_os_error(28);
        let said = DataError::Io { action: "write", path: "a".into(), source: full() };
        let text = sentence(&anyhow::Error::new(said));
        assert_eq!(text, format!("could not write a: {}", full()));
        let text = sentence(&Err::<(), _>(full()).context("the log").unwrap_err());
        assert_eq!(text, format!("the log: {}", full()));
    }

    #[test]
    fn a_full_disk_is_the_machines_and_a_folder_that_is_not_there_is_not() {
        let with = |number| {
            let source = io::Error::from_raw_os_error(number);
            let error = DataError::Io { action: "write", path: "a".into(), source };
            code(&anyhow::Error::new(SearchError::Data(error)))
        };
        // ENOSPC, EFBIG, EIO, EDQUOT; ENOENT, EACCES, EISDIR, EROFS.
        assert_eq!([28, 27, 5, 122].map(with), [1; 4]);
        assert_eq!([2, 13, 21, 30].map(with), [2; 4]);
    }
}
