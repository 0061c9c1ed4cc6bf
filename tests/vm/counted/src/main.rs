//! `sdvrc` as it is, but for an allocator that counts: how many allocations a frame costs.
//!
//! Ten times a second, the file that `SDVR_ALLOCATIONS` names gets the number of allocations up to now.

use std::alloc::System;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> anyhow::Result<()> {
    let path = std::env::var_os("SDVR_ALLOCATIONS").context("SDVR_ALLOCATIONS names no file")?;
    let file = File::create(path)?;
    std::thread::spawn(move || write_counts(&file));
    sdvrc::start_log();
    let config = sdvrc::Arguments::parse().into_config()?;
    Ok(sdvrc::run(&config)?)
}

fn write_counts(file: &File) -> Option<()> {
    loop {
        let stats = ALLOCATOR.stats();
        let count = stats.allocations + stats.reallocations;
        // No memory is taken for it: only what `sdvrc` does is counted.
        let mut line = [b' '; 21];
        writeln!(&mut line[..], "{count:20}").ok()?;
        file.write_all_at(&line, 0).ok()?;
        std::thread::sleep(Duration::from_millis(100));
    }
}
