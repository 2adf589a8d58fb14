//! Where and how a cost was measured.

use std::fmt;

use lat_data::OperatingPoint;
use lat_space::Skeleton;
use serde::{Deserialize, Serialize};

/// The properties that two costs must share to be comparable, besides their column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostPlace {
    /// The device's model.
    pub device_name: String,
    /// The network's skeleton.
    pub skeleton: Skeleton,
    /// Images per batch.
    pub batch: u32,
    /// How the networks ran: the fields `precision`, `mode`, `channels_last` and `cold`.
    #[serde(flatten)]
    pub point: OperatingPoint,
}

/// For example `on Some GPU, batch 1, C=36 L=20 R=32 K=10, graph, fp32`.
impl fmt::Display for CostPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device_name, skeleton, batch, point } = self;
        write!(f, "on {device_name}, batch {batch}, {skeleton}, {point}")
    }
}
