//! The published accuracy of an architecture, as part of a record.

use lat_data::{AccuracyTable, PublishedAccuracy};
use lat_space::{Architecture, Space};
use serde::{Deserialize, Serialize};

/// Two fields of a record. Older files do not have them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// Percent by column; None if the space has no table, or the table lacks the architecture. Files store its source in the other field.
    #[serde(default)]
    pub published_accuracy: Option<PublishedAccuracy>,
    /// Where the accuracies come from; None if the space has no table.
    #[serde(default)]
    pub published_accuracy_source: Option<String>,
}

impl Published {
    /// Looks up an architecture in the table.
    pub fn of(
        table: Option<&AccuracyTable>,
        space: &dyn Space,
        architecture: &Architecture,
    ) -> Self {
        Self {
            published_accuracy: table.and_then(|table| table.of(space, architecture)),
            published_accuracy_source: table.map(|table| table.source.clone()),
        }
    }

    /// The accuracy with its source, if both are known.
    pub fn accuracy(&self) -> Option<PublishedAccuracy> {
        let source = self.published_accuracy_source.clone()?;
        Some(PublishedAccuracy { source, ..self.published_accuracy.clone()? })
    }
}
