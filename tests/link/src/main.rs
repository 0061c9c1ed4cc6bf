//! `sdvr-test-link`: a bad network by hand.

use std::process::{Child, ExitCode, Stdio};
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use rustix::process::{Pid, Signal, kill_process};
use sdvr_test_link::flow::{self, Carrier, Flow};
use sdvr_test_link::{Counters, Impairment, Jitter, Link, Loss, Rate, Reordering, Settings, Side};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How long the relay may need to fetch what programs sent last, on a busy machine.
const DRAINING: Duration = Duration::from_millis(100);
/// For what is under way when the programs have ended.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A bad network between two network namespaces, until Ctrl-C, or until the programs given by --a and --b have ended. Needs root.
#[derive(Debug, Parser)]
#[command(name = "sdvr-test-link", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Measuring>,
    #[command(flatten)]
    impairment: ImpairmentArguments,
    /// Which side's sending is impaired
    #[arg(long, default_value = "both")]
    from: Senders,
    /// Where all chances come from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// MTU of both interfaces, in bytes
    #[arg(long, default_value_t = 1_500, value_parser = clap::value_parser!(u16).range(1_280..=65_521))]
    mtu: u16,
    /// A shell command to run in namespace A
    #[arg(long, value_name = "COMMAND")]
    a: Option<String>,
    /// A shell command to run in namespace B, started before that of A
    #[arg(long, value_name = "COMMAND")]
    b: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Measuring {
    /// Measure what the link itself carries, and how exact its delays are
    Measure {
        /// For how long each
        #[arg(long, default_value = "3s", value_parser = humantime::parse_duration)]
        lasting: Duration,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Senders {
    Both,
    A,
    B,
}

#[derive(Debug, Clone, Copy, Args)]
struct ImpairmentArguments {
    /// Of all frames, how many are lost
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    loss: f64,
    /// Lose so many frames in a row instead of single ones
    #[arg(long, value_name = "FRAMES", conflicts_with = "outage")]
    burst: Option<u32>,
    /// Lose everything for so long at a time instead of single frames
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    outage: Option<Duration>,
    /// How long a frame is under way
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    delay: Duration,
    /// How much longer it may be, uniformly distributed
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    jitter: Duration,
    /// Jitter does not let frames overtake others
    #[arg(long)]
    in_order: bool,
    /// How many frames are held back
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    reorder: f64,
    /// For how long they are held back
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = humantime::parse_duration)]
    held_back: Duration,
    /// How many frames arrive twice
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    duplicate: f64,
    /// How many frames have a bit flipped
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    corrupt: f64,
    /// How much passes
    #[arg(long, value_name = "MBIT/S")]
    rate: Option<f64>,
    /// How many bytes wait before the narrow place that --rate makes
    #[arg(long, value_name = "BYTES", default_value_t = 100_000)]
    queue: usize,
    /// Larger packets than this vanish, and nobody is told
    #[arg(long, value_name = "BYTES")]
    black_hole: Option<usize>,
}

