//! The command line.

use anyhow::{Context, bail};

/// What the webcam is like.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    /// The port of the virtual host controller that it is plugged into.
    pub(crate) port: u8,
    /// Its serial number.
    pub(crate) serial: String,
    /// Pixels across and down.
    pub(crate) size: (u16, u16),
    /// Frames a second.
    pub(crate) fps: u32,
    /// The path of the MJPG clip.
    pub(crate) mjpg: String,
    /// The path of the H.264 clip.
    pub(crate) h264: String,
}

impl Arguments {
    /// Takes them in; all must be given.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let [mut port, mut serial, mut size, mut fps, mut mjpg, mut h264] = [const { None }; 6];
        while let Some(name) = words.next() {
            let place = match &*name {
                "--port" => &mut port,
                "--serial" => &mut serial,
                "--size" => &mut size,
                "--fps" => &mut fps,
                "--mjpg" => &mut mjpg,
                "--h264" => &mut h264,
                _ => bail!("there is no {name}"),
            };
            *place = words.next();
        }
        let size = size.context("--size is missing")?;
        let (width, height) = size.split_once('x').context("--size is WxH")?;
        Ok(Self {
            port: port.context("--port is missing")?.parse()?,
            serial: serial.context("--serial is missing")?,
            size: (width.parse()?, height.parse()?),
            fps: fps.context("--fps is missing")?.parse()?,
            mjpg: mjpg.context("--mjpg is missing")?,
            h264: h264.context("--h264 is missing")?,
        })
    }
}
