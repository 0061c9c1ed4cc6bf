//! The command line, made into finished values.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use sdvr_frame::{DEFAULT_PORT, Ethertype};
use sdvr_session::KeyLimits;
use sdvr_trust::Acceptance;

use crate::account::{self, Account, parse_user};
use crate::log::LogFormat;

/// Interfaces at most: each has a socket and a buffer in the kernel for every thread.
const INTERFACES_MOST: usize = 8;

const EXAMPLES: &str = "\
Examples:
  sdvrd                              listen on all addresses, port 1337
  sdvrd -l 127.0.0.1 -p 1400         on one address and another port
  sdvrd --memory 2G --ring-seconds 5 keep more of each camera
  sdvrd --accept ask                 let new cameras wait for approval
  sudo sdvrd -p 443 --user sdvr      open a port that is root's and become another user
  sudo sdvrd -i eth0                 take cameras by raw Ethernet, too
  sdvr ls                            (in another terminal) what has connected

Cameras are trusted on first use: the first key that comes under a label owns it, and every later one is refused.
With --accept ask, a new camera waits until `sdvr keys approve` (`sdvr keys pending` lists those that wait); with --accept
closed, only cameras that are known come in. `sdvr keys list` shows them, `sdvr keys forget` and `sdvr keys revoke` take one back.
Events are logged on standard error; one line on standard output says that the daemon is ready.";

/// Receives cameras and publishes their frames in shared memory.
#[derive(Debug, Parser)]
#[command(name = "sdvrd", version, about, after_help = EXAMPLES)]
pub struct Arguments {
    /// Listen on this address only [default: all of IPv6 and IPv4]
    #[arg(short = 'l', value_name = "ADDR")]
    address: Option<IpAddr>,
    /// Listen on this port; 0 takes a free one
    #[arg(short = 'p', value_name = "PORT", default_value_t = DEFAULT_PORT)]
    port: u16,
    /// Take cameras by raw Ethernet on this interface, too; may be given for several, eight at most
    #[arg(short = 'i', value_name = "IFACE")]
    interfaces: Vec<String>,
    /// The ethertype of raw Ethernet, the same on both sides
    #[arg(long, value_name = "NUMBER", default_value_t = Ethertype::DEFAULT, requires = "interfaces")]
    ethertype: Ethertype,
    /// Keep keys and known cameras here [default: ~/.sdvr]
    #[arg(short = 'k', value_name = "DIR")]
    key_directory: Option<PathBuf>,
    /// Publish frames here [default: /dev/shm/sdvr-UID]
    #[arg(long, value_name = "DIR", env = "SDVR_SHM_DIR")]
    shm_dir: Option<PathBuf>,
    /// Become this user once the port is open, with his directories (to be started by root)
    #[arg(long, value_name = "USER", value_parser = parse_user)]
    user: Option<Account>,
    /// Let this group read the frames
    #[arg(long, value_name = "GROUP", value_parser = parse_group)]
    group: Option<u32>,
    /// How strangers are let in
    #[arg(long, value_name = "MODE", default_value = "tofu")]
    accept: AcceptMode,
    /// Shared memory for all cameras together, such as 512M or 4G [default: half of what is free]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    memory: Option<u64>,
    /// Keep about this much of a compressed camera
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = parse_seconds)]
    ring_seconds: f64,
    /// Threads that receive frames [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// How the log is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log: LogFormat,
    /// Renew keys sooner than they must be, for measurements: seconds of an epoch, and between handshakes
    #[arg(
        long,
        hide = true,
        value_name = "EPOCH,HANDSHAKE",
        env = "SDVR_KEY_SECONDS"
    )]
    key_seconds: Option<KeyLimits>,
}

/// How strangers are let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum AcceptMode {
    /// Trust on first use: a new key is remembered, a changed one refused
    Tofu,
    /// A new key waits until `sdvr keys approve`
    Ask,
    /// Only keys that are known
    Closed,
}

impl From<AcceptMode> for Acceptance {
    fn from(mode: AcceptMode) -> Self {
        match mode {
            AcceptMode::Tofu => Self::Tofu,
            AcceptMode::Ask => Self::Ask,
            AcceptMode::Closed => Self::Closed,
        }
    }
}

/// What the daemon needs to start.
#[derive(Debug)]
pub struct Config {
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: u16,
    /// For raw Ethernet.
    pub(crate) interfaces: Vec<String>,
    pub(crate) ethertype: Ethertype,
    pub(crate) key_directory: PathBuf,
    pub(crate) shm_dir: PathBuf,
    pub(crate) user: Option<Account>,
    pub(crate) group: Option<u32>,
    pub(crate) acceptance: Acceptance,
    /// Bytes for all rings; `None`: half of what is free.
    pub(crate) memory: Option<u64>,
    pub(crate) ring_time: Duration,
    pub(crate) threads: u16,
    pub(crate) key_limits: KeyLimits,
}

