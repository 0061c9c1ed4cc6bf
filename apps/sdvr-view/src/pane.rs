//! One window: what it shows, and drawing that.

mod full_screen;
mod room;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::{Duration, Instant};

use softbuffer::{Context, Rect, Surface};
use winit::dpi::PhysicalSize;
use winit::event_loop::{ActiveEventLoop, OwnedDisplayHandle};
use winit::window::Window;

use self::full_screen::FullScreen;
use self::room::with_room;
use crate::canvas::{Area, Canvas, Colour, WHITE};
use crate::error::ViewError;
use crate::mosaic;
use crate::scale::Scaler;
use crate::seats::{SeatId, Seats};
use crate::text::{self, Place, Size};
use crate::tile::Look;

const BACKGROUND: Colour = 0x0018_1818;
/// Of a window that does not know yet what it will show.
const SIZE_DEFAULT: (u32, u32) = (960, 540);
const SIZE_OF_MOSAIC: (u32, u32) = (1280, 720);
/// Two clicks within this time are one that is double.
const DOUBLE_CLICK: Duration = Duration::from_millis(400);
/// How long it is told where a photograph is.
const NOTICE: Duration = Duration::from_secs(4);
const NO_CAMERAS: [&str; 3] = [
    "no cameras",
    "waiting for one to come; is sdvrd running, by this user or with --group?",
    "`sdvr ls --daemon` tells, `sdvr demo` shows what it is like",
];

/// What a window shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    /// There is no camera.
    Nothing,
    Camera(SeatId),
    /// All cameras.
    Mosaic,
    /// One of them, in the window that shows all when that is wanted again.
    Enlarged(SeatId),
}

/// A window.
#[derive(Debug)]
pub(crate) struct Pane {
    window: Rc<Window>,
    surface: Surface<OwnedDisplayHandle, Rc<Window>>,
    shows: Shows,
    scalers: BTreeMap<SeatId, Scaler>,
    has_overlay: bool,
    is_occluded: bool,
    /// Whether it has the size of what it shows, or one that the user wants.
    is_sized: bool,
    pub(crate) cursor: (u32, u32),
    last_click: Option<Instant>,
    notice: Option<(String, Instant)>,
    full_screen: FullScreen,
    changed: Changed,
    /// What was drawn last: a buffer may lack it if there are two.
    drawn_last: Changed,
}

/// What has to be drawn.
#[derive(Clone, Debug)]
enum Changed {
    All,
    Tiles(BTreeSet<SeatId>),
}

impl Pane {
    /// Opens a window for pictures of this size, if it is known.
    pub(crate) fn open(
        event_loop: &ActiveEventLoop,
        context: &Context<OwnedDisplayHandle>,
        shows: Shows,
        picture: Option<(u32, u32)>,
    ) -> Result<Self, ViewError> {
        let size = match shows {
            Shows::Mosaic => SIZE_OF_MOSAIC,
            _ => picture.unwrap_or(SIZE_DEFAULT),
        };
        let monitor = event_loop
            .primary_monitor()
            .or_else(|| event_loop.available_monitors().next());
        let size = with_room(size, monitor.map(|monitor| monitor.size()));
        let attributes = Window::default_attributes()
            .with_title("sdvr")
            .with_inner_size(size);
        let window = Rc::new(
            event_loop
                .create_window(attributes)
                .map_err(ViewError::screen)?,
        );
        let surface = Surface::new(context, Rc::clone(&window)).map_err(ViewError::screen)?;
        Ok(Self {
            window,
            surface,
            is_sized: picture.is_some() || shows == Shows::Mosaic,
            shows,
            scalers: BTreeMap::new(),
            has_overlay: true,
            is_occluded: false,
            cursor: (0, 0),
            last_click: None,
            notice: None,
            full_screen: FullScreen::Off,
            changed: Changed::All,
            drawn_last: Changed::All,
        })
    }

    pub(crate) fn window(&self) -> &Window {
        &self.window
    }

