//! `cargo xtask vm-test`: `sdvrc` before the kernel's own camera drivers, in a virtual machine.
//!
//! ```text
//!  this host                                          the guest: Debian's kernel, busybox, no disk
//!  +--------------------------------------------+     +------------------------------------------------+
//!  | cargo xtask vm-test                        |     | init (tests/vm/guest/bare/init)                |
//!  |   qemu ----------------------------------- | --> |   console                   target/vm/guest.log|
//!  |   cargo test --test vivid …                  |     |                                                |
//!  |     a test -- target/vm/control.sock ----- | --> |   /dev/vport*: runs a line, gives its output   |
//!  |     sdvrd  <------ 127.0.0.1 = 10.0.2.2 -- | --- |   sdvrc   <- vivid                             |
//!  |     crate sdvr                             |     |           <- uvcvideo <- vhci_hcd <- webcam    |
//!  +--------------------------------------------+     +------------------------------------------------+
//! ```
//!
//! One boot serves all these tests. Then the guest is booted anew with Debian's systemd as its first process, for the units in `deploy/`: they, the daemon
//! and the programs that read are all inside then. qemu ends with this process, however that ends.

mod boot;
mod image;
mod kernel;
mod systemd;

use std::path::PathBuf;

use anyhow::Context;

use crate::packages;
use crate::tools::{self, cargo, target};

/// The files of `tests/vm/tests` for the guest of cameras.
const CAMERA_TESTS: [&str; 5] = ["harness", "vivid", "webcams", "over_udp", "refusals"];
/// Those for the guest of units, which has all programs.
const UNIT_TESTS: [&str; 2] = ["units", "clock"];
/// The measurements beside them.
const FIGURES: [&str; 1] = ["figures"];

/// The first process of a guest.
#[derive(Clone, Copy, Debug)]
enum Init {
    /// `tests/vm/guest/bare/init`: starts within seconds, and nothing happens that no test wants.
    Script,
    /// Debian's, as it is where units run.
    Systemd,
}

impl Init {
    /// What its files in `target/vm` are called.
    const fn name(self) -> &'static str {
        match self {
            Self::Script => "guest",
            Self::Systemd => "systemd",
        }
    }

    /// The packages of programs that only it has.
    const fn own_packages(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Script => Some(&["sdvr-vm-webcam", "sdvr-vm-guest", "sdvr-vm-counted"]),
            Self::Systemd => None,
        }
    }

    /// Its programs.
    const fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Script => &["sdvrc", "sdvrc-counted", "webcam", "control"],
            Self::Systemd => &["sdvrd", "sdvrc", "sdvr"],
        }
    }
}

/// All files of `tests/vm/tests`.
pub(crate) fn tests() -> impl Iterator<Item = &'static str> {
    CAMERA_TESTS.into_iter().chain(UNIT_TESTS).chain(FIGURES)
}

/// Runs the tests in `tests/vm`, or those whose names contain `filter`, or those of the file that is called so.
pub(crate) fn run(yes: bool, filter: Option<&str>) -> anyhow::Result<()> {
    let options = ["--test-threads=1"];
    let cameras = in_guest(yes, Init::Script, &CAMERA_TESTS, &[], &options, filter);
    // Like a package's tests, these run although others have failed.
    let units = in_guest(yes, Init::Systemd, &UNIT_TESTS, &[], &options, filter);
    cameras.and(units)
}

/// `cargo xtask bench camera`: what is promised of cameras, as released.
pub(crate) fn bench(yes: bool, filter: Option<&str>) -> anyhow::Result<()> {
    let options = ["--test-threads=1", "--nocapture"];
    in_guest(
        yes,
        Init::Script,
        &FIGURES,
        &["--release"],
        &options,
        filter,
    )
}

fn in_guest(
    yes: bool,
    init: Init,
    tests: &[&str],
    profile: &[&str],
    options: &[&str],
    filter: Option<&str>,
) -> anyhow::Result<()> {
    packages::install_for_vm(yes)?;
    let (tests, filter) = match filter {
        Some(file) if tests.contains(&file) => (&[file][..], None),
        _ => (tests, filter),
    };
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
    if let Some(filter) = filter {
        let listed = command()
            .args(["--quiet", "--", "--list", filter])
            .output()?;
        if listed.stdout.is_empty() {
            eprintln!("no test of {} is called {filter}", tests.join(", "));
            return Ok(());
        }
    }
    let folder = std::path::absolute(target().join("vm"))?;
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    let kernel = kernel::fetch(&folder)?;
    let programs = build_guest_programs(init)?;
    let image = image::write(&folder, &kernel, init, &programs)?;
    let guest = boot::boot(&folder, &kernel, &image, init)?;
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

/// Builds what runs in the guest, as it is released; gives the programs' paths.
fn build_guest_programs(init: Init) -> anyhow::Result<Vec<PathBuf>> {
    let programs = tools::build_release()?;
    if let Some(packages) = init.own_packages() {
        let packages = packages.iter().flat_map(|package| ["-p", package]);
        tools::run(cargo(&["build", "--release"]).args(packages))?;
    }
    let path = |program: &&str| programs.join(program);
    Ok(init.programs().iter().map(path).collect())
}
