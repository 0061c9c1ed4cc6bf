//! The guest's file system: an initramfs of busybox, kernel modules and our programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::packages;
use crate::tools::{root, run};
use crate::vm::kernel::Kernel;

/// Loaded when the guest starts, with the modules that they need.
const LOADED: [&str; 5] = [
    "virtio_pci",
    "virtio_net",
    "virtio_console",
    "vhci_hcd",
    "uvcvideo",
];
/// Only its needs are loaded then: each test loads the virtual camera with its own parameters.
const LOADED_BY_TESTS: &str = "vivid";

/// Writes the initramfs into `folder`; gives its path.
pub(crate) fn write(
    folder: &Path,
    kernel: &Kernel,
    programs: &[PathBuf],
) -> anyhow::Result<PathBuf> {
    let staging = folder.join("image");
    if staging.exists() {
        std::fs::remove_dir_all(&staging)?;
    }
    for name in ["bin", "modules", "etc"] {
        std::fs::create_dir_all(staging.join(name))?;
    }
    copy(
        &kernel.root.join("bin/busybox"),
        &staging.join("bin/busybox"),
    )?;
    for program in programs {
        let name = program.file_name().context("a program has a name")?;
        copy(program, &staging.join("bin").join(name))?;
    }
    let guest = root().join("tests/vm/guest");
    copy(&guest.join("init.sh"), &staging.join("init"))?;
    for name in ["passwd", "group"] {
        copy(
            &guest.join("etc").join(name),
            &staging.join("etc").join(name),
        )?;
    }
    add_modules(&staging, kernel)?;
    let image = folder.join("guest.cpio");
    let script = "cd \"$1\" && find . | cpio --create --format=newc --owner=0:0 --quiet > \"$2\"";
    run(Command::new("bash")
        .args(["-o", "pipefail", "-c", script, "-"])
        .args([&staging, &image]))?;
    Ok(image)
}

/// Copies the modules, and writes `modules/order`: their names in the order that they must be loaded in.
fn add_modules(staging: &Path, kernel: &Kernel) -> anyhow::Result<()> {
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

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}
