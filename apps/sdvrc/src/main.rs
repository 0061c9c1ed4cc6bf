//! Streams cameras to an SDVR daemon.

fn main() {}
