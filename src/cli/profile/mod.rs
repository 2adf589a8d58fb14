//! `lat profile`: measures architectures.

mod args;
mod devices;
mod faults;
mod fresh;
mod measuring;
mod opened;
mod options;
mod per_op;
mod run;
mod summary;
mod until;
mod worker;
mod workers;

pub(super) use args::Args;
pub(super) use run::run;
