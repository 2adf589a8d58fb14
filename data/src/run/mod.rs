//! The folder of a profile run: its rows and header, the journal to which rows are appended, the manifest of finished files, and
//! shards and their merging.

mod at_hand;
pub(crate) mod folder;
pub(crate) mod frame;
mod journal;
pub(crate) mod manifest;
mod measurement;
pub(crate) mod merge;
mod operating_point;
mod reader;
mod rounds;
mod rows;
mod shard;
mod tail;

pub use at_hand::AtHand;
pub use folder::{DOCTOR_FILE, has_run, run_header, sealed_table};
pub use journal::Journal;
pub use manifest::Wanted;
pub use measurement::{Measurement, Role, RunHeader, Status, superseded};
pub use merge::{MergeOptions, Merged, MergedShard, Scale, check_replaceable, merge};
pub use operating_point::{Mode, OperatingPoint, Precision, UnknownName, known_point};
pub use reader::read_run;
pub use rounds::{Judgement, Round, Rounds};
pub use shard::Shard;
pub use tail::RowCounter;
