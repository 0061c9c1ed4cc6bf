//! `cargo xtask install`: programs, libraries, headers and manual pages, where other programs' builds and users find them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::tools::{build_release, cargo, man, root, run};

const PROGRAMS: [&str; 3] = ["sdvrd", "sdvrc", "sdvr"];
/// Other names of `sdvr`: by them it is one of its subcommands.
const LINKS: [&str; 2] = ["prec", "psdl"];
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Releases that differ behind it take each other's place. `bindings/c/build.rs` writes the same into the library.
const ABI_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION_MAJOR"),
    ".",
    env!("CARGO_PKG_VERSION_MINOR")
);
/// What a program needs that is linked to `libsdvr.a`: as `rustc --print native-static-libs` says (OpenH264 is C++), and a test links such a program.
const SYSTEM_LIBRARIES: &str = "-lstdc++ -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc";

/// Where to.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where it will be used
    #[arg(long, value_name = "DIR", default_value = "/usr/local")]
    prefix: PathBuf,
    /// A directory that stands for / now, such as a package's
    #[arg(long, value_name = "DIR")]
    destdir: Option<PathBuf>,
    /// Build nothing, and install what is in this folder of cargo's already
    #[arg(long, value_name = "DIR", hide = true)]
    built: Option<PathBuf>,
}

/// Builds everything as it is released, and installs it.
pub(crate) fn install(arguments: &Arguments) -> anyhow::Result<()> {
    // Where the user is, not where cargo is run.
    let prefix = std::path::absolute(&arguments.prefix)?;
    let to = match &arguments.destdir {
        Some(destdir) => std::path::absolute(destdir)?.join(prefix.strip_prefix("/")?),
        None => prefix.clone(),
    };
    let built = match &arguments.built {
        Some(built) => std::path::absolute(built)?,
        None => {
            run(&mut cargo(&["build", "--release", "-p", "sdvr-c"]))?;
            build_release()?
        }
    };
    for program in PROGRAMS {
        put(&built.join(program), &to.join("bin").join(program), 0o755)?;
    }
    for name in LINKS {
        link("sdvr", &to.join("bin").join(name))?;
    }
    libraries(&built, &to.join("lib"))?;
    headers(&to.join("include"))?;
    describe(&prefix, &to.join("lib"))?;
    let manual = to.join("share/man/man1");
    match &arguments.built {
        Some(_) => run(Command::new(built.join("sdvr-man")).arg(&manual))?,
        None => man(&manual)?,
    }
    println!("installed below {}", to.display());
    if arguments.destdir.is_none() {
        println!(
            "programs find the library after `ldconfig`, where its folder is among those that are searched"
        );
    }
    Ok(())
}

fn libraries(built: &Path, lib: &Path) -> anyhow::Result<()> {
    let file = format!("libsdvr.so.{VERSION}");
    put(&built.join("libsdvr_c.so"), &lib.join(&file), 0o755)?;
    for name in [format!("libsdvr.so.{ABI_VERSION}"), "libsdvr.so".to_owned()] {
        link(&file, &lib.join(name))?;
    }
    put(&built.join("libsdvr_c.a"), &lib.join("libsdvr.a"), 0o644)
}

fn headers(include: &Path) -> anyhow::Result<()> {
    let bindings = root().join("bindings");
    put(
        &bindings.join("c/include/sdvr.h"),
        &include.join("sdvr.h"),
        0o644,
    )?;
    put(
        &bindings.join("cpp/include/sdvr.hpp"),
        &include.join("sdvr.hpp"),
        0o644,
    )
}

/// For pkg-config and CMake.
fn describe(prefix: &Path, lib: &Path) -> anyhow::Result<()> {
    let bindings = root().join("bindings");
    for (from, to) in [
        ("c/sdvr.pc.in", "pkgconfig/sdvr.pc"),
        ("cpp/sdvr-config.cmake.in", "cmake/sdvr/sdvr-config.cmake"),
        (
            "cpp/sdvr-config-version.cmake.in",
            "cmake/sdvr/sdvr-config-version.cmake",
        ),
    ] {
        // CMake separates a list's things by semicolons.
        let libraries = if from.starts_with("cpp") {
            SYSTEM_LIBRARIES.replace(' ', ";")
        } else {
            SYSTEM_LIBRARIES.to_owned()
        };
        let text = fs::read_to_string(bindings.join(from))?
            .replace("@PREFIX@", &prefix.display().to_string())
            .replace("@VERSION@", VERSION)
            .replace("@ABI_VERSION@", ABI_VERSION)
            .replace("@SYSTEM_LIBRARIES@", &libraries);
        let to = lib.join(to);
        make_folder_of(&to)?;
        remove(&to)?;
        fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}

/// Copies a file. What was there is removed first: a program that runs, or a library in use, is not overwritten.
fn put(from: &Path, to: &Path, mode: u32) -> anyhow::Result<()> {
    make_folder_of(to)?;
    remove(to)?;
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// Makes a symbolic link to a file of the same folder.
fn link(to: &str, link: &Path) -> anyhow::Result<()> {
    remove(link)?;
    symlink(to, link).with_context(|| format!("cannot make {}", link.display()))
}

fn make_folder_of(file: &Path) -> anyhow::Result<()> {
    let folder = file.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder).with_context(|| {
        format!(
            "cannot make {}: choose another --prefix, or run `sudo` with it",
            folder.display()
        )
    })
}

fn remove(file: &Path) -> anyhow::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}
