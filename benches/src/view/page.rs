//! How late a frame is painted in a browser, and what that costs the server.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::film;
use super::web_server::WebServer;
use crate::system::{Program, System};

const WARMING_S: u32 = 5;
const MEASURED_S: u32 = 20;
const FILM_S: u32 = 20;
const CAMERAS: u32 = 16;

/// One H.264 camera, large, in one browser.
pub(super) fn one(programs: &Path) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let film = scratch.path().join("film.h264");
    film::write(&film, (1920, 1080), FILM_S)?;
    let film = film.to_str().context("the path is text")?;
    let system = System::start(programs)?;
    let _client = system.client_with("film", film, &["-r", "30", "--loop"])?;
    system.wait_for_camera("film")?;
    let server = WebServer::start(programs, &system)?;
    let cycle = (FILM_S * film::RATE).to_string();
    let seen = in_browser(&server, &["film", &cycle])?;
    let camera = &seen.page["cameras"]["film"];
    ensure!(camera["kind"] == "h264", "the page shows {camera}");
    println!(
        "sdvr web, one 1080p30 H.264 camera, one browser, {MEASURED_S} s\n  \
         server {:.4} core (target <= 0.03)\n  \
         capture to painted p50 {} us (target <= 60000), p99 {} us, {} frames; in {} of {} looks the picture showed the number of its frame",
        seen.cores,
        camera["p50"],
        camera["p99"],
        camera["frames"],
        seen.page["matching"],
        seen.page["looks"],
    );
    Ok(())
}

/// Sixteen cameras in one page.
pub(super) fn mosaic(programs: &Path) -> anyhow::Result<()> {
    let system = System::start(programs)?;
    let source = "test:?format=MJPG&size=640x360&fps=15";
    let _clients = (0..CAMERAS)
        .map(|number| system.client(&format!("camera-{number:02}"), source))
        .collect::<anyhow::Result<Vec<Program>>>()?;
    system.wait_for_cameras(CAMERAS as usize)?;
    let server = WebServer::start(programs, &system)?;
    let seen = in_browser(&server, &[])?;
    let cameras = seen.page["cameras"].as_object().context("an object")?;
    ensure!(
        cameras.len() == CAMERAS as usize,
        "{} cameras are painted",
        cameras.len()
    );
    let largest = |name: &str| cameras.values().filter_map(|it| it[name].as_u64()).max();
    let fewest = cameras
        .values()
        .filter_map(|it| it["frames"].as_u64())
        .min();
    println!(
        "sdvr web, {CAMERAS} cameras 640x360 MJPEG at 15 fps in one page, {MEASURED_S} s\n  \
         server {:.3} core; capture to painted of the latest camera p50 {} us, p99 {} us, at most {} us (target: none more than 300000 behind); \
         at least {} frames painted of each, of {}",
        seen.cores,
        largest("p50").context("some were painted")?,
        largest("p99").context("some were painted")?,
        largest("most").context("some were painted")?,
        fewest.unwrap_or(0),
        MEASURED_S * 15,
    );
    Ok(())
}

/// What a browser tells, and what the server took meanwhile.
struct Seen {
    page: Value,
    cores: f64,
}

fn in_browser(server: &WebServer, arguments: &[&str]) -> anyhow::Result<Seen> {
    let mut browser = Command::new("node")
        .arg(script())
        .args([WARMING_S, MEASURED_S].map(|seconds| seconds.to_string()))
        .args(arguments)
        .env("SDVR_WEB_ADDRESS", format!("http://{}/", server.address))
        .envs(packages())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start node")?;
    let said = BufReader::new(browser.stdout.take().context("its output is piped")?);
    let mut lines = said.lines();
    let mut line = || {
        lines
            .next()
            .context("the browser has failed")?
            .map_err(anyhow::Error::from)
    };
    ensure!(line()? == "measuring", "the browser begins to measure");
    let before = server.program.usage()?;
    std::thread::sleep(std::time::Duration::from_secs(MEASURED_S.into()));
    let after = server.program.usage()?;
    let page = serde_json::from_str(&line()?)?;
    ensure!(browser.wait()?.success(), "the browser has failed");
    Ok(Seen {
        page,
        cores: (after.cpu - before.cpu).as_secs_f64() / (after.at - before.at).as_secs_f64(),
    })
}

/// Where the packages of npm are if cargo's folder is not where the scripts look for it.
fn packages() -> Option<(&'static str, PathBuf)> {
    let target = std::env::var_os("CARGO_TARGET_DIR")?;
    Some(("SDVR_BROWSER_PACKAGES", Path::new(&target).join("browser")))
}

/// Beside what the browser's tests need, which `cargo xtask test` installs.
fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/browser/measure.js")
}
