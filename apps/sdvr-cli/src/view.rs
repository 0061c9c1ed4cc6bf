//! `sdvr view`: cameras in windows.

use sdvr_view::ViewOptions;

use crate::output::Interrupted;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which cameras [default: all, as they come and go]
    #[arg(value_name = "CAMERA")]
    cameras: Vec<String>,
    /// All in one window [default: a window each, up to four]
    #[arg(long)]
    mosaic: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let interrupted = Interrupted::listen()?;
    let mut options = ViewOptions::default();
    options.cameras.clone_from(&arguments.cameras);
    options.is_mosaic = arguments.mosaic;
    Ok(sdvr_view::run(options, move || interrupted.is_set())?)
}
