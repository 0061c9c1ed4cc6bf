//! `sdvr exec`: programs that are given a camera's frames, started and ended with it.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use sdvr::{FourCc, FrameRate, PublishOptions, Published, Publisher, StreamFormat};
use sdvr_frame::bench_frame;
use sdvr_tests::{Running, System, children_of, text, wait_until};

const SMALL: &str = "test:?format=YUYV&size=64x48&fps=20";
/// The program for each camera is this shell script, in which `$0` is the camera and `$1` the folder for what it finds.
fn start(system: &System, options: &[&str], script: &str) -> (Running, PathBuf) {
    let folder = system.home().join("found");
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = system.command("sdvr");
    command
        .arg("exec")
        .args(options)
        .args(["--", "sh", "-c", script, "{}"])
        .arg(&folder);
    (system.start(&mut command, "exec"), folder)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Asks it to end; it does, with everything that it has started.
#[track_caller]
fn ends_well(mut exec: Running) {
    let children = children_of(exec.id());
    assert!(exec.terminate().success(), "{}", exec.log());
    assert!(!children.iter().any(|child| child.is_there()));
}

#[test]
fn each_camera_has_a_program_that_knows_it_and_nothing_else() {
    let system = System::with_daemon();
    let descriptors = "ls /proc/$$/fd > $1/$0.fds";
    let script =
        format!("{descriptors}; env | grep ^SDVR_ | grep -v SHM | sort > $1/$0; cat > $1/$0.rgb");
    let (exec, folder) = start(&system, &["--each", "--format", "rgb", "-v"], &script);
    // What a program has that this test starts itself.
    let mut plain = std::process::Command::new("sh");
    plain.args(["-c", descriptors, "plain"]).arg(&folder);
    assert!(plain.status().unwrap().success());
    let descriptors = read(&folder.join("plain.fds"));

    let _door = system.start_client("door", SMALL, &[]);
    let _cellar = system.start_client("cellar.2", "test:?format=GREY&size=32x24&fps=10", &[]);
    for (label, size, rate) in [("door", (64, 48), 20), ("cellar.2", (32, 24), 10)] {
        let picture = folder.join(format!("{label}.rgb"));
        wait_until("pictures come", || {
            std::fs::metadata(&picture).is_ok_and(|is| is.len() >= 2 * 3 * size.0 * size.1)
        });
        let cameras = system.list();
        let camera = cameras.iter().find(|camera| camera["label"] == label);
        let fingerprint = camera.unwrap()["fingerprint"].as_str().unwrap();
        let (width, height) = size;
        assert_eq!(
            read(&folder.join(label)),
            format!(
                "SDVR_CAMERA={label}\nSDVR_FINGERPRINT={fingerprint}\nSDVR_FORMAT=rgb24\nSDVR_FPS={rate}\nSDVR_HEIGHT={height}\nSDVR_WIDTH={width}\n"
            )
        );
        assert_eq!(read(&folder.join(format!("{label}.fds"))), descriptors);
    }
    assert_eq!(children_of(exec.id()).len(), 2);
    ends_well(exec);
    let all = std::fs::read(folder.join("door.rgb")).unwrap();
    assert_eq!(all.len() % (64 * 48 * 3), 0, "the last picture is whole");
}

#[test]
fn what_fails_is_started_again_and_what_is_finished_is_not() {
    let system = System::with_daemon();
    let _client = system.start_client("door", SMALL, &[]);
    let script = "echo >> $1/starts; head -c 1000 > /dev/null; test $(wc -l < $1/starts) -ge 3";
    let (mut exec, folder) = start(&system, &["door"], script);
    assert!(exec.wait().success(), "{}", exec.log());
    assert_eq!(read(&folder.join("starts")).len(), 3);
    for words in [
        "door: sh ended with exit status: 1; it is started again in 0.5 s (restart 1)",
        "in 1 s (restart 2)",
    ] {
        assert!(exec.log().contains(words), "{}", exec.log());
    }

    let (mut exec, _) = start(&system, &["door", "--restart", "never"], "exit 7");
    assert_eq!(exec.wait().code(), Some(1));
    let said = exec.log();
    assert!(
        said.contains("door: sh ended with exit status: 7"),
        "{said}"
    );
}

#[test]
fn a_program_ends_with_its_camera_and_begins_with_its_return() {
    let system = System::with_daemon();
    let script = "echo $SDVR_WIDTH >> $1/begun; cat > /dev/null; echo >> $1/ended";
    let (exec, folder) = start(&system, &["door"], script);
    let (begun, ended) = (folder.join("begun"), folder.join("ended"));
    wait_until("it says that it waits", || {
        exec.log().contains("waited for")
    });
    let mut client = system.start_client("door", SMALL, &[]);
    wait_until("it has begun", || read(&begun) == "64\n");
    assert!(client.terminate().success());
    wait_until("it has ended", || read(&ended) == "\n");
    let mut client = system.start_client("door", SMALL, &[]);
    wait_until("it has begun again", || read(&begun) == "64\n64\n");
    // The same camera with pictures of another size is not gone in between.
    client.kill();
    let _client = system.start_client("door", "test:?format=YUYV&size=32x24&fps=20", &[]);
    wait_until("it knows the new size", || read(&begun) == "64\n64\n32\n");
    assert_eq!(read(&ended), "\n\n");
    ends_well(exec);
}

#[test]
fn who_does_not_read_delays_nobody_and_is_ended() {
    let system = System::with_daemon();
    let _clients = ["door", "window"].map(|label| system.start_client(label, SMALL, &[]));
    // One reads nothing and does not end by itself.
    let script = "test $0 = door && exec sleep 1000; exec cat > $1/$0";
    let (exec, folder) = start(&system, &["--each", "--format", "rgb"], script);
    let read = folder.join("window");
    wait_until("the other one reads on", || {
        std::fs::metadata(&read).is_ok_and(|is| is.len() > 40 * 3 * 64 * 48)
    });
    ends_well(exec);
}

#[test]
fn the_second_ctrl_c_waits_for_nobody() {
    let system = System::with_daemon();
    let _client = system.start_client("door", SMALL, &[]);
    let script = "trap '' TERM INT; echo > $1/begun; while :; do sleep 0.1; done";
    let (mut exec, folder) = start(&system, &["door"], script);
    wait_until("it has begun", || folder.join("begun").exists());
    let children = children_of(exec.id());
    assert_eq!(children.len(), 1);
    exec.signal(Signal::INT);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(exec.runs() && children[0].is_there());
    exec.signal(Signal::INT);
    assert!(exec.wait().success(), "{}", exec.log());
    assert!(!children[0].is_there());
}

#[test]
fn slow_programs_get_the_newest_frame_or_all_of_them() {
    const BYTES: usize = 200_000;
    let system = System::with_daemon();
    let source = format!("test:?format=BNCH&bytes={BYTES}&fps=50");
    let _client = system.start_client("door", &source, &[]);
    system.wait_for_state("door", "live");
    let frame = format!("dd bs={BYTES} count=1 iflag=fullblock status=none");
    // A part of a frame fits into the pipe, so that the second one was chosen before the pause.
    let script = format!("({frame}; sleep 0.5; {frame}; {frame}) > $1/$0");
    let seen = |policy: &[&str]| {
        let (mut exec, folder) = start(&system, &[&["door"], policy].concat(), &script);
        assert!(exec.wait().success(), "{}", exec.log());
        let bytes = std::fs::read(folder.join("door")).unwrap();
        let frames = bytes.chunks(BYTES);
        let number = |frame| bench_frame::check(frame).unwrap().sequence.0;
        frames.map(number).collect::<Vec<u64>>()
    };
    let latest = seen(&[]);
    assert_eq!(latest.len(), 3);
    assert!(latest[2] - latest[0] >= 10, "{latest:?}");
    let every = seen(&["--policy", "every"]);
    assert_eq!(every.len(), 3);
    assert!(every[2] - every[0] < 10, "{every:?}");
}

#[test]
fn derived_streams_are_left_out_unless_they_are_named() {
    let system = System::with_daemon();
    let _client = system.start_client("door", SMALL, &[]);
    system.wait_for_state("door", "live");
    let format = StreamFormat {
        fourcc: FourCc::GREY,
        width: 64,
        height: 48,
        rate: FrameRate::from_whole(20),
    };
    let options = PublishOptions::new(format);
    let mut gray = Publisher::create_in(&system.shm(), "door/gray", options).unwrap();
    let publish = |gray: &mut Publisher| {
        gray.publish(&[7; 64 * 48], &Published::now()).unwrap();
    };
    publish(&mut gray);
    let script = "echo >> $1/all; cat > $1/$0";
    let (all, folder) = start(&system, &["--each"], script);
    wait_until("the camera is given", || {
        publish(&mut gray);
        std::fs::metadata(folder.join("door")).is_ok_and(|is| is.len() > 10 * 64 * 48)
    });
    assert_eq!(read(&folder.join("all")), "\n");
    let (named, folder) = start(&system, &["door/gray"], "cat > $1/$0");
    wait_until("the stream that is named is given", || {
        publish(&mut gray);
        std::fs::metadata(folder.join("door+gray")).is_ok_and(|is| is.len() >= 64 * 48)
    });
    ends_well(named);
    ends_well(all);
}

#[test]
fn what_cannot_be_done_is_said_at_once() {
    let system = System::new();
    for (arguments, code, words) in [
        (&["door", "--", "no-such-program"][..], 1, "no-such-program"),
        (&["door", "--", "/etc/passwd"], 1, "/etc/passwd"),
        (&["--", "cat"], 2, "--each"),
        (&["door", "window", "--", "cat"], 2, "--each"),
        (&["door"], 2, "CMD"),
    ] {
        let output = system.sdvr(&[&["exec"], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let said = text(&output.stderr);
        assert!(said.contains(words), "{words} in {said}");
    }
    let system = System::with_daemon();
    let _client = system.start_client("door", "test:?format=BNCH&bytes=2000&fps=20", &[]);
    let output = system.sdvr(&["exec", "door", "--format", "rgb", "--", "cat"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(
        text(&output.stderr).contains("have no pixels"),
        "{output:?}"
    );
}
