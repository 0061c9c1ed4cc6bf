//! Builds, tests and measures the workspace: cargo xtask test | bench | check | demo.

fn main() {}
