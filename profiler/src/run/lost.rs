//! Errors that end a process's use of a GPU, and the rows that can then not be measured.

use lat_data::{Measurement, Status};
use lat_space::{SearchSpace, count};

use super::MOST_ATTEMPTS;
use crate::row::{blank, unix_s};
use crate::{ProfileError, ProfileOptions, Task};

/// Messages of CUDA errors after which every further call of the process fails, in `cuGetErrorString`'s words (CUDA driver API,
/// `CUresult`: "the context cannot be used", "the process must be terminated and relaunched").
const STICKY: [&str; 12] = [
    "an illegal memory access was encountered",
    "an illegal instruction was encountered",
    "misaligned address",
    "operation not supported on global/shared address space",
    "invalid program counter",
    "unspecified launch failure",
    "hardware stack error",
    "device-side assert triggered",
    "the launch timed out and was terminated",
    "uncorrectable ECC error encountered",
    "uncorrectable NVLink error",
    "GPU has fallen off the bus",
];

/// Whether an error's text says that the process cannot use its GPU any more, so that only a new process can continue.
pub fn is_sticky(text: &str) -> bool {
    STICKY.iter().any(|sticky| text.contains(sticky))
}

/// The failed row of a task that ended the process that measured it, `tries` times. `attempt` is how often its row was measured
/// before. The failed row is added after those and is not tried again.
///
/// # Errors
/// [`lat_space::SpaceError::TooMany`] if the space has no such architecture.
pub fn lost_row(
    space: &dyn SearchSpace,
    options: &ProfileOptions,
    task: Task,
    attempt: u32,
    tries: u32,
    reason: &str,
) -> Result<Measurement, ProfileError> {
    let architecture = task.architecture(space, options.seed)?;
    let cost = count(&space.graph(&options.skeleton).derive(&architecture));
    Ok(Measurement {
        architecture: space.format(&architecture),
        status: Status::Failed,
        reason: format!("ended the process that measured it {tries} times: {reason}"),
        attempt: attempt.max(MOST_ATTEMPTS - 1),
        params: cost.params,
        multiply_adds: cost.multiply_adds,
        unix_s: unix_s(),
        ..blank(task)
    })
}

#[cfg(test)]
mod tests {
    use lat_data::Role;
    use lat_space::{find_skeleton, find_space};

    use super::*;
    use crate::{DeviceSpec, measure_one};

    #[test]
    fn what_a_new_process_mends_is_told_from_what_it_does_not() {
        let libtorch =
            "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be";
        assert!(is_sticky(libtorch));
        assert!(is_sticky(
            "the CUDA driver call 'cuEventSynchronize' failed: unspecified launch failure"
        ));
        assert!(!is_sticky("CUDA out of memory. Tried to allocate 20.00 MiB"));
        assert!(!is_sticky(""));
    }

    #[test]
    fn a_lost_row_is_what_a_failed_one_would_be() {
        let space = find_space("nasbench201").unwrap();
        let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
        let options = ProfileOptions { seed: 3, ..ProfileOptions::new(skeleton, DeviceSpec::Fake) };
        let task = Task { role: Role::Sample, index: 9, occurrence: 0 };
        let lost =
            |attempt| lost_row(space.as_ref(), &options, task, attempt, 3, "killed").unwrap();
        assert_eq!(lost(4).attempt, 4, "behind the attempts that are there");
        let row = lost(0);
        assert_eq!((row.status, row.attempt, row.index), (Status::Failed, 2, 9));
        assert_eq!(row.reason, "ended the process that measured it 3 times: killed");
        let architecture = task.architecture(space.as_ref(), 3).unwrap();
        let measured = measure_one(space.as_ref(), &options, &architecture).unwrap();
        assert_eq!(row.architecture, measured.architecture);
        assert_eq!((row.params, row.multiply_adds), (measured.params, measured.multiply_adds));
        assert!(row.latency_ms.is_nan() && row.unix_s > 1.7e9, "{row:?}");
    }
}
