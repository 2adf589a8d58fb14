//! Times things by themselves: single operations, networks with weights of their own, and modules that no space describes.

mod module;
mod module_file;
mod module_input;
mod module_words;
mod network;
mod op_bench;
mod parts;

pub use module::time_module;
pub use module_file::not_a_module;
pub use module_input::ModuleInput;
pub use network::{NetTiming, time_net};
pub use op_bench::{OpRow, measure_ops};
