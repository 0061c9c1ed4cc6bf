//! The thread of the windows: what happens, and what follows of it.

mod commands;
mod connect;

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow as Going;
use std::time::{Duration, Instant};

use sdvr::{Camera, CameraInfo, Change};
use softbuffer::Context;
use winit::application::ApplicationHandler;
use winit::error::EventLoopError;
use winit::event::{ElementState, MouseButton, WindowEvent};
use winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoopProxy, OwnedDisplayHandle};
use winit::window::WindowId;

use crate::ViewOptions;
use crate::error::ViewError;
use crate::feed::Feed;
use crate::keys;
use crate::pane::{Pane, Shows};
use crate::report::{Report, Reporter};
use crate::seats::{Followed, Identity, Seat, SeatId, Seats};
use crate::tile::Tile;
use crate::watch::{self, Follow, Told};

/// More cameras are seen in one window.
const WINDOWS_MOST: usize = 4;
/// How often it is looked what the time has changed.
const TICK: Duration = Duration::from_millis(250);

/// What other threads tell this one.
#[derive(Debug)]
enum Event {
    Watch(Told),
    /// A camera has something new.
    News(SeatId),
    /// What became of a photograph.
    Said(WindowId, String),
}

struct App<R> {
    options: ViewOptions,
    proxy: EventLoopProxy<Event>,
    context: Context<OwnedDisplayHandle>,
    panes: BTreeMap<WindowId, Pane>,
    seats: Seats,
    is_mosaic: bool,
    next_tick: Instant,
    report: R,
    reporter: Reporter,
    error: Option<ViewError>,
}

/// See [`crate::run`].
pub(crate) fn run(
    options: ViewOptions,
    is_to_end: impl Fn() -> bool + Send + 'static,
    report: impl FnMut(&Report) -> Going<()>,
) -> Result<(), ViewError> {
    let event_loop = connect::connect()?;
    let context = Context::new(event_loop.owned_display_handle()).map_err(ViewError::screen)?;
    let follow = if options.cameras.is_empty() {
        Follow::All
    } else {
        Follow::Named
    };
    let proxy = event_loop.create_proxy();
    watch::start(follow, is_to_end, move |told| {
        proxy.send_event(Event::Watch(told)).is_ok()
    })?;
    let now = Instant::now();
    let mut app = App {
        is_mosaic: options.is_mosaic,
        options,
        proxy: event_loop.create_proxy(),
        context,
        panes: BTreeMap::new(),
        seats: Seats::default(),
        next_tick: now,
        report,
        reporter: Reporter::new(now),
        error: None,
    };
    let ended = event_loop.run_app(&mut app);
    if let Some(error) = app.error {
        return Err(error);
    }
    ended.map_err(|error| match error {
        EventLoopError::ExitFailure(_) => ViewError::screen("the connection to it was lost"),
        error => ViewError::screen(error),
    })
}

impl<R: FnMut(&Report) -> Going<()>> ApplicationHandler<Event> for App<R> {
    fn resumed(&mut self, event_loop: &ActiveEventLoop) {
        for name in std::mem::take(&mut self.options.cameras) {
            let camera = Camera::wait_for(&name);
            self.add(Followed::ByName, camera, None);
        }
        if self.seats.len() > 0 {
            self.arrange(event_loop);
        }
    }

    fn user_event(&mut self, event_loop: &ActiveEventLoop, event: Event) {
        match event {
            Event::Watch(Told::End) => event_loop.exit(),
            Event::Watch(Told::Changes(changes)) => self.handle_changes(event_loop, changes),
            Event::News(id) => self.handle_news(id),
            Event::Said(window, text) => {
                let _ = writeln!(std::io::stderr(), "sdvr: {text}");
                if let Some(pane) = self.panes.get_mut(&window) {
                    pane.say(text, Instant::now());
                }
            }
        }
    }

    fn window_event(&mut self, event_loop: &ActiveEventLoop, id: WindowId, event: WindowEvent) {
        let now = Instant::now();
        let Some(pane) = self.panes.get_mut(&id) else {
            return;
        };
        match event {
            WindowEvent::RedrawRequested => {
                if let Err(error) = pane.draw(&mut self.seats, now) {
                    self.error = Some(error);
                    event_loop.exit();
                }
            }
            WindowEvent::CloseRequested => self.close(event_loop, id),
            WindowEvent::Resized(_) | WindowEvent::ScaleFactorChanged { .. } => {
                pane.redraw();
                self.look_who_is_seen();
            }
            WindowEvent::Occluded(is_occluded) => {
                pane.set_occluded(is_occluded);
                self.look_who_is_seen();
            }
            WindowEvent::CursorMoved { position, .. } => {
                let (x, y): (u32, u32) = position.into();
                pane.cursor = (x, y);
            }
            WindowEvent::MouseInput {
                state: ElementState::Pressed,
                button: MouseButton::Left,
                ..
            } => {
                pane.handle_click(&self.seats, now);
                self.look_who_is_seen();
            }
            WindowEvent::KeyboardInput { event, .. } => {
                if let Some(command) = keys::command(&event) {
                    self.obey(event_loop, id, command);
                }
            }
            _ => {}
        }
    }

    fn about_to_wait(&mut self, event_loop: &ActiveEventLoop) {
        let now = Instant::now();
        if now >= self.next_tick {
            self.next_tick = now + TICK;
            self.handle_time(event_loop, now);
        }
        event_loop.set_control_flow(ControlFlow::WaitUntil(self.next_tick));
    }
}

