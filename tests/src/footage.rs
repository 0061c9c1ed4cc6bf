//! Real footage of a fixed camera, in every format that a file can have.
//!
//! `vtest.avi` of Debian's opencv-doc: pedestrians before a shop window, 768x576, 795 frames. `cargo xtask test` fetches it by the package's name.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many clips were begun by this program.
static MAKING: AtomicU32 = AtomicU32::new(0);

/// Where `cargo xtask test` puts the footage: beside what cargo builds.
#[must_use]
pub fn directory() -> PathBuf {
    crate::built().join("footage")
}

/// The first `frames` frames of the footage in a format that ffmpeg names by `extension`: `mjpeg`, `h264`, `hevc`, `y4m`, or as other encoders
/// write them: `open.h264` (open groups of pictures), `refresh.h264` (intra refresh), `interlaced.h264`, `slices.h264`, `open.hevc`, `444.mjpeg`. Made once.
///
/// # Panics
///
/// When the footage or ffmpeg is not there.
#[must_use]
pub fn clip(extension: &str, frames: u32) -> PathBuf {
    let source = directory().join("vtest.avi");
    assert!(
        source.exists(),
        "{} is not there; `cargo xtask test` fetches it",
        source.display()
    );
    let clip = directory().join(format!("vtest-{frames}.{extension}"));
    if !clip.exists() {
        let codec: &[&str] = match extension {
            "open.h264" => &[
                "-c:v",
                "libx264",
                "-preset",
                "veryfast",
                "-x264-params",
                "keyint=10:open-gop=1:bframes=3",
                "-f",
                "h264",
            ],
            "refresh.h264" => &[
                "-c:v",
                "libx264",
                "-preset",
                "veryfast",
                "-x264-params",
                "keyint=10:intra-refresh=1",
                "-f",
                "h264",
            ],
            "interlaced.h264" => &[
                "-c:v",
                "libx264",
                "-preset",
                "veryfast",
                "-x264-params",
                "keyint=10:tff=1:open-gop=1",
                "-f",
                "h264",
            ],
            "slices.h264" => &[
                "-c:v",
                "libx264",
                "-preset",
                "veryfast",
                "-x264-params",
                "keyint=10:slices=4:aud=1:cabac=0",
                "-f",
                "h264",
            ],
            "open.hevc" => &[
                "-c:v",
                "libx265",
                "-preset",
                "ultrafast",
                "-x265-params",
                "keyint=10:open-gop=1:bframes=3:slices=4:log-level=error",
                "-f",
                "hevc",
            ],
            "444.mjpeg" => &[
                "-c:v", "mjpeg", "-q:v", "5", "-pix_fmt", "yuvj444p", "-huffman", "optimal", "-f",
                "mjpeg",
            ],
            "mjpeg" => &["-c:v", "mjpeg", "-q:v", "5", "-f", "mjpeg"],
            // As cameras send it: frames are shown in the order in which they come.
            "live.h264" => &[
                "-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "0", "-f", "h264",
            ],
            "live.hevc" => &[
                "-c:v",
                "libx265",
                "-preset",
                "ultrafast",
                "-x265-params",
                "keyint=25:bframes=0:log-level=error",
                "-f",
                "hevc",
            ],
            "h264" => &[
                "-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-f", "h264",
            ],
            "hevc" => &[
                "-c:v",
                "libx265",
                "-preset",
                "ultrafast",
                "-x265-params",
                "keyint=25:log-level=error",
                "-f",
                "hevc",
            ],
            "y4m" => &["-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe"],
            other => panic!("no format {other}"),
        };
        // Tests side by side, in one program or several, may be at it at once.
        let own = (std::process::id(), MAKING.fetch_add(1, Ordering::Relaxed));
        let unfinished = directory().join(format!(".{}-{}-{frames}.{extension}", own.0, own.1));
        let status = Command::new("ffmpeg")
            .args(["-loglevel", "error", "-y", "-i"])
            .arg(&source)
            .args(["-frames:v", &frames.to_string(), "-an"])
            .args(codec)
            .arg(&unfinished)
            .status()
            .expect("ffmpeg is installed by `cargo xtask test`");
        assert!(status.success(), "ffmpeg cannot make {extension}");
        std::fs::rename(&unfinished, &clip).expect("the folder of the footage can be written");
    }
    clip
}

/// What ffprobe counts in a file: frames that it could read.
///
/// # Panics
///
/// When ffprobe is not there or reports an error.
#[must_use]
pub fn probed_frames(path: &Path, format: &str) -> u64 {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-f",
            format,
            "-count_frames",
            "-select_streams",
            "v:0",
            "-show_entries",
            "stream=nb_read_frames",
            "-of",
            "csv=p=0",
        ])
        .arg(path)
        .output()
        .expect("ffprobe is installed by `cargo xtask test`");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .trim_end_matches(',')
        .parse()
        .expect("a number of frames")
}
