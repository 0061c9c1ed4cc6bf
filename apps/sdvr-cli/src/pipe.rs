//! `sdvr pipe`: a camera's frames on standard output, as they came.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use sdvr::{Camera, Error, Frame, FrameFlags, Start, StreamFormat};

use crate::output::{Interrupted, NOT_WRITTEN, WrongUsage, next_frame, say};

const HELP: &str = "\
Ends when the camera says that it ends, at Ctrl-C, and when the reader of the
output has enough. Frames that were missed are counted on standard error; all
others are written.

Exit codes:
  0  no frame was missed, or the reader of the output had enough
  1  frames were missed, or it failed
  2  wrong usage; also when the output is a terminal";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// Which camera
    #[arg(value_name = "CAMERA")]
    camera: String,
    /// How frames are written [default: as the source had them: y4m for a YUV4MPEG2 source, else raw]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Wait for the camera if it is not there yet, and begin with its first frame (or the oldest that its ring still has:
    /// a file without -r is sent faster than a small ring lasts)
    #[arg(long)]
    wait: bool,
}

/// How frames are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// The bytes of one frame after the other.
    Raw,
    /// A YUV4MPEG2 stream, for uncompressed 4:2:0, 4:2:2, 4:4:4 and grey.
    Y4m,
}

/// How often frames that were missed are spoken of.
const SAY_AGAIN: Duration = Duration::from_secs(1);
/// How often it is looked whether the user wants to go.
const TIMEOUT: Duration = Duration::from_millis(200);
/// The header line of a YUV4MPEG2 source is this stream's extradata.
const Y4M_MAGIC: &[u8] = b"YUV4MPEG2";

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        let camera = &arguments.camera;
        bail!(WrongUsage(format!(
            "frames would go to the terminal; pipe them into a program or a file: sdvr pipe {camera} > out"
        )));
    }
    let interrupted = Interrupted::listen()?;
    let mut camera = if arguments.wait {
        Camera::wait_for(&arguments.camera)
    } else {
        Camera::open_at(&arguments.camera, Start::Now)?
    };
    let mut writer = None;
    let mut frame = None;
    let mut missed = Missed::default();
    while !interrupted.is_set() {
        match next_frame(&mut camera, &mut frame, TIMEOUT) {
            Ok(true) => {}
            Ok(false) => continue,
            // The source has ended, and so do its frames.
            Err(Error::Ended) => break,
            Err(error) => return Err(error.into()),
        }
        let Some(frame) = &frame else { continue };
        if writer.is_none() {
            writer = Some(Writer::start(arguments.format, &camera, frame, &mut out)?);
        }
        missed.count(frame);
        if let Some(writer) = &writer {
            writer.check(frame)?;
            writer.write(frame, &mut out).context(NOT_WRITTEN)?;
        }
    }
    out.flush().context(NOT_WRITTEN)?;
    missed.say_rest();
    let mut missed = missed.in_all;
    let at_end = camera.missed_at_end();
    if at_end > 0 {
        missed = missed.saturating_add(at_end);
        say(format_args!(
            "sdvr: missed the last {at_end} frames: they were not read in time"
        ));
    }
    if missed > 0 {
        bail!("missed {missed} frames in all; every other one was written");
    }
    Ok(())
}

/// Frames that were missed, said once a second at most.
#[derive(Debug, Default)]
struct Missed {
    in_all: u64,
    unsaid: u64,
    said_at: Option<Instant>,
}

impl Missed {
    /// Counts the frames that were missed before this one.
    fn count(&mut self, frame: &Frame) {
        let between_runs = frame.missed_between_runs();
        let missed = frame.missed().saturating_add(between_runs);
        self.in_all = self.in_all.saturating_add(missed);
        self.unsaid = self.unsaid.saturating_add(missed);
        let is_due = self.said_at.is_none_or(|at| at.elapsed() >= SAY_AGAIN);
        if missed == 0 || !is_due {
            return;
        }
        let where_from = if between_runs > 0 {
            ", the first of a run of the source"
        } else {
            ""
        };
        say(format_args!(
            "sdvr: missed {} frames before frame {}{where_from} ({} in all)",
            self.unsaid,
            frame.number(),
            self.in_all
        ));
        self.unsaid = 0;
        self.said_at = Some(Instant::now());
    }

