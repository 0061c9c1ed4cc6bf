//! What a program that reads all frames sees of each camera, as a table in the terminal.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use sdvr::{Camera, Policy};
use sdvr_frame::percentile;

use super::cameras::CAMERAS;
use crate::output::milliseconds;

/// What a reader says of one frame.
struct Figure {
    /// Which of [`CAMERAS`].
    camera: usize,
    bytes: usize,
    missed: u64,
    latency_us: u64,
}

/// What was seen, by camera.
pub(super) struct Table {
    figures: Receiver<Figure>,
    rows: [Row; CAMERAS.len()],
    lines_printed: usize,
}

#[derive(Default)]
struct Row {
    missed: u64,
    now: Second,
}

/// What was seen since the table was printed last.
#[derive(Default)]
struct Second {
    frames: u64,
    bytes: usize,
    latencies_us: Vec<u64>,
}

impl Table {
    /// Reads every camera on a thread of its own, as the programs of a user would.
    pub(super) fn of(rings: &Path) -> Self {
        let (sender, figures) = channel();
        for (index, camera) in CAMERAS.iter().enumerate() {
            let sender = sender.clone();
            let rings = rings.to_owned();
            thread::spawn(move || {
                let mut camera = Camera::wait_for_in(&rings, camera.label);
                loop {
                    let Ok(frame) = camera.next(Policy::Every, Duration::from_secs(1)) else {
                        continue;
                    };
                    let Some(frame) = frame else { continue };
                    let figure = Figure {
                        camera: index,
                        bytes: frame.bytes().len(),
                        missed: frame.missed(),
                        latency_us: u64::try_from(frame.age().as_micros()).unwrap_or(u64::MAX),
                    };
                    if sender.send(figure).is_err() {
                        return;
                    }
                }
            });
        }
        Self {
            figures,
            rows: Default::default(),
            lines_printed: 0,
        }
    }

    /// Takes what the readers have said.
    pub(super) fn take(&mut self) {
        for figure in self.figures.try_iter() {
            let Some(row) = self.rows.get_mut(figure.camera) else {
                continue;
            };
            row.missed += figure.missed;
            row.now.frames += 1;
            row.now.bytes += figure.bytes;
            row.now.latencies_us.push(figure.latency_us);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "for display")]
    pub(super) fn print(&mut self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        // A terminal is overwritten; a file gets line after line.
        if out.is_terminal() && self.lines_printed > 0 {
            write!(out, "\x1b[{}A", self.lines_printed)?;
        }
        writeln!(
            out,
            "{:12} {:>9} {:>10} {:>14} {:>14} {:>6}",
            "camera", "frames/s", "Mbit/s", "latency p50", "latency p99", "missed"
        )?;
        for (camera, row) in CAMERAS.iter().zip(&mut self.rows) {
            let mut second = std::mem::take(&mut row.now);
            second.latencies_us.sort_unstable();
            let latency = |per_cent| percentile(&second.latencies_us, per_cent).unwrap_or(0);
            writeln!(
                out,
                "{:12} {:>9} {:>10.1} {:>14} {:>14} {:>6}",
                camera.label,
                second.frames,
                second.bytes as f64 * 8e-6,
                milliseconds(latency(50)),
                milliseconds(latency(99)),
                row.missed
            )?;
        }
        out.flush()?;
        self.lines_printed = CAMERAS.len() + 1;
        Ok(())
    }
}
