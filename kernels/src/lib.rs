//! Depthwise convolutions and pools for training on CPUs, with gradients, by kernels of this project's own: libtorch computes depthwise
//! gradients of kernels larger than 3x3, and of dilated ones, by its slow general way, and pools element by element.
//!
//! The kernels work plane by plane, each in a frame with a border, over rows of as many numbers as a register of the processor holds:
//! AVX-512, AVX2 or, on any processor, what the compiler makes of arrays. What they do not take, libtorch computes. They are for training: a
//! network that is timed must run on what its users will run it on.

#![allow(
    clippy::inline_always,
    reason = "only what is inlined is compiled with a kernel's instructions"
)]

mod autograd;
mod avg_pool;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod correlation;
mod depthwise;
mod ffi;
mod frame;
mod level;
mod max_pool;
mod simd;
mod tap_sums;
#[cfg(test)]
mod tests;
mod unrolled;
mod walk;
mod window;

pub use autograd::{avg_pool, depthwise, max_pool, takes_depthwise, takes_pool};
pub use level::{Level, at_level, level};
