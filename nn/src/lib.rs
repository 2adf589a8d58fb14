//! Turns the operations of a search space into libtorch layers, and a derived graph into a network. Only this crate builds
//! layers.
//!
//! A [`GraphNet`] is the only walk over a graph. The static network is a [`GraphNet`] without searched sites; the supernet is one
//! whose searched sites the caller computes. So both compute every fixed operation by the same code.

mod activation;
mod batch_norm;
#[cfg(test)]
mod block_tests;
mod conv;
mod elastic;
#[cfg(test)]
mod elastic_tests;
mod error;
mod graph_net;
mod head;
mod inverted_residual;
mod kernel_transform;
mod kernels;
mod layer;
mod merged_conv;
mod pool;
mod recalibration;
mod reduce;
mod regularised;
mod reorder;
mod residual;
mod scatter;
mod separable;
mod split_attention;
mod squeeze_excite;
mod static_net;
mod synchronised;
mod weight_arena;

pub use batch_norm::BatchNorm;
pub use conv::Conv;
pub use elastic::{ElasticLayer, Extent, Extents, resize, slice_like};
pub use error::{NnError, guard};
pub use graph_net::{Answers, DropPath, GraphNet, Logits, Observer, SiteAnswer, Taken};
pub use inverted_residual::residual_scale;
pub use kernel_transform::derived_weight;
pub use layer::{Layer, LayerBuilder, Phase, WeightInit};
pub use merged_conv::MergedConv;
pub use recalibration::{BnRule, recalibrate, unremembered};
pub use regularised::{Regularisation, at_depth, on_rank, regularised, uniform};
pub use scatter::{scatter, scattered_sum};
pub use static_net::StaticNet;
pub use synchronised::{MeanOverRanks, synchronised};
pub use weight_arena::{ArenaLoan, WeightArena, channels_last};
