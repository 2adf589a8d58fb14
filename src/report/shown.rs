//! The data that the pages of results show.

use std::time::SystemTime;

use lat_data::{PublishedAccuracy, RunHeader};
use lat_predictor::Label;
use lat_profiler::Verdict;
use lat_space::{Architecture, SearchSpace, find_space};

use super::entry::Link;
use crate::record::{EvaluationRecord, SearchRecord};

/// The place of a result, and the pages that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Folder or file, as shown.
    pub name: String,
    /// When it was written.
    pub when: SystemTime,
    /// Address of its page, if it has one.
    pub page: Option<String>,
    /// Link to the page of its source: a search's predictor, or a predictor's profile.
    pub from: Option<Link>,
}

impl Place {
    /// A place without links to other pages.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), when: SystemTime::UNIX_EPOCH, page: None, from: None }
    }

    /// The time to the minute, in UTC.
    pub(super) fn when(&self) -> String {
        let text = humantime::format_rfc3339_seconds(self.when).to_string();
        text.get(..16).unwrap_or(&text).replace('T', " ")
    }
}

/// A profile run for the list.
#[derive(Debug, Clone)]
pub struct ShownProfile {
    /// Place of its results.
    pub place: Place,
    /// The run's settings.
    pub header: RunHeader,
    /// Number of valid rows.
    pub n_rows: usize,
    /// Whether it ended by itself.
    pub finished: bool,
    /// The verdict on its measurements.
    pub verdict: Verdict,
}

/// A predictor for the list and its page.
#[derive(Debug, Clone)]
pub struct ShownPredictor {
    /// Place of its file.
    pub place: Place,
    /// The predictor's training data and purpose.
    pub label: Label,
}

/// A search for the list and its page.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownSearch {
    /// Place of its results.
    pub place: Place,
    /// The record that the search saved.
    pub record: SearchRecord,
    /// The published accuracy of its architecture: as noted by the search, or from a table that was named later.
    pub published: Option<PublishedAccuracy>,
}

/// An evaluation for the list and its page.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownEvaluation {
    /// Place of its results.
    pub place: Place,
    /// The record that the evaluation saved.
    pub record: EvaluationRecord,
}

/// A number of a record, unless it is NaN or infinite.
pub(super) fn known(number: f64) -> Option<f64> {
    number.is_finite().then_some(number)
}

/// A remark if the paths of an architecture are at fault; None if they are fine.
pub(super) fn fault(space: &dyn SearchSpace, architecture: &Architecture) -> Option<&'static str> {
    if !space.reads_input(architecture) {
        return Some("no path from input to output");
    }
    let learns = space.structure().learns(space.decisions(), architecture);
    (!learns).then_some("nothing with weights between input and output")
}

/// An architecture's text for a table, with a remark if its paths are at fault.
pub(super) fn remarked(space: &str, text: &str) -> String {
    let remark = find_space(space).ok().and_then(|space| {
        let architecture = space.parse(text).ok()?;
        fault(space.as_ref(), &architecture)
    });
    remark.map_or_else(|| text.to_owned(), |remark| format!("{text} ({remark})"))
}
