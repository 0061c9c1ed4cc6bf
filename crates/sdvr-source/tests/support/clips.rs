//! Small clips, made by ffmpeg of its test picture once and kept, and what ffprobe says of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TEST: &str = "-f lavfi -i testsrc=size=96x64:rate=25:duration=1.2 -pix_fmt yuv420p";
/// An odd width: colour of its last column is shared with nothing.
const RAW: &str = "-f lavfi -i testsrc=size=95x63:rate=25:duration=1.2";
/// Without frames that overtake others.
const CLOSED: &str = "-c:v libx264 -preset ultrafast -threads 1 -g 10 -bf 0";
const DATED: &str = "-metadata creation_time=2021-02-03T04:05:06Z";
const HOUR: &str = "-f lavfi -i color=size=32x32:rate=2:duration=3600 -pix_fmt yuv420p";
const H264: &str = "-c:v libx264 -preset veryfast -threads 1 -g 10 -bf 3";

/// The options that make a clip; a first word that is another's name is its source.
fn recipe(name: &str) -> (Option<&'static str>, String) {
    let copy = |from, options: &str| (Some(from), format!("-c copy {options}"));
    let encode = |options: &str| (None, format!("{TEST} {options}"));
    match name {
        "tiny-h264.mp4" => copy("h264.mp4", "-frames:v 6"),
        "tiny-fragments.mp4" => copy(
            "fragments.mp4",
            "-frames:v 6 -movflags +frag_every_frame+empty_moov",
        ),
        "tiny-front.mp4" => copy("h264.mp4", "-frames:v 6 -movflags +faststart"),
        "tiny-h264.mkv" => copy("h264.mp4", "-frames:v 6"),
        "tiny-live.mkv" => copy("h264.mp4", "-frames:v 6 -live 1"),
        "tiny-h265.mp4" => copy("h265.mp4", "-frames:v 6"),
        "tiny-vp8.ivf" => copy("vp8.webm", "-frames:v 6"),
        "tiny-vp9.webm" => copy("vp9.webm", "-frames:v 6"),
        "tiny-av1.mp4" => copy("av1.mp4", "-frames:v 6"),
        "tiny-av1.mkv" => copy("av1.mp4", "-frames:v 6"),
        "h264.mp4" => encode(H264),
        "gaps.mp4" => encode(&format!(
            "-vf select=not(eq(mod(n\\,7)\\,3)),setpts=PTS+floor(N/10)*TB*3 -fps_mode vfr {H264}"
        )),
        "fragments.mp4" => copy(
            "h264.mp4",
            "-movflags +frag_keyframe+empty_moov+default_base_moof",
        ),
        "hybrid.mp4" => copy("h264.mp4", "-movflags +frag_keyframe"),
        "front.mp4" => copy("h264.mp4", "-movflags +faststart"),
        "h264.mkv" => copy("h264.mp4", ""),
        "gaps.mkv" => copy("gaps.mp4", ""),
        "live.mkv" => copy("h264.mp4", "-f matroska -live 1"),
        "unindexed.mp4" => copy(
            "h264.mp4",
            "-movflags +frag_keyframe+empty_moov+default_base_moof+skip_trailer",
        ),
        "groups.mkv" => copy(
            "h264.mp4",
            "-f matroska -write_crc32 0 -cluster_time_limit 300",
        ),
        "dated.mp4" | "dated.mkv" => encode(&format!("{CLOSED} {DATED}")),
        "exact.mp4" => copy(
            "dated.mp4",
            "-metadata date=2021-02-03T04:05:06.789012345Z -metadata creation_time=2021-02-03T04:05:06Z",
        ),
        "hour.mp4" => (None, format!("{HOUR} {CLOSED} -g 20")),
        "hour-fragments.mp4" => copy(
            "hour.mp4",
            "-movflags +empty_moov+default_base_moof -frag_duration 1000000",
        ),
        "hour-unindexed.mp4" => copy(
            "hour.mp4",
            "-movflags +empty_moov+default_base_moof+skip_trailer -frag_duration 1000000",
        ),
        "hour.mkv" => copy("hour.mp4", "-cluster_time_limit 1000"),
        "hour-live.mkv" => copy("hour.mp4", "-f matroska -live 1 -cluster_time_limit 1000"),
        "h265.mp4" => encode(
            "-c:v libx265 -preset ultrafast -x265-params log-level=error:bframes=3:keyint=10:pools=1 -tag:v hvc1",
        ),
        "in-band.mp4" => copy("h265.mp4", "-tag:v hev1"),
        "h265.mkv" => copy("h265.mp4", ""),
        "vp8.webm" => encode("-c:v libvpx -g 10 -deadline realtime"),
        "vp8.ivf" => copy("vp8.webm", ""),
        "vp9.webm" => encode("-c:v libvpx-vp9 -g 10 -deadline realtime -cpu-used 8"),
        "vp9.ivf" => copy("vp9.webm", ""),
        "vp9.mp4" => copy("vp9.webm", ""),
        "av1.mp4" => encode("-c:v libaom-av1 -cpu-used 8 -g 10 -usage realtime"),
        "av1.mkv" => copy("av1.mp4", ""),
        "av1.ivf" => copy("av1.mp4", ""),
        "mjpeg.mkv" => encode("-c:v mjpeg -pix_fmt yuvj420p"),
        "mjpeg.mp4" => copy("mjpeg.mkv", ""),
        "mjpeg.mov" => copy("mjpeg.mkv", ""),
        "yuyv422.mkv" | "uyvy422.mkv" | "yvyu422.mkv" | "nv12.mkv" | "nv21.mkv" | "yuv420p.mkv"
        | "gray.mkv" | "yuv422p.mkv" => {
            let (pixels, _) = name.split_once('.').unwrap();
            (None, format!("{RAW} -pix_fmt {pixels} -c:v rawvideo"))
        }
        "sound.mp4" => (None, "-f lavfi -i sine=duration=0.2 -c:a aac".to_owned()),
        "with-sound.mp4" => (
            None,
            format!("-f lavfi -i sine=duration=1.2 {TEST} {H264} -c:a aac -shortest"),
        ),
        "mpeg4.mp4" => encode("-c:v mpeg4"),
        "encrypted.mp4" => copy(
            "h264.mp4",
            "-encryption_scheme cenc-aes-ctr -encryption_key 76a6c65c5ea762046bd749a2e632ccbb -encryption_kid a7e61c373e219033c21091fa607bf3b8",
        ),
        _ => panic!("there is no clip {name}"),
    }
}

