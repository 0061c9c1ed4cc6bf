//! Programs in C and C++, built against an installed SDVR as a stranger builds them.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sdvr::{FourCc, FrameRate, PublishOptions, Published, Publisher, StreamFormat};
use sdvr_tests::{System, binary, text};

const PICTURES: &str = "test:?format=MJPG&size=64x48&fps=20";
const GRAY: &str = "test:?format=GREY&size=64x48&fps=20";

/// `cargo xtask install` into a folder of its own, of what was built for the tests.
struct Installed {
    folder: tempfile::TempDir,
}

impl Installed {
    fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("sdvr-c-")
            .tempdir()
            .unwrap();
        let installed = Self { folder };
        let built = binary("xtask").parent().unwrap().to_owned();
        runs(
            Command::new(binary("xtask"))
                .arg("install")
                .args(["--prefix".as_ref(), installed.prefix().as_os_str()])
                .args(["--built".as_ref(), built.as_os_str()]),
        );
        installed
    }

    fn prefix(&self) -> PathBuf {
        self.folder.path().join("usr")
    }

    /// A folder for what is built.
    fn scratch(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// A command that finds the library, to build with and to run.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("PKG_CONFIG_PATH", self.prefix().join("lib/pkgconfig"))
            .env("CMAKE_PREFIX_PATH", self.prefix())
            .env("LD_LIBRARY_PATH", self.prefix().join("lib"))
            .stdin(Stdio::null());
        command
    }

    /// A program that was built, in a system.
    fn program(&self, system: &System, program: &Path, arguments: &[&str]) -> Command {
        let mut command = self.command(program);
        command
            .args(arguments)
            .env("HOME", system.home())
            .env("SDVR_SHM_DIR", system.shm());
        command
    }

    /// What pkg-config says, as words.
    fn pkg_config(&self, arguments: &[&str]) -> Vec<String> {
        let output = runs(self.command("pkg-config").args(arguments).arg("sdvr"));
        let words = output.split_whitespace();
        words.map(str::to_owned).collect()
    }

    /// The folder of the examples in C, which `make` has built.
    fn examples_in_c(&self) -> PathBuf {
        let folder = self.scratch("c");
        for entry in fs::read_dir(root().join("examples/c")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
        runs(
            self.command("make")
                .args(["-s", "-j2", "CFLAGS=-O1 -Wall -Wextra -Werror"])
                .arg("-C")
                .arg(&folder)
                // Not those of a make that runs the tests.
                .env_remove("MAKEFLAGS"),
        );
        folder
    }

    /// The folder of the examples in C++, which CMake has built.
    fn examples_in_cpp(&self) -> PathBuf {
        self.cmake(&root().join("examples/cpp"), "cpp")
    }

    fn cmake(&self, source: &Path, name: &str) -> PathBuf {
        let folder = self.scratch(name);
        runs(
            self.command("cmake")
                .args([
                    "-S".as_ref(),
                    source.as_os_str(),
                    "-B".as_ref(),
                    folder.as_os_str(),
                ])
                .arg("-DCMAKE_CXX_FLAGS=-O1 -Wall -Wextra -Werror"),
        );
        runs(
            self.command("cmake")
                .args(["--build".as_ref(), folder.as_os_str()])
                .arg("-j2"),
        );
        folder
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| {
        panic!("{command:?}: {error}; `cargo xtask test` installs what is missing")
    })
}

/// Runs a program that must go well; gives what it says.
#[track_caller]
fn runs(command: &mut Command) -> String {
    let output = output(command);
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {said}\n{complained}");
    said
}

/// Something goes on beside: `publish` is called every few milliseconds.
fn while_publishing<T>(mut publish: impl FnMut() + Send, test: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                publish();
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let ends = Ends(&is_over);
        let result = test();
        drop(ends);
        result
    })
}

/// Ends the publishing also when the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn publisher(system: &System, label: &str, width: u32, height: u32) -> Publisher {
    let format = StreamFormat {
        fourcc: FourCc::GREY,
        width,
        height,
        rate: FrameRate::from_whole(100),
    };
    let options = PublishOptions {
        // A busy machine takes nothing away from those who want all.
        frames: Some(512),
        ..PublishOptions::new(format)
    };
    Publisher::create_in(&system.shm(), label, options).unwrap()
}

