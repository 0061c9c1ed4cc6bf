//! The same figures as lines: for scripts, for pipes, and for terminals on which nothing can be drawn.

use std::io::{IsTerminal, Write};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use sdvr::{CameraFigures, Latency};
use sdvr_record::RecorderStatus;
use serde::Serialize;
use serde_json::Value;

use super::column::GAP;
use super::figures::{DaemonFigures, Looker};
use super::model::Model;
use super::{Arguments, daemons};
use crate::ls::{Row, daemon_as_value};
use crate::output::{Interrupted, NOT_WRITTEN, print_line, say};

/// How often it is looked whether the user wants to end.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

pub(super) fn run(
    arguments: &Arguments,
    mut looker: Looker,
    mut model: Model,
) -> anyhow::Result<()> {
    let interrupted = Interrupted::listen()?;
    let mut next = Instant::now();
    let mut is_first = true;
    let mut said = Vec::new();
    loop {
        next += arguments.interval;
        if !sleep_until(next, &interrupted) {
            return Ok(());
        }
        // Who was stopped for a while does not make up for it.
        next = next.max(Instant::now());
        model.take(looker.look());
        if model.look.problems != said {
            said.clone_from(&model.look.problems);
            said.iter().for_each(say);
        }
        match (arguments.json, arguments.once) {
            (true, true) => print_line(serde_json::to_string_pretty(&Object::of(&model))?)?,
            (true, false) => print_line(serde_json::to_string(&Object::of(&model))?)?,
            (false, _) => write_table(&model, is_first).context(NOT_WRITTEN)?,
        }
        is_first = false;
        if arguments.once {
            if let Some(why) = nothing_shown(&model) {
                say(why);
            }
            return Ok(());
        }
    }
}

/// False when the user wants to end.
fn sleep_until(time: Instant, interrupted: &Interrupted) -> bool {
    while !interrupted.is_set() {
        let rest = time.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return true;
        }
        thread::sleep(rest.min(POLL_INTERVAL));
    }
    false
}

/// Why there are no rows although there are cameras.
fn nothing_shown(model: &Model) -> Option<String> {
    let count = model.look.cameras.len();
    let of = match count {
        0 => return None,
        1 => "the one camera does not have".to_owned(),
        _ => format!("none of {count} cameras has"),
    };
    let is_empty = model.shown_count() == 0;
    is_empty.then(|| format!("sdvr: {of} all words of {:?}", model.filter()))
}

/// All columns; of a terminal those that it has room for.
fn write_table(model: &Model, is_first: bool) -> std::io::Result<()> {
    let stdout = std::io::stdout();
    let size = stdout
        .is_terminal()
        .then(|| rustix::termios::tcgetwinsize(&stdout).ok());
    let width = size
        .flatten()
        .map_or(1000, |size| usize::from(size.ws_col).max(20));
    let mut out = stdout.lock();
    if !is_first {
        writeln!(out)?;
    }
    for line in daemons::lines(&model.look, width, usize::MAX) {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "{}", model.summary())?;
    let fitting = model.fitting(width);
    if model.shown_count() > 0 {
        writeln!(out, "{}", fitting.headers().join(GAP).trim_end())?;
    }
    for figures in model.shown() {
        let cells = fitting.cells(figures, model.at());
        let cells: Vec<String> = cells.into_iter().map(|(_, cell)| cell).collect();
        writeln!(out, "{}", cells.join(GAP).trim_end())?;
    }
    out.flush()
}

/// A look, as scripts see it. The names are a promise.
#[derive(Serialize)]
struct Object {
    /// When it was looked: RFC 3339, in UTC.
    time: String,
    daemons: Vec<Value>,
    cameras: Vec<Camera>,
    /// Those that record now, of this user.
    recorders: Vec<RecorderStatus>,
}

/// As `sdvr ls --json` has it; `fps` is measured between the looks.
#[derive(Serialize)]
struct Camera {
    #[serde(flatten)]
    row: Row,
    bits_per_second: f64,
    /// `null` when there were no frames, or their times of capture are not known here.
    latency_ms: Option<LatencyMs>,
    /// Frames that were lost since the look before.
    newly_lost: u64,
}

/// In milliseconds.
#[derive(Serialize)]
struct LatencyMs {
    p50: f64,
    p99: f64,
    most: f64,
    /// By how much they may be wrong.
    clock_error: f64,
    /// Of how many frames they are.
    frames: usize,
}

impl Object {
    fn of(model: &Model) -> Self {
        Self {
            time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            daemons: model.look.daemons.iter().map(daemon).collect(),
            cameras: model.shown().map(Camera::from).collect(),
            recorders: model.look.recorders.clone(),
        }
    }
}

fn daemon(figures: &DaemonFigures) -> Value {
    let mut value = daemon_as_value(&figures.daemon);
    if let Value::Object(map) = &mut value {
        map.insert("cpu_percent".into(), rounded(figures.cpu_percent).into());
    }
    value
}

impl From<&CameraFigures> for Camera {
    fn from(figures: &CameraFigures) -> Self {
        let mut camera = figures.camera.clone();
        camera.frames_per_second = figures.frames_per_second;
        Self {
            row: camera.into(),
            bits_per_second: figures.bits_per_second.round(),
            latency_ms: figures.latency.map(LatencyMs::from),
            newly_lost: figures.newly_lost,
        }
    }
}

impl From<Latency> for LatencyMs {
    fn from(latency: Latency) -> Self {
        let milliseconds = |time: Duration| rounded(time.as_secs_f64() * 1000.0);
        Self {
            p50: milliseconds(latency.p50),
            p99: milliseconds(latency.p99),
            most: milliseconds(latency.most),
            clock_error: milliseconds(latency.clock_error),
            frames: latency.frames,
        }
    }
}

/// To a thousandth.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
