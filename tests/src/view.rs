//! `sdvr view` as tests start it, and the pictures that it is to show.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use crate::screen::{Screen, Shot};
use crate::{Running, System};

/// `sdvr view` on a screen, and what it reports.
#[derive(Debug)]
pub struct View {
    /// The program.
    pub running: Running,
    reports: PathBuf,
}

impl View {
    /// Starts it on a screen.
    #[must_use]
    pub fn start(system: &System, screen: &Screen, arguments: &[&str]) -> Self {
        let mut command = system.command("sdvr");
        command
            .env("DISPLAY", screen.display())
            .env_remove("WAYLAND_DISPLAY");
        Self::start_by(system, command, arguments)
    }

    /// Starts it by this command, which says where the screen is.
    #[must_use]
    pub fn start_by(system: &System, mut command: Command, arguments: &[&str]) -> Self {
        let reports = system.home().join("reports");
        command
            .args(["view", "--report", "--folder"])
            .arg(system.home())
            .args(arguments)
            .stdout(File::create(&reports).unwrap());
        Self {
            running: system.start(&mut command, "view"),
            reports,
        }
    }

    /// What it reported so far, of a camera.
    #[must_use]
    pub fn reports(&self, label: &str) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(&self.reports).unwrap();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .filter_map(|report| {
                let cameras = report["cameras"].as_array().unwrap();
                cameras
                    .iter()
                    .find(|camera| camera["label"] == label)
                    .cloned()
            })
            .collect()
    }

    /// How many pictures of a camera were shown.
    #[must_use]
    pub fn shown(&self, label: &str) -> u64 {
        let reports = self.reports(label);
        reports
            .iter()
            .map(|report| report["shown"].as_u64().unwrap())
            .sum()
    }

    /// The cameras of the newest report.
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.reports).unwrap();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let Some(last) = whole.lines().last() else {
            return Vec::new();
        };
        let report: serde_json::Value = serde_json::from_str(last).unwrap();
        let cameras = report["cameras"].as_array().unwrap().iter();
        cameras
            .map(|camera| camera["label"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn assert_ends_well(mut self) {
        let status = self.running.wait();
        assert!(status.success(), "{status}: {}", self.running.log());
    }
}

/// The test pattern by its formula, which `sdvr-source` has in its `test_pattern.rs`.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
}

/// White.
pub const WHITE: u32 = 0x00ff_ffff;

impl Pattern {
    /// A source of such pictures, so many a second, whose colours no compression changes.
    #[must_use]
    pub fn source(self, rate: u32) -> String {
        format!(
            "test:?format=YUYV&size={}x{}&fps={rate}",
            self.width, self.height
        )
    }

    /// The number that a picture shows in its bottom rows, if it is there.
    #[must_use]
    pub fn number(self, shot: &Shot) -> Option<u64> {
        let bit = |field: usize| {
            let pixel = shot.at((2 * field + 1) * self.width / 32, self.height - 2);
            match pixel {
                _ if is_near(pixel, WHITE) => Some(1),
                _ if is_near(pixel, 0) => Some(0),
                _ => None,
            }
        };
        (0..16).try_fold(0, |number, field| Some(number << 1 | bit(field)?))
    }

    /// What a pixel of a picture is.
    #[must_use]
    pub fn pixel(self, number: u64, x: usize, y: usize) -> u32 {
        // 75 % of red, green and blue, in turn.
        const BARS: [u32; 8] = [
            0x00bf_bfbf,
            0x00bf_bf00,
            0x0000_bfbf,
            0x0000_bf00,
            0x00bf_00bf,
            0x00bf_0000,
            0x0000_00bf,
            0,
        ];
        let Self { width, height } = self;
        let side = height / 8;
        let number = usize::try_from(number).unwrap();
        let left = 8 * number % (width - side);
        if y >= height - height / 16 {
            let bit = number >> (15 - 16 * x / width) & 1;
            return if bit == 1 { WHITE } else { 0 };
        }
        if (height / 4..height / 4 + side).contains(&y) && (left..left + side).contains(&x) {
            return WHITE;
        }
        BARS[8 * ((x + 2 * number) % width) / width]
    }

    /// The number of the picture that is in the top left of the screen, if all its pixels are right.
    #[must_use]
    pub fn seen(self, screen: &Screen) -> Option<u64> {
        let size = (
            self.width.try_into().unwrap(),
            self.height.try_into().unwrap(),
        );
        let shot = screen.shot(size);
        let number = self.number(&shot)?;
        let is_right = (0..self.height)
            .all(|y| (0..self.width).all(|x| is_near(shot.at(x, y), self.pixel(number, x, y))));
        is_right.then_some(number)
    }
}

/// Whether two colours differ by no more than rounding on their way makes.
#[must_use]
pub fn is_near(one: u32, other: u32) -> bool {
    [16, 8, 0].iter().all(|shift| {
        let colour = |pixel: u32| pixel >> shift & 255;
        colour(one).abs_diff(colour(other)) <= 3
    })
}
