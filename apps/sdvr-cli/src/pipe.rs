//! `sdvr pipe`: a camera's frames on standard output, as they came or decoded.

pub(crate) mod without_picture;

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use sdvr::{Camera, Error, Frame, Policy, Start};

use crate::output::{Interrupted, NOT_WRITTEN, WrongUsage, say};
use sdvr_feed::{Feed, Format, NoPicture, Shape, Taken};
use without_picture::WithoutPicture;

const HELP: &str = "\
raw   the bytes of the frames as the camera sent them; H.264 and its kin from a key frame on
y4m   planes of brightness and colour with a header that tells size and rate: what every program
      takes that takes uncompressed video. Decoded or converted where the camera sends something else
rgb   decoded pictures without a header, three bytes a pixel: the reader must be told the size.
      ffmpeg and ffplay are told by -f rawvideo -pix_fmt rgb24 -s WxH, which -v says with the figures

Ends when the camera says that it ends, at Ctrl-C, and when the reader of the output has enough.
Frames that were missed, and damaged ones that gave no picture, are counted on standard error; all
others are written. y4m and rgb end with an error when the camera comes back with another size, of
which the reader could not know.

Examples:
  sdvr pipe front-door | ffplay -f mjpeg -
  sdvr pipe front-door --format y4m | ffmpeg -f yuv4mpegpipe -i - door.mkv
  sdvr pipe front-door --format rgb | ffplay -f rawvideo -pix_fmt rgb24 -s 1280x720 -

Exit codes:
  0  every frame was written, or the reader of the output had enough
  1  frames were missed or damaged, or it failed
  2  wrong usage; also when the camera's frames have no pixels, and when the output is a terminal";

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
    /// Say on standard error what is written, and how ffmpeg is told
    #[arg(short, long)]
    verbose: bool,
}

/// How often frames that were missed are spoken of.
const SAY_AGAIN: Duration = Duration::from_secs(1);
/// How often it is looked whether the user wants to go.
const TIMEOUT: Duration = Duration::from_millis(200);

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
    while !camera.wait_until_there(TIMEOUT)? {
        if interrupted.is_set() {
            return Ok(());
        }
    }
    let mut feed = Feed::open(camera, arguments.format);
    let mut missed = Missed::default();
    let mut without_picture = WithoutPicture::default();
    let mut begun: Option<Shape> = None;
    let mut planes = Vec::new();
    while !interrupted.is_set() {
        let shape = match feed.next(Policy::Every, TIMEOUT) {
            Ok(Taken::Frame(shape)) => shape,
            Ok(Taken::Nothing) => continue,
            Ok(Taken::NoPicture(NoPicture::Never(why))) => bail!(WrongUsage(why)),
            Ok(Taken::NoPicture(NoPicture::Damaged(error))) => {
                without_picture.count(&error);
                continue;
            }
            // The source has ended, and so do its frames.
            Err(Error::Ended) => break,
            Err(error) => return Err(error.into()),
        };
        match &begun {
            Some(begun) => check(begun, &shape)?,
            None if feed.begins_late() => continue,
            None => {
                if arguments.verbose {
                    let (label, input) = (feed.camera().label(), shape.ffmpeg_input());
                    say(format_args!(
                        "sdvr: {label} as {shape}; ffmpeg {input} -i -"
                    ));
                }
                Feed::write_header(&shape, &mut out).context(NOT_WRITTEN)?;
                begun = Some(shape.clone());
            }
        }
        missed.count(&mut feed);
        feed.write(&shape, &mut planes, &mut out)
            .and_then(|()| out.flush())
            .context(NOT_WRITTEN)?;
    }
    out.flush().context(NOT_WRITTEN)?;
    missed.say_rest();
    let mut missed = missed.in_all;
    let at_end = feed.missed_at_end();
    if at_end > 0 {
        missed = missed.saturating_add(at_end);
        say(format_args!(
            "sdvr: missed the last {at_end} frames: they were not read in time"
        ));
    }
    match (missed, without_picture.in_all) {
        (0, 0) => Ok(()),
        (missed, 0) => bail!("missed {missed} frames in all; every other one was written"),
        (missed, damaged) => bail!(
            "missed {missed} frames in all, {damaged} of those that came gave no picture; every other one was written"
        ),
    }
}

/// Whether the frame fits to what its reader was told.
fn check(begun: &Shape, now: &Shape) -> anyhow::Result<()> {
    if begun.fits(now) || begun.is_raw() {
        return Ok(());
    }
    bail!(
        "the camera came back with {now}, which does not fit into a stream of {begun}; all frames before were written"
    )
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
    fn count(&mut self, feed: &mut Feed) {
        let (of_run, between_runs) = feed.missed();
        let missed = of_run.saturating_add(between_runs);
        self.in_all = self.in_all.saturating_add(missed);
        self.unsaid = self.unsaid.saturating_add(missed);
        let Some(number) = feed.frame().map(Frame::number) else {
            return;
        };
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
            "sdvr: missed {} frames before frame {number}{where_from} ({} in all)",
            self.unsaid, self.in_all
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
