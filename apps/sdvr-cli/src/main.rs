//! The SDVR toolbox: list, watch, pipe and verify cameras, manage keys, run a demonstration.

fn main() {}