    pub(crate) const fn shows(&self) -> &Shows {
        &self.shows
    }

    /// Shows something else from now on.
    pub(crate) fn show(&mut self, shows: Shows) {
        if self.shows != shows {
            self.shows = shows;
            self.redraw();
        }
    }

    pub(crate) fn set_title(&self, title: &str) {
        if self.window.title() != title {
            self.window.set_title(title);
        }
    }

    /// All of it is drawn again.
    pub(crate) fn redraw(&mut self) {
        self.changed = Changed::All;
        self.window.request_redraw();
    }

    /// A camera has something new to be seen.
    pub(crate) fn handle_news(&mut self, id: SeatId, picture: Option<(u32, u32)>) {
        let is_seen = match self.shows {
            Shows::Nothing => false,
            Shows::Camera(shown) | Shows::Enlarged(shown) => shown == id,
            Shows::Mosaic => true,
        };
        if !is_seen {
            return;
        }
        if !self.is_sized
            && let (Shows::Camera(_), Some(picture)) = (&self.shows, picture)
        {
            self.is_sized = true;
            let monitor = self.window.current_monitor().map(|monitor| monitor.size());
            if self.full_screen == FullScreen::Off {
                let _ = self.window.request_inner_size(with_room(picture, monitor));
            }
        }
        if let Changed::Tiles(ids) = &mut self.changed {
            ids.insert(id);
        }
        self.window.request_redraw();
    }

    /// Something is to be read for a while.
    pub(crate) fn say(&mut self, text: String, now: Instant) {
        self.notice = Some((text, now + NOTICE));
        self.redraw();
    }

    pub(crate) fn toggle_overlay(&mut self) {
        self.has_overlay = !self.has_overlay;
        self.redraw();
    }

    pub(crate) fn set_occluded(&mut self, is_occluded: bool) {
        self.is_occluded = is_occluded;
        if !is_occluded {
            self.redraw();
        }
    }

    pub(crate) fn toggle_full_screen(&mut self, now: Instant) {
        self.full_screen.toggle(&self.window, now);
        self.redraw();
    }

    /// Leaves the full screen, or shows all cameras again.
    pub(crate) fn go_back(&mut self, now: Instant) {
        if self.full_screen != FullScreen::Off {
            self.toggle_full_screen(now);
        } else if matches!(self.shows, Shows::Enlarged(_)) {
            self.show(Shows::Mosaic);
        }
    }

    /// A click; two of them toggle the full screen, one enlarges what it is on, or shows all cameras again.
    pub(crate) fn handle_click(&mut self, seats: &Seats, now: Instant) {
        let is_double = self
            .last_click
            .is_some_and(|last| now.saturating_duration_since(last) < DOUBLE_CLICK);
        if is_double {
            self.last_click = None;
            return self.toggle_full_screen(now);
        }
        self.last_click = Some(now);
        match self.shows {
            Shows::Mosaic => {
                if let Some(id) = self.under_cursor(seats) {
                    self.show(Shows::Enlarged(id));
                }
            }
            Shows::Enlarged(_) => self.show(Shows::Mosaic),
            Shows::Nothing | Shows::Camera(_) => {}
        }
    }

    /// The camera that is pointed at, or that fills the window.
    pub(crate) fn under_cursor(&self, seats: &Seats) -> Option<SeatId> {
        let tiles = self.tiles(seats);
        if let [(only, _)] = tiles.as_slice() {
            return Some(*only);
        }
        let (x, y) = self.cursor;
        let found = tiles.iter().find(|(_, area)| area.contains(x, y));
        found.map(|(id, _)| *id)
    }

    /// The cameras that are seen, if the window is.
    pub(crate) fn seen(&self, seats: &Seats) -> Vec<SeatId> {
        if self.is_occluded {
            return Vec::new();
        }
        let tiles = self.tiles(seats).into_iter();
        tiles
            .filter(|(_, area)| !area.is_empty())
            .map(|(id, _)| id)
            .collect()
    }

