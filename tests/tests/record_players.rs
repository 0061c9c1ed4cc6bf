//! What `sdvr record` writes, in players that are not ours and not ffmpeg of this machine: a browser, and OpenCV with the FFmpeg that it brings.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sdvr_tests::recording::{files, times};
use sdvr_tests::{System, browser, footage, python, text, wait_until};

/// A recording of each kind: of real footage in each codec, and of pixels. The recorder of half of them was killed.
fn recordings(folder: &Path) -> Vec<(PathBuf, [u32; 2])> {
    let system = System::with_daemon();
    let looped: &[&str] = &["-r", "25", "--loop"];
    let film = |name: &str| footage::clip(name, 100).to_str().unwrap().to_owned();
    let cameras = [
        ("avc", film("live.h264"), looped, [768, 576]),
        // Frames are shown in another order than they are sent.
        ("avc-b", film("h264"), looped, [768, 576]),
        ("hevc", film("live.hevc"), looped, [768, 576]),
        ("hevc-b", film("hevc"), looped, [768, 576]),
        ("mjpg", film("mjpeg"), looped, [768, 576]),
        (
            "yuyv",
            "test:?format=YUYV&size=320x240&fps=20".to_owned(),
            &[],
            [320, 240],
        ),
    ];
    let clients: Vec<_> = cameras
        .iter()
        .map(|(label, source, arguments, _)| system.start_client(label, source, arguments))
        .collect();
    for (label, ..) in &cameras {
        system.wait_for_state(label, "live");
    }
    let (whole, cut) = (folder.join("whole"), folder.join("cut"));
    let mut recorders =
        [&whole, &cut].map(|folder| system.start_recorder(folder, &["--segment", "1h"]));
    let mut recorded = Vec::new();
    for folder in [&whole, &cut] {
        for (label, _, _, size) in &cameras {
            let has_begun = || {
                files(folder, label)
                    .first()
                    .is_some_and(|file| file.metadata().unwrap().len() > 20_000)
            };
            wait_until("a file is begun", has_begun);
            recorded.push((files(folder, label).remove(0), *size));
        }
    }
    std::thread::sleep(Duration::from_secs(3));
    let [whole, cut] = &mut recorders;
    assert!(whole.terminate().success(), "{}", whole.log());
    cut.kill();
    drop(clients);
    recorded
}

#[test]
fn a_browser_plays_every_frame_at_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let recorded: Vec<_> = recordings(folder.path())
        .into_iter()
        // Browsers decode neither H.265, nor JPEG in films, nor pixels.
        .filter(|(file, _)| file.to_str().unwrap().contains("/avc"))
        .map(|(path, size)| {
            #[expect(clippy::cast_precision_loss, reason = "a film is not long")]
            let times: Vec<f64> = times(&path).iter().map(|ns| *ns as f64 / 1e9).collect();
            assert!(times.len() > 50, "{}", times.len());
            serde_json::json!({ "path": path, "size": size, "times": times })
        })
        .collect();
    assert_eq!(recorded.len(), 4);
    let output = browser::script("recorded.js")
        .env(
            "SDVR_RECORDED",
            serde_json::Value::from(recorded).to_string(),
        )
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// Reads a file as programs do that have only that: how many frames there are, their size, and when the last is shown, in milliseconds.
const READ: &str = "
import sys, cv2
film = cv2.VideoCapture(sys.argv[1], cv2.CAP_FFMPEG)
count, last, size = 0, 0, None
while True:
    is_there, picture = film.read()
    if not is_there:
        break
    count += 1
    last = film.get(cv2.CAP_PROP_POS_MSEC)
    size = picture.shape
print(count, size[1], size[0], last)
";

#[test]
fn opencv_reads_every_frame() {
    let folder = tempfile::tempdir().unwrap();
    let python = python::environment().join("bin/python");
    let recorded = recordings(folder.path());
    assert_eq!(recorded.len(), 12);
    for (file, [width, height]) in recorded {
        let printed = python::run(Command::new(&python).args(["-c", READ]).arg(&file));
        let seen: Vec<f64> = printed
            .split_whitespace()
            .map(|word| word.parse().unwrap())
            .collect();
        let times = times(&file);
        assert!(times.len() > 40, "{}: {}", file.display(), times.len());
        #[expect(clippy::cast_precision_loss, reason = "a film is not long")]
        let (count, last_ms) = (times.len() as f64, *times.last().unwrap() as f64 / 1e6);
        let expected = [count, f64::from(width), f64::from(height)];
        assert_eq!(seen[..3], expected, "{}", file.display());
        assert!(
            (seen[3] - last_ms).abs() < 2.0,
            "{}: {} for {last_ms}",
            file.display(),
            seen[3]
        );
    }
}
