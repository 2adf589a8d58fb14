//! Everything on disk: measurements, latency tables, published accuracies, and image sets. Only this crate opens data files; it has no libtorch.
//!
//! A profile run is a folder that a [`Journal`] fills row by row, so that a crash costs one row at most. A [`LatencyTable`]
//! is what a predictor learns from: one value per architecture, read from such a folder or from a table made elsewhere.
//! An [`AccuracyTable`] is what others found architectures to be worth.
//! A [`Dataset`] is what a search trains on: images for training and testing, as bytes, with what is known about them.

#![forbid(unsafe_code)]

mod accuracy;
mod architecture_list;
mod architecture_texts;
mod at_hand;
mod bounded;
mod checksum;
mod column_values;
mod columns;
mod csv_pieces;
mod error;
mod flusher;
mod frame;
mod grouped;
mod header_columns;
mod images;
mod join;
mod journal;
mod manifest;
mod measurement;
mod median;
mod merge;
pub mod nullable;
mod operating_point;
mod part;
mod reader;
mod request;
mod rounds;
mod row_filter;
mod rows;
mod run_folder;
mod run_lock;
mod run_reader;
mod run_start;
mod scale;
mod shard;
mod split;
mod table;
mod table_columns;
mod table_file;
mod tail;
mod whole_file;

pub use accuracy::{
    AccuracyColumn, AccuracyRequest, AccuracyTable, AccuracyUnit, BENCHMARKS, BenchmarkEntry,
    PublishedAccuracy, published_accuracies,
};
pub use architecture_list::read_architectures;
pub use at_hand::AtHand;
pub use bounded::{read_at_most, read_text_at_most};
pub use checksum::{BLANK_CHECKSUM, Checksum, check_sealed, checksum, seal};
pub use column_values::{ColumnValues, ValueCount, list_columns};
pub use error::DataError;
pub use grouped::Duplicates;
pub use images::{
    Augment, DATASETS, Dataset, DatasetEntry, ImageSet, LoadOptions, find_cifar10, find_dataset,
};
pub use journal::Journal;
pub use manifest::Wanted;
pub use measurement::{Measurement, Role, RunHeader, Status, superseded};
pub use median::median;
pub use merge::{MergeOptions, Merged, MergedShard, check_replaceable, merge};
pub use operating_point::{Mode, OperatingPoint, Precision, UnknownName, known_point};
pub use request::TableRequest;
pub use rounds::{Judgement, Round, Rounds};
pub use row_filter::RowFilter;
pub use run_folder::{DOCTOR_FILE, has_run, run_header, sealed_table};
pub use run_lock::RunLock;
pub use run_reader::read_run;
pub use scale::Scale;
pub use shard::Shard;
pub use split::{split, split_sizes, split_stratified};
pub use table::{COSTS, LatencyTable, TableRow};
pub use tail::RowCounter;
pub use whole_file::WholeFile;