/// Two corners that take turns, and a single cell that is noise.
fn scene(number: u64) -> Vec<u8> {
    const WIDTH: usize = 100;
    const HEIGHT: usize = 60;
    let is_even = number.is_multiple_of(2);
    let mut pixels = vec![20; WIDTH * HEIGHT];
    let mut fill = |left: usize, top: usize, width: usize, height: usize| {
        for y in top..(top + height).min(HEIGHT) {
            pixels[y * WIDTH + left..][..width].fill(200);
        }
    };
    if is_even {
        fill(0, 0, 32, 32);
        fill(48, 0, 16, 16);
    } else {
        fill(64, 32, 32, 32);
    }
    pixels
}

#[track_caller]
fn tells_of_motion(installed: &Installed, system: &System, program: &Path) {
    let mut publisher = publisher(system, "scene", 100, 60);
    let mut number = 0;
    let publish = || {
        publisher
            .publish(&scene(number), &Published::now())
            .unwrap();
        number += 1;
    };
    let said = while_publishing(publish, || {
        runs(&mut installed.program(system, program, &["scene", "--count", "8"]))
    });
    assert!(!said.is_empty());
    for line in said.lines() {
        let (frame, boxes) = line.split_once(": ").unwrap();
        assert!(
            frame.strip_prefix("frame ").unwrap().parse::<u64>().is_ok(),
            "{line}"
        );
        assert_eq!(boxes, "0,0 32x32 64,32 32x28");
    }
}

#[track_caller]
fn prints(installed: &Installed, system: &System, program: &Path, camera: &str, is: &str) {
    let said = runs(&mut installed.program(system, program, &[camera, "--count", "3"]));
    assert_eq!(said.lines().count(), 3, "{said}");
    for line in said.lines() {
        assert!(line.starts_with("frame ") && line.contains(is), "{line}");
        assert!(
            line.contains(" missed, ") && line.ends_with(" ms old"),
            "{line}"
        );
    }
}

/// What every example does with a camera of a daemon, whatever it is written in.
fn examples_do_what_they_say(installed: &Installed, folder: &Path) {
    let system = System::with_daemon();
    let client = system.start_client("door", PICTURES, &[]);
    system.wait_for_state("door", "live");

    prints(
        installed,
        &system,
        &folder.join("print_frames"),
        "door",
        ": MJPG, ",
    );

    let file = system.home().join("door.ppm");
    let arguments = ["door", file.to_str().unwrap()];
    runs(&mut installed.program(&system, &folder.join("save_picture"), &arguments));
    let image = fs::read(&file).unwrap();
    let pixels = image.strip_prefix(b"P6\n64 48\n255\n").unwrap();
    assert_eq!(pixels.len(), 64 * 48 * 3);
    assert!(
        pixels.iter().any(|sample| *sample != pixels[0]),
        "it is empty"
    );

    let mut derived = installed.program(&system, &folder.join("publish_derived"), &["door"]);
    let mut deriving = system.start(&mut derived, "derived");
    system.wait_for_state("door/gray", "live");
    prints(
        installed,
        &system,
        &folder.join("print_frames"),
        "door/gray",
        ": GREY, 3072 bytes, ",
    );
    // The camera says that it ends, and so does what was made of it.
    drop_gently(client);
    assert!(deriving.wait().success(), "{}", deriving.log());

    tells_of_motion(installed, &system, &folder.join("detect_motion"));

    let mut nobody = installed.program(&system, &folder.join("print_frames"), &["nobody"]);
    let refused = output(&mut nobody);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(
        text(&refused.stderr).contains("there is no camera"),
        "{refused:?}"
    );
}

fn drop_gently(mut client: sdvr_tests::Running) {
    assert!(client.terminate().success(), "{}", client.log());
}

#[test]
fn examples_in_c_are_built_by_pkg_config_and_do_what_they_say() {
    let installed = Installed::new();
    let folder = installed.examples_in_c();
    examples_do_what_they_say(&installed, &folder);
}

#[test]
fn examples_in_cpp_are_built_by_cmake_and_do_what_they_say() {
    let installed = Installed::new();
    let folder = installed.examples_in_cpp();
    examples_do_what_they_say(&installed, &folder);
}

