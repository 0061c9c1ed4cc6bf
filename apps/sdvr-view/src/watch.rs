//! The thread that tells which cameras come and go, and when the user wants to go.

use std::thread;
use std::time::Duration;

use sdvr::{Cameras, Change};

/// How often the user is asked.
const ASK_INTERVAL: Duration = Duration::from_millis(100);

/// What the thread tells.
#[derive(Debug)]
pub(crate) enum Told {
    /// Also once, at the beginning, if there is none.
    Changes(Vec<Change>),
    /// It is to end, and the thread has.
    End,
}

/// Which cameras are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follow {
    All,
    /// They are known, and nobody has to be told of others.
    Named,
}

/// Starts the thread; it ends when `is_to_end` says so, or `tell` says that nobody listens.
pub(crate) fn start(
    follow: Follow,
    is_to_end: impl Fn() -> bool + Send + 'static,
    tell: impl Fn(Told) -> bool + Send + 'static,
) -> std::io::Result<()> {
    thread::Builder::new()
        .name("watch".to_owned())
        .spawn(move || {
            let mut cameras = Cameras::new();
            let mut is_first = true;
            loop {
                if is_to_end() {
                    tell(Told::End);
                    return;
                }
                let changes = match follow {
                    Follow::All => cameras.wait(if is_first {
                        Duration::ZERO
                    } else {
                        ASK_INTERVAL
                    }),
                    Follow::Named => {
                        thread::sleep(ASK_INTERVAL);
                        Vec::new()
                    }
                };
                if (is_first || !changes.is_empty()) && !tell(Told::Changes(changes)) {
                    return;
                }
                is_first = false;
            }
        })?;
    Ok(())
}
