//! Errors before, during and after measuring.

/// An error before, during or after measuring.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// A device name that is not known.
    #[error(
        "expected a device like 'cpu', 'cuda:0' or 'fake', found '{given}'; this machine has: {known}"
    )]
    Device {
        /// The name given.
        given: String,
        /// The devices of this machine, separated by commas.
        known: String,
    },
    /// A GPU that this machine does not have.
    #[error(
        "expected a GPU numbered {ordinal} for 'cuda:{ordinal}', found {found} GPU(s){reason}; this machine has: {known}"
    )]
    NoGpu {
        /// Number of the GPU asked for.
        ordinal: u32,
        /// Number of usable GPUs.
        found: u32,
        /// The reason if there is none, such as ` (no NVIDIA driver ...)`; else empty.
        reason: String,
        /// The devices of this machine, separated by commas.
        known: String,
    },
    /// A name that is in no table.
    #[error("unknown {kind} '{name}'; expected one of: {known}")]
    Unknown {
        /// The kind of thing looked up, such as a probe.
        kind: &'static str,
        /// The name given.
        name: String,
        /// The known names, separated by commas.
        known: String,
    },
    /// An option out of range.
    #[error("expected {name} to be {expected}, found {found}")]
    Option {
        /// The option's name as users know it.
        name: &'static str,
        /// The range allowed.
        expected: &'static str,
        /// The value given.
        found: String,
    },
    /// The search space rejects the skeleton, or has fewer architectures than asked for.
    #[error(transparent)]
    Space(#[from] lat_space::SpaceError),
    /// The journal could not be read or written.
    #[error(transparent)]
    Data(#[from] lat_data::DataError),
    /// The network could not be built or run.
    #[error(transparent)]
    Network(#[from] lat_nn::NnError),
    /// A user's module cannot be loaded or run; a sentence with advice.
    #[error("{0}")]
    Module(String),
    /// The device's driver or libtorch reported an error.
    #[error(transparent)]
    Driver(#[from] lat_device::DeviceError),
    /// This process cannot use the GPU any more.
    #[error(
        "the GPU gave up on {architecture}: {reason}; the rows so far are kept, and only a new process can go on: run the same command again, with --supervise to have that done"
    )]
    DeviceLost {
        /// The architecture that was being measured.
        architecture: String,
        /// The error's message.
        reason: String,
    },
    /// A fault that the fake device was set to have.
    #[error("the fake device was told to fail at sample {index}")]
    Injected {
        /// Number of the sample.
        index: u64,
    },
    /// A probe returned no value, or one that is not a number.
    #[error("expected at least one finite value from the probe '{probe}', found {found}")]
    NoReading {
        /// The probe's name.
        probe: &'static str,
        /// What came instead of a value.
        found: String,
    },
    /// Too many architectures in a row could not be measured.
    #[error(
        "{count} architectures in a row could not be measured, so the run stopped; the rows so far are kept. The last reason: {reason}"
    )]
    TooManyFailures {
        /// How many.
        count: u32,
        /// The reason why the last one failed.
        reason: String,
    },
    /// Recorded rows that belong to another run.
    #[error(
        "row {row} of the recorded ones is of another run: expected architecture {expected}, found {found}; resume with the space and seed it began with, or choose another folder"
    )]
    ForeignRow {
        /// Position of the row, from 0.
        row: usize,
        /// The architecture that this run measures under the row's number.
        expected: String,
        /// The architecture recorded.
        found: String,
    },
    /// Two runs whose times belong to different networks or batches.
    #[error(
        "expected two runs of one {what}, found {a} and {b}: their latencies are of different networks or batches and say nothing about each other"
    )]
    Incomparable {
        /// The setting that differs.
        what: &'static str,
        /// Its value in the first run.
        a: String,
        /// Its value in the second run.
        b: String,
    },
    /// Two runs without an architecture in common.
    #[error(
        "expected architectures that both runs measured, found none among {n_a} of the first and {n_b} of the second: measure with the same --seed, or with anchors"
    )]
    NothingShared {
        /// Architectures of the first run with a latency.
        n_a: usize,
        /// Architectures of the second run with a latency.
        n_b: usize,
    },
}
