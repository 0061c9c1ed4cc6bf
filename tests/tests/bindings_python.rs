//! The Python package, as it is built and installed by a user: its own tests run against real programs.
//!
//! The environment is made once, in cargo's target directory: it needs Python with `venv`, and packages of PyPI.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the tests use, beside what the package itself needs.
const PACKAGES: [&str; 5] = [
    "maturin>=1.9,<2",
    "numpy>=1.21,<3",
    "pytest>=8,<10",
    "opencv-python-headless>=4.8,<6",
    "mypy>=1.18,<3",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn target() -> PathBuf {
    sdvr_tests::footage::directory()
        .parent()
        .unwrap()
        .to_owned()
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// An environment with the packages, and with this tree's `sdvr`.
fn environment() -> PathBuf {
    let environment = target().join("python-environment");
    let program = |name: &str| environment.join("bin").join(name);
    let made_for = environment.join("packages");
    let wanted = PACKAGES.join("\n");
    if fs::read_to_string(&made_for).is_ok_and(|made_for| made_for == wanted) {
        return environment;
    }
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&environment));
    run(Command::new(program("pip"))
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .args(PACKAGES));
    fs::write(made_for, wanted).unwrap();
    environment
}

/// Builds the wheel, without what makes a release slow to build, and installs it.
fn install(environment: &Path) {
    let wheels = tempfile::tempdir().unwrap();
    run(Command::new(environment.join("bin/maturin"))
        .args(["build", "--quiet", "--out"])
        .arg(wheels.path())
        .arg("--interpreter")
        .arg(environment.join("bin/python"))
        .arg("--manifest-path")
        .arg(root().join("bindings/python/Cargo.toml"))
        // Where most of it has been built already.
        .env("CARGO_TARGET_DIR", target()));
    let wheel = fs::read_dir(wheels.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension() == Some(OsStr::new("whl")))
        .expect("maturin has built a wheel");
    let name = wheel.file_name().unwrap().to_string_lossy();
    assert!(
        name.contains("-cp39-abi3-"),
        "{name} is for Python 3.9 and all later ones"
    );
    run(Command::new(environment.join("bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .args(["--force-reinstall", "--no-deps"])
        .arg(&wheel));
}

#[test]
fn the_python_package_does_what_it_promises() {
    let environment = environment();
    install(&environment);
    let tests = root().join("bindings/python/tests");
    let programs = ["sdvrd", "sdvrc"].map(sdvr_tests::binary);
    let programs = programs[0].parent().unwrap();
    let footage = sdvr_tests::footage::directory().join("vtest.avi");
    run(Command::new(environment.join("bin/pytest"))
        .args(["--quiet", "-p", "no:cacheprovider"])
        .arg(tests)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SDVR_PROGRAMS", programs)
        .env("SDVR_FOOTAGE", footage));
    // The stubs are the module's, and what is written in Python agrees with them.
    run(Command::new(environment.join("bin/stubtest")).arg("sdvr"));
    run(Command::new(environment.join("bin/mypy"))
        .args(["--strict", "--cache-dir", "/dev/null"])
        .arg(root().join("bindings/python/python/sdvr")));
}
