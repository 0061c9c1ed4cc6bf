//! A screen that nobody sees: an X server of a test's own, whose keys and mouse the test has, and whose pixels it reads.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use x11rb::CURRENT_TIME;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    AtomEnum, BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ClientMessageEvent, ConnectionExt,
    EventMask, ImageFormat, InputFocus, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, MapState, Window,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

use crate::PATIENCE;

/// Pixels across and down.
pub const SIZE: (u16, u16) = (1280, 1024);
/// Of the key that is called so, in X's numbers.
pub const ESCAPE: u32 = 0xff1b;

/// The screen; it ends with this value.
#[derive(Debug)]
pub struct Screen {
    server: Child,
    display: String,
    connection: RustConnection,
    root: Window,
}

/// Pixels of the screen, red, green and blue in the lower 24 bits of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shot {
    /// Pixels across.
    pub width: usize,
    /// Row by row.
    pub pixels: Vec<u32>,
}

impl Shot {
    /// A pixel.
    #[must_use]
    pub fn at(&self, x: usize, y: usize) -> u32 {
        self.pixels[y * self.width + x]
    }
}

impl Screen {
    /// Starts a server that nothing else uses.
    #[must_use]
    pub fn start() -> Self {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-nolisten", "tcp", "-screen", "0"])
            .arg(format!("{}x{}x24", SIZE.0, SIZE.1))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb is there (Debian package xvfb); `cargo xtask test` installs it");
        let mut number = String::new();
        let stdout = server.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut number).unwrap();
        let display = format!(":{}", number.trim());
        let (connection, screen) = RustConnection::connect(Some(&display)).unwrap();
        let root = connection.setup().roots[screen].root;
        Self {
            server,
            display,
            connection,
            root,
        }
    }

    /// What `DISPLAY` must be.
    #[must_use]
    pub fn display(&self) -> &str {
        &self.display
    }

    /// The windows that are seen, and their titles, in the order of the latter.
    #[must_use]
    pub fn windows(&self) -> Vec<(String, Window)> {
        let tree = self.connection.query_tree(self.root).unwrap().reply();
        let mut windows: Vec<(String, Window)> = tree
            .unwrap()
            .children
            .into_iter()
            .filter_map(|window| {
                // It may be closed meanwhile.
                let about = self.connection.get_window_attributes(window).unwrap();
                let is_seen = about.reply().ok()?.map_state == MapState::VIEWABLE;
                let title = self.title(window)?;
                is_seen.then_some((title, window))
            })
            .collect();
        windows.sort();
        windows
    }

    fn title(&self, window: Window) -> Option<String> {
        let name = AtomEnum::WM_NAME;
        let wanted = self
            .connection
            .get_property(false, window, name, AtomEnum::ANY, 0, 1024);
        let title = wanted.unwrap().reply().ok()?.value;
        (!title.is_empty()).then(|| String::from_utf8_lossy(&title).into_owned())
    }

    /// Waits for windows with these titles and no others.
    #[track_caller]
    pub fn wait_for_windows(&self, titles: &[&str]) -> Vec<Window> {
        let mut windows = Vec::new();
        self.wait_until(&format!("there are the windows {titles:?}"), || {
            windows = self.windows();
            windows
                .iter()
                .map(|(title, _)| title.as_str())
                .eq(titles.iter().copied())
        });
        windows.into_iter().map(|(_, window)| window).collect()
    }

    /// Waits until `condition` holds.
    #[track_caller]
    pub fn wait_until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            assert!(
                Instant::now() < deadline,
                "waited in vain until {what}; there is {:?}",
                self.windows()
            );
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Where a window is, and how large.
    #[must_use]
    pub fn place(&self, window: Window) -> (i16, i16, u16, u16) {
        let geometry = self
            .connection
            .get_geometry(window)
            .unwrap()
            .reply()
            .unwrap();
        (geometry.x, geometry.y, geometry.width, geometry.height)
    }

    /// What is on the screen, from its top left.
    #[must_use]
    pub fn shot(&self, (width, height): (u16, u16)) -> Shot {
        let format = ImageFormat::Z_PIXMAP;
        let image = self
            .connection
            .get_image(format, self.root, 0, 0, width, height, !0);
        let bytes = image.unwrap().reply().unwrap().data;
        let pixels = bytes.as_chunks::<4>().0.iter();
        Shot {
            width: usize::from(width),
            pixels: pixels
                .map(|pixel| u32::from_le_bytes(*pixel) & 0x00ff_ffff)
                .collect(),
        }
    }

    /// Presses and releases a key in a window. Letters have their own numbers.
    pub fn press(&self, window: Window, key: u32) {
        let (first, last) = {
            let setup = self.connection.setup();
            (setup.min_keycode, setup.max_keycode)
        };
        let keys = self
            .connection
            .get_keyboard_mapping(first, last - first + 1);
        let keys = keys.unwrap().reply().unwrap();
        let rows = keys.keysyms.chunks(keys.keysyms_per_keycode.into());
        let code = (first..)
            .zip(rows)
            .find(|(_, row)| row.first() == Some(&key));
        let (code, _) = code.expect("the keyboard has it");
        let focused = self
            .connection
            .set_input_focus(InputFocus::NONE, window, CURRENT_TIME);
        focused.unwrap().check().unwrap();
        for what in [KEY_PRESS_EVENT, KEY_RELEASE_EVENT] {
            self.fake(what, code);
        }
    }

    /// Clicks.
    pub fn click(&self, (x, y): (i16, i16)) {
        let none = x11rb::NONE;
        self.connection
            .warp_pointer(none, self.root, 0, 0, 0, 0, x, y)
            .unwrap()
            .check()
            .unwrap();
        for what in [BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT] {
            self.fake(what, 1);
        }
    }

    fn fake(&self, what: u8, which: u8) {
        let faked = self
            .connection
            .xtest_fake_input(what, which, CURRENT_TIME, self.root, 0, 0, 0);
        faked.unwrap().check().unwrap();
    }

    /// What the button of a title bar does.
    pub fn ask_to_close(&self, window: Window) {
        let atom = |name: &str| {
            let atom = self.connection.intern_atom(false, name.as_bytes());
            atom.unwrap().reply().unwrap().atom
        };
        let message = ClientMessageEvent::new(
            32,
            window,
            atom("WM_PROTOCOLS"),
            [atom("WM_DELETE_WINDOW"), CURRENT_TIME, 0, 0, 0],
        );
        self.connection
            .send_event(false, window, EventMask::NO_EVENT, message)
            .unwrap()
            .check()
            .unwrap();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
