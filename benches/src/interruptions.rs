//! What of `cargo xtask bench loss` happens once: a network that is cut for a while, and a camera that gets another address. One camera over UDP;
//! its program and its ring must be the same afterwards.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sdvr::{Camera, Frame, Policy};
use sdvr_ring::RingName;
use sdvr_test_link::{Impairment, Link, Settings, Side};

use crate::loss::{FRAME_BYTES, FRAMES_PER_SECOND, ONE_WAY, WARM_UP};
use crate::system::{Keys, Network, System};

const LABEL: &str = "camera";
/// How long frames may stay away at most before it is given up.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
enum Interruption {
    Cut(Duration),
    AddressChange,
}

struct Case {
    name: &'static str,
    interruption: Interruption,
    target: &'static str,
    /// It takes so long that it happens only when it is named.
    only_by_name: bool,
}

const fn cut(name: &'static str, seconds: u64) -> Case {
    Case {
        name,
        interruption: Interruption::Cut(Duration::from_secs(seconds)),
        target: "frames again within 3000 ms of its end",
        only_by_name: seconds > 60,
    }
}

const CASES: [Case; 4] = [
    cut("cut of 1 s", 1),
    cut("cut of 30 s", 30),
    cut("cut of 600 s", 600),
    Case {
        name: "change of address",
        interruption: Interruption::AddressChange,
        target: "gap <= 500 ms",
        only_by_name: false,
    },
];

/// `only` names what is to happen, by a part of its name.
pub(crate) fn run(programs: &Path, only: Option<&str>) -> anyhow::Result<()> {
    for case in &CASES {
        let is_wanted = match only {
            Some(part) => case.name.contains(part),
            None => !case.only_by_name,
        };
        if is_wanted {
            let waited = measure(programs, case.interruption)?;
            println!(
                "{}: {} ms (target {})",
                case.name,
                waited.as_millis(),
                case.target
            );
        }
    }
    Ok(())
}

/// How long frames stay away after a cut has ended, or when the address changes.
fn measure(programs: &Path, interruption: Interruption) -> anyhow::Result<Duration> {
    let link = Arc::new(Link::new(&Settings::default())?);
    link.impair_both(Impairment {
        delay: ONE_WAY,
        ..Impairment::default()
    });
    let network = Network::Link {
        link: Arc::clone(&link),
        latency_ms: 120,
    };
    let system = System::start_in(programs, network, Keys::AsReleased)?;
    let source = format!("test:?format=BNCH&fps={FRAMES_PER_SECOND}&bytes={FRAME_BYTES}");
    let _client = system.client(LABEL, &source)?;
    system.wait_for_cameras(1)?;
    std::thread::sleep(WARM_UP);
    let (handshakes, ring) = (system.figures()?.handshakes, ring(&system)?);
    let waited = match interruption {
        Interruption::Cut(lasting) => {
            for side in Side::ALL {
                link.cut_for(side, lasting);
            }
            let end = Instant::now() + lasting;
            // Meanwhile what was on its way arrives, and what it lost is given up.
            std::thread::sleep(lasting);
            let (before, _) = system.totals();
            while system.totals().0 == before {
                ensure!(end.elapsed() < PATIENCE, "no frame came after {PATIENCE:?}");
                std::thread::sleep(Duration::from_millis(1));
            }
            end.elapsed()
        }
        Interruption::AddressChange => {
            let mut camera = Camera::open_in(&system.rings(), LABEL, sdvr::Start::Now)?;
            next(&mut camera)?;
            link.change_address(Side::A, Ipv4Addr::new(10, 77, 0, 77).into())?;
            let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
            for _ in 0..FRAMES_PER_SECOND * 3 {
                next(&mut camera)?;
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            // The daemon tells its figures once a second.
            std::thread::sleep(Duration::from_secs(2));
            let more = system.figures()?.handshakes - handshakes;
            ensure!(more == 0, "the session ended, and another one began");
            longest
        }
    };
    ensure!(self::ring(&system)? == ring, "there is another ring");
    Ok(waited)
}

fn next(camera: &mut Camera) -> anyhow::Result<Frame> {
    let frame = camera.next(Policy::Every, PATIENCE)?;
    frame.context("no frame came")
}

/// The one camera's ring.
fn ring(system: &System) -> anyhow::Result<PathBuf> {
    let files = std::fs::read_dir(system.rings())?.map(|file| file.map(|file| file.path()));
    let mut files = files.collect::<Result<Vec<_>, _>>()?;
    files.retain(|file| {
        file.file_name()
            .and_then(|name| name.to_str())
            .and_then(RingName::parse)
            .is_some()
    });
    ensure!(files.len() == 1, "not one ring: {files:?}");
    files.pop().context("no ring")
}
