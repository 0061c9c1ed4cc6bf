//! A camera's frames in the form in which another program is to have them.

use std::io::{self, Write};
use std::time::Duration;

use sdvr::{Camera, DecodeError, Decoded, Error, Frame, FrameFlags, Pictures, Pixels, Policy};

use crate::planes::Planes;
use crate::shape::{Form, Shape};
use crate::y4m;

/// How frames are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Format {
    /// The bytes of one frame after the other, as the camera sent them.
    Raw,
    /// A YUV4MPEG2 stream: brightness and colour in planes, decoded where needed.
    Y4m,
    /// Decoded pictures, one after the other: red, green, blue, a byte each.
    Rgb,
    /// Decoded pictures, one after the other: the planes of YUV4MPEG2 without its headers, or other pixels as they lie.
    #[cfg_attr(feature = "clap", value(skip))]
    Planes,
}

/// A camera that is read frame by frame, each as it came or as its picture.
#[derive(Debug)]
pub struct Feed {
    source: Source,
    wanted: Option<Format>,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one a camera, and it is rarely moved"
)]
enum Source {
    AsTheyCame {
        camera: Camera,
        frame: Option<Frame>,
    },
    Pictures {
        pictures: Pictures,
        decoded: Option<Decoded>,
    },
}

/// What reading gave.
#[derive(Debug)]
pub enum Taken {
    /// A frame that can be written.
    Frame(Shape),
    /// None in time.
    Nothing,
    /// A frame that gave no picture.
    NoPicture(NoPicture),
}

/// Why a frame cannot be written in the form that is wanted.
#[derive(Debug, thiserror::Error)]
pub enum NoPicture {
    /// It is damaged; the next may be better.
    #[error("{0}")]
    Damaged(Error),
    /// None of this stream's can.
    #[error("{0}")]
    Never(String),
}

impl Feed {
    /// Reads a camera that is there (or was); `None` writes frames as their source had them.
    pub fn open(camera: Camera, wanted: Option<Format>) -> Self {
        let is_y4m = y4m::header_of(&camera).is_some();
        let source = match wanted {
            Some(Format::Rgb) => pictures(camera, Pixels::Rgb),
            Some(Format::Planes) => pictures(camera, Pixels::Planes),
            Some(Format::Y4m) if !is_y4m => pictures(camera, Pixels::Planes),
            Some(Format::Raw | Format::Y4m) | None => Source::AsTheyCame {
                camera,
                frame: None,
            },
        };
        Self { source, wanted }
    }

    /// Whether the camera would be read in another way if it were opened now: it has come back as one of another kind.
    pub fn is_outdated(&self) -> bool {
        let is_y4m = y4m::header_of(self.camera()).is_some();
        let reads_as_it_came = matches!(self.source, Source::AsTheyCame { .. });
        self.wanted == Some(Format::Y4m) && is_y4m != reads_as_it_came
    }

    /// The camera that is read.
    #[must_use]
    pub const fn camera(&self) -> &Camera {
        match &self.source {
            Source::AsTheyCame { camera, .. } => camera,
            Source::Pictures { pictures, .. } => pictures.camera(),
        }
    }

    /// The camera, to be read in another way.
    #[must_use]
    pub fn into_camera(self) -> Camera {
        match self.source {
            Source::AsTheyCame { camera, .. } => camera,
            Source::Pictures { pictures, .. } => pictures.into_camera(),
        }
    }

    /// The next frame that `policy` wants.
    ///
    /// # Errors
    ///
    /// As [`Camera::next`].
    pub fn next(&mut self, policy: Policy, timeout: Duration) -> Result<Taken, Error> {
        let has_come = match &mut self.source {
            Source::AsTheyCame { camera, frame } => {
                let next = camera.next_in_memory(policy, timeout, frame);
                next.map(|frame| frame.is_some())
            }
            Source::Pictures { pictures, decoded } => match decoded {
                Some(decoded) => pictures.next_into(policy, timeout, decoded),
                None => pictures.next(policy, timeout).map(|next| {
                    *decoded = next;
                    decoded.is_some()
                }),
            },
        };
        match has_come {
            Ok(true) => Ok(match self.shape() {
                Some(shape) => Taken::Frame(shape),
                None => Taken::NoPicture(NoPicture::Never(self.no_planes())),
            }),
            Ok(false) => Ok(Taken::Nothing),
            Err(error @ Error::Undecodable { .. }) => Ok(Taken::NoPicture(no_picture(error))),
            Err(error) => Err(error),
        }
    }

    fn no_planes(&self) -> String {
        let camera = self.camera().label();
        let fourcc = self.frame().map(|frame| frame.format().fourcc);
        let fourcc = fourcc.map_or_else(String::new, |fourcc| fourcc.to_string());
        format!(
            "{camera} sends {fourcc}, pixels that are not brightness and colour, which is all that YUV4MPEG2 has; use --format rgb"
        )
    }

    /// The frame that was taken last; `None` before the first.
    pub fn frame(&self) -> Option<&Frame> {
        match &self.source {
            Source::AsTheyCame { frame, .. } => frame.as_ref(),
            Source::Pictures { decoded, .. } => decoded.as_ref().map(Decoded::frame),
        }
    }

    /// How the planes of the frame that was taken last are written, where that is without a header; `None` where it is not.
    pub fn planes(&self) -> Option<Planes> {
        match (&self.source, self.wanted) {
            (Source::Pictures { decoded, .. }, Some(Format::Planes)) => {
                Planes::of(decoded.as_ref()?.picture())
            }
            _ => None,
        }
    }

