//! `sdvr record`, and what is in its files by the word of programs that are not ours.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{Running, System, text, wait_until};

/// How often it looks for cameras, and a little more.
const LOOK_INTERVAL: Duration = Duration::from_millis(300);

impl System {
    /// Starts `sdvr record` into `folder`, and waits until it has looked for cameras, or has ended.
    ///
    /// # Panics
    ///
    /// When it does neither.
    pub fn start_recorder(&self, folder: &Path, arguments: &[&str]) -> Running {
        let mut command = self.command("sdvr");
        command.arg("record").arg("-o").arg(folder).args(arguments);
        let mut recorder = self.start(&mut command, "record");
        let page = self.shm().join(format!("recorder-{}", recorder.id()));
        wait_until("the recorder is ready", || {
            page.metadata().is_ok_and(|page| page.len() > 0) || !recorder.runs()
        });
        // It looks five times a second, from before that on.
        std::thread::sleep(LOOK_INTERVAL);
        recorder
    }
}

/// All files of a camera, in the order of their names.
#[must_use]
pub fn files(folder: &Path, label: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = entries(&folder.join(label))
        .filter(|day| day.is_dir())
        .flat_map(|day| entries(&day).collect::<Vec<_>>())
        .collect();
    files.sort();
    files
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path())
}

/// When each frame of a file is decoded, in nanoseconds since its first, by ffprobe. The same times, in the same order, are those at which they are shown.
///
/// # Panics
///
/// When ffprobe says that something is wrong with the file.
#[must_use]
pub fn times(file: &Path) -> Vec<i64> {
    since_first(file, "packet=dts_time")
}

/// When each picture of a file is shown, in nanoseconds since the first, in the order in which ffprobe decodes them.
///
/// # Panics
///
/// As [`times`]; and when one is shown before the one before it.
#[must_use]
pub fn shown(file: &Path) -> Vec<i64> {
    since_first(file, "frame=pts_time")
}

fn since_first(file: &Path, entries: &str) -> Vec<i64> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-of", "csv=p=0"])
        .args(["-show_entries", entries])
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {output:?}", file.display());
    assert_eq!(text(&output.stderr), "", "{}", file.display());
    let times: Vec<i64> = text(&output.stdout)
        .lines()
        .filter_map(|line| line.split(',').next())
        .filter(|time| !time.is_empty())
        .map(nanoseconds)
        .collect();
    assert!(times.is_sorted(), "{}: {times:?}", file.display());
    let first = times.first().copied().unwrap_or(0);
    times.iter().map(|time| time - first).collect()
}

/// `1.234567` as nanoseconds.
fn nanoseconds(seconds: &str) -> i64 {
    let (whole, part) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let digits = format!("{}{part:0<9.9}", whole.trim_start_matches('-'));
    let nanoseconds: i64 = digits.parse().unwrap();
    if whole.starts_with('-') {
        -nanoseconds
    } else {
        nanoseconds
    }
}

/// Decodes all of a file by ffmpeg. (Before version 6 it rounds times to what it thinks the rate is, and complains that some are equal, if it is not told to leave them as
/// they are: a camera on a busy machine has frames that follow each other quickly.)
///
/// # Panics
///
/// When ffmpeg says that something is wrong with it.
pub fn decode(file: &Path) {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(file)
        .args(["-map", "0:v", "-fps_mode", "passthrough"])
        .args(["-enc_time_base", "-1", "-f", "null", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {output:?}", file.display());
    assert_eq!(text(&output.stderr), "", "{}", file.display());
}

/// The streams and the container of a file by ffprobe.
#[must_use]
pub fn probe(file: &Path) -> serde_json::Value {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-show_format",
            "-show_streams",
            "-of",
            "json",
        ])
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {output:?}", file.display());
    serde_json::from_slice(&output.stdout).unwrap()
}
