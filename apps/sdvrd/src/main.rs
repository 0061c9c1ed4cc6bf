//! The SDVR daemon: receives cameras and publishes their frames in shared memory.

fn main() {}
