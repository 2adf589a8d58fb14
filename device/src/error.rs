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
    /// libtorch refused a computation.
    #[error(transparent)]
    Torch(#[from] lat_nn::NnError),
}
