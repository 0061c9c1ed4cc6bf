//! The guest's file system, an initramfs: busybox, kernel modules and our programs, and systemd where units run.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::packages;
use crate::tools::{root, run};
use crate::vm::kernel::Kernel;
use crate::vm::{Init, systemd};

/// Loaded when the guest without systemd starts, with the modules that they need; udev finds its modules by itself.
const LOADED: [&str; 5] = [
    "virtio_pci",
    "virtio_net",
    "virtio_console",
    "vhci_hcd",
    "uvcvideo",
];
/// Only its needs are loaded then: each test loads the virtual camera with its own parameters.
const LOADED_BY_TESTS: &str = "vivid";

/// Where `deploy/README.md` is followed: the folder that its commands are typed in.
const PROJECT: &str = "sdvr";

/// Writes the initramfs into `folder`; gives its path.
pub(crate) fn write(
    folder: &Path,
    kernel: &Kernel,
    init: Init,
    programs: &[PathBuf],
) -> anyhow::Result<PathBuf> {
    let staging = folder.join("image");
    if staging.exists() {
        std::fs::remove_dir_all(&staging)?;
    }
    std::fs::create_dir_all(&staging)?;
    let programs_go_to = match init {
        Init::Script => {
            copy_tree(&guest_files().join("bare"), &staging)?;
            add_modules(&staging, kernel)?;
            staging.join("bin")
        }
        Init::Systemd => {
            copy_tree(&systemd::fetch(folder)?, &staging)?;
            copy_tree(&guest_files().join("systemd"), &staging)?;
            symlink("lib/systemd/systemd", staging.join("init"))?;
            add_modules_in_their_folders(&staging, kernel)?;
            let project = staging.join(PROJECT);
            copy_tree(&root().join("deploy"), &project.join("deploy"))?;
            project.join("target/release")
        }
    };
    for folder in [&staging.join("bin"), &programs_go_to] {
        std::fs::create_dir_all(folder)?;
    }
    for program in programs {
        let name = program.file_name().context("a program has a name")?;
        // Four fifths of them are for debuggers, and would be unpacked and copied by the emulated processor.
        run(Command::new("strip")
            .args(["--strip-debug", "-o"])
            .arg(programs_go_to.join(name))
            .arg(program))?;
        add_libraries(&staging, program)?;
    }
    copy(
        &kernel.root.join("bin/busybox"),
        &staging.join("bin/busybox"),
    )?;
    copy(
        &guest_files().join("control.sh"),
        &staging.join("control.sh"),
    )?;
    let image = folder.join(init.name()).with_extension("cpio");
    let script = "cd \"$1\" && find . | cpio --create --format=newc --owner=0:0 --quiet > \"$2\"";
    run(Command::new("bash")
        .args(["-o", "pipefail", "-c", script, "-"])
        .args([&staging, &image]))?;
    Ok(image)
}

/// Copies the libraries of a program that are not there, to where they are on this machine: it was built with these.
fn add_libraries(staging: &Path, program: &Path) -> anyhow::Result<()> {
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .context("cannot run ldd")?;
    if !output.status.success() {
        bail!("ldd does not know the libraries of {}", program.display());
    }
    // "libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f…)", and the loader's path alone.
    let text = String::from_utf8_lossy(&output.stdout);
    let paths = text
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(Path::new);
    for path in paths {
        let to = staging.join(path.strip_prefix("/")?);
        if !to.exists() {
            std::fs::create_dir_all(to.parent().context("a library is in a folder")?)?;
            copy(path, &to)?;
        }
    }
    Ok(())
}

/// What there is in the guest besides programs.
fn guest_files() -> PathBuf {
    root().join("tests/vm/guest")
}

/// Copies the virtual camera, and what its guest's devices need, to where `modprobe` and udev look for them.
fn add_modules_in_their_folders(staging: &Path, kernel: &Kernel) -> anyhow::Result<()> {
    let folder = Path::new("lib/modules").join(&kernel.version);
    let lists = [
        "modules.order",
        "modules.builtin",
        "modules.builtin.modinfo",
    ];
    let mut files: Vec<PathBuf> = lists
        .iter()
        .map(|list| kernel.root.join(&folder).join(list))
        .collect();
    for module in ["virtio_pci", "virtio_console", LOADED_BY_TESTS] {
        files.extend(needed_by(module, kernel)?);
    }
    for file in files {
        let to = staging.join(file.strip_prefix(&kernel.root)?);
        std::fs::create_dir_all(to.parent().context("a module is in a folder")?)?;
        copy(&file, &to)?;
    }
    run(packages::administration("depmod")
        .arg("-b")
        .arg(staging)
        .arg(&kernel.version))
}

/// Copies the modules, and writes `modules/order`: their names in the order that they must be loaded in.
fn add_modules(staging: &Path, kernel: &Kernel) -> anyhow::Result<()> {
    std::fs::create_dir_all(staging.join("modules"))?;
    let mut order: Vec<String> = Vec::new();
    for module in LOADED.into_iter().chain([LOADED_BY_TESTS]) {
        for path in needed_by(module, kernel)? {
            let name = path.file_name().context("a module has a name")?;
            let name = name.to_string_lossy().into_owned();
            let to = staging.join("modules").join(&name);
            if !to.exists() {
                copy(&path, &to)?;
                order.push(name);
            }
        }
    }
    order.retain(|name| !name.starts_with(LOADED_BY_TESTS));
    std::fs::write(staging.join("modules/order"), order.join("\n") + "\n")?;
    Ok(())
}

/// The files of a module and of those that it needs, in the order of loading.
fn needed_by(module: &str, kernel: &Kernel) -> anyhow::Result<Vec<PathBuf>> {
    let output = packages::administration("modprobe")
        .arg("-d")
        .arg(&kernel.root)
        .args(["-S", &kernel.version, "--show-depends", module])
        .output()
        .context("cannot run modprobe")?;
    if !output.status.success() {
        bail!(
            "the kernel has no module {module}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    // "insmod /path/of/module.ko ", or "builtin name" for what the kernel has inside.
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.strip_prefix("insmod "))
        .map(|path| PathBuf::from(path.trim()))
        .collect())
}

/// Copies what is in a folder, links as they are.
fn copy_tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    run(Command::new("cp").arg("-a").arg(from.join(".")).arg(to))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}
