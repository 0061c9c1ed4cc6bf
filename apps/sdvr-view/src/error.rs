//! Why there is nothing to see.

/// Why there is nothing to see, or not any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// Neither a Wayland compositor nor an X server was reached.
    #[error(
        "there is no screen to show windows on ({cause}). Start it in a graphical session, where WAYLAND_DISPLAY or DISPLAY is set; from another host by `ssh -X`; or use `sdvr web` and a browser"
    )]
    NoScreen {
        /// What was said.
        cause: String,
    },
    /// A library of the system is missing, which is looked for when it is needed.
    #[error(
        "a library of the system is missing ({cause}). With a Wayland compositor libwayland-client and libxkbcommon are needed, with an X server libX11, libX11-xcb, libXcursor, libXi, libxkbcommon and libxkbcommon-x11; on Debian and Ubuntu: apt-get install libwayland-client0 libxkbcommon0 libx11-6 libx11-xcb1 libxcursor1 libxi6 libxkbcommon-x11-0. Or use `sdvr web` and a browser"
    )]
    NoLibrary {
        /// What was said.
        cause: String,
    },
    /// The screen was there, and is gone or does not take pictures.
    #[error("the screen cannot be drawn on: {cause}")]
    Screen {
        /// What was said.
        cause: String,
    },
    /// The system has no thread left.
    #[error("cannot start a thread: {0}; is `ulimit -u` reached?")]
    Thread(#[from] std::io::Error),
}

impl ViewError {
    pub(crate) fn screen(cause: impl std::fmt::Display) -> Self {
        Self::Screen {
            cause: cause.to_string(),
        }
    }
}
