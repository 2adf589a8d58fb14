//! Turns the operations of a search space into libtorch layers, and a derived graph into a network. Only this crate builds
//! layers.
