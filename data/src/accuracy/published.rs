//! The published accuracies of one architecture.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::AccuracyColumn;

/// The published accuracies of one architecture. In JSON it is a map from the columns' names to percent; read back from it, the
/// names serve as labels and there is no source. As text it is a line for people.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedAccuracy {
    /// Where they come from, such as `NAS-Bench-201, 200 epochs`.
    pub source: String,
    /// The accuracy in percent for each column.
    pub columns: Vec<(AccuracyColumn, f64)>,
}

impl fmt::Display for PublishedAccuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value =
            |(column, value): &(AccuracyColumn, f64)| format!("{} {value:.2} %", column.label);
        let values: Vec<String> = self.columns.iter().map(value).collect();
        write!(f, "published accuracy ({}): {}", self.source, values.join(", "))
    }
}

impl Serialize for PublishedAccuracy {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.columns.iter().map(|(column, value)| (&column.name, value)))
    }
}

impl<'d> Deserialize<'d> for PublishedAccuracy {
    fn deserialize<D: Deserializer<'d>>(from: D) -> Result<Self, D::Error> {
        let columns = from.deserialize_map(Columns)?;
        Ok(Self { source: String::new(), columns })
    }
}

/// Reads the map in its own order, which is that of the table's columns.
struct Columns;

impl<'d> Visitor<'d> for Columns {
    type Value = Vec<(AccuracyColumn, f64)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "accuracies in percent by name")
    }

    fn visit_map<A: MapAccess<'d>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut columns = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, f64>()? {
            columns.push((AccuracyColumn { label: name.clone(), name }, value));
        }
        Ok(columns)
    }
}
