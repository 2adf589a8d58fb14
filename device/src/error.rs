//! What can go wrong with a device.

/// What can go wrong with a device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// A call of the CUDA driver, or of libtorch's own functions for it, failed.
    #[error(
        "the CUDA driver call '{call}' failed: {reason}; `nvidia-smi` tells whether the GPU is healthy"
    )]
    Cuda {
        /// What was called.
        call: &'static str,
        /// The driver's own words.
        reason: String,
    },
    /// What says which rank of a job this is does not make sense.
    #[error("{0}")]
    Launch(String),
    /// The ranks of a job did not find each other, or one of them is gone.
    #[error(
        "expected all {size} ranks to answer within {timeout_s} s, found that not all do ({reason}); check that all of them were started \
         and still run"
    )]
    Ranks {
        /// How many there should be.
        size: i32,
        /// How long is waited for them.
        timeout_s: u64,
        /// libtorch's own first line.
        reason: String,
    },
    /// A TorchScript module cannot be loaded or run; libtorch's own words, of several lines.
    #[error("{0}")]
    Module(String),
    /// libtorch refused a computation.
    #[error(transparent)]
    Torch(#[from] lat_nn::NnError),
}