impl<R: FnMut(&Report) -> Going<()>> App<R> {
    fn handle_changes(&mut self, event_loop: &ActiveEventLoop, changes: Vec<Change>) {
        let now = Instant::now();
        for change in changes {
            match change {
                Change::Came(camera) => self.handle_came(&camera),
                Change::Went(camera) => {
                    self.seats
                        .handle_went(&Identity::of(&camera), camera.state, now);
                }
            }
        }
        self.arrange(event_loop);
    }

    fn handle_came(&mut self, camera: &CameraInfo) {
        let identity = Identity::of(camera);
        if self.seats.is_new(&identity) {
            let (width, height) = (camera.format.width, camera.format.height);
            // Where the format does not tell, the first picture does.
            let announced = (width > 0 && height > 0).then_some((width, height));
            self.add(Followed::There(identity), camera.follow(), announced);
        }
    }

    fn add(&mut self, followed: Followed, camera: Camera, announced: Option<(u32, u32)>) {
        let id = self.seats.new_id();
        let label = camera.label().to_owned();
        let proxy = self.proxy.clone();
        let feed = Feed::start(camera, move || {
            // Nobody listens any more when the program ends.
            let _ = proxy.send_event(Event::News(id));
        });
        match feed {
            Ok(feed) => self.seats.add(Seat {
                id,
                followed,
                tile: Tile::new(feed, label, announced, Instant::now()),
            }),
            Err(error) => self.error = Some(error.into()),
        }
    }

    fn handle_news(&mut self, id: SeatId) {
        let Some(seat) = self.seats.find_mut(id) else {
            return;
        };
        seat.tile.handle_news(Instant::now());
        let picture = seat.tile.picture_size();
        for pane in self.panes.values_mut() {
            if *pane.shows() == Shows::Camera(id) {
                pane.set_title(&title(&seat.tile.status.label));
            }
            pane.handle_news(id, picture);
        }
    }

    /// Opens and closes windows so that each camera is seen.
    fn arrange(&mut self, event_loop: &ActiveEventLoop) {
        if self.error.is_some() {
            return event_loop.exit();
        }
        self.is_mosaic |= self.seats.len() > WINDOWS_MOST;
        let mut wanted: Vec<Shows> = if self.seats.len() == 0 {
            vec![Shows::Nothing]
        } else if self.is_mosaic {
            vec![Shows::Mosaic]
        } else {
            self.seats
                .iter()
                .map(|seat| Shows::Camera(seat.id))
                .collect()
        };
        let mut free = Vec::new();
        for (id, pane) in &mut self.panes {
            let fits = |shows: &Shows| match (shows, pane.shows()) {
                (Shows::Mosaic, Shows::Enlarged(id)) => self.seats.find(*id).is_some(),
                (shows, shown) => shows == shown,
            };
            match wanted.iter().position(fits) {
                Some(at) => {
                    wanted.remove(at);
                    // Where the others are has changed.
                    pane.redraw();
                }
                None => free.push(*id),
            }
        }
        for shows in wanted {
            let title = self.title_of(&shows);
            if let Some(pane) = free.pop().and_then(|id| self.panes.get_mut(&id)) {
                pane.set_title(&title);
                pane.show(shows);
                continue;
            }
            let picture = match &shows {
                Shows::Camera(id) => self
                    .seats
                    .find(*id)
                    .and_then(|seat| seat.tile.picture_size()),
                Shows::Nothing | Shows::Mosaic | Shows::Enlarged(_) => None,
            };
            let pane = Pane::open(event_loop, &self.context, shows, picture);
            match pane {
                Ok(mut pane) => {
                    pane.set_title(&title);
                    if self.options.is_full_screen {
                        pane.toggle_full_screen(Instant::now());
                    }
                    pane.redraw();
                    self.panes.insert(pane.window().id(), pane);
                }
                Err(error) => {
                    self.error = Some(error);
                    return event_loop.exit();
                }
            }
        }
        for id in free {
            self.panes.remove(&id);
        }
        self.look_who_is_seen();
    }

    fn title_of(&self, shows: &Shows) -> String {
        match shows {
            Shows::Nothing | Shows::Mosaic => "sdvr".to_owned(),
            Shows::Camera(id) | Shows::Enlarged(id) => {
                let seat = self.seats.find(*id);
                title(seat.map_or("", |seat| &seat.tile.status.label))
            }
        }
    }

    fn look_who_is_seen(&self) {
        let panes = self.panes.values();
        let seen: Vec<SeatId> = panes.flat_map(|pane| pane.seen(&self.seats)).collect();
        for seat in self.seats.iter() {
            seat.tile.set_seen(seen.contains(&seat.id));
        }
    }

    fn handle_time(&mut self, event_loop: &ActiveEventLoop, now: Instant) {
        if self.seats.handle_time(now) {
            self.arrange(event_loop);
        }
        for pane in self.panes.values_mut() {
            pane.handle_time(now);
        }
        for seat in self.seats.iter_mut() {
            seat.tile.figures.handle_time(now);
            if seat.tile.lost_since.is_some() {
                // It is told since when.
                for pane in self.panes.values_mut() {
                    pane.handle_news(seat.id, None);
                }
            }
        }
        if let Some(report) = self.reporter.handle_time(&mut self.seats, now)
            && (self.report)(&report).is_break()
        {
            event_loop.exit();
        }
    }
}

/// What was asked for may be anything, and a title bar is no place for it.
fn title(label: &str) -> String {
    let label: String = label
        .chars()
        .filter(|letter| !letter.is_control())
        .take(100)
        .collect();
    format!("{label} - sdvr")
}
