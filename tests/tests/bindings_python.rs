//! The Python package, as it is built and installed by a user: its own tests run against real programs.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sdvr_tests::python::{self, run};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
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
        .env("CARGO_TARGET_DIR", sdvr_tests::built()));
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
    let environment = python::environment();
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
