//! What cannot be done is said, with what to do about it; and what `sdvrc` takes of the machine.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use sdvr_tests::System;
use sdvr_vm::clip::Clip;
use sdvr_vm::{Guest, Watch};

/// A camera, and an output that is none.
const CAMERA_AND_OUTPUT: &str =
    "n_devs=1 node_types=0x101 num_inputs=1 input_types=0 num_outputs=1";
const MIB: u64 = 1 << 20;

#[test]
fn a_camera_in_use_is_said_with_its_user() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    guest.load_vivid(CAMERA_AND_OUTPUT);
    let watch = Watch::start(&system, "first");
    let first = guest.start_sdvrc(&system, "-n first -i /dev/video0");
    watch.wait_for(5);
    let second = guest.run_sdvrc(&system, "-n second -k /tmp/second -i /dev/video0");
    let user = format!("/dev/video0 is in use by sdvrc (process {})", first.id());
    assert!(second.text.contains(&user), "{}", second.text);
    assert_eq!(second.status, 1, "{}", second.text);
    // The first one goes on.
    watch.wait_for(20);
}

#[test]
fn a_camera_of_other_users_is_said_with_the_group() {
    let (_system, mut guest) = (System::new(), Guest::enter());
    guest.load_vivid(CAMERA_AND_OUTPUT);
    guest.expect("chgrp video /dev/video*; chmod 660 /dev/video*");
    let nobody =
        guest.start("HOME=/tmp su nobody -c 'exec /bin/sdvrc -i /dev/video0 -k /tmp/nobody'");
    let log = guest.wait_for_log(&nobody, "/dev/video0");
    assert!(log.contains("group video"), "{log}");
}

#[test]
fn a_camera_of_a_group_s_is_said_with_that_group() {
    let (_system, mut guest) = (System::new(), Guest::enter());
    guest.load_vivid(CAMERA_AND_OUTPUT);
    guest.expect(
        "echo 'cinema:x:1234:' >> /etc/group; chgrp cinema /dev/video0; chmod 660 /dev/video0",
    );
    let nobody =
        guest.start("HOME=/tmp su nobody -c 'exec /bin/sdvrc -i /dev/video0 -k /tmp/nobody'");
    guest.wait_for_log(&nobody, "sudo usermod -aG cinema $USER");
    guest.expect("sed -i /^cinema:/d /etc/group");
}

#[test]
fn controls_are_listed_with_what_they_take() {
    let mut guest = Guest::enter();
    guest.load_vivid(CAMERA_AND_OUTPUT);
    let text = guest.expect("sdvrc --controls --json");
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    let named = |name: &str| {
        let controls = list.as_array().unwrap();
        let control = controls.iter().find(|control| control["name"] == name);
        control.unwrap_or_else(|| panic!("no {name} in {list}"))
    };
    let brightness = named("brightness");
    assert_eq!(
        (&brightness["minimum"], &brightness["maximum"]),
        (&0.into(), &255.into())
    );
    assert_eq!(brightness["value"], 128);
    assert!(
        named("test_pattern")["menu"]
            .to_string()
            .contains("100% Red"),
        "{list}"
    );
    // As people read it.
    let text = guest.expect("sdvrc --controls");
    assert!(
        text.contains("brightness = 128 (0 to 255, default 128)"),
        "{text}"
    );
}

/// Of two nodes, the first is a camera.
#[track_caller]
fn assert_second_node_is_no_camera(system: &System, guest: &mut Guest) {
    let output = guest.run_sdvrc(system, "-i /dev/video1");
    assert_eq!(output.status, 2, "{}", output.text);
    assert!(
        output.text.contains("/dev/video1 is no camera"),
        "{}",
        output.text
    );
    assert!(
        output.text.contains("/dev/video0"),
        "what is one is not said: {}",
        output.text
    );
}

#[test]
fn an_output_is_no_camera() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    guest.load_vivid(CAMERA_AND_OUTPUT);
    assert_second_node_is_no_camera(&system, &mut guest);
}

#[test]
fn a_webcam_s_metadata_is_no_camera() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    guest.plug_webcam(0, &Clip::mjpg(), &Clip::h264());
    guest.wait_until("ls /dev/video1");
    assert_second_node_is_no_camera(&system, &mut guest);
}

#[test]
fn a_missing_camera_is_said_with_those_there_are() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    guest.load_vivid(CAMERA_AND_OUTPUT);
    let output = guest.run_sdvrc(&system, "-i /dev/video7");
    assert_eq!(output.status, 1, "{}", output.text);
    let text = "there is no /dev/video7; this host has /dev/video0 (vivid)";
    assert!(output.text.contains(text), "{}", output.text);
}

#[test]
fn a_format_or_size_that_the_camera_has_not_is_said_with_those_it_has() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    guest.plug_webcam(0, &Clip::mjpg(), &Clip::h264());
    guest.wait_until("ls /dev/video0");
    for (wrong, has) in [
        ("-f NV12", ["MJPG", "H264"]),
        ("-s 1280x720", ["640x360", "640x360"]),
    ] {
        let output = guest.run_sdvrc(&system, &format!("-i /dev/video0 {wrong}"));
        assert_eq!(output.status, 2, "{wrong}: {}", output.text);
        for has in has {
            assert!(output.text.contains(has), "{wrong}: {}", output.text);
        }
    }
}

#[test]
fn cameras_are_listed_with_what_they_have() {
    let mut guest = Guest::enter();
    guest.plug_webcam(0, &Clip::mjpg(), &Clip::h264());
    guest.wait_until("ls /dev/video1");
    let text = guest.expect("sdvrc --list --json");
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    // The metadata's node is none.
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    let (camera, formats) = (&list[0], &list[0]["formats"]);
    assert_eq!(camera["path"], "/dev/video0");
    assert_eq!(camera["driver"], "uvcvideo");
    let name = camera["stable_name"].as_str().unwrap();
    assert!(
        name.contains("sdvr0000"),
        "{name} without its serial number"
    );
    for (format, fourcc) in ["MJPG", "H264"].into_iter().enumerate() {
        let (format, size) = (&formats[format], &formats[format]["sizes"][0]);
        assert_eq!(
            (&format["fourcc"], &format["compressed"]),
            (&fourcc.into(), &true.into())
        );
        assert_eq!(
            (&size["width"], &size["height"]),
            (&640.into(), &360.into())
        );
        assert_eq!(size["fps"][0].as_f64().unwrap().round(), 30.0);
    }
}

#[test]
fn a_camera_of_full_hd_takes_little_memory() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    guest.load_vivid(CAMERA_AND_OUTPUT);
    let watch = Watch::start(&system, "memory");
    let client = guest.start_sdvrc(&system, "-n memory -i /dev/video0 -f YUYV -s 1920x1080");
    watch.wait_for(10);
    let format = watch.take()[0].format();
    assert_eq!((format.width, format.height), (1920, 1080));
    let (us, driver) = guest.resident_bytes(&client);
    // Four buffers or more of 4 MB were seen to be the driver's, or the rest would not be ours alone.
    assert!(driver >= 2 * 1920 * 1080 * 2, "{driver}");
    assert!(us <= 32 * MIB, "{us}");
}
