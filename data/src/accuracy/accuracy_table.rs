//! Accuracies by architecture.

use std::collections::HashMap;
use std::sync::Arc;

use lat_space::{Architecture, Space};

use super::PublishedAccuracy;
use crate::DataError;

/// A kind of accuracy: on one data set, after one way of training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccuracyColumn {
    /// Its name in tables and JSON, such as `cifar10_test_acc`.
    pub name: String,
    /// Its name for people, such as `CIFAR-10`.
    pub label: String,
}

/// Published accuracies of a space's architectures, each trained by the publisher.
#[derive(Debug, Clone)]
pub struct AccuracyTable {
    /// Where the accuracies come from, for people, such as `NAS-Bench-201, 200 epochs`.
    pub source: String,
    /// Id of the search space.
    pub space: String,
    /// The kinds of accuracy, at least one. The first is used if none is named.
    pub columns: Vec<AccuracyColumn>,
    /// Changes that were made to the values while reading, a sentence each.
    pub notes: Vec<String>,
    /// The architectures' texts as the space writes them, in the order of the file.
    texts: Vec<Arc<str>>,
    /// Accuracies row by row, percent.
    values: Vec<f64>,
    places: HashMap<Arc<str>, usize>,
}

impl AccuracyTable {
    /// A table without rows.
    pub(super) fn new(source: &str, space: &str, columns: Vec<AccuracyColumn>) -> Self {
        let (texts, values, places) = (Vec::new(), Vec::new(), HashMap::new());
        let (source, space, notes) = (source.to_owned(), space.to_owned(), Vec::new());
        Self { source, space, columns, notes, texts, values, places }
    }

    /// Adds an architecture with one value in percent per column. If the table already has it, nothing changes, and its row is
    /// returned.
    pub(super) fn add(&mut self, text: &str, values: &[f64]) -> Option<usize> {
        debug_assert_eq!(values.len(), self.columns.len(), "a value per column");
        if let Some(&row) = self.places.get(text) {
            return Some(row);
        }
        let text: Arc<str> = text.into();
        self.places.insert(text.clone(), self.texts.len());
        self.texts.push(text);
        self.values.extend_from_slice(values);
        None
    }

    /// The number of architectures.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there are no architectures.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Architecture and accuracies of a row, `0 <= row < len()`; the accuracies in percent, one per column.
    pub fn row(&self, row: usize) -> (&str, &[f64]) {
        let width = self.columns.len();
        (&self.texts[row], &self.values[row * width..][..width])
    }

    /// All rows, in the table's order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = (&str, &[f64])> {
        (0..self.len()).map(|row| self.row(row))
    }

    /// Accuracies in percent, one per column, of the architecture with this text, which must be written as its space writes it
    /// ([`Space::format`]). None if the table lacks it.
    pub fn accuracies(&self, text: &str) -> Option<&[f64]> {
        self.places.get(text).map(|&row| self.row(row).1)
    }

    /// The accuracies of an architecture in a form to print or save. None if the table lacks it.
    pub fn of(&self, space: &dyn Space, architecture: &Architecture) -> Option<PublishedAccuracy> {
        let values = self.accuracies(&space.format(architecture))?;
        let columns = self.columns.iter().cloned().zip(values.iter().copied()).collect();
        Some(PublishedAccuracy { source: self.source.clone(), columns })
    }

    /// Row of the architecture with the best value in this column; if there are several, the first. None if there are no rows.
    pub fn best(&self, column: usize) -> Option<usize> {
        let value = |row: &usize| self.row(*row).1[column];
        // `max_by` returns the last of equals, so the rows are reversed.
        (0..self.len()).rev().max_by(|a, b| value(a).total_cmp(&value(b)))
    }

    /// Number of the column with this name or label, ignoring case; 0 if no name is given.
    ///
    /// # Errors
    /// [`DataError::NoAccuracy`] lists the names.
    pub fn find_column(&self, name: Option<&str>) -> Result<usize, DataError> {
        let Some(name) = name else { return Ok(0) };
        let fits = |c: &AccuracyColumn| {
            c.name.eq_ignore_ascii_case(name) || c.label.eq_ignore_ascii_case(name)
        };
        self.columns.iter().position(fits).ok_or_else(|| DataError::NoAccuracy {
            name: name.to_owned(),
            source_name: self.source.clone(),
            known: self.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }
}
