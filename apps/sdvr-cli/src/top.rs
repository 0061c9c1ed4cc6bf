//! `sdvr top`: cameras and daemons, live in the terminal, or as lines for other programs.

#[cfg(test)]
mod cameras_for_tests;
mod column;
mod daemons;
mod figures;
mod input;
mod lines;
mod model;
mod recorders;
mod screen;
mod signals;
mod text;
mod view;

use std::io::IsTerminal;
use std::time::Duration;

use column::{Column, Order};
use figures::Looker;
use model::Model;

const HELP: &str = "\
Keys:
  up, down, PgUp, PgDn, Home, End   go through the cameras
  s or >, S or <                    sort by the next column, or the one before
  l t d f m 5 9 o n k a             sort by label, state, format, fps, Mbit/s,
                                    p50, p99, lost, resent, link, age
  r                                 sort the other way round
  /                                 show only cameras with these words:
                                    Enter keeps them, Esc shows all
  p                                 pause
  ?                                 help
  q                                 quit

FPS and MBIT/S are measured between two looks. P50 and P99 are latencies from
capture to being published here, of the frames since the last look; \"-\" where
the camera's clock is not known. LOST counts frames that were captured and did
not arrive, whatever the cause: a camera's host that is too slow, the link, an
interruption. It begins anew with each new ring of a camera; the sum in the line
of a daemon is since that daemon's start. RESENT counts packets that came when
they were sent again, \"-\" over TCP, which does that unseen. AGE is how long ago
the newest frame was published.

A narrow terminal shows the most important columns. There are no colours where
the terminal has none, or NO_COLOR is set. When standard output is no terminal,
the table is printed at each interval, as by \"top -b\".

Examples:
  sdvr top --sort lost                 those that lost most first
  sdvr top --filter 'udp stale'        those that have both words
  sdvr top --once > cameras.txt        one look, for people
  sdvr top --once --json | jq '.cameras[] | select(.state != \"live\").label'
  sdvr top --json --interval 10 >> log an object a line, each ten seconds";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// Seconds between two looks, 0.1 to 3600
    #[arg(long, value_name = "S", default_value = "1", value_parser = parse_interval)]
    interval: Duration,
    /// Sort by this column first: text from A to Z, numbers from the largest, states from the worst
    #[arg(long, value_name = "COLUMN", default_value = "label")]
    sort: Column,
    /// The other way round
    #[arg(long)]
    reverse: bool,
    /// Show only cameras that have all these words in their label, format, state, link or fingerprint
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Print once and end, after two looks one interval apart
    #[arg(long)]
    once: bool,
    /// Print an object with "time", "daemons" and "cameras": with --once one, else one a line at each interval
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let order = Order {
        column: arguments.sort,
        is_reversed: arguments.reverse,
    };
    let mut looker = Looker::default();
    let mut model = Model::new(order, &arguments.filter);
    model.take(looker.look());
    let has_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if arguments.once || arguments.json || !has_terminal || !screen::can_be_used() {
        return lines::run(arguments, looker, model);
    }
    screen::run(arguments.interval, looker, model)
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .filter(|seconds| (0.1..=3600.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "use a number of seconds from 0.1 to 3600".to_owned())
}