    /// Whether frames are written as they came, and need those before them.
    pub fn needs_all(&self) -> bool {
        let Source::AsTheyCame { camera, .. } = &self.source else {
            return false;
        };
        let info = camera.info();
        info.is_some_and(|info| info.format.fourcc.is_inter_coded())
    }

    /// Whether the frame that was taken last is one at which nobody can begin: it is written as it came, and needs frames before it.
    pub fn begins_late(&self) -> bool {
        let Source::AsTheyCame {
            frame: Some(frame), ..
        } = &self.source
        else {
            return false;
        };
        frame.format().fourcc.is_inter_coded() && !frame.is_key()
    }

    /// How many frames were not taken between the one before and this one: of its run, and where runs of the source meet.
    pub fn missed(&self) -> (u64, u64) {
        match &self.source {
            Source::AsTheyCame { frame, .. } => frame.as_ref().map_or((0, 0), |frame| {
                (frame.missed(), frame.missed_between_runs())
            }),
            Source::Pictures { decoded, .. } => decoded.as_ref().map_or((0, 0), |decoded| {
                (decoded.missed(), decoded.missed_between_runs())
            }),
        }
    }

    /// What was not told of before the end.
    pub fn missed_at_end(&self) -> u64 {
        match &self.source {
            Source::AsTheyCame { camera, .. } => camera.missed_at_end(),
            Source::Pictures { pictures, .. } => pictures.missed_at_end(),
        }
    }

    /// What the frame that was taken last is; `None` for pixels that have no place in the form that is wanted.
    fn shape(&self) -> Option<Shape> {
        let format = self.frame()?.format();
        let (form, width, height) = match &self.source {
            Source::AsTheyCame { camera, .. } => {
                let header = y4m::header_of(camera).filter(|_| self.wanted != Some(Format::Raw));
                let form = match header {
                    Some(header) => Form::Y4mAsItCame {
                        header: header.to_vec(),
                        fourcc: format.fourcc,
                    },
                    None => Form::Raw(format.fourcc),
                };
                (form, format.width, format.height)
            }
            Source::Pictures { decoded, .. } => {
                let picture = decoded.as_ref()?.picture();
                let form = match self.wanted {
                    Some(Format::Rgb) => Form::Rgb,
                    Some(Format::Planes) => Form::Planes(picture.layout()),
                    _ => Form::Y4m {
                        colours: y4m::colours(picture)?,
                    },
                };
                (form, picture.width(), picture.height())
            }
        };
        Some(Shape {
            form,
            width,
            height,
            rate: format.rate,
        })
    }

    /// Writes what stands before the first frame of a stretch of output.
    ///
    /// # Errors
    ///
    /// When `out` does not take it.
    pub fn write_header(shape: &Shape, out: &mut impl Write) -> io::Result<()> {
        match &shape.form {
            Form::Raw(_) | Form::Planes(_) | Form::Rgb => Ok(()),
            Form::Y4mAsItCame { header, .. } => out.write_all(header),
            Form::Y4m { colours } => y4m::write_header(shape, colours, out),
        }
    }

    /// Writes the frame that was taken last. `planes` is memory that is used again.
    ///
    /// # Errors
    ///
    /// When `out` does not take it.
    pub fn write(
        &self,
        shape: &Shape,
        planes: &mut Vec<u8>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        match (&self.source, &shape.form) {
            (Source::AsTheyCame { frame, .. }, form) => {
                let Some(frame) = frame else { return Ok(()) };
                if matches!(form, Form::Y4mAsItCame { .. }) {
                    return write_as_it_came(frame, out);
                }
                out.write_all(frame.bytes())
            }
            (Source::Pictures { decoded, .. }, form) => {
                let Some(decoded) = decoded else {
                    return Ok(());
                };
                let picture = decoded.picture();
                match form {
                    Form::Y4m { .. } => y4m::write_frame(picture, planes, out),
                    Form::Planes(_) => y4m::write_planes(picture, planes, out),
                    _ => out.write_all(picture.bytes()),
                }
            }
        }
    }
}

fn pictures(camera: Camera, pixels: Pixels) -> Source {
    Source::Pictures {
        pictures: camera.decoded(pixels),
        decoded: None,
    }
}

fn no_picture(error: Error) -> NoPicture {
    match &error {
        Error::Undecodable {
            camera,
            frame,
            cause: cause @ (DecodeError::Unsupported { .. } | DecodeError::Size { .. }),
        } => NoPicture::Never(format!(
            "{camera} cannot be shown, frame {frame} is the first: {cause}"
        )),
        _ => NoPicture::Damaged(error),
    }
}

/// The frame of a YUV4MPEG2 source: its planes, after what it says of itself.
fn write_as_it_came(frame: &Frame, out: &mut impl Write) -> io::Result<()> {
    let bytes = frame.bytes();
    // Of a colour space without a name only the trailer's mark tells where the planes end.
    let plane_bytes = if frame.flags().contains(FrameFlags::TRAILER) {
        raw_bytes(frame).unwrap_or(bytes.len())
    } else {
        bytes.len()
    };
    let (planes, parameters) = bytes.split_at(plane_bytes.min(bytes.len()));
    out.write_all(b"FRAME")?;
    out.write_all(parameters)?;
    out.write_all(b"\n")?;
    out.write_all(planes)
}

/// Bytes of the planes of a frame.
fn raw_bytes(frame: &Frame) -> Option<usize> {
    let format = frame.format();
    let bytes = format.fourcc.raw_frame_bytes(format.width, format.height)?;
    usize::try_from(bytes).ok()
}
