//! `sdvr top`: cameras and daemons, live in the terminal.

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print an object: with --once one, else one a second
    #[arg(long)]
    json: bool,
    /// Print the table once
    #[arg(long)]
    once: bool,
}

pub(crate) fn run(_arguments: &Arguments) -> anyhow::Result<()> {
    Ok(())
}
