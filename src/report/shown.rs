//! What the pages of searches are made from.

use lat_data::PublishedAccuracy;

use crate::record::{EvaluationRecord, SearchRecord};

/// A search to be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownSearch {
    /// Where it lies.
    pub name: String,
    /// What it left.
    pub record: SearchRecord,
    /// The published accuracy of its architecture: as the search noted it, or from a table that was named since.
    pub published: Option<PublishedAccuracy>,
}

/// An evaluation to be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownEvaluation {
    /// Where it lies.
    pub name: String,
    /// What it left.
    pub record: EvaluationRecord,
}

/// A number of a record, unless it is NaN or infinite.
pub(super) fn known(number: f64) -> Option<f64> {
    number.is_finite().then_some(number)
}
