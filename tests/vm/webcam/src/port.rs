//! Plugging in and out: the files of the kernel's virtual host controller.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::Context;

const CONTROLLER: &str = "/sys/devices/platform/vhci_hcd.0";
/// `USB_SPEED_HIGH` of the kernel's `include/uapi/linux/usb/ch9.h`.
const HIGH_SPEED: u8 = 3;
/// How long a port may stay taken after something was unplugged from it.
const PATIENCE: Duration = Duration::from_secs(5);

/// One of the controller's ports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port(u8);

impl Port {
    pub(crate) const fn new(number: u8) -> Self {
        Self(number)
    }

    /// Plugs a device in; gives the device's end of the link.
    pub(crate) fn attach(self) -> anyhow::Result<UnixStream> {
        let (device, kernel) = UnixStream::pair().context("no socket pair")?;
        // "PORT SOCKET DEVICE SPEED"; the kernel keeps the socket. The device's number, bus and place, is for people only.
        let device_id = 0x0001_0001 + u32::from(self.0);
        let order = format!("{} {} {device_id} {HIGH_SPEED}", self.0, kernel.as_raw_fd());
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = std::fs::write(format!("{CONTROLLER}/attach"), &order) {
            if Instant::now() > deadline {
                return Err(error).context("the webcam cannot be plugged in");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(device)
    }

    /// Plugs the device out.
    pub(crate) fn detach(self) -> anyhow::Result<()> {
        std::fs::write(format!("{CONTROLLER}/detach"), self.0.to_string())
            .context("the webcam cannot be unplugged")
    }
}
