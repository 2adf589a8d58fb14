//! Finds libtorch and sets the run path, so that the built program runs from anywhere without an environment variable.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=.libtorch/ready");
    let Ok(libtorch) = std::env::var("LIBTORCH") else {
        println!(
            "cargo:warning=LIBTORCH is not set; run scripts/setup and build from the project's folder"
        );
        return;
    };
    let lib = Path::new(&libtorch).join("lib");
    let lib = lib.canonicalize().unwrap_or(lib);
    if !lib.join("libtorch_cpu.so").exists() {
        println!(
            "cargo:warning=expected libtorch_cpu.so in {}, found none; run scripts/setup",
            lib.display()
        );
    }
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
}
