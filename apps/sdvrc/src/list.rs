//! `sdvrc --list` and `--controls`: what cameras there are, and what they can do, for people and, with `--json`, for programs.

use std::io::{self, Write};
use std::path::Path;

use sdvr_source::SourceError;
use sdvr_source::v4l2::{
    self, ControlInfo, ControlKind, DeviceError, DeviceInfo, FormatInfo, SizeInfo,
};
use serde_json::{Value, json};

use crate::config::Question;
use crate::failure::Failure;

/// Answers a question on standard output.
///
/// # Errors
///
/// [`Failure`]: the camera cannot be opened, or nobody reads.
pub fn answer(question: &Question) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    let result = match question {
        Question::Cameras { as_json } => print_cameras(*as_json, &mut output).map(Ok),
        Question::Controls { path, as_json } => print_controls(path, *as_json, &mut output),
    };
    match result {
        Ok(result) => result.map_err(|problem| SourceError::from(problem).into()),
        // Whoever reads has enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::Other(format!("cannot write: {error}"))),
    }
}

/// Prints the cameras of this host with their formats, sizes and rates.
///
/// # Errors
///
/// Those of the output.
fn print_cameras(as_json: bool, output: &mut impl Write) -> io::Result<()> {
    let cameras = v4l2::devices().into_iter().map(|device| {
        let formats = v4l2::formats(&device.path).unwrap_or_default();
        (device, formats)
    });
    let cameras: Vec<_> = cameras.collect();
    if as_json {
        let cameras: Vec<_> = cameras
            .iter()
            .map(|(device, formats)| camera_json(device, formats))
            .collect();
        return writeln!(output, "{:#}", Value::Array(cameras));
    }
    if cameras.is_empty() {
        return writeln!(output, "no camera (/dev/video*) on this host");
    }
    for (device, formats) in &cameras {
        write_camera(device, formats, output)?;
    }
    Ok(())
}

fn write_camera(
    device: &DeviceInfo,
    formats: &[FormatInfo],
    output: &mut impl Write,
) -> io::Result<()> {
    let DeviceInfo {
        path,
        stable_name,
        card,
        driver,
        bus,
        problem,
        ..
    } = device;
    writeln!(output, "{}  {stable_name}", path.display())?;
    if let Some(problem) = problem {
        return writeln!(output, "  {problem}");
    }
    writeln!(output, "  {card} ({driver}, {bus})")?;
    for format in formats {
        writeln!(output, "  {:4}  {}", format.fourcc, format.description)?;
        for size in &format.sizes {
            writeln!(output, "        {size}{}", rates_text(size))?;
        }
    }
    Ok(())
}

/// `  30, 15 fps`, or `  1 to 60 fps`.
fn rates_text(size: &SizeInfo) -> String {
    let rates: Vec<_> = size.rates.iter().map(ToString::to_string).collect();
    if rates.is_empty() {
        return String::new();
    }
    let between = if size.any_rate { " to " } else { ", " };
    format!("  {} fps", rates.join(between))
}

fn camera_json(device: &DeviceInfo, formats: &[FormatInfo]) -> Value {
    json!({
        "path": device.path,
        "stable_name": device.stable_name,
        "card": device.card,
        "driver": device.driver,
        "bus": device.bus,
        "problem": device.problem,
        "formats": formats.iter().map(format_json).collect::<Vec<_>>(),
    })
}

fn format_json(format: &FormatInfo) -> Value {
    let sizes = format.sizes.iter().map(|size| {
        json!({
            "width": size.most.0,
            "height": size.most.1,
            "least": [size.least.0, size.least.1],
            "step": [size.step.0, size.step.1],
            "fps": size.rates.iter().map(|rate| rate.as_f64()).collect::<Vec<_>>(),
            "any_rate": size.any_rate,
        })
    });
    json!({
        "fourcc": format.fourcc.to_string(),
        "description": format.description,
        "compressed": format.is_compressed,
        "sizes": sizes.collect::<Vec<_>>(),
    })
}

