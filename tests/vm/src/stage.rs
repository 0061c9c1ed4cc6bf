//! One camera of the guest, streamed to a daemon on this host and read there: what nearly every test begins with.

use std::time::{Duration, Instant};

use sdvr_tests::System;

use crate::clip::Clip;
use crate::{Guest, Process, Turn, Watch, Webcam};

/// Promised are 3 s, which `cargo xtask bench camera` measures; in tests, the guest's processor is emulated on a machine that may be busy.
pub const BACK_WITHIN: Duration = Duration::from_secs(8);
/// Vivid with one camera, whose input is a webcam and not a tuner.
pub const ONE_CAMERA: &str = "n_devs=1 node_types=0x1 num_inputs=1 input_types=0";
/// The first camera's node.
pub const NODE: &str = "/dev/video0";
/// What every camera of a stage is called.
pub const LABEL: &str = "camera";

/// A system, the guest, and what was started in it. The parts end in this order.
#[derive(Debug)]
pub struct Stage {
    /// Reads every frame, on this host.
    pub watch: Watch,
    /// `sdvrc`, in the guest.
    pub client: Process,
    /// The guest.
    pub guest: Turn,
    /// The daemon, on this host.
    pub system: System,
}

/// What `sdvrc` says of its frames at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Frames that went out.
    pub sent: u64,
    /// Frames that it had and did not send: lost by us.
    pub not_sent: u64,
    /// Frames that the driver did not give, or gave as faulty.
    pub missing_at_source: u64,
    /// Frames that went out and did not arrive: only datagrams are lost.
    pub lost_on_the_way: u64,
}

impl Stage {
    /// The kernel's virtual camera, with parameters such as [`ONE_CAMERA`]; `prepare` is done before `sdvrc` is started with `options`.
    #[must_use]
    #[track_caller]
    pub fn vivid(parameters: &str, options: &str, prepare: impl FnOnce(&mut Guest)) -> Self {
        let (system, mut guest) = (System::with_daemon(), Guest::enter());
        guest.load_vivid(parameters);
        prepare(&mut guest);
        Self::start(system, guest, options)
    }

    /// A webcam.
    #[must_use]
    #[track_caller]
    pub fn webcam(mjpg: &Clip, h264: &Clip, options: &str) -> (Self, Webcam) {
        let (system, mut guest) = (System::with_daemon(), Guest::enter());
        let webcam = guest.plug_webcam(0, mjpg, h264);
        guest.wait_until(&format!("ls {NODE}"));
        (Self::start(system, guest, options), webcam)
    }

    fn start(system: System, mut guest: Turn, options: &str) -> Self {
        let watch = Watch::start(&system, LABEL);
        let client = guest.start_sdvrc(&system, &format!("-n {LABEL} -i {NODE} {options}"));
        Self {
            watch,
            client,
            guest,
            system,
        }
    }

    /// Waits until `sdvrc` has said so; gives its log.
    #[track_caller]
    pub fn wait_for_log(&mut self, text: &str) -> String {
        self.guest.wait_for_log(&self.client, text)
    }

    /// Waits for frames after `since`, which must not take long, and for some more.
    #[track_caller]
    pub fn comes_back_after(&mut self, since: Instant) {
        let back_after = self.watch.first_since(since);
        self.watch.wait_for(20);
        assert!(back_after < BACK_WITHIN, "{back_after:?}");
        assert!(self.guest.runs(&self.client));
    }

    /// The camera's key, by which the daemon knows it.
    #[must_use]
    #[track_caller]
    pub fn key(&self) -> serde_json::Value {
        let cameras = self.system.list();
        let camera = cameras.iter().find(|camera| camera["label"] == LABEL);
        let key = camera.unwrap()["fingerprint"].clone();
        assert!(key.is_string(), "{cameras:?}");
        key
    }

    /// Ends `sdvrc`, and compares what the reader missed with what was said: nothing was lost that nobody has counted.
    #[track_caller]
    pub fn end(mut self) -> Account {
        self.guest.stop(&self.client);
        let log = self.guest.log(&self.client);
        let account = Account::parse(&log);
        let missed = self.watch.missed();
        assert!(
            missed <= account.not_sent + account.missing_at_source + account.lost_on_the_way,
            "the reader missed {missed}, which is more than was said: {log}"
        );
        assert!(account.sent > 0, "{log}");
        account
    }
}

impl Account {
    /// Out of `sdvrc`'s log, which ends with it.
    #[track_caller]
    fn parse(log: &str) -> Self {
        let said = |name: &str| {
            let (_, said) = log.rsplit_once(&format!(" {name}="))?;
            let mut digits = said.split(|character: char| !character.is_ascii_digit());
            Some(digits.next().unwrap().parse().unwrap())
        };
        let figure = |name: &str| said(name).unwrap_or_else(|| panic!("no {name} in {log}"));
        Self {
            sent: figure("sent"),
            not_sent: figure("not_sent"),
            missing_at_source: figure("missing_at_source"),
            lost_on_the_way: said("lost_on_the_way").unwrap_or(0),
        }
    }
}
