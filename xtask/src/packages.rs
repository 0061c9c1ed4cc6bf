//! What the tests need that a Rust toolchain and a C compiler do not bring.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::browser;
use crate::tools::{run, target};

/// A Debian package.
#[derive(Clone, Copy)]
struct Package {
    name: &'static str,
    evidence: Evidence,
    purpose: &'static str,
}

/// What shows that a package is there, or something that does the same.
#[derive(Clone, Copy)]
enum Evidence {
    Program(&'static str),
    /// A library that programs load, in one of the folders for them.
    Loaded(&'static str),
    /// What `pkg-config` knows.
    Library(&'static str),
    /// What Python can import.
    Module(&'static str),
}

impl Package {
    const fn new(name: &'static str, program: &'static str, purpose: &'static str) -> Self {
        Self {
            name,
            evidence: Evidence::Program(program),
            purpose,
        }
    }

    /// A library that `sdvr view` loads when it is started.
    const fn loaded(name: &'static str, file: &'static str) -> Self {
        Self {
            name,
            evidence: Evidence::Loaded(file),
            purpose: "to open windows",
        }
    }

    fn is_there(&self) -> bool {
        let succeeds = |program, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        match self.evidence {
            Evidence::Program(program) => is_there(program),
            Evidence::Loaded(file) => is_loadable(file),
            Evidence::Library(library) => succeeds("pkg-config", &["--exists", library]),
            Evidence::Module(module) => succeeds("python3", &["-c", &format!("import {module}")]),
        }
    }
}

const PACKAGES: &[Package] = &[
    Package::new("ffmpeg", "ffprobe", "to make and to check footage"),
    Package::new("mkvtoolnix", "mkvinfo", "to check recordings"),
    Package::new("g++", "g++", "to build programs in C++ with the library"),
    Package::new("make", "make", "to build the examples in C"),
    Package::new("cmake", "cmake", "to build the examples in C++"),
    Package::new(
        "pkg-config",
        "pkg-config",
        "to find libraries that are installed",
    ),
    Package {
        name: "python3-venv",
        evidence: Evidence::Module("ensurepip"),
        purpose: "to build and to try the Python package",
    },
    Package {
        name: "libavcodec-dev",
        evidence: Evidence::Library("libavcodec"),
        purpose: "to decode with FFmpeg's libraries",
    },
    Package {
        name: "libavutil-dev",
        evidence: Evidence::Library("libavutil"),
        purpose: "for the same",
    },
    Package::new(
        "iproute2",
        "ip",
        "to give network namespaces their addresses",
    ),
    Package::new("chromium", "chromium", "to try the page of `sdvr web`"),
    Package::new("nodejs", "node", "to drive that browser"),
    Package::new("npm", "npm", "to fetch what drives it"),
    Package::new(
        "xvfb",
        "Xvfb",
        "to look at windows on a screen that nobody sees",
    ),
    Package::new("weston", "weston", "for the same, by Wayland"),
    Package::loaded("libx11-6", "libX11.so.6"),
    Package::loaded("libx11-xcb1", "libX11-xcb.so.1"),
    Package::loaded("libxcursor1", "libXcursor.so.1"),
    Package::loaded("libxi6", "libXi.so.6"),
    Package::loaded("libxkbcommon0", "libxkbcommon.so.0"),
    Package::loaded("libxkbcommon-x11-0", "libxkbcommon-x11.so.0"),
    Package::loaded("libxcb-xkb1", "libxcb-xkb.so.1"),
    Package::loaded("libwayland-client0", "libwayland-client.so.0"),
    Package::new("tmux", "tmux", "to have a terminal that tests can look at"),
];
/// What the cameras' tests need in addition.
const VM_PACKAGES: [Package; 4] = [
    Package::new(
        "qemu-system-x86",
        "qemu-system-x86_64",
        "to run the kernel's camera drivers in a virtual machine",
    ),
    Package::new("kmod", "modprobe", "to find the kernel modules it needs"),
    Package::new("cpio", "cpio", "to pack its files"),
    Package::new("xz-utils", "xz", "to unpack its kernel"),
];
/// Where programs for administrators are, which not every user's path names.
const ADMINISTRATION: [&str; 2] = ["/usr/sbin", "/sbin"];
/// Brings footage of real cameras; only these files are taken out of it: a surveillance camera's, and H.264 with and without damage.
const FOOTAGE_PACKAGE: &str = "opencv-doc";
const FOOTAGE: [&str; 3] = ["vtest.avi", "box.mp4", "cup.mp4"];

/// Installs what is missing for all tests, after asking.
pub(crate) fn install(yes: bool) -> anyhow::Result<()> {
    let wanted = [PACKAGES, &VM_PACKAGES].concat();
    install_these(&wanted, &FOOTAGE, Browser::Wanted, yes)
}

/// Installs what is missing for the cameras' tests, after asking.
pub(crate) fn install_for_vm(yes: bool) -> anyhow::Result<()> {
    let wanted = [PACKAGES, &VM_PACKAGES].concat();
    install_these(&wanted, &[], Browser::NotWanted, yes)
}

/// Whether what drives the browser is among what is needed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Browser {
    Wanted,
    NotWanted,
}

fn install_these(
    wanted: &[Package],
    footage: &[&str],
    browser: Browser,
    yes: bool,
) -> anyhow::Result<()> {
    let missing: Vec<_> = wanted
        .iter()
        .filter(|package| !package.is_there())
        .collect();
    let folder = target().join("footage");
    let footage: Vec<&str> = footage
        .iter()
        .copied()
        .filter(|name| !folder.join(name).exists())
        .collect();
    let lacks_driver = browser == Browser::Wanted && !browser::is_there();
    if missing.is_empty() && footage.is_empty() && !lacks_driver {
        return Ok(());
    }
    println!("The tests need:");
    for package in &missing {
        println!(
            "  the Debian package {}, {} (apt-get install)",
            package.name, package.purpose
        );
    }
    if !footage.is_empty() {
        println!(
            "  {} out of the Debian package {FOOTAGE_PACKAGE}, real footage (apt-get download, 15 MB kept in target/)",
            footage.join(", ")
        );
    }
    if lacks_driver {
        println!("  {}", browser::DESCRIPTION);
    }
    if !yes && std::env::var_os("CI").is_none() && !agreed()? {
        bail!("nothing was installed and no test was run");
    }
    if !missing.is_empty() || !footage.is_empty() {
        update()?;
    }
    if !missing.is_empty() {
        run(apt()
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(missing.iter().map(|package| package.name))
            .stdout(Stdio::null()))?;
    }
    if !footage.is_empty() {
        fetch_footage(&folder, &footage)?;
    }
    if lacks_driver {
        browser::install()?;
    }
    Ok(())
}

/// Whether a program is where users or administrators find it.
pub(crate) fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(ADMINISTRATION.map(PathBuf::from))
        .any(|folder| folder.join(program).exists())
}

/// Whether a library is in one of the folders that Debian has for the architectures that are installed.
fn is_loadable(file: &str) -> bool {
    ["/lib", "/usr/lib"].iter().any(|folder| {
        let below = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let folders = below.map(|entry| entry.path()).filter(|path| path.is_dir());
        std::iter::once(PathBuf::from(folder))
            .chain(folders)
            .any(|path| path.join(file).exists())
    })
}

/// A program that may be where only administrators look.
pub(crate) fn administration(program: &str) -> Command {
    let mut folders = ADMINISTRATION
        .iter()
        .map(|folder| Path::new(folder).join(program));
    Command::new(
        folders
            .find(|path| path.exists())
            .unwrap_or_else(|| program.into()),
    )
}

/// Asks the archives what there is now.
pub(crate) fn update() -> anyhow::Result<()> {
    run(apt().arg("update").arg("-qq"))
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

fn fetch_footage(folder: &Path, names: &[&str]) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let scratch = tempfile::tempdir()?;
    // Some files of hundreds of megabytes.
    let patterns: Vec<String> = names.iter().map(|name| format!("*/{name}*")).collect();
    let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
    unpack(FOOTAGE_PACKAGE, scratch.path(), &patterns)?;
    for name in names {
        let missing = || format!("the package has no {name} any more");
        let packed = find(scratch.path(), name).with_context(missing)?;
        if packed.extension().is_some_and(|end| end == "gz") {
            run(Command::new("gunzip").arg(&packed))?;
        }
        let found = find(scratch.path(), name).with_context(missing)?;
        std::fs::copy(found, folder.join(name))?;
    }
    Ok(())
}

/// Downloads a package, without installing it, and unpacks the files in it that match `patterns` into `folder`.
pub(crate) fn unpack(package: &str, folder: &Path, patterns: &[&str]) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    run(Command::new("apt-get")
        .current_dir(scratch.path())
        .args(["download", "-qq", package]))?;
    let file = std::fs::read_dir(scratch.path())?
        .filter_map(Result::ok)
        .find(|entry| entry.path().extension().is_some_and(|end| end == "deb"));
    let file = file.context("apt-get has downloaded no package")?.path();
    let script = "file=$1; folder=$2; shift 2
        dpkg-deb --fsys-tarfile \"$file\" | tar -x --no-same-owner --wildcards -C \"$folder\" \"$@\"";
    run(Command::new("bash")
        .args(["-o", "pipefail", "-c", script, "-"])
        .args([&file, folder])
        .args(patterns))
}

/// Downloads packages with all that they need, without installing them, and unpacks them into `folder`, but for the files that match `left_out`.
pub(crate) fn unpack_with_needs(
    packages: &[&str],
    folder: &Path,
    left_out: &[&str],
) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    // As if nothing were installed: what this host has is needed, too.
    let status = scratch.path().join("status");
    std::fs::write(&status, "")?;
    std::fs::create_dir(scratch.path().join("partial"))?;
    run(Command::new("apt-get")
        .args([
            "install",
            "-qq",
            "--download-only",
            "--no-install-recommends",
        ])
        // Nothing of the host is changed, so that nobody need be root.
        .args(["-o", "Debug::NoLocking=1", "-o"])
        .arg(format!("Dir::State::status={}", status.display()))
        .arg("-o")
        .arg(format!("Dir::Cache::archives={}", scratch.path().display()))
        .args(packages))?;
    let script = "archives=$1; folder=$2; shift 2
        for file in \"$archives\"/*.deb; do
            dpkg-deb --fsys-tarfile \"$file\" |
                tar -x --no-same-owner --keep-directory-symlink -C \"$folder\" \"${@/#/--exclude=}\" || exit
        done";
    run(Command::new("bash")
        .args(["-o", "pipefail", "-c", script, "-"])
        .args([scratch.path(), folder])
        .args(left_out))
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
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
