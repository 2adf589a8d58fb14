//! What searches and evaluations leave in their JSON files: one type each, which writers and readers share.
//!
//! Files of older programs are read too. What they lack has a default; what they always had is asked for.

mod evaluation;
mod place;
mod published;
mod search;

pub use evaluation::EvaluationRecord;
pub use place::CostPlace;
pub use published::Published;
pub use search::SearchRecord;
#[cfg(test)]
pub(crate) use search::tests::SEARCH;
