//! The command line, made into finished values.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use sdvr_frame::{Ethertype, Fingerprint, FourCc, FrameRate, Label, MacAddress, ServerAddress};
use sdvr_session::{KeyLimits, PARITY_MOST_PERCENT};
use sdvr_source::v4l2::ControlSetting;
use sdvr_source::{CaptureOptions, CaptureTimes, PlayFrom, Source, SourceSpec};

use crate::destination::{Destination, EthernetPeer};

const EXAMPLES: &str = "\
Examples:
  sdvrc                                              the first camera of this host, to a daemon on this host
  sdvrc -d nvr.lan -i /dev/video2 -s 1280x720        another one, in this size
  sdvrc -d nvr.lan --all                             every camera of this host, as they come and go
  sdvrc -u -d nvr.lan                                by UDP: over wireless and other links that lose packets
  sdvrc -u -d nvr.lan --fec 20 --latency 150         to the other side of the world: a fifth more is sent, and nothing asked for
  sdvrc -o eth0 -d 02:73:64:76:72:0a                 by raw Ethernet, to a card on the same switch (`ip link` there)
  sdvrc --list                                       the cameras there are, with formats, sizes and rates
  sdvrc -i 'test:?format=MJPG'                       a test picture, to a daemon on this host
  sdvrc -d nvr.lan -i recording.mp4                  a recording, at its own times
  sdvrc -d nvr.lan -i recording.mkv --from 1h10m     from there on
  sdvrc -i yesterday.mp4 --times recorded -r 0       as fast as it goes, with the dates of yesterday
  sdvrc -d nvr.lan -i clip.mjpg -r 25 --loop         a file, 25 frames a second, again and again
  rpicam-vid -t 0 --codec mjpeg -o - | sdvrc -i -    any camera program on a pipe
  sdvrc -d nvr.lan -i - -n front-door < stream.h264  under a name of your choice

Sources:
  /dev/videoN                              a camera; MJPG if it has it, in the largest size with 25 frames a second, unless -f -s -r say otherwise
  test:?size=1280x720&fps=30&format=MJPG   a moving picture: MJPG, YUYV, NV12, GREY; count=N ends it, fps=0 is as fast as possible
  test:?format=BNCH&bytes=100000           measuring frames, for `sdvr verify`
  FILE or -                                MJPEG, H.264 or H.265 (Annex B), YUV4MPEG2; MP4, Matroska, WebM or IVF with H.264, H.265, VP8,
                                           VP9, AV1 or MJPEG, and Matroska with uncompressed frames, at their own times unless -r says otherwise;
                                           told apart by their content

Files and pipes without -r (or with -r 0) are never dropped from: the source waits for the network. With -r they are like a camera.
The first time, the server's key is remembered in ~/.sdvr/known_servers; another key is refused from then on.
Exit codes: 0 the source ended, 1 failed, 2 wrong usage, 3 the server has a different key (with --once).";

