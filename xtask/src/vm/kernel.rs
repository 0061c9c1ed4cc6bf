//! Debian's kernel, its modules and a static busybox: downloaded by name, unpacked, never installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::packages;
use crate::tools::run;

/// Depends on the kernel of the day.
const KERNEL_PACKAGE: &str = "linux-image-amd64";
const BUSYBOX_PACKAGE: &str = "busybox-static";
/// What is unpacked of the kernel's hundreds of megabytes.
const KERNEL_FILES: [&str; 7] = [
    "./boot/vmlinuz-*",
    "./lib/modules/*/modules.*",
    "./lib/modules/*/kernel/drivers/media/*",
    "./lib/modules/*/kernel/drivers/usb/*",
    "./lib/modules/*/kernel/drivers/virtio/*",
    "./lib/modules/*/kernel/drivers/[cn]*/*.ko",
    "./lib/modules/*/kernel/[lns]*/*",
];
/// What an xz stream begins with.
const XZ_MAGIC: &[u8] = b"\xfd7zXZ\0";

/// An unpacked kernel.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// What qemu boots.
    pub(crate) boots: PathBuf,
    /// Holds `lib/modules` and `bin/busybox`.
    pub(crate) root: PathBuf,
    /// As in `uname -r`.
    pub(crate) version: String,
}

/// Finds the kernel below `folder`, or downloads it there.
pub(crate) fn fetch(folder: &Path) -> anyhow::Result<Kernel> {
    let folder = folder.join("kernel");
    // Written last: with it, all the rest is there.
    let version_file = folder.join("version");
    if !version_file.exists() {
        let version = download(&folder)?;
        std::fs::write(&version_file, version)?;
    }
    Ok(Kernel {
        boots: folder.join("boots"),
        root: folder.join("root"),
        version: std::fs::read_to_string(&version_file)?,
    })
}

fn download(folder: &Path) -> anyhow::Result<String> {
    let root = folder.join("root");
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(&root)?;
    packages::update()?;
    let version = newest_version()?;
    packages::unpack(&format!("linux-image-{version}"), &root, &KERNEL_FILES)?;
    packages::unpack(BUSYBOX_PACKAGE, &root, &["./bin/busybox"])?;
    run(packages::administration("depmod")
        .arg("-b")
        .arg(&root)
        .arg(&version))?;
    let image = root.join(format!("boot/vmlinuz-{version}"));
    take_out_elf(&image, &folder.join("boots"))?;
    Ok(version)
}

/// The version of the kernel that Debian recommends.
fn newest_version() -> anyhow::Result<String> {
    let output = Command::new("apt-cache")
        .args(["depends", KERNEL_PACKAGE])
        .output()
        .context("cannot run apt-cache")?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: linux-image-"))
        .map(str::to_owned)
        .with_context(|| {
            format!("apt knows no package {KERNEL_PACKAGE}: the cameras' tests need Debian's kernel for x86-64")
        })
}

/// Takes the kernel out of its self-extracting image: decompressing it takes the emulated processor seconds, this one none.
///
/// The image, of the x86 boot protocol (the kernel's `Documentation/arch/x86/boot.rst`), integers little-endian:
///
/// ```text
/// byte 0            0x1f1                 0x248            0x24c
///      +-----------+---------------------+----------------+----------------+--- ... ---+-----------------------+
///      |           | setup sectors (u8)  | offset (u32)   | length (u32)   |           | payload, its size u32 |
///      +-----------+---------------------+----------------+----------------+--- ... ---+-----------------------+
///                    0 means 4             from the end of the setup, which is one sector longer than said
/// ```
///
/// A kernel that is packed otherwise than by xz is booted as it is.
fn take_out_elf(image: &Path, elf: &Path) -> anyhow::Result<()> {
    let bytes = std::fs::read(image)?;
    let Some(payload) = payload(&bytes).filter(|payload| payload.starts_with(XZ_MAGIC)) else {
        std::fs::copy(image, elf)?;
        return Ok(());
    };
    let packed = elf.with_extension("xz");
    std::fs::write(&packed, payload)?;
    let status = Command::new("xz")
        .args(["--decompress", "--stdout"])
        .stdin(std::fs::File::open(&packed)?)
        .stdout(Stdio::from(std::fs::File::create(elf)?))
        .status()
        .context("cannot run xz")?;
    if !status.success() {
        bail!("xz cannot unpack the kernel out of {}", image.display());
    }
    std::fs::remove_file(&packed)?;
    Ok(())
}

/// What is packed in the image, without the size that follows it.
fn payload(image: &[u8]) -> Option<&[u8]> {
    let integer = |at: usize| {
        let bytes = image.get(at..at + 4)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let setup_sectors = match *image.get(0x1f1)? {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let begin = (setup_sectors + 1) * 512 + integer(0x248)?;
    let end = begin.checked_add(integer(0x24c)?)?.checked_sub(4)?;
    image.get(begin..end)
}