/// The file of a clip.
pub(crate) fn clip(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clips");
    let path = directory.join(name);
    if path.exists() {
        return path;
    }
    std::fs::create_dir_all(&directory).unwrap();
    let (from, options) = recipe(name);
    // Under another name until it is whole: tests run side by side.
    let making = tempfile::tempdir_in(&directory).unwrap();
    let made = making.path().join(name);
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error"]);
    if let Some(from) = from {
        command.arg("-i").arg(clip(from));
    }
    command.args(options.split_whitespace()).arg(&made);
    assert!(command.status().unwrap().success(), "{name} cannot be made");
    std::fs::rename(&made, &path).unwrap();
    path
}

/// What ffprobe says of a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Packet {
    /// Seconds.
    pub(crate) shown: f64,
    pub(crate) decoded: Option<f64>,
    pub(crate) is_key: bool,
}

pub(crate) fn packets(clip: &Path) -> Vec<Packet> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-of", "csv=p=0"])
        .args(["-show_entries", "packet=pts_time,dts_time,flags"])
        .arg(clip)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let packet = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        Packet {
            shown: fields[0].parse().unwrap(),
            decoded: fields[1].parse().ok(),
            is_key: fields[2].starts_with('K'),
        }
    };
    text.lines().map(packet).collect()
}

/// The bytes of every packet, one behind the other.
pub(crate) fn packet_bytes(clip: &Path) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(clip)
        .args(["-map", "0:v", "-c", "copy", "-f", "data", "-"])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    output.stdout
}

/// A hash of every picture that ffmpeg decodes out of a file.
pub(crate) fn pictures(file: &Path) -> Vec<String> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(file)
        .args([
            "-map",
            "0:v",
            "-fps_mode",
            "passthrough",
            "-pix_fmt",
            "yuv420p",
        ])
        .args(["-f", "framemd5", "-"])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit(',').next().unwrap().trim().to_owned())
        .collect()
}
