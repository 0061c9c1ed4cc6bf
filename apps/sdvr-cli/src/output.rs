//! What subcommands share: times as arguments, wrong usage, being interrupted, a reader that went away, and how figures are written.

use std::fmt::Display;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

/// What was asked for cannot be done, whatever the cameras do: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WrongUsage(pub(crate) String);

/// Set by SIGINT and SIGTERM.
#[derive(Clone, Debug)]
pub(crate) struct Interrupted(Arc<AtomicBool>);

impl Interrupted {
    /// From now on these signals do not end the program but this value tells of them.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // The second one ends the program, whatever it is doing.
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag))?;
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    pub(crate) fn is_set(&self) -> bool {
        // Relaxed: nothing else hangs on it.
        self.0.load(Ordering::Relaxed)
    }
}

/// Reads how long something is to go on.
pub(crate) fn parse_seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|seconds| (0.0..=86_400.0).contains(seconds))
        .ok_or_else(|| "use a number of seconds from 0 to 86400".to_owned())
}

/// Writes a line to standard output.
///
/// # Errors
///
/// When it cannot be written; see [`is_broken_pipe`].
pub(crate) fn print_line(line: impl Display) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .context(NOT_WRITTEN)
}

/// Says something on standard error. Whether anybody reads it makes no difference.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// What failed when standard output does not take any more.
pub(crate) const NOT_WRITTEN: &str = "cannot write to standard output";

/// Whether standard output's reader went away.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

/// Microseconds as milliseconds for people.
#[expect(clippy::cast_precision_loss, reason = "for display")]
pub(crate) fn milliseconds(microseconds: u64) -> String {
    format!("{:.2} ms", microseconds as f64 / 1000.0)
}