/// Streams a camera to an SDVR daemon.
#[derive(Debug, Parser)]
#[command(name = "sdvrc", version, about, after_help = EXAMPLES)]
pub struct Arguments {
    /// The server's name or address; with -o the address of its network card
    #[arg(short = 'd', value_name = "HOST|MAC", default_value = "localhost")]
    server: String,
    /// The server's port [default: 1337]
    #[arg(short = 'p', value_name = "PORT")]
    port: Option<u16>,
    /// Send by UDP instead of TCP: what is lost on the way is sent again only as long as it is of use, and delays no other frame
    #[arg(short = 'u', long)]
    udp: bool,
    /// Send in frames of Ethernet by this network interface, without IP, also with -u: needs the right to (CAP_NET_RAW)
    #[arg(
        short = 'o',
        value_name = "IFACE",
        requires = "server",
        conflicts_with = "port"
    )]
    interface: Option<String>,
    /// The frames' ethertype
    #[arg(long, value_name = "N", default_value_t = Ethertype::DEFAULT, requires = "interface")]
    ethertype: Ethertype,
    /// Let frames wait so long for parts that were lost on the way, 10 to 10,000 [default: four round trips, 40 to 120]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u16).range(10..=10_000))]
    latency: Option<u16>,
    /// Send so many per cent of each frame again as parity, 50 at most, which makes up for lost parts without asking: for round trips longer
    /// than the latency
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=i64::from(PARITY_MOST_PERCENT)))]
    fec: u8,
    /// Where the frames come from [default: the first camera of this host]
    #[arg(short = 'i', value_name = "SOURCE")]
    source: Option<SourceSpec>,
    /// The format: what to take of a camera, to make of a test picture, what a stream is
    #[arg(short = 'f', value_name = "FOURCC")]
    fourcc: Option<FourCc>,
    /// The size of a camera's or a test picture
    #[arg(short = 's', value_name = "WxH", value_parser = parse_size)]
    size: Option<(u32, u32)>,
    /// Frames a second; of files and pipes 0 is as fast as the network takes them, whatever their own times say
    #[arg(short = 'r', value_name = "FPS", value_parser = parse_rate)]
    rate: Option<FrameRate>,
    /// Send every N-th frame only
    #[arg(short = 'x', value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    every_nth: u32,
    /// The camera's name [default: made of the source and this host's name]
    #[arg(short = 'n', value_name = "LABEL")]
    label: Option<Label>,
    /// Keep keys and known servers here [default: ~/.sdvr]
    #[arg(short = 'k', value_name = "DIR")]
    key_directory: Option<PathBuf>,
    /// Send one frame for each SIGUSR1, and none else
    #[arg(short = 't')]
    on_trigger: bool,
    /// Stream every camera of this host, as they come and go
    #[arg(long, conflicts_with_all = ["source", "label", "once", "looped"])]
    all: bool,
    /// Set a control of the camera; may be given several times, and is done again when the camera comes back
    #[arg(id = "set", long = "set", value_name = "NAME=VALUE")]
    controls: Vec<ControlSetting>,
    /// Print the cameras of this host with their formats, sizes and rates, and end
    #[arg(long)]
    list: bool,
    /// Print the controls of the camera, and end
    #[arg(long = "controls", conflicts_with = "list")]
    list_controls: bool,
    /// Print as JSON
    #[arg(long)]
    json: bool,
    /// Begin again at the end of a file
    #[arg(long = "loop")]
    looped: bool,
    /// Begin later in a recording: at an offset from its first frame (90s, 1m30s, 1:30, 00:01:30), or at a date if it says when it was made
    /// (2026-11-23T14:05:00Z). That is with the last key frame at or before; with --loop at each round
    #[arg(long, value_name = "OFFSET|DATE", conflicts_with = "all")]
    from: Option<PlayFrom>,
    /// The capture times of a recording's frames: when they are played, or when they were recorded, however long ago that is
    #[arg(
        long,
        value_name = "WHICH",
        default_value = "now",
        conflicts_with = "all"
    )]
    times: Times,
    /// Accept this server key only, as `sdvr keys fingerprint` prints it on the server
    #[arg(long, value_name = "FINGERPRINT")]
    server_key: Option<Fingerprint>,
    /// Give up instead of connecting again
    #[arg(long)]
    once: bool,
    /// Renew keys sooner than they must be, for measurements: seconds of an epoch, and between handshakes
    #[arg(
        long,
        hide = true,
        value_name = "EPOCH,HANDSHAKE",
        env = "SDVR_KEY_SECONDS"
    )]
    key_seconds: Option<KeyLimits>,
}

/// Whose times frames of a recording have.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Times {
    Now,
    Recorded,
}

/// What the client needs to start.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) server: Destination,
    /// How long frames may wait at the server for what was lost, if the user says it.
    pub(crate) latency: Option<Duration>,
    /// How much parity frames have.
    pub(crate) parity_percent: u8,
    pub(crate) source: SourceSpec,
    pub(crate) capture: CaptureOptions,
    pub(crate) label: Label,
    pub(crate) label_is_chosen: bool,
    pub(crate) key_directory: PathBuf,
    pub(crate) server_key: Option<Fingerprint>,
    pub(crate) once: bool,
    pub(crate) on_trigger: bool,
    /// All cameras of this host instead of one source.
    pub(crate) all: bool,
    pub(crate) key_limits: KeyLimits,
}

/// What the user wants to know, instead of streaming.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// `--list`
    Cameras {
        /// `--json`
        as_json: bool,
    },
    /// `--controls`
    Controls {
        /// Of which camera.
        path: PathBuf,
        /// `--json`
        as_json: bool,
    },
}

impl Arguments {
    /// What is to be answered instead of streaming.
    ///
    /// # Errors
    ///
    /// When controls are asked for of what is no camera, or JSON of nothing.
    pub fn question(&self) -> anyhow::Result<Option<Question>> {
        let as_json = self.json;
        if self.list {
            return Ok(Some(Question::Cameras { as_json }));
        }
        if self.list_controls {
            return match self.source.clone().unwrap_or_else(first_camera) {
                SourceSpec::Device(path) => Ok(Some(Question::Controls { path, as_json })),
                _ => anyhow::bail!("only cameras have controls; name one with -i /dev/videoN"),
            };
        }
        anyhow::ensure!(!as_json, "--json goes with --list or --controls");
        Ok(None)
    }