impl Arguments {
    /// Reads the command line. Who uses it wrongly is told so, and the program ends with 2.
    #[must_use]
    pub fn read() -> Self {
        let arguments = Self::parse();
        if let Err(error) = check_interfaces(&arguments.interfaces) {
            Self::command()
                .error(ErrorKind::ValueValidation, error)
                .exit();
        }
        arguments
    }

    /// Checks what the parser could not.
    ///
    /// # Errors
    ///
    /// When there is no home directory.
    pub fn into_config(self) -> anyhow::Result<Config> {
        let (uid, home, group) = match &self.user {
            Some(user) => (user.uid, Some(user.home.clone()), self.group),
            None => (
                rustix::process::geteuid(),
                account::sudo_home(),
                self.group.or_else(account::sudo_group),
            ),
        };
        let threads = self.threads.unwrap_or_else(|| {
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            u16::try_from(cores.min(256)).unwrap_or(256)
        });
        Ok(Config {
            address: self.address,
            port: self.port,
            interfaces: self.interfaces,
            ethertype: self.ethertype,
            key_directory: match (self.key_directory, home) {
                (Some(directory), _) => directory,
                (None, Some(home)) => home.join(".sdvr"),
                (None, None) => sdvr_trust::default_path()?,
            },
            shm_dir: self
                .shm_dir
                .unwrap_or_else(|| PathBuf::from(format!("/dev/shm/sdvr-{}", uid.as_raw()))),
            user: self.user,
            group,
            acceptance: self.accept.into(),
            memory: self.memory,
            ring_time: Duration::from_secs_f64(self.ring_seconds),
            threads,
            key_limits: self.key_seconds.unwrap_or_default(),
        })
    }
}

/// The number of a group given by name or number.
fn parse_group(group: &str) -> Result<u32, String> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let groups = std::fs::read_to_string("/etc/group").map_err(|error| {
        format!("cannot read /etc/group ({error}); give the group's number instead")
    })?;
    groups
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| *name == group)
        .and_then(|(_, rest)| rest.split(':').nth(1)?.parse().ok())
        .ok_or_else(|| "there is no such group; `getent group` lists them".to_owned())
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let shift = match text
        .get(digits.len()..)
        .unwrap_or_default()
        .to_ascii_lowercase()
        .trim_end_matches("ib")
        .trim_end_matches('b')
    {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err("use a number of bytes with K, M, G or T, such as 512M".to_owned()),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "use a number of bytes with K, M, G or T, such as 512M".to_owned())?;
    let bytes = number
        .checked_mul(1 << shift)
        .ok_or("that is more memory than there is")?;
    if bytes < 1 << 20 {
        Err("at least 1M is needed".to_owned())
    } else {
        Ok(bytes)
    }
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=600.0).contains(&seconds) => Ok(seconds),
        _ => Err("use a number of seconds from 0.1 to 600".to_owned()),
    }
}

/// Whether raw Ethernet can be received on all of them.
fn check_interfaces(interfaces: &[String]) -> Result<(), String> {
    let mut seen = HashSet::new();
    if let Some(twice) = interfaces.iter().find(|interface| !seen.insert(*interface)) {
        return Err(format!("-i {twice} is given twice\n"));
    }
    if interfaces.len() > INTERFACES_MOST {
        return Err(format!(
            "raw Ethernet on more than {INTERFACES_MOST} interfaces (-i) is more than one daemon takes; start another one for the others\n"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse_bytes("512M"), Ok(512 << 20));
        assert_eq!(parse_bytes("4GiB"), Ok(4 << 30));
        assert_eq!(parse_bytes("2097152"), Ok(2 << 20));
        for wrong in ["", "M", "1X", "-1M", "1023K", "99999999999T"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_a_wrong_use() {
        for wrong in [
            ["--group", "no-such-group"],
            ["--memory", "much"],
            ["--ring-seconds", "0"],
            ["--threads", "0"],
            ["--accept", "all"],
            ["--key-seconds", "soon"],
        ] {
            let error = Arguments::try_parse_from(["sdvrd", wrong[0], wrong[1]]).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{error}");
            assert!(error.to_string().contains(wrong[0]), "{error}");
        }
        let root = Arguments::try_parse_from(["sdvrd", "--group", "root"]).unwrap();
        let number = Arguments::try_parse_from(["sdvrd", "--group", "4711"]).unwrap();
        assert_eq!((root.group, number.group), (Some(0), Some(4711)));
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn interfaces_are_eight_different_ones_at_most() {
        let named = |count: usize| -> Vec<String> {
            (0..count).map(|number| format!("eth{number}")).collect()
        };
        let mut interfaces = named(8);
        assert_eq!(check_interfaces(&interfaces), Ok(()));
        interfaces[7] = "eth0".to_owned();
        let error = check_interfaces(&interfaces).unwrap_err();
        assert!(error.contains("-i eth0 is given twice"), "{error}");
        let error = check_interfaces(&named(9)).unwrap_err();
        assert!(error.contains("more than 8"), "{error}");
    }
}
