//! `lat` measures how fast neural architectures run on your hardware, learns to predict it, and searches for architectures that
//! are both accurate and fast.
//!
//! This crate holds the searches (supernet, methods, objective, evaluation), the choice of which samples to measure next, and the
//! reports on results. Spaces, layers, data, measuring and predicting are crates of their own; `ARCHITECTURE.md` lists which part is in
//! which crate.

#![forbid(unsafe_code)]

mod accuracy;
pub mod batches;
pub mod checkpoint;
pub mod cost_id;
pub mod device_scalar;
pub mod diagnostics;
pub mod ending;
pub mod error;
pub mod evaluate;
mod evolution;
pub mod extracted;
pub mod fastest;
pub mod finalists;
pub mod methods;
pub mod objective;
pub mod optimizer;
pub mod pareto;
mod prices;
pub mod product;
pub mod rank;
pub mod record;
pub mod relaxed;
pub mod report;
pub mod sampling;
pub mod search;
pub mod spent;
pub mod steering;
pub mod supernet;