impl ImpairmentArguments {
    fn impairment(self) -> Impairment {
        let share = self.loss / 100.0;
        let jitter = if self.in_order {
            Jitter::InOrder(self.jitter)
        } else {
            Jitter::Overtaking(self.jitter)
        };
        Impairment {
            loss: match (self.burst, self.outage) {
                (Some(frames), _) => Loss::Bursts { share, frames },
                (None, Some(lasting)) => Loss::Outages { share, lasting },
                (None, None) => Loss::Random { share },
            },
            delay: self.delay,
            jitter: if self.jitter.is_zero() {
                Jitter::None
            } else {
                jitter
            },
            reordering: Reordering {
                probability: self.reorder / 100.0,
                held_back: self.held_back,
            },
            duplication: self.duplicate / 100.0,
            corruption: self.corrupt / 100.0,
            rate: self.rate.map(|megabits| Rate {
                bits_per_second: bits_per_second(megabits),
                queue_bytes: self.queue,
            }),
            largest_packet_bytes: self.black_hole,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is out of range becomes the nearest that is not"
)]
fn bits_per_second(megabits: f64) -> u64 {
    (megabits * 1e6) as u64
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Some(Measuring::Measure { lasting }) => measure(lasting),
        None => run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sdvr-test-link: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let link = Link::new(&Settings {
        seed: arguments.seed,
        mtu_bytes: arguments.mtu.into(),
        impairment: Impairment::default(),
    })?;
    for (side, alone) in [(Side::A, Senders::A), (Side::B, Senders::B)] {
        if arguments.from == Senders::Both || arguments.from == alone {
            link.impair(side, arguments.impairment.impairment());
        }
        eprintln!(
            "{side:?}: {}, {}, run programs with: nsenter --net={} --",
            link.ipv4(side),
            link.ipv6(side),
            link.path(side)
        );
    }
    // Before programs are started, so that Ctrl-C, which they get as well, leaves the time to count.
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let children = [(Side::B, &arguments.b), (Side::A, &arguments.a)]
        .into_iter()
        .filter_map(|(side, line)| line.as_ref().map(|line| start(&link, side, line)))
        .collect::<anyhow::Result<Vec<Child>>>()?;
    if children.is_empty() {
        signals.forever().next();
    } else {
        wait_for(children, &mut signals)?;
        // What they sent last is still under way.
        let ImpairmentArguments { delay, jitter, .. } = arguments.impairment;
        std::thread::sleep(delay.saturating_add(jitter).min(LONGEST_WAIT) + DRAINING);
    }
    for side in Side::ALL {
        let (counters, overruns) = (link.counters(side), link.overruns(side));
        eprintln!("from {side:?}: {}", text_of(&counters, overruns));
    }
    Ok(())
}

fn start(link: &Link, side: Side, line: &str) -> anyhow::Result<Child> {
    link.command(side, "sh")
        .args(["-c", line])
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {line} in {side:?}"))
}

/// Until all have ended. What ends this process is passed on to them: their network ends with it.
fn wait_for(mut children: Vec<Child>, signals: &mut Signals) -> anyhow::Result<()> {
    while !children.is_empty() {
        for signal in signals.pending() {
            pass_on(signal, &children);
        }
        let mut running = Vec::new();
        for mut child in children {
            if child.try_wait()?.is_none() {
                running.push(child);
            }
        }
        children = running;
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn pass_on(signal: i32, children: &[Child]) {
    let signal = match signal {
        SIGINT => Signal::INT,
        _ => Signal::TERM,
    };
    for pid in children
        .iter()
        .filter_map(|child| Pid::from_raw(child.id().cast_signed()))
    {
        // One that has ended meanwhile is not waited for yet, so the number is still its own.
        let _ = kill_process(pid, signal);
    }
}

/// What the link carries of what is offered, with 10 ms of delay each way, and how exact delays are.
fn measure(lasting: Duration) -> anyhow::Result<()> {
    let delay = Duration::from_millis(10);
    let link = Link::new(&Settings {
        impairment: Impairment {
            delay,
            ..Impairment::default()
        },
        ..Settings::default()
    })?;
    for (carrier, size_bytes) in [(Carrier::Udp, 1_200), (Carrier::Ethernet, 1_514)] {
        for megabits in [1, 100, 300, 500, 800, 1_200] {
            let flow = Flow {
                carrier,
                size_bytes,
                bits_per_second: megabits * 1_000_000,
                lasting,
            };
            let overruns = link.overruns(Side::A);
            let outcome = flow::run(&link, Side::A, &flow)?;
            let later = |permille| {
                let late = outcome
                    .delay(permille)
                    .unwrap_or_default()
                    .saturating_sub(delay);
                late.as_micros()
            };
            println!(
                "{carrier:?} {size_bytes} B: offered {megabits} Mbit/s, arrived {:.1} Mbit/s, {} of {} packets ({} sent too fast), later than {delay:?} by {} us p50, {} us p99",
                outcome.bits_per_second() / 1e6,
                outcome.delays.len(),
                outcome.sent,
                link.overruns(Side::A) - overruns,
                later(500),
                later(990),
            );
        }
    }
    Ok(())
}

fn text_of(counters: &Counters, overruns: u64) -> String {
    let named = [
        ("sent", counters.sent),
        ("bytes", counters.sent_bytes),
        ("arrived", counters.arrived),
        ("bytes arrived", counters.arrived_bytes),
        ("lost", counters.lost),
        ("doubled", counters.doubled),
        ("overtaken", counters.overtaken),
        ("corrupted", counters.corrupted),
        ("dropped at a full queue", counters.queue_full),
        ("too large", counters.too_large),
        ("interface down", counters.interface_down),
        ("sent too fast for this machine", overruns),
    ];
    let said = named
        .iter()
        .enumerate()
        .filter(|(at, (_, count))| *at < 4 || *count > 0)
        .map(|(_, (name, count))| format!("{count} {name}"));
    said.collect::<Vec<_>>().join(", ")
}
