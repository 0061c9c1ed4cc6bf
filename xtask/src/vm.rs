//! `cargo xtask vm-test`: `sdvrc` before the kernel's own camera drivers, in a virtual machine.
//!
//! ```text
//!  this host                                          the guest: Debian's kernel, busybox, no disk
//!  +--------------------------------------------+     +------------------------------------------------+
//!  | cargo xtask vm-test                        |     | init (tests/vm/guest/init.sh)                  |
//!  |   qemu ----------------------------------- | --> |   console                   target/vm/guest.log|
//!  |   cargo test --test vivid …                  |     |                                                |
//!  |     a test -- target/vm/control.sock ----- | --> |   /dev/vport*: runs a line, gives its output   |
//!  |     sdvrd  <------ 127.0.0.1 = 10.0.2.2 -- | --- |   sdvrc   <- vivid                             |
//!  |     crate sdvr                             |     |           <- uvcvideo <- vhci_hcd <- webcam    |
//!  +--------------------------------------------+     +------------------------------------------------+
//! ```
//!
//! One boot serves all tests. qemu ends with this process, however that ends.

mod boot;
mod image;
mod kernel;

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::packages;
use crate::tools::{self, cargo, target};

/// Named, so that the flags for the guest's programs do not apply to build scripts and macros as well.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// The files of `tests/vm/tests`.
pub(crate) const TESTS: [&str; 4] = ["harness", "vivid", "webcams", "refusals"];
/// The measurements beside them.
pub(crate) const FIGURES: &str = "figures";

/// Runs the tests in `tests/vm`, or those whose names contain `filter`.
pub(crate) fn run(yes: bool, filter: Option<&str>) -> anyhow::Result<()> {
    in_guest(yes, &TESTS, &[], &["--test-threads=1"], filter)
}

/// `cargo xtask bench camera`: what is promised of cameras, as released.
pub(crate) fn bench(yes: bool, filter: Option<&str>) -> anyhow::Result<()> {
    let options = ["--test-threads=1", "--nocapture"];
    in_guest(yes, &[FIGURES], &["--release"], &options, filter)
}

fn in_guest(
    yes: bool,
    tests: &[&str],
    profile: &[&str],
    options: &[&str],
    filter: Option<&str>,
) -> anyhow::Result<()> {
    packages::install_for_vm(yes)?;
    let folder = std::path::absolute(target().join("vm"))?;
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    let kernel = kernel::fetch(&folder)?;
    let programs = build_guest_programs(&folder)?;
    let image = image::write(&folder, &kernel, &programs)?;
    // The whole workspace, of which nothing else has these tests: cargo would build dependencies anew for a single package.
    let command = || {
        let mut command = cargo(&["test", "--workspace", "--no-fail-fast"]);
        command.args(profile);
        for name in tests {
            command.args(["--test", name]);
        }
        command
    };
    // Before the boot: afterwards, tests wait for nothing but the guest.
    tools::run(cargo(&["build", "--workspace", "--bins"]).args(profile))?;
    tools::run(command().arg("--no-run"))?;
    let guest = boot::boot(&folder, &kernel, &image)?;
    let mut command = command();
    command
        // They share the guest.
        .arg("--")
        .args(options)
        .args(filter)
        .env("SDVR_VM_CONTROL", &guest.control);
    let outcome = tools::run(&mut command);
    let log = guest.end();
    if outcome.is_err() {
        eprintln!("--- {} ---", log.display());
        eprintln!("{}", std::fs::read_to_string(&log).unwrap_or_default());
    }
    outcome
}

/// Builds what runs in the guest; gives the programs' paths.
fn build_guest_programs(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    // A folder of its own: the flags would make cargo build everything anew each time.
    let built = folder.join("cargo");
    let mut build = cargo(&["build", "--release", "--target", TRIPLE]);
    build
        .args([
            "-p",
            "sdvrc",
            "-p",
            "sdvr-vm-webcam",
            "-p",
            "sdvr-vm-guest",
            "-p",
            "sdvr-vm-counted",
        ])
        // Saves a minute; the guest emulates the processor, it is no place to measure speed.
        .args(["--config", "profile.release.lto=false"])
        // The guest has no libraries.
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env("CARGO_TARGET_DIR", &built);
    tools::run(&mut build)?;
    let programs = built.join(TRIPLE).join("release");
    Ok(["sdvrc", "sdvrc-counted", "webcam", "control"]
        .iter()
        .map(|program| programs.join(program))
        .collect())
}
