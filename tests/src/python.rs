//! A Python with the packages that tests use, made once in cargo's target directory: it needs Python with `venv`, and packages of PyPI.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// What the tests use, beside what SDVR's own package needs.
const PACKAGES: [&str; 5] = [
    "maturin>=1.9,<2",
    "numpy>=1.21,<3",
    "pytest>=8,<10",
    "opencv-python-headless>=4.8,<6",
    "mypy>=1.18,<3",
];

/// Its folder; makes it if it is not there.
///
/// # Panics
///
/// When it cannot be made.
#[must_use]
pub fn environment() -> PathBuf {
    let environment = crate::built().join("python-environment");
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

/// Runs a program to its end; gives what it has printed.
///
/// # Panics
///
/// When it fails.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (stdout, stderr) = (crate::text(&output.stdout), crate::text(&output.stderr));
    assert!(
        output.status.success(),
        "{command:?} failed:\n{stdout}\n{stderr}"
    );
    stdout
}
