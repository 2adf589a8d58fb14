//! Everything on disk: measurements, latency tables, published accuracies, and image sets. Only this crate opens data files; it has no libtorch.
//!
//! A profile run is a folder that a [`Journal`] fills row by row, so that a crash costs at most one row. A predictor learns from
//! a [`LatencyTable`]: one value per architecture, read from such a folder or from a table made elsewhere. An [`AccuracyTable`]
//! contains published accuracies of architectures. A search trains on a [`Dataset`]: images for training and testing, as bytes,
//! with their statistics.

#![forbid(unsafe_code)]

mod accuracy;
mod block_table;
mod durable;
mod error;
mod images;
mod median;
pub mod nullable;
mod run;
mod split;
mod table;
mod units;

pub use accuracy::{
    AccuracyColumn, AccuracyRequest, AccuracyTable, AccuracyUnit, BENCHMARKS, BenchmarkEntry,
    PublishedAccuracy, published_accuracies,
};
pub use block_table::{BlockFile, BlockRow, Spread, block_json, block_yaml, read_block_tables};
pub use durable::{
    BLANK_CHECKSUM, Checksum, RunLock, WholeFile, check_sealed, checksum, read_at_most,
    read_text_at_most, seal,
};
pub use error::{COSTS, DataError};
pub use images::{
    Augment, DATASETS, Dataset, DatasetEntry, ImageSet, LoadOptions, find_cifar10, find_dataset,
};
pub use median::median;
pub use run::{
    AtHand, DOCTOR_FILE, Journal, Judgement, Measurement, MergeOptions, Merged, MergedShard, Mode,
    OperatingPoint, Precision, Role, Round, Rounds, RowCounter, RunHeader, Scale, Shard, Status,
    UnknownName, Wanted, check_replaceable, has_run, known_point, merge, read_run, run_header,
    sealed_table, superseded,
};
pub use split::{split, split_sizes, split_stratified};
pub use table::{
    ColumnValues, Duplicates, LatencyTable, RowFilter, TableRequest, TableRow, ValueCount,
    list_columns, read_architectures,
};
pub use units::{per_ms, unit};