    /// Tells what has changed by itself.
    pub(crate) fn handle_time(&mut self, now: Instant) {
        if self.notice.as_ref().is_some_and(|(_, until)| *until <= now) {
            self.notice = None;
            self.redraw();
        }
        self.full_screen.handle_time(&self.window, now);
    }

    fn tiles(&self, seats: &Seats) -> Vec<(SeatId, Area)> {
        let PhysicalSize { width, height } = self.window.inner_size();
        let window = Area::of_size(width, height);
        match self.shows {
            Shows::Nothing => Vec::new(),
            Shows::Camera(id) | Shows::Enlarged(id) => vec![(id, window)],
            Shows::Mosaic => {
                let areas = mosaic::tiles(window, seats.len());
                seats.iter().map(|seat| seat.id).zip(areas).collect()
            }
        }
    }

    /// Draws what has changed, and puts it on the screen.
    pub(crate) fn draw(&mut self, seats: &mut Seats, now: Instant) -> Result<(), ViewError> {
        let PhysicalSize { width, height } = self.window.inner_size();
        let (Some(width), Some(height)) = (NonZeroU32::new(width), NonZeroU32::new(height)) else {
            return Ok(());
        };
        let tiles = self.tiles(seats);
        self.surface
            .resize(width, height)
            .map_err(ViewError::screen)?;
        let mut buffer = self.surface.buffer_mut().map_err(ViewError::screen)?;
        let changed = std::mem::replace(&mut self.changed, Changed::Tiles(BTreeSet::new()));
        let to_draw = match (&changed, &self.drawn_last, buffer.age()) {
            (Changed::Tiles(now), _, 1) => Changed::Tiles(now.clone()),
            (Changed::Tiles(now), Changed::Tiles(last), 2) => {
                Changed::Tiles(now.union(last).copied().collect())
            }
            _ => Changed::All,
        };
        self.drawn_last = changed;
        let look = Look {
            has_overlay: self.has_overlay,
            size: Size::for_scale_factor(self.window.scale_factor()),
            now,
        };
        let mut canvas = Canvas::new(&mut buffer, width.get());
        let mut damage = Vec::new();
        if matches!(to_draw, Changed::All) {
            damage.extend(rect(canvas.area()));
            self.scalers.retain(|id, _| seats.find(*id).is_some());
            let covered = tiles
                .first()
                .is_some_and(|(_, area)| *area == canvas.area());
            if !covered {
                canvas.fill(canvas.area(), BACKGROUND);
            }
        }
        let mut drawn = Vec::new();
        for (id, area) in tiles {
            if let Changed::Tiles(ids) = &to_draw {
                if !ids.contains(&id) {
                    continue;
                }
                damage.extend(rect(area));
            }
            if let Some(seat) = seats.find_mut(id) {
                let scaler = self.scalers.entry(id).or_default();
                seat.tile.draw(&mut canvas, area, scaler, look);
                drawn.push(id);
            }
        }
        let area = canvas.area();
        if self.shows == Shows::Nothing {
            let lines = NO_CAMERAS.map(|line| (line, WHITE));
            text::write(&mut canvas, area, Place::Centre, look.size, &lines);
        }
        if let Some((notice, _)) = &self.notice {
            text::write(
                &mut canvas,
                area,
                Place::BottomLeft,
                look.size,
                &[(notice, WHITE)],
            );
            damage.extend(rect(area));
        }
        if damage.is_empty() {
            return Ok(());
        }
        self.window.pre_present_notify();
        buffer
            .present_with_damage(&damage)
            .map_err(ViewError::screen)?;
        for id in drawn {
            if let Some(seat) = seats.find_mut(id) {
                seat.tile.handle_shown();
            }
        }
        Ok(())
    }
}

fn rect(area: Area) -> Option<Rect> {
    Some(Rect {
        x: area.x,
        y: area.y,
        width: NonZeroU32::new(area.width)?,
        height: NonZeroU32::new(area.height)?,
    })
}
