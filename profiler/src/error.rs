//! What can go wrong before, while and after measuring.

/// What can go wrong before, while and after measuring.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// A device name that means nothing.
    #[error(
        "expected a device like 'cpu', 'cuda:0' or 'fake', found '{given}'; this machine has: {known}"
    )]
    Device {
        /// The name given.
        given: String,
        /// The devices there are, comma separated.
        known: String,
    },
    /// A GPU that this machine has not.
    #[error(
        "expected a GPU numbered {ordinal} for 'cuda:{ordinal}', found {found} GPU(s){reason}; this machine has: {known}"
    )]
    NoGpu {
        /// Number of the GPU asked for.
        ordinal: u32,
        /// How many GPUs can be used.
        found: u32,
        /// Why there is none, as ` (no NVIDIA driver ...)`; empty where there are some.
        reason: String,
        /// The devices there are, comma separated.
        known: String,
    },
    /// A name that a table here does not hold.
    #[error("unknown {kind} '{name}'; expected one of: {known}")]
    Unknown {
        /// What was looked up.
        kind: &'static str,
        /// The name given.
        name: String,
        /// The names there are, comma separated.
        known: String,
    },
    /// An option out of range.
    #[error("expected {name} to be {expected}, found {found}")]
    Option {
        /// The option as people call it.
        name: &'static str,
        /// The range allowed.
        expected: &'static str,
        /// The value given.
        found: String,
    },
    /// The search space refuses the skeleton, or has fewer architectures than asked for.
    #[error(transparent)]
    Space(#[from] lat_space::SpaceError),
    /// The journal could not be read or written.
    #[error(transparent)]
    Data(#[from] lat_data::DataError),
    /// The network could not be built or run.
    #[error(transparent)]
    Network(#[from] lat_nn::NnError),
    /// Somebody's module cannot be loaded or run; a sentence with what to do.
    #[error("{0}")]
    Module(String),
    /// The device's driver or libtorch refused.
    #[error(transparent)]
    Driver(#[from] lat_device::DeviceError),
    /// The GPU cannot be used by this process any more.
    #[error(
        "the GPU gave up on {architecture}: {reason}; the rows so far are kept, and only a new process can go on: run the same command again, with --supervise to have that done"
    )]
    DeviceLost {
        /// The architecture at hand.
        architecture: String,
        /// The error's own words.
        reason: String,
    },
    /// The fake device was told to fail.
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
        /// What came instead.
        found: String,
    },
    /// Too many architectures in a row could not be measured.
    #[error(
        "{count} architectures in a row could not be measured, so the run stopped; the rows so far are kept. The last reason: {reason}"
    )]
    TooManyFailures {
        /// How many.
        count: u32,
        /// Why the last one failed.
        reason: String,
    },
    /// Recorded rows that this run would not have written.
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
    /// Two runs whose times are not times of the same networks.
    #[error(
        "expected two runs of one {what}, found {a} and {b}: their latencies are of different networks or batches and say nothing about each other"
    )]
    Incomparable {
        /// The setting that differs.
        what: &'static str,
        /// Its value in the first run.
        a: String,
        /// Its value in the second.
        b: String,
    },
    /// Two runs without an architecture in common.
    #[error(
        "expected architectures that both runs measured, found none among {n_a} of the first and {n_b} of the second: measure with the same --seed, or with anchors"
    )]
    NothingShared {
        /// Architectures of the first run with a latency.
        n_a: usize,
        /// Those of the second.
        n_b: usize,
    },
}
