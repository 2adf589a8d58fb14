//! Compiles `src/autograd.cpp` against libtorch's headers, as device/build.rs does its own and with the same flags.

use std::env;
use std::path::PathBuf;

const SOURCE: &str = "src/autograd.cpp";
/// Where guarded.h lies: how C functions tell of failure.
const SHARED: &str = "../device/src";

fn main() {
    println!("cargo:rerun-if-changed={SOURCE}");
    println!("cargo:rerun-if-changed={SHARED}/guarded.h");
    // device/build.rs says what to do where libtorch's headers are missing.
    let root = variable("LIBTORCH_INCLUDE").or_else(|| variable("LIBTORCH"));
    let include = root.map(PathBuf::from).unwrap_or_default().join("include");
    let abi = variable("LIBTORCH_CXX11_ABI").unwrap_or_else(|| "1".into());
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .include(SHARED)
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .file(SOURCE)
        .compile("lat_kernels");
}

/// An environment variable whose change compiles anew.
fn variable(name: &str) -> Option<String> {
    println!("cargo:rerun-if-env-changed={name}");
    env::var(name).ok()
}
