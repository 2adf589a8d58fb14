//! What is timed by itself: single operations, and networks that no space describes.

mod module;
mod op_bench;
mod parts;

pub use module::time_module;
pub use op_bench::{OpRow, measure_ops};
