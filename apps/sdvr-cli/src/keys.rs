//! `sdvr keys`: what this host is known by, and whom it knows.

use std::path::PathBuf;

use anyhow::bail;
use sdvr_frame::Timestamp;
use sdvr_trust::{Forgotten, KeyDirectory, KnownCameras, KnownServers, default_path};

use crate::output::{print_line, say};

#[derive(Debug, clap::Args)]
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
    Fingerprint,
    /// List the servers and cameras that are remembered
    List,
    /// Forget a server (`[host]:port`) or a camera (its label or fingerprint)
    Forget {
        /// Which
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
    match &arguments.command {
        Command::Fingerprint => fingerprint(&directory),
        Command::List => list(directory),
        Command::Forget { wanted } => forget(&directory, wanted),
    }
}

fn fingerprint(directory: &KeyDirectory) -> anyhow::Result<()> {
    let server = directory.existing_server_key()?;
    let cameras = directory.camera_keys()?;
    if server.is_none() && cameras.is_empty() {
        say("no keys yet; sdvrd and sdvrc make them when they first run");
    }
    if let Some(key) = server {
        print_line(format_args!("{}  server", key.public_key().fingerprint()))?;
    }
    for (label, key) in cameras {
        print_line(format_args!("{}  camera {label}", key.fingerprint()))?;
    }
    Ok(())
}

fn list(directory: KeyDirectory) -> anyhow::Result<()> {
    for server in KnownServers::new(&directory).list()? {
        print_line(format_args!(
            "server  {}  {}  first {}  last {}",
            server.address,
            server.key.fingerprint(),
            server.first_seen(),
            server.last_seen()
        ))?;
    }
    for camera in KnownCameras::load(directory, Timestamp::now())?.list() {
        print_line(format_args!(
            "camera  {}  {}  added {}  by {}",
            camera.label,
            camera.key.fingerprint(),
            camera.added(),
            camera.via()
        ))?;
    }
    Ok(())
}

fn forget(directory: &KeyDirectory, wanted: &str) -> anyhow::Result<()> {
    match sdvr_trust::forget(directory, wanted)? {
        Forgotten::Server { address } => {
            print_line(format_args!(
                "forgot the server {address}; the next contact with it is a first one"
            ))?;
        }
        Forgotten::Camera { label, .. } => {
            print_line(format_args!(
                "forgot the camera {label}; its session ends, and the next camera that asks for the label gets it"
            ))?;
        }
    }
    Ok(())
}
