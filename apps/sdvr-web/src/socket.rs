//! A page's socket: what it is told, and which frames it is sent when.

mod page;
mod under_way;
mod watched;
pub(crate) mod wire;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sdvr::Timestamp;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, interval_at, timeout};
use tungstenite::Message;
use tungstenite::handshake::server::create_response_with_body;
use tungstenite::protocol::frame::coding::CloseCode;

pub(crate) use self::page::Page;
use self::watched::Watched;
use self::wire::{Ended, Event, Opcode, Wire, close};
use crate::catalog::{CameraNumber, Known, Listed};
use crate::messages::{FiguresOf, FromPage, ToPage};
use crate::site::{Site, ended};

/// The version of the protocol.
const VERSION: u32 = 1;
/// A page whose network takes nothing for so long is gone.
const SEND_MOST: Duration = Duration::from_secs(10);
/// How often figures are told.
const FIGURES_INTERVAL: Duration = Duration::from_secs(1);
/// How often a page is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// A page that has said nothing for so many of these, not even that it is there, is gone.
const PINGS_UNANSWERED_MOST: u32 = 2;
/// How long a page may take to hear that its socket ends.
const GOODBYE_MOST: Duration = Duration::from_millis(300);
/// Cameras that a page may watch at a time.
const WATCHED_MOST: usize = 1024;

/// Why a socket ends.
#[derive(Debug)]
enum Over {
    /// The page has gone, or its network.
    Gone,
    /// The page said what nobody may say; why, for people.
    Broken(String),
    /// The server ends.
    Ending,
}

struct Session {
    site: Arc<Site>,
    page: Arc<Page>,
    listed: watch::Receiver<Listed>,
    told: BTreeMap<CameraNumber, Arc<Known>>,
    pings_unanswered: u32,
}

/// Makes a socket of a request.
pub(crate) async fn open(State(site): State<Arc<Site>>, mut request: Request) -> Response {
    // They are no connections of the server's own any more, and would not be counted among these.
    if site.counters.sockets.value() >= site.sockets_most {
        let text = "too many pages are open; close one\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    let response = match create_response_with_body(&request, Body::empty) {
        Ok(response) => response,
        Err(error) => {
            let text = format!("this is the address of a WebSocket: {error}\n");
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        // Who goes before the answer has no socket.
        if let Ok(upgraded) = upgrade.await {
            serve(site, Wire::new(upgraded)).await;
        }
    });
    response
}

/// Serves a page until it goes.
async fn serve(site: Arc<Site>, wire: Wire) {
    let _open = site.counters.sockets.hold();
    let mut session = Session {
        listed: site.catalog.subscribe(),
        page: Page::new(wire, Arc::clone(&site.counters)),
        site,
        told: BTreeMap::new(),
        pings_unanswered: 0,
    };
    let Err(over) = session.run().await;
    session.page.desk().watched.clear();
    let message = match over {
        Over::Gone => return,
        Over::Broken(why) => close(CloseCode::Protocol.into(), &why),
        Over::Ending => close(CloseCode::Away.into(), "the server ends"),
    };
    session.page.desk().wire.send(&message);
    let flushed = poll_fn(|context| session.page.desk().wire.poll_flush(context));
    // Whether it arrives or not, this is the end.
    let _ = timeout(GOODBYE_MOST, flushed).await;
}

