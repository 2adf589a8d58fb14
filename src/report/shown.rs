//! What the pages of results are made from.

use std::time::SystemTime;

use lat_data::{PublishedAccuracy, RunHeader};
use lat_predictor::Label;
use lat_profiler::Verdict;
use lat_space::{Architecture, SearchSpace, find_space};

use super::entry::Link;
use crate::record::{EvaluationRecord, SearchRecord};

/// Where a result lies, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Folder or file, in words.
    pub name: String,
    /// When it was written.
    pub when: SystemTime,
    /// Address of its page, where it has one.
    pub page: Option<String>,
    /// The page of what it was made from: a search from a predictor, a predictor from a profile.
    pub from: Option<Link>,
}

impl Place {
    /// A place that no other page is known of.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), when: SystemTime::UNIX_EPOCH, page: None, from: None }
    }

    /// The moment to the minute, in universal time.
    pub(super) fn when(&self) -> String {
        let text = humantime::format_rfc3339_seconds(self.when).to_string();
        text.get(..16).unwrap_or(&text).replace('T', " ")
    }
}

/// A profile run to be listed.
#[derive(Debug, Clone)]
pub struct ShownProfile {
    /// Where it lies.
    pub place: Place,
    /// Its settings.
    pub header: RunHeader,
    /// Rows that count.
    pub n_rows: usize,
    /// Whether it ended by itself.
    pub finished: bool,
    /// What its numbers are worth.
    pub verdict: Verdict,
}

/// A predictor to be shown.
#[derive(Debug, Clone)]
pub struct ShownPredictor {
    /// Where it lies.
    pub place: Place,
    /// What it was trained on and for.
    pub label: Label,
}

/// A search to be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownSearch {
    /// Where it lies.
    pub place: Place,
    /// What it left.
    pub record: SearchRecord,
    /// The published accuracy of its architecture: as the search noted it, or from a table that was named since.
    pub published: Option<PublishedAccuracy>,
}

/// An evaluation to be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownEvaluation {
    /// Where it lies.
    pub place: Place,
    /// What it left.
    pub record: EvaluationRecord,
}

/// A number of a record, unless it is NaN or infinite.
pub(super) fn known(number: f64) -> Option<f64> {
    number.is_finite().then_some(number)
}

/// What is wrong with an architecture by its paths alone: a remark, where something is.
pub(super) fn fault(space: &dyn SearchSpace, architecture: &Architecture) -> Option<&'static str> {
    if !space.reads_input(architecture) {
        return Some("no path from input to output");
    }
    let learns = space.structure().learns(space.decisions(), architecture);
    (!learns).then_some("nothing with weights between input and output")
}

/// An architecture's text as a table shows it, with a remark where something is wrong with its paths.
pub(super) fn remarked(space: &str, text: &str) -> String {
    let remark = find_space(space).ok().and_then(|space| {
        let architecture = space.parse(text).ok()?;
        fault(space.as_ref(), &architecture)
    });
    remark.map_or_else(|| text.to_owned(), |remark| format!("{text} ({remark})"))
}
