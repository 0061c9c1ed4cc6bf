//! `sdvr demo`: a daemon and test cameras in a temporary home, shown in a web page or here. Leaves nothing behind.

mod cameras;
mod programs;
mod table;
#[cfg(feature = "web")]
mod web;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use sdvr::{Cameras, Daemon};

use self::cameras::CAMERAS;
use self::programs::{Place, Programs};
use self::table::Table;
use crate::output::{Interrupted, parse_seconds, print_line};

const HELP: &str = "\
Examples:
  sdvr demo                        until Ctrl-C; the web page's address is printed
  sdvr demo --no-web               a table in the terminal instead
  sdvr demo --webcams              with the cameras of this host besides

The table is of a program that reads all frames: what it missed was published, and
overwritten before it had time for it. What was lost on the way to the daemon is told at the end.

Home, frames, port and keys are of its own: a daemon that runs already is not disturbed.";

const REFRESH: Duration = Duration::from_secs(1);
/// How often it is looked whether there is something to do.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long the daemon and the cameras may take to be there.
const START_TIME: Duration = Duration::from_secs(20);

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// End so many seconds after every camera has sent a frame [default: at Ctrl-C]
    #[arg(long, value_name = "S", value_parser = parse_seconds)]
    seconds: Option<f64>,
    /// Show a table in the terminal instead of a web page
    #[arg(long)]
    no_web: bool,
    /// Show the cameras of this host as well
    #[arg(long)]
    webcams: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let interrupted = Interrupted::listen()?;
    let mut seen = Seen::default();
    let result = present(arguments, &interrupted, &mut seen);
    // Ctrl-C at a terminal reaches all programs at once: that one of them has ended is then what was wanted.
    if !interrupted.is_set() {
        result?;
    }
    print_line(format_args!("{seen} Nothing is left behind."))
}

/// Everything from the first program's start to the last one's end.
fn present(
    arguments: &Arguments,
    interrupted: &Interrupted,
    seen: &mut Seen,
) -> anyhow::Result<()> {
    let place = Place::new()?;
    let mut programs = Programs::default();
    let (ready, port) = place.start_daemon(&mut programs)?;
    print_line(&ready)?;
    for camera in &CAMERAS {
        print_line(camera)?;
        place.start_camera(camera, port, &mut programs)?;
    }
    if arguments.webcams {
        print_line("sdvrc --all")?;
        place.start_webcams(port, &mut programs)?;
    }
    print_line(format_args!(
        "The same by hand: SDVR_SHM_DIR={} sdvr ls",
        place.rings().display()
    ))?;
    let mut table = show(arguments, &place, &mut programs)?;
    let start = Instant::now();
    // The time to show counts from when there is something to see: a small machine needs a while for its first picture.
    let mut end = None;
    let mut next = start + REFRESH;
    while !interrupted.is_set() && end.is_none_or(|end| Instant::now() < end) {
        thread::sleep(POLL_INTERVAL);
        if let Some(table) = &mut table {
            table.take();
        }
        if Instant::now() >= next {
            next += REFRESH;
            if let Some(table) = &mut table {
                table.print()?;
            }
        }
        seen.look(&place);
        if let Some(silent) = seen.silent_camera() {
            if start.elapsed() > START_TIME {
                bail!("{silent} sent no frame within {} s", START_TIME.as_secs());
            }
        } else if end.is_none() {
            end = arguments
                .seconds
                .map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
        }
        if let Some(program) = programs.ended() {
            // The signal may reach this one last.
            thread::sleep(POLL_INTERVAL);
            bail!("process {program} of the demonstration has ended by itself");
        }
    }
    Ok(())
}

/// Starts what shows the cameras: the table if it is here, nothing if it is in a browser.
#[cfg_attr(
    not(feature = "web"),
    expect(clippy::unnecessary_wraps, reason = "a web page may fail to start")
)]
fn show(
    arguments: &Arguments,
    place: &Place,
    programs: &mut Programs,
) -> anyhow::Result<Option<Table>> {
    #[cfg(feature = "web")]
    if !arguments.no_web {
        let address = web::start(place, programs)?;
        print_line(format_args!("\nLook at them: {address}   (Ctrl-C ends it)"))?;
        web::open_browser(&address);
        return Ok(None);
    }
    let (_, _) = (arguments.no_web, programs);
    Ok(Some(Table::of(&place.rings())))
}

/// What the daemon has published of the cameras.
#[derive(Default)]
struct Seen {
    labels: Vec<String>,
    frames: u64,
    /// Captured, and not published.
    missing: u64,
    /// Of these, those that were never sent: the camera's host or the network had no time for them.
    missing_at_source: u64,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} frames published", self.frames)?;
        if self.missing == 0 {
            return write!(formatter, ", none lost.");
        }
        let on_the_way = self.missing.saturating_sub(self.missing_at_source);
        write!(
            formatter,
            "; besides, {} were not sent in time and {on_the_way} were lost on the way.",
            self.missing_at_source
        )
    }
}

impl Seen {
    fn look(&mut self, place: &Place) {
        let cameras = Cameras::list_in(&place.rings());
        let with_frames = cameras.iter().filter(|camera| camera.frames > 0);
        self.labels = with_frames.map(|camera| camera.label.to_string()).collect();
        // A ring that is made anew counts on, and one that is gone at the end is not forgotten.
        self.frames = self
            .frames
            .max(cameras.iter().map(|camera| camera.frames).sum());
        // The daemon's sums, which go on whatever becomes of rings.
        if let Ok(daemon) = Daemon::of(&place.rings()) {
            self.missing = daemon.statistics.frames_missing;
            self.missing_at_source = daemon.statistics.missing_at_source;
        }
    }

    /// A camera of which no frame has come yet.
    fn silent_camera(&self) -> Option<&'static str> {
        let labels = CAMERAS.iter().map(|camera| camera.label);
        labels
            .into_iter()
            .find(|label| !self.labels.iter().any(|seen| seen == label))
    }
}
