//! Gives the shared library the name that programs look for: releases with the same first two numbers take each other's place.

fn main() {
    let major = env!("CARGO_PKG_VERSION_MAJOR");
    let minor = env!("CARGO_PKG_VERSION_MINOR");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libsdvr.so.{major}.{minor}");
    println!("cargo:rerun-if-changed=build.rs");
}
