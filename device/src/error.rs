//! Errors of devices.

/// An error of a device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// A call of the CUDA driver, or of libtorch's own functions for it, failed.
    #[error(
        "the CUDA driver call '{call}' failed: {reason}; `nvidia-smi` tells whether the GPU is healthy"
    )]
    Cuda {
        /// The function that was called.
        call: &'static str,
        /// The driver's message.
        reason: String,
    },
    /// The settings that give this process its rank in a job are wrong.
    #[error("{0}")]
    Launch(String),
    /// The ranks of a job did not find each other, or one of them has ended.
    #[error(
        "expected all {size} ranks to answer within {timeout_s} s, found that not all do ({reason}); check that all of them were started \
         and still run"
    )]
    Ranks {
        /// The number of ranks that the job should have.
        size: i32,
        /// How long the ranks wait for each other.
        timeout_s: u64,
        /// The first line of libtorch's message.
        reason: String,
    },
    /// A TorchScript module cannot be loaded or run; libtorch's message, which has several lines.
    #[error("{0}")]
    Module(String),
    /// libtorch reported an error in a computation.
    #[error(transparent)]
    Torch(#[from] lat_nn::NnError),
}
