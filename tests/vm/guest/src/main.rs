//! `control DEVICE [NAME [VALUE]]`: the controls of a camera, for tests that must not trust `sdvrc` with it; `control DEVICE --input N` chooses
//! one of its inputs,
//! `control DEVICE --encoder` gives a webcam's driver the control by which its encoder is asked for a key frame, as tools of such webcams do.
//!
//! Without a name it lists the controls; without a value it says what the control's is. A button is pressed with any value.

mod v4l2;

use std::path::Path;

use anyhow::{Context, bail};

use crate::v4l2::Device;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [device, rest @ ..] = arguments.as_slice() else {
        bail!("usage: control DEVICE [NAME [VALUE]]");
    };
    let device = Device::open(Path::new(device))?;
    match rest {
        [] => {
            for control in device.controls() {
                println!("{}", control.name());
            }
            Ok(())
        }
        [name, number] if name == "--input" => {
            device.set_input(number.parse().context("an input is a whole number")?)
        }
        [name] if name == "--encoder" => device.map_key_frame_control(),
        [name] => {
            println!("{}", device.value(id_of(&device, name)?)?);
            Ok(())
        }
        [name, value, ..] => {
            let value = value.parse().context("the value is a whole number")?;
            device.set_value(id_of(&device, name)?, value)
        }
    }
}

fn id_of(device: &Device, name: &str) -> anyhow::Result<u32> {
    let mut controls = device.controls();
    let control = controls.find(|control| control.name() == name);
    Ok(control
        .with_context(|| format!("the camera has no control {name:?}"))?
        .id)
}
