//! Building blocks of methods.

pub(crate) mod alphas;
pub(crate) mod cooling;
pub(crate) mod core;
pub(crate) mod cost_of;
pub(crate) mod derive;
pub(crate) mod distillation;
pub(crate) mod frequencies;
pub(crate) mod needs;
pub(crate) mod nodes;
mod ranges;
pub(crate) mod sandwich;
pub(crate) mod settings;
pub(crate) mod stage;
pub(crate) mod subnets;
mod unrolled;
pub(crate) mod warm_up;
pub(crate) mod weights;

/// Names that nearly every method's file uses.
pub(crate) mod prelude {
    pub(crate) use lat_space::{Architecture, SearchSpace};
    pub(crate) use serde::{Deserialize, Serialize};
    pub(crate) use tch::{Kind, Tensor};
    pub(crate) use toml::toml;

    pub(crate) use super::alphas::{AlphaConfig, CoreConfig};
    pub(crate) use super::core::Core;
    pub(crate) use super::needs::CELLS;
    pub(crate) use super::settings::{Settings, ensure, quick_rates_and};
    pub(crate) use super::weights::WeightConfig;
    pub(crate) use crate::device_scalar::DeviceScalar;
    pub(crate) use crate::methods::{
        Batch, Batches, Context, Method, MethodEntry, Options, StepReport,
    };
    pub(crate) use crate::relaxed::Relaxed;
    pub(crate) use crate::supernet::{BuildMixedOp, Gating, SharedGates, Supernet};

    /// Result of a method's functions, with [`SearchError`](crate::error::SearchError) as the default error.
    pub(crate) type Result<T, E = crate::error::SearchError> = std::result::Result<T, E>;
}
