//! How the planes of a picture lie that are written without a header: for who reads them, and sees nothing of it in the bytes.

use std::fmt;

use sdvr::{Layout, Picture};

/// How planes lie, one behind the other. Displayed as lines for people and their scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planes {
    width: u32,
    height: u32,
    /// What the Linux kernel calls them, if it has a name for them.
    fourcc: Option<&'static str>,
    /// What ffmpeg calls them.
    pixels: String,
    planes: Vec<Plane>,
}

/// One plane.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plane {
    name: &'static str,
    row_bytes: usize,
    rows: usize,
}

impl Planes {
    /// As [`crate::y4m::write_planes`] writes them.
    pub(crate) fn of(picture: &Picture) -> Option<Self> {
        let layout = picture.layout();
        let (fourcc, pixels) = names(layout, picture.sample_bits())?;
        Some(Self {
            width: picture.width(),
            height: picture.height(),
            fourcc,
            pixels,
            planes: planes(picture)?,
        })
    }

    /// Bytes of a picture.
    fn bytes(&self) -> usize {
        let bytes = self.planes.iter().map(Plane::bytes);
        bytes.fold(0, usize::saturating_add)
    }
}

impl Plane {
    const fn bytes(&self) -> usize {
        self.row_bytes.saturating_mul(self.rows)
    }
}

impl fmt::Display for Planes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            width,
            height,
            fourcc,
            pixels,
            planes,
        } = self;
        let fourcc = fourcc.map_or_else(String::new, |fourcc| format!("{fourcc}, "));
        let bytes = self.bytes();
        writeln!(
            formatter,
            "{width}x{height} pixels, {fourcc}{pixels} for ffmpeg, {bytes} bytes a frame"
        )?;
        let mut at = 0_usize;
        for plane in planes {
            let Plane {
                name,
                row_bytes,
                rows,
            } = plane;
            writeln!(
                formatter,
                "{name} at {at}: {rows} rows of {row_bytes} bytes"
            )?;
            at = at.saturating_add(plane.bytes());
        }
        write!(
            formatter,
            "ffplay -f rawvideo -pixel_format {pixels} -video_size {width}x{height} FILE"
        )
    }
}

/// Names of what is written of pixels that lay so: by the kernel, and by ffmpeg.
fn names(layout: Layout, bits: u8) -> Option<(Option<&'static str>, String)> {
    let named = |fourcc, pixels: &str| Some((Some(fourcc), pixels.to_owned()));
    let deep = |pixels: &str| {
        let bits = if bits > 8 {
            format!("{bits}")
        } else {
            "16".to_owned()
        };
        Some((None, format!("{pixels}p{bits}le")))
    };
    match layout {
        Layout::Gray => named("GREY", "gray"),
        Layout::Gray16 => named("Y16", "gray16le"),
        Layout::Gray16BigEndian => named("Y16-BE", "gray16be"),
        Layout::Nv12 | Layout::Nv21 | Layout::Yuv420 | Layout::Yvu420 => named("YU12", "yuv420p"),
        Layout::Yuyv
        | Layout::Uyvy
        | Layout::Yvyu
        | Layout::Vyuy
        | Layout::Nv16
        | Layout::Nv61
        | Layout::Yuv422 => named("422P", "yuv422p"),
        Layout::Yuv411 => named("411P", "yuv411p"),
        Layout::Ycbcr | Layout::Yuv444 => named("444P", "yuv444p"),
        Layout::Yuva444 => Some((None, "yuva444p".to_owned())),
        Layout::P010 => named("P010", "p010le"),
        Layout::Yuv420Deep => deep("yuv420"),
        Layout::Yuv422Deep => deep("yuv422"),
        Layout::Yuv444Deep => deep("yuv444"),
        Layout::Rgb => named("RGB3", "rgb24"),
        Layout::Bgr => named("BGR3", "bgr24"),
        Layout::Rgba => named("AB24", "rgba"),
        Layout::BayerBggr => named("BA81", "bayer_bggr8"),
        Layout::BayerGbrg => named("GBRG", "bayer_gbrg8"),
        Layout::BayerGrbg => named("GRBG", "bayer_grbg8"),
        Layout::BayerRggb => named("RGGB", "bayer_rggb8"),
        _ => None,
    }
}

/// The planes that are written of a picture.
fn planes(picture: &Picture) -> Option<Vec<Plane>> {
    const NAMES: [&str; 4] = ["Y", "Cb", "Cr", "alpha"];
    let width = usize::try_from(picture.width()).ok()?;
    let mut there = picture.planes().map(|plane| (plane.row_bytes, plane.rows));
    let named = |sizes: Vec<(usize, usize)>| -> Vec<Plane> {
        let planes = NAMES.into_iter().zip(sizes);
        planes
            .map(|(name, (row_bytes, rows))| Plane {
                name,
                row_bytes,
                rows,
            })
            .collect()
    };
    let one = |name, (row_bytes, rows)| {
        vec![Plane {
            name,
            row_bytes,
            rows,
        }]
    };
    Some(match picture.layout() {
        Layout::Yuyv | Layout::Uyvy | Layout::Yvyu | Layout::Vyuy => {
            let (row_bytes, rows) = there.next()?;
            let colour = (row_bytes / 4, rows);
            named(vec![(width, rows), colour, colour])
        }
        Layout::Ycbcr => {
            let (_, rows) = there.next()?;
            named(vec![(width, rows); 3])
        }
        Layout::Nv12 | Layout::Nv21 | Layout::Nv16 | Layout::Nv61 => {
            let brightness = there.next()?;
            let (row_bytes, rows) = there.next()?;
            let colour = (row_bytes / 2, rows);
            named(vec![brightness, colour, colour])
        }
        Layout::P010 => {
            let brightness = one("Y", there.next()?);
            let colour = one("Cb and Cr in turn", there.next()?);
            [brightness, colour].concat()
        }
        Layout::Gray | Layout::Gray16 | Layout::Gray16BigEndian => one("Y", there.next()?),
        Layout::Rgb => one("red, green, blue", there.next()?),
        Layout::Bgr => one("blue, green, red", there.next()?),
        Layout::Rgba => one("red, green, blue, alpha", there.next()?),
        Layout::BayerBggr | Layout::BayerGbrg | Layout::BayerGrbg | Layout::BayerRggb => {
            one("samples", there.next()?)
        }
        _ => named(there.collect()),
    })
}
