//! `cargo xtask`: builds, tests and measures the workspace.

mod bench;
mod browser;
mod fuzz;
mod install;
mod packages;
mod test;
mod tools;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, tests and measures the workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install what the tests need, and run them all
    Test {
        /// Install without asking
        #[arg(long)]
        yes: bool,
        /// Run only the tests whose names contain this
        filter: Option<String>,
    },
    /// Run the tests of real camera drivers, in a virtual machine
    VmTest {
        /// Install without asking
        #[arg(long)]
        yes: bool,
        /// Run only the tests whose names contain this, or those of one file: units
        filter: Option<String>,
    },
    /// Give the parsers what nobody would write, for a while
    Fuzz(fuzz::Arguments),
    /// Formatting, lints and licences
    Check,
    /// Measure, beside a floor that is measured in the same run
    Bench {
        #[command(subcommand)]
        bench: Bench,
    },
    /// What the tests do to programs, more often
    Faults {
        #[command(subcommand)]
        faults: Faults,
    },
    /// Build everything as it is released, and install programs, libraries, headers and manual pages
    Install(install::Arguments),
    /// Write the header of the C library, bindings/c/include/sdvr.h
    Header,
    /// Write the manual pages of sdvr, sdvrc and sdvrd into a directory
    Man {
        /// Where; made if it is not there
        directory: std::path::PathBuf,
    },
    /// Build everything and run the demonstration (`cargo demo`)
    Demo {
        /// What `sdvr demo` is told, such as --seconds 10
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Daemon and client over TCP on loopback: cost, latency, many cameras
    Tcp,
    /// The same over UDP
    Udp {
        /// Only two ordinary cameras at once, for so long
        #[arg(long)]
        minutes: Option<u32>,
    },
    /// The same over raw Ethernet, between two interfaces that it makes: as root
    Ethernet {
        /// Only two ordinary cameras at once, for so long
        #[arg(long)]
        minutes: Option<u32>,
    },
    /// Ten cameras at once over UDP across bad networks, beside SRT where srt-tools is installed: as root
    Loss {
        /// 2,000 frames a cell instead of 20,000
        #[arg(long)]
        quick: bool,
        /// Only the cells whose names contain this
        filter: Option<String>,
    },
    /// Throughput with keys that are renewed every second, against none
    Keys,
    /// Memory of a camera that hardly sends
    Idle,
    /// A thousand new cameras at once: until all stream, and their keys on disk
    Crowd,
    /// Reading and decoding, in Rust and Python; consumers beside stopped, killed and slow ones
    Consumers {
        /// Only the parts whose names contain this: copying, decoding, first, python, group, disturbed
        filter: Option<String>,
    },
    /// Looking at cameras: in a window, in a browser, in fifty of them
    View {
        /// Only the parts whose names contain this: window, page, mosaic, sockets
        filter: Option<String>,
    },
    /// Recording cameras: many of them, a very large one, starting with much that is recorded
    Record {
        /// Only the parts whose names contain this: many, large, start
        filter: Option<String>,
    },
    /// The ring: waking, torn frames, copying
    Ring,
    /// Cameras before the kernel's drivers, in a virtual machine: back after being unplugged, lost frames, memory, allocations
    Camera {
        /// Install without asking
        #[arg(long)]
        yes: bool,
        /// Only the figures whose names contain this
        filter: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum Faults {
    /// Kill a recorder at random moments, and look at what it has left
    Record {
        /// How often
        #[arg(long, default_value_t = 1000)]
        kills: u32,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Test { yes, filter } => test::run(yes, filter.as_deref()),
        Command::VmTest { yes, filter } => vm::run(yes, filter.as_deref()),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Check => test::check(),
        Command::Bench { bench: Bench::Tcp } => bench::tcp(),
        Command::Bench {
            bench: Bench::Udp { minutes },
        } => bench::udp(minutes),
        Command::Bench {
            bench: Bench::Ethernet { minutes },
        } => bench::ethernet(minutes),
        Command::Bench {
            bench: Bench::Loss { quick, filter },
        } => bench::loss(quick, filter.as_deref()),
        Command::Bench { bench: Bench::Keys } => bench::keys(),
        Command::Bench { bench: Bench::Idle } => bench::idle(),
        Command::Bench {
            bench: Bench::Crowd,
        } => bench::crowd(),
        Command::Bench {
            bench: Bench::Consumers { filter },
        } => bench::consumers(filter.as_deref()),
        Command::Bench {
            bench: Bench::View { filter },
        } => bench::view(filter.as_deref()),
        Command::Bench {
            bench: Bench::Record { filter },
        } => bench::record(filter.as_deref()),
        Command::Faults {
            faults: Faults::Record { kills },
        } => bench::record_faults(kills),
        Command::Bench { bench: Bench::Ring } => bench::ring(),
        Command::Bench {
            bench: Bench::Camera { yes, filter },
        } => vm::bench(yes, filter.as_deref()),
        Command::Install(arguments) => install::install(&arguments),
        Command::Header => tools::header(),
        Command::Man { directory } => tools::man(&directory),
        Command::Demo { arguments } => tools::demo(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
