//! What the user asks for with keys and with the buttons of windows.

use std::ops::ControlFlow as Going;
use std::path::Path;
use std::time::Instant;

use winit::event_loop::ActiveEventLoop;
use winit::window::WindowId;

use super::{App, Event};
use crate::keys::Command;
use crate::pane::Shows;
use crate::photograph::Photograph;
use crate::report::Report;

impl<R: FnMut(&Report) -> Going<()>> App<R> {
    pub(super) fn close(&mut self, event_loop: &ActiveEventLoop, id: WindowId) {
        let Some(pane) = self.panes.remove(&id) else {
            return;
        };
        if let Shows::Camera(seat) = pane.shows() {
            self.seats.close(*seat);
        }
        if self.panes.is_empty() {
            event_loop.exit();
        }
    }

    pub(super) fn obey(&mut self, event_loop: &ActiveEventLoop, id: WindowId, command: Command) {
        let Some(pane) = self.panes.get_mut(&id) else {
            return;
        };
        let now = Instant::now();
        match command {
            Command::ToggleOverlay => pane.toggle_overlay(),
            Command::ToggleFullScreen => pane.toggle_full_screen(now),
            Command::Photograph => self.photograph(id),
            Command::Back => {
                pane.go_back(now);
                self.look_who_is_seen();
            }
            Command::Quit => event_loop.exit(),
        }
    }

    fn photograph(&mut self, window: WindowId) {
        let Some(pane) = self.panes.get_mut(&window) else {
            return;
        };
        let seat = pane
            .under_cursor(&self.seats)
            .and_then(|id| self.seats.find(id));
        let photograph = seat.and_then(|seat| {
            let decoded = seat.tile.decoded()?;
            Some(Photograph::of(&seat.tile.status.label, decoded))
        });
        let Some(photograph) = photograph else {
            return pane.say(
                "no picture to save: point at a camera".to_owned(),
                Instant::now(),
            );
        };
        let (proxy, folder) = (self.proxy.clone(), self.options.folder.clone());
        let written = std::thread::Builder::new()
            .name("photograph".to_owned())
            .spawn(move || {
                let text = match photograph.write(Path::new(&folder)) {
                    Ok(path) => format!("saved {}", path.display()),
                    Err(error) => error,
                };
                let _ = proxy.send_event(Event::Said(window, text));
            });
        if let Err(error) = written {
            pane.say(format!("cannot start a thread: {error}"), Instant::now());
        }
    }
}
