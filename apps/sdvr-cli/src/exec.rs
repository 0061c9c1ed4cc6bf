//! `sdvr exec`: a program for a camera, with its frames on the program's standard input.

mod child;
mod restarts;
mod stop;
mod template;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, bail};
use sdvr::{CameraInfo, Cameras, Change, StreamId};

use crate::output::{WrongUsage, say};
use restarts::Restart;
use sdvr_feed::Format;
use stop::Stop;
use template::Template;
use worker::{Outcome, Task, Worker};

const HELP: &str = "\
CMD is started when the camera has its first frame, and gets frames on its standard input until
the camera goes: then its input is closed, after 5 s it is sent SIGTERM, after 5 s more SIGKILL.
When the camera comes back, or its size or format changes, CMD is started anew. A CMD that fails is
started again: after 0.5 s, and after twice as long each time, at most 30 s; one that has run
for 10 s begins with 0.5 s again. A CMD that exits with 0 is finished with its camera (--restart
always starts it again, too). sdvr exec ends when CMD is finished with all cameras that are named;
of --each without names, CMD is started again for a camera that goes and comes back.

CMD is started as it stands, by no shell, in a process group of its own. In its arguments, {} becomes
the camera's label: of A-Z a-z 0-9 . _ - and, for the / in names of derived streams, +; it begins with a
letter or a digit, so that it is a file name that no program takes for an option. Its output goes where that
of sdvr exec goes. Its environment has besides:
  SDVR_CAMERA       the label                         SDVR_FORMAT   such as MJPG; y4m; rgb24
  SDVR_FINGERPRINT  of the camera's key               SDVR_FPS      30 or 30000/1001; 0: not known
  SDVR_WIDTH, SDVR_HEIGHT  in pixels

A CMD that reads slowly disturbs nobody: by default it gets the newest frame when it has read
the one before (--policy latest). H.264 and its kin in --format raw are given whole, from a key
frame on (every), since frames need the ones before them; what was overwritten meanwhile is left out.

Ctrl-C and SIGTERM end every CMD as a camera that goes does; at the second one they are killed. At a
terminal, Ctrl-C does not reach CMD itself. If sdvr exec is killed, the inputs end.

Examples:
  sdvr exec front-door -- ffmpeg -f mjpeg -i - -c copy door.mkv
  sdvr exec --each --format rgb -- ./detector.py --name {}
  sdvr exec --each door window --format y4m -- \\
    sh -c 'exec ffmpeg -f yuv4mpegpipe -i - \"$0-$(date +%s).mkv\"' {}  # a file each time it comes

Exit codes:
  0  CMD is finished with all cameras that are named, or sdvr exec was asked to end
  1  CMD failed where it is not started again, or cannot be started, or it failed otherwise
  2  wrong usage";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// Which camera; with --each any number, and none means all. One that is not there yet is waited for
    #[arg(value_name = "CAMERA")]
    cameras: Vec<String>,
    /// A process for each camera that comes; not for streams that programs derive from them, unless they are named
    #[arg(long)]
    each: bool,
    /// How frames are given, as in sdvr pipe [default: as the source had them: y4m for a YUV4MPEG2 source, else raw]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Which frames are given [default: latest; every for H.264 and its kin in raw, of which latest is every]
    #[arg(long, value_name = "POLICY")]
    policy: Option<Wanted>,
    /// When a CMD that has ended is started again while its camera is there
    #[arg(long, value_name = "WHEN", default_value = "on-failure")]
    restart: Restart,
    /// Say when CMD is started and when it is ended
    #[arg(short, long)]
    verbose: bool,
    /// The program and its arguments
    #[arg(value_name = "CMD", last = true, required = true)]
    command: Vec<OsString>,
}

/// Which frames are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Wanted {
    /// The newest, when CMD has read the one before.
    Latest,
    /// All, as long as the ring has them.
    Every,
    /// The newest at which decoding can begin.
    Keyframes,
}

impl From<Wanted> for sdvr::Policy {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Latest => Self::Latest,
            Wanted::Every => Self::Every,
            Wanted::Keyframes => Self::KeyFrames,
        }
    }
}

/// How often it is looked whether a process has ended, or the user wants to go.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if !arguments.each && arguments.cameras.len() != 1 {
        bail!(WrongUsage(
            "name one camera: sdvr exec CAMERA -- CMD; or say --each for several or all of them"
                .to_owned()
        ));
    }
    let template = Template::new(&arguments.command)?;
    template.check_program()?;
    let task = Task {
        template,
        format: arguments.format,
        policy: arguments.policy.map(Into::into),
        restart: arguments.restart,
        is_verbose: arguments.verbose,
    };
    let stop = Stop::listen()?;
    let mut crew = Crew {
        task: Arc::new(task),
        stop,
        members: BTreeMap::new(),
    };
    let result = if arguments.cameras.is_empty() {
        crew.serve_all()
    } else {
        crew.serve(&arguments.cameras)
    };
    // Whatever has happened, no CMD is left behind.
    crew.stop.set();
    crew.end();
    result
}

