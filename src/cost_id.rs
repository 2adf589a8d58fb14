//! Identifies the cost model of a search, by contents and not by place.

use serde::{Deserialize, Serialize};

/// The identity of a cost model. Two are equal if column and checksum are: a predictor file that was moved or copied stays the same.
#[derive(Debug, Clone, Eq, Serialize, Deserialize)]
pub struct CostId {
    /// Name of the cost that is minimised: `latency_ms`.
    pub column: String,
    /// Its source, for people: `predictor p.lat`, `operations of DIR`, or `counted`.
    pub source: String,
    /// CRC-32 of the file; empty if the cost is counted, because space and skeleton then determine it.
    pub checksum: String,
}

impl PartialEq for CostId {
    fn eq(&self, other: &Self) -> bool {
        (&self.column, &self.checksum) == (&other.column, &other.checksum)
    }
}

impl std::fmt::Display for CostId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { column, source, checksum } = self;
        match checksum.is_empty() {
            true => write!(f, "{column}, {source}"),
            false => write!(f, "{column} of {source} with checksum {checksum}"),
        }
    }
}
