//! The virtual machine: qemu without KVM, so that it runs wherever the tests do.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::vm::Init;
use crate::vm::kernel::Kernel;

const KERNEL_ARGUMENTS: &str = "console=ttyS0 quiet panic=-1 mitigations=off";
const MEMORY_MIB: &str = "768";
const PROCESSORS: &str = "2";
/// How long the guest may take to shut down before it is killed.
const GRACE: Duration = Duration::from_secs(3);

/// A running guest; killed with this value.
#[derive(Debug)]
pub(crate) struct Guest {
    qemu: Child,
    /// What tests connect to.
    pub(crate) control: PathBuf,
    log: PathBuf,
}

/// Starts the guest, and does not wait for it.
pub(crate) fn boot(
    folder: &Path,
    kernel: &Kernel,
    image: &Path,
    init: Init,
) -> anyhow::Result<Guest> {
    let (control, log) = (folder.join("control.sock"), image.with_extension("log"));
    let _ = std::fs::remove_file(&control);
    let console = std::fs::File::create(&log)?;
    // Killed with this process, even when that is killed: no guest is left behind.
    let mut qemu = Command::new("setpriv");
    qemu.args(["--pdeathsig", "KILL", "qemu-system-x86_64"])
        // KVM is not even tried: where machines are virtual, opening it may hang.
        .args(["-machine", "q35,accel=tcg,hpet=off", "-cpu", "max"])
        .args(["-m", MEMORY_MIB, "-smp", PROCESSORS])
        .args(["-nodefaults", "-no-reboot", "-display", "none"])
        .args(["-serial", "stdio"])
        .arg("-kernel")
        .arg(&kernel.boots)
        .arg("-initrd")
        .arg(image)
        .args([
            "-append",
            &format!("{KERNEL_ARGUMENTS} {}", arguments(init)),
        ])
        // The guest reaches the host's 127.0.0.1 as 10.0.2.2.
        .args(["-netdev", "user,id=network"])
        .args(["-device", "virtio-net-pci,netdev=network,romfile="])
        .args(["-device", "virtio-serial-pci"])
        .args(["-device", "virtserialport,chardev=control,name=control"])
        .arg("-chardev")
        .arg(format!(
            "socket,id=control,server=on,wait=off,path={}",
            control.display()
        ))
        .stdin(Stdio::null())
        .stderr(console.try_clone()?)
        .stdout(console);
    let qemu = qemu.spawn().context("cannot run qemu-system-x86_64")?;
    Ok(Guest { qemu, control, log })
}

/// What the first process is told.
const fn arguments(init: Init) -> &'static str {
    match init {
        Init::Script => "",
        // Nobody logs in at the console; it shows what the journal has.
        Init::Systemd => {
            "systemd.unit=multi-user.target systemd.wants=control.service \
             systemd.mask=serial-getty@ttyS0.service systemd.mask=getty.target \
             systemd.show_status=false systemd.journald.forward_to_console=1"
        }
    }
}

impl Guest {
    /// Ends the guest; gives what it wrote to its console.
    pub(crate) fn end(self) -> PathBuf {
        self.log.clone()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // qemu closes its files on this signal.
        if let Some(id) = rustix::process::Pid::from_raw(self.qemu.id().cast_signed()) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline && matches!(self.qemu.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        let _ = std::fs::remove_file(&self.control);
    }
}
