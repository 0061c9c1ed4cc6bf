//! A window that fills the screen, also where nobody manages windows.

use std::time::{Duration, Instant};

use winit::dpi::PhysicalSize;
use winit::window::{Fullscreen, Window};

/// Who manages windows makes one as large as the screen within this time; if nobody does, the window does it itself.
const PATIENCE: Duration = Duration::from_millis(300);

/// Whether a window fills the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FullScreen {
    Off,
    Asked {
        since: Instant,
    },
    On,
    /// Nobody manages windows; the window was of this size.
    ByItself {
        before: PhysicalSize<u32>,
    },
}

impl FullScreen {
    pub(super) fn toggle(&mut self, window: &Window, now: Instant) {
        *self = match *self {
            Self::Off => {
                window.set_fullscreen(Some(Fullscreen::Borderless(None)));
                Self::Asked { since: now }
            }
            Self::Asked { .. } | Self::On => {
                window.set_fullscreen(None);
                Self::Off
            }
            Self::ByItself { before } => {
                window.set_fullscreen(None);
                let _ = window.request_inner_size(before);
                Self::Off
            }
        };
    }

    /// Looks what became of it.
    pub(super) fn handle_time(&mut self, window: &Window, now: Instant) {
        let Self::Asked { since } = *self else {
            return;
        };
        let Some(monitor) = window.current_monitor() else {
            return;
        };
        let before = window.inner_size();
        if before == monitor.size() {
            *self = Self::On;
        } else if now.saturating_duration_since(since) >= PATIENCE {
            *self = Self::ByItself { before };
            window.set_outer_position(monitor.position());
            let _ = window.request_inner_size(monitor.size());
        }
    }
}