    /// Checks what the parser could not.
    ///
    /// # Errors
    ///
    /// When the server's address is none, or there is no home directory.
    pub fn into_config(self) -> anyhow::Result<Config> {
        let source = match self.source {
            Some(source) => source,
            // Each is found by itself.
            None if self.all => SourceSpec::Device("/dev/video0".into()),
            None => first_camera(),
        };
        let name = Source::stable_name(&source);
        let server = match self.interface {
            Some(interface) => Destination::Ethernet(EthernetPeer {
                interface,
                ethertype: self.ethertype,
                mac: parse_server_mac(&self.server)?,
            }),
            None if self.udp => Destination::Udp(ServerAddress::parse(&self.server, self.port)?),
            None => Destination::Tcp(ServerAddress::parse(&self.server, self.port)?),
        };
        anyhow::ensure!(
            self.latency.is_none() || server.is_by_datagrams(),
            "--latency goes with -u or -o: over TCP nothing is lost on the way"
        );
        anyhow::ensure!(
            self.fec == 0 || server.is_by_datagrams(),
            "--fec goes with -u or -o: over TCP nothing is lost on the way"
        );
        Ok(Config {
            server,
            latency: self
                .latency
                .map(|latency_ms| Duration::from_millis(latency_ms.into())),
            parity_percent: self.fec,
            label_is_chosen: self.label.is_some(),
            label: self.label.unwrap_or_else(|| own_label(&name)),
            source,
            capture: CaptureOptions {
                rate: self.rate,
                size: self.size,
                fourcc: self.fourcc,
                every_nth: self.every_nth,
                looped: self.looped,
                from: self.from,
                times: match self.times {
                    Times::Now => CaptureTimes::Now,
                    Times::Recorded => CaptureTimes::Recorded,
                },
                controls: self.controls,
            },
            key_directory: match self.key_directory {
                Some(directory) => directory,
                None => sdvr_trust::default_path()?,
            },
            server_key: self.server_key,
            once: self.once,
            on_trigger: self.on_trigger,
            all: self.all,
            key_limits: self.key_seconds.unwrap_or_default(),
        })
    }
}

impl Config {
    /// The same for one of all cameras.
    pub(crate) fn for_camera(&self, source: SourceSpec, name: &str) -> Self {
        Self {
            source,
            label: own_label(name),
            label_is_chosen: false,
            all: false,
            ..self.clone()
        }
    }
}

/// The first camera of this host that can be opened. Where there is none, the name that one would have: it is what is then said to be missing.
fn first_camera() -> SourceSpec {
    let devices = sdvr_source::v4l2::devices();
    let usable = devices.iter().find(|device| device.problem.is_none());
    let first = usable.or_else(|| devices.first());
    let path = first.map_or_else(|| "/dev/video0".into(), |device| device.path.clone());
    SourceSpec::Device(path)
}

/// What a camera is called if the user does not say: what it is, and where.
fn own_label(name: &str) -> Label {
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy();
    Label::from_lossy(&format!("{name}-{host}"))
}

/// The address that `ip link` shows of the server's card, or the text that its key is remembered by.
fn parse_server_mac(text: &str) -> anyhow::Result<MacAddress> {
    let mac: MacAddress = text.strip_prefix("eth:").unwrap_or(text).parse()?;
    anyhow::ensure!(
        mac.is_of_one_card(),
        "{mac} is not the address of one network card, which a server has"
    );
    Ok(mac)
}

fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once('x').and_then(|(width, height)| {
        let (width, height): (u32, u32) = (width.parse().ok()?, height.parse().ok()?);
        (width > 0 && height > 0).then_some((width, height))
    });
    sides.ok_or_else(|| "use WIDTHxHEIGHT, such as 1280x720".to_owned())
}

fn parse_rate(text: &str) -> Result<FrameRate, String> {
    let rate: FrameRate = text
        .parse()
        .map_err(|error: sdvr_frame::ParseFormatError| error.to_string())?;
    if rate.as_f64() <= 10_000.0 {
        Ok(rate)
    } else {
        Err("use a rate up to 10000".to_owned())
    }
}

/// Sends the log to standard error from now on.
pub fn start_log() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        // Nobody may read the log, or its disk may be full: that is no reason to end.
        .log_internal_errors(false)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn impossible_values_are_refused() {
        for wrong in [
            &["-r", "10001"][..],
            &["-s", "0x0"],
            &["-x", "0"],
            &["-n", "a/b"],
            &["-f", "toolong"],
            &["--server-key", "x"],
            &["--key-seconds", "1"],
            &["-u", "--latency", "9"],
            &["-u", "--fec", "51"],
            &["--from", "yesterday"],
            &["--times", "then"],
            &["-o", "eth0"],
            &["--ethertype", "0x1337"],
            &[
                "-o",
                "eth0",
                "-d",
                "02:73:64:76:72:0a",
                "--ethertype",
                "0x0599",
            ],
        ] {
            let line = [&["sdvrc", "-i", "-"], wrong].concat();
            assert!(Arguments::try_parse_from(line).is_err(), "{wrong:?}");
        }
        assert!(Arguments::try_parse_from(["sdvrc"]).is_ok());
    }

    #[test]
    fn a_rate_of_zero_is_as_fast_as_it_goes() {
        let arguments = Arguments::try_parse_from(["sdvrc", "-i", "clip.mp4", "-r", "0"])
            .expect("the guide says so");
        assert_eq!(arguments.rate, Some(FrameRate::UNPACED));
    }
}