impl Session {
    async fn run(&mut self) -> Result<std::convert::Infallible, Over> {
        self.page.say(&ToPage::Hello {
            version: VERSION,
            now_us: now_us(),
        });
        let page = Arc::clone(&self.page);
        let mut ending = std::pin::pin!(ended(self.site.ending.clone()));
        let mut figures = interval_at(self.site.next_second(), FIGURES_INTERVAL);
        figures.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut pings = interval(PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = poll_fn(|context| page.desk().wire.poll_event(context)) => match event? {
                    Event::Message(message) => self.handle(message)?,
                    Event::Room => {}
                },
                // Who takes nothing now is told all at once when it does, and cannot make that grow meanwhile.
                changed = self.listed.changed(), if !page.desk().wire.is_stuck() => {
                    changed.map_err(|_| Over::Ending)?;
                    self.tell_cameras();
                }
                // Its wire is looked at again.
                () = page.is_made_stuck() => {}
                _ = figures.tick() => self.handle_second()?,
                _ = pings.tick() => self.ping()?,
                () = &mut ending => return Err(Over::Ending),
            }
            page.hand_out_all();
        }
    }

    /// What there is to do each second.
    fn handle_second(&mut self) -> Result<(), Over> {
        let desk = self.page.desk();
        if desk.wire.stuck_for(Instant::now()) > SEND_MOST {
            return Err(Over::Gone);
        }
        if desk.watched.is_empty() || desk.wire.is_stuck() {
            return Ok(());
        }
        drop(desk);
        self.tell_figures();
        self.retry();
        Ok(())
    }

    fn handle(&mut self, message: Message) -> Result<(), Over> {
        self.pings_unanswered = 0;
        let text = match message {
            Message::Text(text) => text,
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => return Err(Over::Gone),
            Message::Binary(_) | Message::Frame(_) => {
                return Err(Over::Broken("a page sends no binary messages".to_owned()));
            }
        };
        let message: FromPage = serde_json::from_str(&text)
            .map_err(|error| Over::Broken(format!("not a message of this protocol: {error}")))?;
        match message {
            FromPage::Ping { sent } => {
                let pong = ToPage::Pong {
                    sent,
                    now_us: now_us(),
                };
                self.page.say(&pong);
            }
            FromPage::Watch { camera, kinds } => {
                if !self.site.catalog.was_told(camera) {
                    return Err(Over::Broken(format!("there never was a camera {camera}")));
                }
                let mut desk = self.page.desk();
                if desk.watched.len() >= WATCHED_MOST && !desk.watched.contains_key(&camera) {
                    return Err(Over::Broken(format!(
                        "a page watches at most {WATCHED_MOST} cameras at a time"
                    )));
                }
                let mut watched = Watched::new(FromPage::kinds(&kinds));
                let known = self.listed.borrow().get(&camera).cloned();
                watched.begin(&self.site, known.as_ref(), &self.page);
                desk.watched.insert(camera, watched);
            }
            FromPage::Unwatch { camera } => {
                if !self.site.catalog.was_told(camera) {
                    return Err(Over::Broken(format!("there never was a camera {camera}")));
                }
                self.page.desk().watched.remove(&camera);
            }
            FromPage::Shown { frames } => {
                let mut desk = self.page.desk();
                for (camera, epoch, number) in frames {
                    if let Some(watched) = desk.watched.get_mut(&camera) {
                        watched.shown(epoch, number);
                    }
                }
            }
        }
        Ok(())
    }

    fn tell_cameras(&mut self) {
        let now = Arc::clone(&self.listed.borrow_and_update());
        let is_told = |(number, known): &(&CameraNumber, &Arc<Known>)| {
            let told = self.told.get(number);
            told.is_some_and(|told| told.description == known.description)
        };
        let changed: Vec<Arc<Known>> = now
            .iter()
            .filter(|camera| !is_told(camera))
            .map(|(_, known)| Arc::clone(known))
            .collect();
        let gone: Vec<CameraNumber> = self
            .told
            .keys()
            .copied()
            .filter(|number| !now.contains_key(number))
            .collect();
        for number in &gone {
            self.told.remove(number);
        }
        let mut desk = self.page.desk();
        for known in &changed {
            self.told.insert(known.number, Arc::clone(known));
            if let Some(watched) = desk.watched.get_mut(&known.number) {
                watched.try_again(&self.site, Some(known), &self.page);
            }
        }
        let message = ToPage::Cameras {
            changed: changed.iter().map(|known| &known.description).collect(),
            gone,
        };
        desk.wire.say(&message);
    }

    fn tell_figures(&self) {
        let now = Arc::clone(&self.listed.borrow());
        let mut desk = self.page.desk();
        let watched = desk.watched.keys();
        let figures = watched
            .filter_map(|&camera| {
                let figures = &now.get(&camera)?.figures;
                Some(FiguresOf { camera, figures })
            })
            .collect();
        desk.wire.say(&ToPage::Figures { figures });
    }

    /// Watches those anew that send something else now.
    fn retry(&self) {
        let now = Arc::clone(&self.listed.borrow());
        for (number, watched) in &mut self.page.desk().watched {
            if watched.is_over() {
                watched.begin(&self.site, now.get(number), &self.page);
            }
        }
    }

    fn ping(&mut self) -> Result<(), Over> {
        if self.pings_unanswered > PINGS_UNANSWERED_MOST {
            return Err(Over::Gone);
        }
        self.pings_unanswered = self.pings_unanswered.saturating_add(1);
        self.page.desk().wire.send(&Opcode::Ping.message(&[]));
        Ok(())
    }
}

impl From<Ended> for Over {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Gone => Self::Gone,
            Ended::Broken(why) => Self::Broken(why),
        }
    }
}

fn now_us() -> i64 {
    Timestamp::now().as_nanoseconds().div_euclid(1000)
}
