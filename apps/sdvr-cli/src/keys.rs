//! `sdvr keys`: what this host is known by, whom it knows, and who may come in.

mod change;
mod list;

use std::path::PathBuf;

use anyhow::bail;
use sdvr_frame::Label;
use sdvr_trust::{KeyDirectory, TrustError, default_path};

use crate::output::WrongUsage;

const EXAMPLES: &str = "\
Examples:
  sdvr keys fingerprint                 what to compare on the other end
  sdvr keys list --json                 all that are remembered, for scripts
  sdvr keys pending                     which cameras wait (sdvrd --accept ask)
  sdvr keys approve SHA256:uT3vq0Xc     let one of them in, under the label it asks for
  sdvr keys revoke front-door --reason stolen
  sdvr keys forget front-door           the camera was replaced: its label is free
  sdvr keys rotate                      another key for this server; cameras follow by themselves
  sdvr keys rotate --camera front-door  another key for that camera of this host; servers follow
  sdvr keys forget nvr.lan              (on a camera's host) the server was reinstalled

A fingerprint's beginning is enough where it fits one key only. A running sdvrd follows within a second.
Exit codes: 0 done, 1 failed, 2 wrong usage, or a key that does not exist or fits two.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The key directory [default: ~/.sdvr]
    #[arg(short = 'k', value_name = "DIR", global = true)]
    directory: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the fingerprints of this host's own keys
    #[command(after_help = "\
Examples:
  sdvr keys fingerprint          on the server: what `sdvrc --server-key` takes
  sdvr keys fingerprint --json   as an array of objects")]
    Fingerprint {
        /// Print an array of objects
        #[arg(long)]
        json: bool,
    },
    /// List the servers and cameras that are remembered
    #[command(after_help = "\
Examples:
  sdvr keys list
  sdvr keys list --json")]
    List {
        /// Print an array of objects
        #[arg(long)]
        json: bool,
    },
    /// List the cameras that wait for approval
    #[command(after_help = "\
A camera waits when sdvrd runs with --accept ask, or when the label it asks for is another one's.

Examples:
  sdvr keys pending
  sdvr keys pending --json")]
    Pending {
        /// Print an array of objects
        #[arg(long)]
        json: bool,
    },
    /// Let a camera in that waits, or a key that was revoked
    #[command(after_help = "\
Compare the fingerprint with the one that the camera prints: whoever reaches the server can wait here under any label.
A key that was revoked is not any more: its camera comes in again under the label it has, or, if it was forgotten meanwhile,
under the one that --as gives it. Without one, its next contact is a first one.

Examples:
  sdvr keys approve SHA256:uT3vq0Xc
  sdvr keys approve SHA256:uT3vq0Xc --as yard    under another label than it asks for")]
    Approve {
        /// Which: its fingerprint, or at least eight characters of its beginning
        #[arg(value_name = "FINGERPRINT")]
        wanted: String,
        /// Give it this label instead of the one it asks for
        #[arg(long = "as", value_name = "LABEL")]
        label: Option<Label>,
    },
    /// Refuse a key from now on, whatever else is known of it
    #[command(after_help = "\
Ends the camera's session within a second. Its label stays its own until `sdvr keys forget`.
To take a revocation back: sdvr keys approve FINGERPRINT.

Examples:
  sdvr keys revoke front-door --reason \"stolen in May\"
  sdvr keys revoke SHA256:uT3vq0Xc")]
    Revoke {
        /// Which: a camera's label, or a fingerprint that is known here or the beginning of one
        #[arg(value_name = "FINGERPRINT|LABEL")]
        wanted: String,
        /// Why, for whoever reads the log
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Give this host another key as a server, or one of its cameras another
    #[command(after_help = "\
A running sdvrd announces it to the cameras that are connected, and to others when they come; each takes it when a
connection has proved it. Nothing is to be done on the cameras' hosts. The key before is good for 30 days.
Cameras that were given --server-key need the new fingerprint.

With --camera, on the camera's host: a running sdvrc announces the new key to its server within a second, and comes with it from
the next connection on, once the server has said that it is on its disk. Nothing is to be approved again. Servers take the key
before for 30 days after that; the camera keeps it for servers that it has not met since.

Examples:
  sdvr keys rotate
  sdvr keys rotate --camera front-door
  sdvr keys fingerprint          what it is from now on")]
    Rotate {
        /// Give this camera of this host another key, instead of the server
        #[arg(long, value_name = "LABEL")]
        camera: Option<String>,
    },
    /// Forget a server, a camera, or one that waits
    #[command(after_help = "\
Examples:
  sdvr keys forget front-door         its label is free; its session ends
  sdvr keys forget [nvr.lan]:1337     the next contact with it is a first one
  sdvr keys forget SHA256:uT3vq0Xc    a camera, or one that waits")]
    Forget {
        /// Which: a server's address, a camera's label, a fingerprint or the beginning of one
        #[arg(value_name = "[HOST]:PORT|LABEL|FINGERPRINT")]
        wanted: String,
    },
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let path = match &arguments.directory {
        Some(directory) => directory.clone(),
        None => default_path()?,
    };
    if !path.exists() {
        bail!(
            "{} does not exist; sdvrd and sdvrc make it when they first run",
            path.display()
        );
    }
    let directory = KeyDirectory::open(&path)?;
    let result = match &arguments.command {
        Command::Fingerprint { json } => list::fingerprint(&directory, *json),
        Command::List { json } => list::known(&directory, *json),
        Command::Pending { json } => list::pending(&directory, *json),
        Command::Approve { wanted, label } => change::approve(&directory, wanted, label.clone()),
        Command::Revoke { wanted, reason } => change::revoke(&directory, wanted, reason.as_deref()),
        Command::Rotate { camera: None } => change::rotate(&directory),
        Command::Rotate {
            camera: Some(label),
        } => change::rotate_camera(&directory, label),
        Command::Forget { wanted } => change::forget(&directory, wanted),
    };
    result.map_err(as_wrong_usage)
}

/// What was named does not exist, or may be two things: exit code 2.
fn as_wrong_usage(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<TrustError>() {
        Some(
            problem @ (TrustError::NotFound { .. }
            | TrustError::NotPending { .. }
            | TrustError::LabelRevoked { .. }
            | TrustError::Ambiguous { .. }),
        ) => WrongUsage(problem.to_string()).into(),
        _ => error,
    }
}