/// A thread for each camera.
struct Crew {
    task: Arc<Task>,
    stop: Stop,
    members: BTreeMap<String, Member>,
}

enum Member {
    AtWork(JoinHandle<anyhow::Result<Outcome>>),
    /// CMD is finished with this camera, or has failed.
    Done,
}

impl Crew {
    /// Until CMD is finished with all of these.
    fn serve(&mut self, cameras: &[String]) -> anyhow::Result<()> {
        let cameras: BTreeSet<&String> = cameras.iter().collect();
        for camera in &cameras {
            self.start(camera, true)?;
        }
        let mut failures = Vec::new();
        while !self.stop.is_set() {
            let failed = self.take_results()?;
            if cameras.len() > 1 {
                say_all(&failed);
            }
            failures.extend(failed);
            let is_at_work = |member: &Member| matches!(member, Member::AtWork(_));
            if !self.members.values().any(is_at_work) {
                break;
            }
            thread::sleep(LOOK_INTERVAL);
        }
        let count = failures.len();
        match failures.pop() {
            None => Ok(()),
            Some(error) if cameras.len() == 1 => Err(error),
            Some(_) => bail!("it failed for {count} of {} cameras", cameras.len()),
        }
    }

    /// For all cameras that come, for ever.
    fn serve_all(&mut self) -> anyhow::Result<()> {
        let mut cameras = Cameras::new();
        let mut there: Vec<CameraInfo> = Vec::new();
        while !self.stop.is_set() {
            for change in cameras.wait(LOOK_INTERVAL) {
                match change {
                    Change::Came(camera) => there.push(camera),
                    Change::Went(camera) => there.retain(|other| !is_same(other, &camera)),
                }
            }
            say_all(&self.take_results()?);
            let labels: BTreeSet<&str> = there
                .iter()
                .filter(|camera| camera.stream == StreamId(0) && !camera.origin.is_derived())
                .map(|camera| camera.label.as_str())
                .collect();
            // One that comes back is another matter.
            self.members.retain(|label, member| {
                labels.contains(label.as_str()) || matches!(member, Member::AtWork(_))
            });
            for label in labels {
                if !self.members.contains_key(label) {
                    self.start(label, false)?;
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, camera: &str, waits: bool) -> anyhow::Result<()> {
        let worker = Worker::new(camera, waits, &self.task, &self.stop);
        let thread = thread::Builder::new()
            .name(camera.to_owned())
            .spawn(move || worker.run())
            .context("cannot start a thread")?;
        self.members
            .insert(camera.to_owned(), Member::AtWork(thread));
        Ok(())
    }

    /// Looks who is done; gives what failed for some camera.
    ///
    /// # Errors
    ///
    /// What fails for all of them.
    fn take_results(&mut self) -> anyhow::Result<Vec<anyhow::Error>> {
        let is_over =
            |member: &Member| matches!(member, Member::AtWork(thread) if thread.is_finished());
        let over = self.members.extract_if(.., |_, member| is_over(member));
        let over: Vec<(String, Member)> = over.collect();
        let mut failed = Vec::new();
        for (label, member) in over {
            let Member::AtWork(thread) = member else {
                continue;
            };
            match joined(thread)? {
                Outcome::Gone => continue,
                Outcome::Finished => {}
                Outcome::Failed(error) => failed.push(error),
            }
            self.members.insert(label, Member::Done);
        }
        Ok(failed)
    }

    /// Waits until every CMD has ended.
    fn end(&mut self) {
        for member in std::mem::take(&mut self.members).into_values() {
            if let Member::AtWork(thread) = member {
                let error = match joined(thread) {
                    Ok(Outcome::Finished | Outcome::Gone) => continue,
                    Ok(Outcome::Failed(error)) | Err(error) => error,
                };
                say_all(&[error]);
            }
        }
    }
}

fn joined(thread: JoinHandle<anyhow::Result<Outcome>>) -> anyhow::Result<Outcome> {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn say_all(errors: &[anyhow::Error]) {
    for error in errors {
        say(format_args!("sdvr: {error:#}"));
    }
}

/// Whether these are the same stream at the same daemon.
fn is_same(one: &CameraInfo, other: &CameraInfo) -> bool {
    let key = |camera: &CameraInfo| (camera.fingerprint(), camera.stream);
    key(one) == key(other) && one.label == other.label && one.directory == other.directory
}
