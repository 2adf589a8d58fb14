//! Compiles the C++ files in `src/` against libtorch's headers, with the flags that torch-sys uses for its own C++ code, because
//! both must lay out libtorch's classes in the same way.

use std::env;
use std::path::PathBuf;

const SOURCES: [&str; 3] = ["src/allocator.cpp", "src/process_group.cpp", "src/script_module.cpp"];
/// The header that all sources include.
const GUARDED: &str = "src/guarded.h";
/// Declarations of Gloo, which libtorch's packages lack.
const GLOO: &str = "gloo";
/// A folder with this file has the headers of a libtorch that is new enough.
const HEADER: &str = "c10/core/CachingDeviceAllocator.h";

fn main() {
    for watched in SOURCES.into_iter().chain([GLOO, GUARDED]) {
        println!("cargo:rerun-if-changed={watched}");
    }
    let root = variable("LIBTORCH_INCLUDE").or_else(|| variable("LIBTORCH"));
    let include = root.map(PathBuf::from).unwrap_or_default().join("include");
    if !include.join(HEADER).exists() {
        println!(
            "cargo:warning=expected libtorch's {HEADER} in {}, found none; run scripts/setup, or name a libtorch 2.11.0 in LIBTORCH",
            include.display()
        );
    }
    let abi = variable("LIBTORCH_CXX11_ABI").unwrap_or_else(|| "1".into());
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .include(GLOO)
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .files(SOURCES)
        .compile("lat_device");
}

/// An environment variable; if it changes, everything is compiled again.
fn variable(name: &str) -> Option<String> {
    println!("cargo:rerun-if-env-changed={name}");
    env::var(name).ok()
}