/// Prints the controls of a camera.
///
/// # Errors
///
/// [`DeviceError`], as the inner one; those of the output.
fn print_controls(
    path: &Path,
    as_json: bool,
    output: &mut impl Write,
) -> io::Result<Result<(), DeviceError>> {
    let controls = match v4l2::controls(path) {
        Ok(controls) => controls,
        Err(problem) => return Ok(Err(problem)),
    };
    if as_json {
        let controls: Vec<_> = controls.iter().map(control_json).collect();
        writeln!(output, "{:#}", Value::Array(controls))?;
    } else {
        for control in controls {
            writeln!(output, "{control}")?;
        }
    }
    Ok(Ok(()))
}

fn control_json(control: &ControlInfo) -> Value {
    let (kind, menu) = match &control.kind {
        ControlKind::Integer => ("integer", None),
        ControlKind::Boolean => ("boolean", None),
        ControlKind::Menu(entries) => ("menu", Some(entries)),
        ControlKind::Button => ("button", None),
        ControlKind::Other => ("other", None),
    };
    let menu = menu.map(|entries| {
        let entries = entries
            .iter()
            .map(|(number, name)| json!({"value": number, "name": name}));
        entries.collect::<Vec<_>>()
    });
    json!({
        "name": control.name,
        "kind": kind,
        "menu": menu,
        "minimum": control.minimum,
        "maximum": control.maximum,
        "step": control.step,
        "default": control.default_value,
        "value": control.value,
        "read_only": control.is_read_only,
        "inactive": control.is_inactive,
    })
}

#[cfg(test)]
mod tests {
    use sdvr_frame::{FourCc, FrameRate};

    use super::*;

    fn webcam() -> (DeviceInfo, Vec<FormatInfo>) {
        let device = DeviceInfo {
            path: "/dev/video0".into(),
            stable_name: "cam-de5f2b80".to_owned(),
            product_name: String::new(),
            has_twin: false,
            place: String::new(),
            card: "Cam".to_owned(),
            driver: "uvcvideo".to_owned(),
            bus: "usb-1".to_owned(),
            problem: None,
        };
        let size = |most, rates: &[u32], any_rate| SizeInfo {
            least: (640, 480),
            most,
            step: (0, 0),
            rates: rates
                .iter()
                .map(|rate| FrameRate::from_whole(*rate))
                .collect(),
            any_rate,
        };
        let formats = vec![FormatInfo {
            fourcc: FourCc::MJPG,
            description: "Motion-JPEG".to_owned(),
            is_compressed: true,
            sizes: vec![
                size((640, 480), &[30, 15], false),
                size((1280, 720), &[1, 60], true),
                size((640, 480), &[], false),
            ],
        }];
        (device, formats)
    }

    #[test]
    fn people_read_a_camera_in_lines() {
        let (device, formats) = webcam();
        let mut text = Vec::new();
        write_camera(&device, &formats, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "/dev/video0  cam-de5f2b80",
                "  Cam (uvcvideo, usb-1)",
                "  MJPG  Motion-JPEG",
                "        640x480  30, 15 fps",
                "        640x480 to 1280x720  1 to 60 fps",
                "        640x480",
            ]
        );
    }

    #[test]
    fn programs_read_a_camera_as_json() {
        let (device, formats) = webcam();
        let value = camera_json(&device, &formats);
        assert_eq!(value["path"], "/dev/video0");
        assert_eq!(value["problem"], Value::Null);
        let size = &value["formats"][0]["sizes"][1];
        assert_eq!(
            (&size["width"], &size["least"]),
            (&json!(1280), &json!([640, 480]))
        );
        assert_eq!(value["formats"][0]["sizes"][0]["fps"], json!([30.0, 15.0]));
    }

    #[test]
    fn a_camera_that_cannot_be_opened_says_why() {
        let (device, formats) = webcam();
        let device = DeviceInfo {
            problem: Some("no permission".to_owned()),
            ..device
        };
        let mut text = Vec::new();
        write_camera(&device, &formats, &mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "/dev/video0  cam-de5f2b80\n  no permission\n"
        );
    }

    #[test]
    fn controls_of_a_file_are_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let result = print_controls(file.path(), false, &mut Vec::new()).unwrap();
        assert!(
            matches!(result, Err(DeviceError::NotACamera { .. })),
            "{result:?}"
        );
    }
}
