//! What the tests need that a Rust toolchain and a C compiler do not bring.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::tools::{run, target};

/// A Debian package, the program that shows that it is there, and what for.
const PACKAGES: [(&str, &str, &str); 1] = [("ffmpeg", "ffprobe", "to make and to check footage")];
/// Brings `vtest.avi`, a surveillance camera's footage; only that file is taken out of it.
const FOOTAGE_PACKAGE: &str = "opencv-doc";

/// Installs what is missing, after asking.
pub(crate) fn install(yes: bool) -> anyhow::Result<()> {
    let missing: Vec<_> = PACKAGES
        .iter()
        .filter(|(_, program, _)| !is_there(program))
        .collect();
    let footage = target().join("footage/vtest.avi");
    if missing.is_empty() && footage.exists() {
        return Ok(());
    }
    println!("The tests need:");
    for (package, _, purpose) in &missing {
        println!("  the Debian package {package}, {purpose} (apt-get install)");
    }
    if !footage.exists() {
        println!(
            "  vtest.avi out of the Debian package {FOOTAGE_PACKAGE}, real footage of a fixed camera (apt-get download, 8 MB kept in target/)"
        );
    }
    if !yes && std::env::var_os("CI").is_none() && !agreed()? {
        bail!("nothing was installed and no test was run");
    }
    run(apt().arg("update").arg("-qq"))?;
    if !missing.is_empty() {
        let names: Vec<&str> = missing.iter().map(|(package, ..)| *package).collect();
        run(apt()
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(names)
            .stdout(Stdio::null()))?;
    }
    if footage.exists() {
        Ok(())
    } else {
        fetch_footage(&footage)
    }
}

fn is_there(program: &str) -> bool {
    Command::new(program)
        .arg("-version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// `apt-get`, through sudo where that is needed.
fn apt() -> Command {
    let is_root = rustix::process::geteuid().is_root();
    let mut command = if is_root {
        Command::new("apt-get")
    } else {
        Command::new("sudo")
    };
    if !is_root {
        command.arg("apt-get");
    }
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn agreed() -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("standard input is no terminal to ask on; say --yes to install them");
    }
    print!("Install them? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn fetch_footage(footage: &Path) -> anyhow::Result<()> {
    let folder = footage.parent().context("the footage has a folder")?;
    std::fs::create_dir_all(folder)?;
    let scratch = tempfile::tempdir()?;
    run(Command::new("apt-get").current_dir(scratch.path()).args([
        "download",
        "-qq",
        FOOTAGE_PACKAGE,
    ]))?;
    let package = std::fs::read_dir(scratch.path())?
        .filter_map(Result::ok)
        .find(|entry| entry.path().extension().is_some_and(|end| end == "deb"));
    let package = package.context("apt-get has downloaded no package")?.path();
    // One file of the hundreds of megabytes.
    let script = "dpkg-deb --fsys-tarfile \"$1\" | tar -x --wildcards -C \"$2\" '*/vtest.avi*'";
    run(Command::new("bash")
        .args(["-o", "pipefail", "-c", script, "-"])
        .arg(&package)
        .arg(scratch.path()))?;
    let found =
        find(scratch.path(), "vtest.avi").context("the package has no vtest.avi any more")?;
    if found.extension().is_some_and(|end| end == "gz") {
        run(Command::new("gunzip").arg(&found))?;
    }
    let found = find(scratch.path(), "vtest.avi").context("the footage was not unpacked")?;
    std::fs::copy(found, footage)?;
    Ok(())
}

fn find(folder: &Path, name: &str) -> Option<std::path::PathBuf> {
    std::fs::read_dir(folder)
        .ok()?
        .filter_map(Result::ok)
        .find_map(|entry| {
            let path = entry.path();
            if path.is_dir() {
                find(&path, name)
            } else {
                entry
                    .file_name()
                    .to_string_lossy()
                    .starts_with(name)
                    .then_some(path)
            }
        })
}