#[test]
fn programs_can_have_the_library_in_them() {
    let installed = Installed::new();
    let system = System::new();
    let mut publisher = publisher(&system, "scene", 100, 60);

    let in_c = installed.scratch("static").join("print_frames");
    let library = installed.prefix().join("lib/libsdvr.a");
    let needs = installed.pkg_config(&["--static", "--libs-only-l"]);
    runs(
        installed
            .command("gcc")
            .arg("-std=c11")
            .args(installed.pkg_config(&["--cflags"]))
            .arg(root().join("examples/c/print_frames.c"))
            .arg(library)
            .args(needs.iter().filter(|library| *library != "-lsdvr"))
            .arg("-o")
            .arg(&in_c),
    );

    let source = installed.scratch("static-source");
    let program = root().join("examples/cpp/print_frames.cpp");
    fs::write(
        source.join("CMakeLists.txt"),
        format!(
            "cmake_minimum_required(VERSION 3.16)\nproject(static CXX)\nfind_package(sdvr {} REQUIRED)\n\
             add_executable(print_frames {})\ntarget_link_libraries(print_frames PRIVATE sdvr::sdvr-static)\n",
            env!("CARGO_PKG_VERSION"),
            program.display()
        ),
    )
    .unwrap();
    let in_cpp = installed
        .cmake(&source, "static-build")
        .join("print_frames");

    let publish = || {
        publisher.publish(&scene(0), &Published::now()).unwrap();
    };
    while_publishing(publish, || {
        for program in [in_c, in_cpp] {
            let mut alone = installed.program(&system, &program, &["scene", "--count", "1"]);
            assert!(runs(alone.env_remove("LD_LIBRARY_PATH")).contains(": GREY, 6000 bytes"));
        }
    });
}

#[test]
fn a_hostile_program_is_refused_and_harms_nobody() {
    let installed = Installed::new();
    let system = System::with_daemon();
    let _client = system.start_client("door", PICTURES, &[]);
    system.wait_for_state("door", "live");
    let program = installed.scratch("hostile").join("hostile");
    runs(
        installed
            .command("gcc")
            .args(["-std=c11", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"])
            // Whatever is written beside its place ends the program.
            .args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"])
            .arg(root().join("bindings/c/tests/hostile.c"))
            .args(installed.pkg_config(&["--cflags", "--libs"]))
            .arg("-o")
            .arg(&program),
    );
    let mut hostile = installed.program(&system, &program, &["door"]);
    // Looking for leaks needs rights that containers do not have.
    let said = runs(hostile.env("ASAN_OPTIONS", "detect_leaks=0"));
    assert!(said.ends_with("0 failures\n"), "{said}");
}

#[test]
fn outputs_live_as_long_as_their_cameras() {
    let installed = Installed::new();
    let system = System::with_daemon();
    let program = installed.scratch("outputs").join("outputs");
    runs(
        installed
            .command("g++")
            .args(["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror"])
            .arg(root().join("bindings/cpp/tests/outputs.cpp"))
            .args(installed.pkg_config(&["--cflags", "--libs"]))
            .arg("-o")
            .arg(&program),
    );
    let steady = system.start_client("steady", GRAY, &[]);
    let _throws = system.start_client("throws", GRAY, &[]);
    let mut command = installed.program(&system, &program, &[]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = system.start(&mut command, "outputs");
    let stdout = running.child().stdout.take().unwrap();
    let mut lines = BufReader::new(stdout).lines().map(Result::unwrap);
    let mut wait_for = |wanted: &[&str]| {
        let mut wanted = wanted.to_vec();
        while !wanted.is_empty() {
            let line = lines
                .next()
                .unwrap_or_else(|| panic!("{wanted:?} did not come"));
            wanted.retain(|one| *one != line);
        }
    };
    wait_for(&[
        "made for steady",
        "made for throws",
        "throws threw: on purpose",
        "gone for throws",
        "frame of steady, 3072 bytes",
        "picture of steady, 64x48, 192 bytes a row",
        "picture of throws, 64x48, 192 bytes a row",
    ]);
    drop_gently(steady);
    wait_for(&["gone for steady"]);

    // What comes again has another object; what is there at the end is destroyed.
    let _again = system.start_client("steady", GRAY, &[]);
    wait_for(&["made for steady", "frame of steady, 3072 bytes"]);
    drop(running.child().stdin.take());
    wait_for(&["gone for steady"]);
    assert!(running.wait().success(), "{}", running.log());
}
