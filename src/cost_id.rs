//! Which cost model a search had: what it is made of, not where that lies.

use serde::{Deserialize, Serialize};

/// The identity of a cost model. Two are the same where column and checksum are: a predictor that was moved or copied stays what it is.
#[derive(Debug, Clone, Eq, Serialize, Deserialize)]
pub struct CostId {
    /// What is minimised: `latency_ms`.
    pub column: String,
    /// What it is from, for people: `predictor p.lat`, `operations of DIR`, or `counted`.
    pub source: String,
    /// CRC-32 of the file; empty where the cost is counted, which space and skeleton say all about.
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