    /// Says what was not said.
    fn say_rest(&self) {
        if self.unsaid > 0 {
            say(format_args!(
                "sdvr: missed {} frames since ({} in all)",
                self.unsaid, self.in_all
            ));
        }
    }
}

/// How frames become bytes.
enum Writer {
    Raw,
    /// The stream's header tells what all of its frames are.
    Y4m {
        plane_bytes: usize,
        format: StreamFormat,
    },
}

impl Writer {
    fn start(
        format: Option<Format>,
        camera: &Camera,
        frame: &Frame,
        out: &mut impl Write,
    ) -> anyhow::Result<Self> {
        let header = camera.info().map_or(&[][..], |info| &info.extradata);
        let is_y4m = header.starts_with(Y4M_MAGIC);
        let format = format.unwrap_or(if is_y4m { Format::Y4m } else { Format::Raw });
        match format {
            Format::Raw => Ok(Self::Raw),
            Format::Y4m if is_y4m => {
                out.write_all(header).context(NOT_WRITTEN)?;
                Ok(Self::Y4m {
                    plane_bytes: planes(frame).unwrap_or_else(|| frame.bytes().len()),
                    format: frame.format(),
                })
            }
            Format::Y4m => {
                let Some((colour, plane_bytes)) = colour_space(frame).zip(planes(frame)) else {
                    let format = frame.format();
                    bail!(WrongUsage(format!(
                        "{} frames are no separate planes of 4:2:0, 4:2:2, 4:4:4 or grey (YUYV and NV12 are interleaved), which is all that YUV4MPEG2 has; use --format raw, such as: sdvr pipe CAMERA --format raw | ffplay -f rawvideo -pixel_format yuyv422 -video_size {}x{} -",
                        format.fourcc, format.width, format.height
                    )));
                };
                let rate = frame.format().rate;
                let (numerator, denominator) = if rate.numerator == 0 {
                    (25, 1)
                } else {
                    (rate.numerator, rate.denominator)
                };
                let (width, height) = (frame.format().width, frame.format().height);
                writeln!(
                    out,
                    "YUV4MPEG2 W{width} H{height} F{numerator}:{denominator} Ip A0:0 C{colour}"
                )
                .context(NOT_WRITTEN)?;
                Ok(Self::Y4m {
                    plane_bytes,
                    format: frame.format(),
                })
            }
        }
    }

    /// Whether the frame fits under the header that was written.
    fn check(&self, frame: &Frame) -> anyhow::Result<()> {
        let Self::Y4m { format, .. } = self else {
            return Ok(());
        };
        let now = frame.format();
        if (now.fourcc, now.width, now.height) == (format.fourcc, format.width, format.height) {
            return Ok(());
        }
        bail!(
            "the camera came back with {} {}x{}, which does not fit into a YUV4MPEG2 stream of {} {}x{}; all frames before were written",
            now.fourcc,
            now.width,
            now.height,
            format.fourcc,
            format.width,
            format.height
        );
    }

    fn write(&self, frame: &Frame, out: &mut impl Write) -> std::io::Result<()> {
        let bytes = frame.bytes();
        match self {
            Self::Raw => out.write_all(bytes)?,
            Self::Y4m { plane_bytes, .. } => {
                // Of a colour space without a name only the trailer's mark tells where the planes end.
                let plane_bytes = if frame.flags().contains(FrameFlags::TRAILER) {
                    *plane_bytes
                } else {
                    bytes.len()
                };
                let (planes, parameters) = bytes.split_at(plane_bytes.min(bytes.len()));
                out.write_all(b"FRAME")?;
                out.write_all(parameters)?;
                out.write_all(b"\n")?;
                out.write_all(planes)?;
            }
        }
        out.flush()
    }
}

/// Bytes of the planes of a frame.
fn planes(frame: &Frame) -> Option<usize> {
    let format = frame.format();
    let bytes = format.fourcc.raw_frame_bytes(format.width, format.height)?;
    usize::try_from(bytes)
        .ok()
        .filter(|&bytes| bytes <= frame.bytes().len())
}

fn colour_space(frame: &Frame) -> Option<&'static str> {
    match &frame.format().fourcc.0 {
        b"YU12" => Some("420jpeg"),
        b"422P" => Some("422"),
        b"444P" => Some("444"),
        b"GREY" => Some("mono"),
        _ => None,
    }
}
