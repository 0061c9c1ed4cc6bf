//! `cargo xtask test` and `cargo xtask check`.

use crate::tools::{self, cargo, target};
use crate::{fuzz, packages, vm};

/// The ring's algorithms under the model checker.
fn run_loom() -> anyhow::Result<()> {
    // A folder of its own: the flag would make cargo build everything anew each time.
    let folder = target().join("loom");
    tools::run(
        cargo(&["test", "--quiet", "--release", "-p", "sdvr-ring", "--lib"])
            .env("RUSTFLAGS", "--cfg loom")
            .env("CARGO_TARGET_DIR", folder),
    )
}

/// Installs what the tests need, and runs them all, or those whose names contain `filter`.
pub(crate) fn run(yes: bool, filter: Option<&str>) -> anyhow::Result<()> {
    packages::install(yes)?;
    if let Some(filter) = filter {
        tools::run(&mut cargo(&["build", "--workspace", "--quiet"]))?;
        return tools::run(&mut cargo(&[
            "test",
            "--workspace",
            "--no-fail-fast",
            filter,
        ]));
    }
    check()?;
    // The system tests start the programs, which cargo builds for a package's own tests only, and link the libraries for other languages.
    tools::run(&mut cargo(&["build", "--workspace", "--bins", "--lib"]))?;
    tools::run(&mut cargo(&["test", "--workspace", "--no-fail-fast"]))?;
    // What is built for users in other ways.
    for features in DECODERS {
        tools::run(cargo(&["test", "-p", "sdvr-decode", "--no-fail-fast"]).args(features))?;
    }
    run_loom()?;
    fuzz::run_briefly()?;
    vm::run(yes, None)?;
    // The README's first command, as it stands there.
    tools::run(&mut cargo(&["demo", "--seconds", "5"]))
}

/// The other decoders that can be built: FFmpeg's, and none for frames that need others.
const DECODERS: [&[&str]; 2] = [&["--features", "libav"], &["--no-default-features"]];

/// Formatting, lints and licences.
pub(crate) fn check() -> anyhow::Result<()> {
    tools::run(&mut cargo(&["fmt", "--all", "--check"]))?;
    tools::run(&mut cargo(&[
        "fmt",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--check",
    ]))?;
    let clippy = || cargo(&["clippy", "--workspace", "--quiet"]);
    let strictly = ["--", "-D", "warnings"];
    tools::run(clippy().arg("--all-targets").args(strictly))?;
    for features in DECODERS {
        let clippy = &mut cargo(&["clippy", "-p", "sdvr-decode", "--all-targets", "--quiet"]);
        tools::run(clippy.args(features).args(strictly))?;
    }
    let bare = ["clippy", "-p", "sdvr", "--no-default-features", "--quiet"];
    tools::run(cargo(&bare).args(strictly))?;
    // Those that need the virtual machine are not among all.
    tools::run(
        clippy()
            .args(vm::tests().flat_map(|name| ["--test", name]))
            .args(strictly),
    )?;
    tools::run(
        cargo(&[
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
            "--quiet",
        ])
        .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    check_aarch64()?;
    // Not every machine has it, and building it takes minutes; the licences are also in a test.
    if cargo(&["deny", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
    {
        tools::run(&mut cargo(&[
            "deny",
            "--offline",
            "check",
            "licenses",
            "bans",
            "sources",
        ]))?;
    }
    Ok(())
}

/// What runs where cameras are must build for their boards; said where this machine has no standard library or C compiler for them.
fn check_aarch64() -> anyhow::Result<()> {
    const TARGET: &str = "aarch64-unknown-linux-gnu";
    let library = std::process::Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    let has_library = library.is_ok_and(|output| {
        let folder = String::from_utf8_lossy(&output.stdout);
        std::path::Path::new(folder.trim()).exists()
    });
    if !has_library || !packages::is_there("aarch64-linux-gnu-gcc") {
        eprintln!(
            "not checked for {TARGET}: that needs `rustup target add {TARGET}` and gcc-aarch64-linux-gnu"
        );
        return Ok(());
    }
    tools::run(&mut cargo(&[
        "check", "--quiet", "--target", TARGET, "-p", "sdvrc", "-p", "sdvrd", "-p", "sdvr-cli",
    ]))
}
