//! The contents of the JSON files that searches and evaluations write: one type each, shared by writers and readers.
//!
//! Files of older versions can be read too. Fields that they lack have defaults; fields that always existed are required.

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
