//! Programs that decode a camera's frames, in Rust and in C, and tell of each what it gave.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sdvr::{Camera, Error, Pixels, Policy};

use crate::{PATIENCE, Running, System, binary, text};

/// What the frames of a camera gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Frames that gave a picture, and its size.
    pub pictures: Vec<(u64, u32, u32)>,
    /// Frames that gave none, and what is said of them.
    pub errors: Vec<(u64, String)>,
}

impl Outcome {
    /// Reads a camera that is there, or comes, until it ends.
    ///
    /// # Errors
    ///
    /// What is said of the camera, and not of a frame.
    pub fn of(camera: Camera, pixels: Pixels) -> Result<Self, Error> {
        let mut outcome = Self::default();
        let mut pictures = camera.decoded(pixels);
        let deadline = Instant::now() + 3 * PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "it does not end: {outcome:?}");
            match pictures.next(Policy::Every, Duration::from_millis(200)) {
                Ok(Some(decoded)) => {
                    let picture = decoded.picture();
                    assert_eq!(picture.number(), decoded.frame().number().0);
                    let of_planes: usize = picture.planes().map(|it| it.row_bytes * it.rows).sum();
                    assert_eq!(of_planes, picture.bytes().len());
                    let size = (picture.number(), picture.width(), picture.height());
                    outcome.pictures.push(size);
                }
                Ok(None) => {}
                Err(Error::Ended) => return Ok(outcome),
                Err(error) => match &error {
                    Error::Undecodable { frame, .. } => {
                        outcome.errors.push((frame.0, error.to_string()));
                    }
                    _ => return Err(error),
                },
            }
        }
    }

    /// What `pictures.c` has printed.
    #[must_use]
    pub fn parse(said: &str) -> Self {
        let mut outcome = Self::default();
        for line in said.lines() {
            if let Some(error) = line.strip_prefix("SDVR_UNDECODABLE: ") {
                let number = error.strip_prefix("frame ").unwrap().split(' ').next();
                let number = number.unwrap().parse().unwrap();
                outcome.errors.push((number, error.to_owned()));
            } else {
                let (number, size) = line.split_once(' ').unwrap_or_else(|| panic!("{said}"));
                let (width, height) = size.split_once('x').unwrap_or_else(|| panic!("{said}"));
                let numbers = (number.parse(), width.parse(), height.parse());
                let (Ok(number), Ok(width), Ok(height)) = numbers else {
                    panic!("{said}");
                };
                outcome.pictures.push((number, width, height));
            }
        }
        outcome
    }

    /// Each error names the camera, its frame and a cause, and no frame gave two things.
    #[track_caller]
    pub fn assert_told_well(&self, label: &str) {
        for (number, error) in &self.errors {
            let begin = format!("frame {number} of {label} cannot be shown: ");
            let cause = error.strip_prefix(&begin);
            assert!(cause.is_some_and(|cause| cause.len() > 10), "{error}");
        }
        let pictures = self.pictures.iter().map(|(number, ..)| *number);
        let mut numbers: Vec<u64> = pictures.chain(self.errors.iter().map(|it| it.0)).collect();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all, "{self:?}");
    }

    /// Whether a picture came of a frame after the last one that gave none.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        let last_error = self.errors.last().map(|(number, _)| number);
        let last_picture = self.pictures.last().map(|(number, ..)| number);
        last_picture > last_error
    }
}

/// `pictures.c`, built against the library in C, with whatever is read beside its place ending it.
///
/// # Panics
///
/// When there is no compiler, or the library in C was not built.
#[must_use]
pub fn build_program_in_c(folder: &Path) -> PathBuf {
    let library = binary("libsdvr_c.so");
    let bindings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bindings/c");
    // The name that programs look for.
    let soname = folder.join(concat!(
        "libsdvr.so.",
        env!("CARGO_PKG_VERSION_MAJOR"),
        ".",
        env!("CARGO_PKG_VERSION_MINOR")
    ));
    std::os::unix::fs::symlink(&library, &soname).unwrap();
    let program = folder.join("pictures");
    let output = Command::new("gcc")
        .args(["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Werror"])
        .args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"])
        .arg("-I")
        .arg(bindings.join("include"))
        .arg(bindings.join("tests/pictures.c"))
        .arg(&soname)
        .arg(format!("-Wl,-rpath,{}", folder.display()))
        .arg("-o")
        .arg(&program)
        .output()
        .expect("`cargo xtask test` installs gcc");
    assert!(output.status.success(), "{}", text(&output.stderr));
    program
}

/// A command that runs `pictures.c` on a camera of a directory of rings, until it ends or gives so many errors in a row (or nothing for as many tenths of a second).
#[must_use]
pub fn program_in_c(program: &Path, rings: &Path, label: &str, errors: u32) -> Command {
    let mut command = Command::new(program);
    command
        .arg(rings)
        .args([label, &errors.to_string()])
        // Looking for leaks needs rights that containers do not have.
        .env("ASAN_OPTIONS", "detect_leaks=0")
        .stdin(Stdio::null());
    command
}

/// Programs that decode the same camera, all at once, from its beginning to its end.
#[derive(Debug)]
pub struct Readers {
    in_rust: std::thread::JoinHandle<Result<Outcome, Error>>,
    in_c: Running,
    said_in_c: PathBuf,
}

impl Readers {
    /// Starts them; the camera may be started then.
    #[must_use]
    pub fn start(system: &System, program: &Path, label: &str) -> Self {
        let camera = Camera::wait_for_in(&system.shm(), label);
        let said_in_c = system.home().join(format!("{label}.pictures"));
        let mut command = program_in_c(program, &system.shm(), label, 1000);
        command.stdout(std::fs::File::create(&said_in_c).unwrap());
        Self {
            in_rust: std::thread::spawn(|| Outcome::of(camera, Pixels::Rgb)),
            in_c: system.start(&mut command, label),
            said_in_c,
        }
    }

    /// What they have found, in Rust and in C: the camera has ended.
    pub fn finish(mut self) -> [Outcome; 2] {
        let status = self.in_c.wait();
        let said = std::fs::read_to_string(&self.said_in_c).unwrap();
        assert!(status.success(), "{said}{}", self.in_c.log());
        let in_rust = self.in_rust.join().unwrap();
        [in_rust.unwrap(), Outcome::parse(&said)]
    }
}
