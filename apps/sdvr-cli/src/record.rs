//! `sdvr record`: cameras into files.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use clap::ValueEnum;
use sdvr_record::{EventOptions, Form, RecordOptions, Retention, Sync};

use crate::output::{Interrupted, WrongUsage, say};

mod sizes;

const HELP: &str = "\
Records each camera as it comes into DIR/LABEL/2026-11-23/14-05-00.mp4, named by when its
first frame was taken (UTC): H.264, H.265 and AV1 in MP4, everything else in Matroska, both
as the camera sent it and playable at any moment, also after a crash. Times are those at
which frames were taken. A stream that changes its format begins a new file. `sdvr recordings`
lists, checks and exports what is there; `sdvrc -i FILE` plays it as a camera.

What a crash may cost:
  sdvr record is killed       the last second, of each camera
  power cut, --fsync write    the last second
  power cut, --fsync segment  what the system had not written back of the last file
  disk full                   the oldest files if --max-size or --keep is given; else recording
                              pauses, says so, and goes on when there is room

Around events only: with --pre-roll the last seconds of each camera are kept in memory, and
written when an event comes, with what comes in the time of --for after it. --on-signal: SIGUSR1 is an
event. --on-trigger: a file that is made or touched is one; of a pipe (mkfifo) each line is
one, of the camera that it names, or of all if it is empty.

--raw writes decoded planes, frame after frame, and nothing else: without padding, Y, then Cb,
then Cr, where the camera has them otherwise, too; RGB and Bayer pixels as they lie. The list beside
the file begins with lines that say how: width, height, FourCC, ffmpeg's name, and where each
plane begins, with the number and the bytes of its rows. Then it has a line a frame, its number
and when it was taken. A .y4m file says the first of itself, and has such a list, too.

Times are 90s, 15m, 12h, 7d; sizes are 500M, 20G, 4T.

Examples:
  sdvr record -o /var/lib/video                        all cameras, for ever
  sdvr record front-door yard -o . --segment 10m       two of them
  sdvr record -o /video --keep 7d --max-size 500G      the last week, at most 500 GB
  sdvr record -o /video --pre-roll 10s --on-trigger /run/alarm
  prec -o /video                                       the same as sdvr record -o /video

Exit codes: 0 ended by a signal, 1 failed, 2 wrong usage.";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// Which cameras, there already or not [default: all, as they come and go]
    #[arg(value_name = "CAMERA")]
    cameras: Vec<String>,
    /// Where to: a folder for each camera is made there
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// How long files are: they end at the next key frame
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = sizes::parse_time)]
    segment: Duration,
    /// Remove what is older
    #[arg(long, value_name = "TIME", value_parser = sizes::parse_time)]
    keep: Option<Duration>,
    /// Remove the oldest files when all cameras together have more
    #[arg(long, value_name = "SIZE", value_parser = sizes::parse_bytes)]
    max_size: Option<u64>,
    /// Remove a camera's oldest files when it has more
    #[arg(long, value_name = "SIZE", value_parser = sizes::parse_bytes)]
    max_size_each: Option<u64>,
    /// When what was written is forced to the disk
    #[arg(long, value_name = "WHEN", default_value = "write")]
    fsync: When,
    /// Write decoded planes, and nothing else, with a list of times beside (.raw, .times.csv)
    #[arg(long, conflicts_with = "y4m")]
    raw: bool,
    /// Write YUV4MPEG2, with a list of times beside (.y4m, .times.csv)
    #[arg(long)]
    y4m: bool,
    /// Record around events only, from this long before them
    #[arg(long, value_name = "TIME", value_parser = sizes::parse_time)]
    pre_roll: Option<Duration>,
    /// How long to record after an event [default: 30s]
    #[arg(long = "for", value_name = "TIME", value_parser = sizes::parse_time)]
    length: Option<Duration>,
    /// SIGUSR1 is an event
    #[arg(long)]
    on_signal: bool,
    /// A file that is touched, or each line in a pipe, is an event
    #[arg(long, value_name = "PATH")]
    on_trigger: Option<PathBuf>,
    /// Memory that a camera's pre-roll may take
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = sizes::parse_bytes)]
    pre_roll_memory: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum When {
    /// At each write, once a second
    Write,
    /// When a file ends
    Segment,
    /// Never
    Never,
}

/// How long is recorded after an event if nothing is said.
const LENGTH: Duration = Duration::from_secs(30);

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let interrupted = Interrupted::listen()?;
    let mut options = RecordOptions::new(arguments.output.clone());
    options.cameras.clone_from(&arguments.cameras);
    options.segment = arguments.segment;
    options.retention = Retention {
        keep: arguments.keep,
        most_bytes_each: arguments.max_size_each,
        most_bytes_all: arguments.max_size,
    };
    options.sync = match arguments.fsync {
        When::Write => Sync::Write,
        When::Segment => Sync::Segment,
        When::Never => Sync::Never,
    };
    options.form = match (arguments.raw, arguments.y4m) {
        (true, _) => Form::Planes,
        (_, true) => Form::Y4m,
        _ => Form::AsTheyCame,
    };
    options.events = events(arguments)?;
    sdvr_record::run(
        options,
        move || interrupted.is_set(),
        |line| {
            say(format_args!("sdvr record: {line}"));
        },
    )
}

fn events(arguments: &Arguments) -> anyhow::Result<Option<EventOptions>> {
    let has_source = arguments.on_signal || arguments.on_trigger.is_some();
    if !has_source {
        let wrong = |option| {
            Err(WrongUsage(format!(
                "{option} is for recording around events: say of what, --on-signal or --on-trigger PATH"
            ))
            .into())
        };
        return match (arguments.pre_roll, arguments.length) {
            (Some(_), _) => wrong("--pre-roll"),
            (None, Some(_)) => wrong("--for"),
            (None, None) => Ok(None),
        };
    }
    let mut events = EventOptions::new(
        arguments.pre_roll.unwrap_or(Duration::ZERO),
        arguments.length.unwrap_or(LENGTH),
    );
    events.memory_bytes = arguments.pre_roll_memory;
    events.trigger.clone_from(&arguments.on_trigger);
    if arguments.on_signal {
        let count = Arc::new(AtomicUsize::new(0));
        signal_hook::flag::register_usize(signal_hook::consts::SIGUSR1, Arc::clone(&count), 1)?;
        events.signals = Some(count);
    }
    Ok(Some(events))
}
