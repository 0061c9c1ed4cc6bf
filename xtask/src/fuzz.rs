//! `cargo xtask fuzz`: whatever parses, under libFuzzer.
//!
//! Nothing is installed: cargo fetches the crate libfuzzer-sys, which brings libFuzzer's source, and the C++ compiler that SDVR needs anyway
//! builds it. The stable compiler counts coverage when its flags ask for it, so neither a nightly one nor `cargo fuzz` is needed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::tools::{self, cargo, root, target};

/// What `cargo fuzz` gives to the compiler, without the sanitizers, which want a nightly one: SDVR's parsers are safe code.
const COVERAGE_FLAGS: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "--cfg=fuzzing",
];

/// An input that takes longer is as bad as one that crashes.
const SLOW_SECONDS: u32 = 10;
/// No parser of a few kilobytes needs more.
const MEMORY_MIB: u32 = 1024;

/// What is run.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// One of fuzz/fuzz_targets [default: all, one after the other]
    target: Option<String>,
    /// How long each is run
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Run the target on this input only, such as one that a crash has left
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
}

/// All targets, each for a moment: what was found once is not found again, and the targets still build.
pub(crate) fn run_briefly() -> anyhow::Result<()> {
    run(&Arguments {
        target: None,
        seconds: 4,
        input: None,
    })
}

/// Builds the targets and runs one or all. Fails when an input ends one.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let all = targets()?;
    let chosen: Vec<&String> = all
        .iter()
        .filter(|name| arguments.target.as_ref().is_none_or(|one| one == *name))
        .collect();
    if chosen.is_empty() {
        bail!("there is no such target; there are {}", all.join(", "));
    }
    eprintln!(
        "fuzzing needs the crate libfuzzer-sys, which cargo fetches, and a C++ compiler; nothing is installed"
    );
    let programs = build()?;
    if let (Some(input), Some(target)) = (&arguments.input, &arguments.target) {
        return tools::run(Command::new(programs.join(target)).arg(input));
    }
    let mut crashed = Vec::new();
    for target in chosen {
        let is_sound = run_target(&programs, target, arguments.seconds)?;
        if !is_sound {
            crashed.push(target.as_str());
        }
    }
    if crashed.is_empty() {
        Ok(())
    } else {
        bail!("inputs were found that end {}", crashed.join(", "))
    }
}

/// The names of all targets.
fn targets() -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join("fuzz/fuzz_targets"))? {
        let path = entry?.path();
        if let Some(name) = path
            .file_stem()
            .filter(|_| path.extension() == Some("rs".as_ref()))
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Builds all targets; gives their folder.
fn build() -> anyhow::Result<PathBuf> {
    let host = host()?;
    // A folder of its own: the flags would make cargo build everything anew each time.
    let folder = target().join("fuzz");
    let manifest = root().join("fuzz/Cargo.toml");
    tools::run(
        // With --target the flags are not for build scripts and macros.
        cargo(&["build", "--release", "--target", &host])
            .arg("--manifest-path")
            .arg(manifest)
            .env("CARGO_TARGET_DIR", &folder)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("RUSTFLAGS", COVERAGE_FLAGS.join(" ")),
    )?;
    Ok(folder.join(host).join("release"))
}

/// What rustc calls this machine.
fn host() -> anyhow::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .arg("-vV")
        .output()
        .context("cannot run rustc")?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .context("rustc does not say what it is built for")
}

/// Runs one target; false when it was ended by an input.
fn run_target(programs: &Path, target: &str, seconds: u32) -> anyhow::Result<bool> {
    let fuzz = root().join("fuzz");
    let (corpus, crashes) = (
        fuzz.join("corpus").join(target),
        fuzz.join("crashes").join(target),
    );
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&crashes)?;
    let log_path = programs.join(format!("{target}.log"));
    let log = File::create(&log_path)?;
    let status = Command::new(programs.join(target))
        .current_dir(&fuzz)
        .args([
            format!("-max_total_time={seconds}"),
            format!("-timeout={SLOW_SECONDS}"),
            format!("-rss_limit_mb={MEMORY_MIB}"),
            format!("-artifact_prefix={}/", crashes.display()),
            "-print_final_stats=1".to_owned(),
        ])
        // What is new goes into the first one.
        .args([&corpus, &fuzz.join("seeds").join(target)])
        .stdout(log.try_clone()?)
        .stderr(log)
        .status()
        .with_context(|| format!("cannot run {target}"))?;
    let log = String::from_utf8_lossy(&fs::read(&log_path)?).into_owned();
    let figure = |name: &str| {
        let line = log.lines().find_map(|line| line.strip_prefix(name));
        line.map_or("?", str::trim).to_owned()
    };
    println!(
        "{target:10} {:>9} inputs, {:>7}/s, {} new ones kept",
        figure("stat::number_of_executed_units:"),
        figure("stat::average_exec_per_sec:"),
        figure("stat::new_units_added:"),
    );
    if !status.success() {
        tell_crash(target, &log, &log_path);
    }
    Ok(status.success())
}

/// What went wrong, where the input is, and how to have it again.
fn tell_crash(target: &str, log: &str, log_path: &Path) {
    let told = log
        .lines()
        .skip_while(|line| !line.contains("panicked at") && !line.contains("ERROR: libFuzzer"))
        .take(6);
    for line in told {
        // An input may be in it, which is long and means nothing.
        println!("    {}", line.chars().take(160).collect::<String>());
    }
    println!("    all of it: {}", log_path.display());
    let input = log
        .lines()
        .find_map(|line| line.split_once("Test unit written to "))
        .map(|(_, path)| path);
    match input {
        Some(input) => println!("    the input: cargo xtask fuzz {target} --input {input}"),
        None => println!("    no input was left"),
    }
}
