//! A page's socket: what it is told, and which frames it is sent when.

mod watched;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use sdvr::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use self::watched::{Step, Watched};
use crate::catalog::{CameraNumber, Known, Listed};
use crate::messages::{FromPage, ToPage};
use crate::site::{Site, ended};

/// The version of the protocol.
const VERSION: u32 = 1;
/// A message that a page's network has not taken in this time ends its socket.
const SEND_MOST: Duration = Duration::from_secs(10);
/// How often figures are told.
const FIGURES_INTERVAL: Duration = Duration::from_secs(1);
/// How often a page is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// A page that has said nothing for so many of these, not even that it is there, is gone.
const PINGS_UNANSWERED_MOST: u32 = 2;
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
    socket: WebSocket,
    /// Told of frames.
    news: Arc<Notify>,
    listed: watch::Receiver<Listed>,
    told: BTreeMap<CameraNumber, Arc<Known>>,
    watched: BTreeMap<CameraNumber, Watched>,
    pings_unanswered: u32,
}

/// Serves a page until it goes.
pub(crate) async fn serve(site: Arc<Site>, socket: WebSocket) {
    let _open = site.counters.sockets.hold();
    let mut session = Session {
        listed: site.catalog.subscribe(),
        site,
        socket,
        news: Arc::new(Notify::new()),
        told: BTreeMap::new(),
        watched: BTreeMap::new(),
        pings_unanswered: 0,
    };
    let (code, reason) = match session.run().await {
        Err(Over::Gone) | Ok(()) => return,
        Err(Over::Broken(why)) => (axum::extract::ws::close_code::PROTOCOL, why),
        Err(Over::Ending) => (
            axum::extract::ws::close_code::AWAY,
            "the server ends".to_owned(),
        ),
    };
    session.watched.clear();
    let close = Message::Close(Some(CloseFrame {
        code,
        reason: reason.into(),
    }));
    // Whether it arrives or not, this is the end.
    let _ = timeout(Duration::from_millis(300), session.socket.send(close)).await;
}

impl Session {
    async fn run(&mut self) -> Result<(), Over> {
        let hello = ToPage::Hello {
            version: VERSION,
            now_us: now_us(),
        };
        self.say(&hello).await?;
        let mut ending = std::pin::pin!(ended(self.site.ending.clone()));
        let mut figures = interval(FIGURES_INTERVAL);
        figures.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pings = interval(PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let news = Arc::clone(&self.news);
        loop {
            tokio::select! {
                message = self.socket.recv() => {
                    match message {
                        Some(Ok(message)) => self.handle(message).await?,
                        Some(Err(error)) => return Err(Over::Broken(format!("not a message: {error}"))),
                        None => return Err(Over::Gone),
                    }
                }
                changed = self.listed.changed() => {
                    changed.map_err(|_| Over::Ending)?;
                    self.tell_cameras().await?;
                }
                () = news.notified() => {}
                _ = figures.tick(), if !self.watched.is_empty() => {
                    self.tell_figures().await?;
                    self.retry();
                }
                _ = pings.tick() => self.ping().await?,
                () = &mut ending => return Err(Over::Ending),
            }
            self.send_frames().await?;
        }
    }

    async fn handle(&mut self, message: Message) -> Result<(), Over> {
        self.pings_unanswered = 0;
        let text = match message {
            Message::Text(text) => text,
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => return Err(Over::Gone),
            Message::Binary(_) => {
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
                self.say(&pong).await?;
            }
            FromPage::Watch { camera, kinds } => {
                if !self.site.catalog.was_told(camera) {
                    return Err(Over::Broken(format!("there never was a camera {camera}")));
                }
                if self.watched.len() >= WATCHED_MOST && !self.watched.contains_key(&camera) {
                    return Err(Over::Broken(format!(
                        "a page watches at most {WATCHED_MOST} cameras at a time"
                    )));
                }
                let mut watched = Watched::new(FromPage::kinds(&kinds));
                let known = self.listed.borrow().get(&camera).cloned();
                watched.begin(&self.site, known.as_ref(), &self.news);
                self.watched.insert(camera, watched);
            }
            FromPage::Unwatch { camera } => {
                if !self.site.catalog.was_told(camera) {
                    return Err(Over::Broken(format!("there never was a camera {camera}")));
                }
                self.watched.remove(&camera);
            }
            FromPage::Shown { frames } => {
                for (camera, epoch, number) in frames {
                    if let Some(watched) = self.watched.get_mut(&camera) {
                        watched.shown(epoch, number);
                    }
                }
            }
        }
        Ok(())
    }

    /// Sends what there is room for: one frame of each camera after the other, so that none waits for another's.
    async fn send_frames(&mut self) -> Result<(), Over> {
        let mut cameras: Vec<CameraNumber> = self.watched.keys().copied().collect();
        while !cameras.is_empty() {
            let mut busy = Vec::new();
            for camera in cameras {
                let Some(watched) = self.watched.get_mut(&camera) else {
                    continue;
                };
                match watched.next(&self.site) {
                    Step::Nothing => {}
                    Step::Trouble(message) => {
                        let message = ToPage::Trouble {
                            camera,
                            message: &message,
                        };
                        self.say(&message).await?;
                    }
                    Step::Frame {
                        frame,
                        is_new_epoch,
                    } => {
                        if is_new_epoch {
                            let epoch = &frame.epoch;
                            let stream = ToPage::Stream {
                                camera,
                                epoch: epoch.number,
                                kind: epoch.kind,
                                codec: &epoch.codec,
                                width: epoch.width,
                                height: epoch.height,
                                window: epoch.window,
                            };
                            self.say(&stream).await?;
                        }
                        self.send(Message::Binary(frame.message.clone())).await?;
                        self.site.counters.frames_sent.add(1);
                        self.site
                            .counters
                            .bytes_sent
                            .add(frame.message.len() as u64);
                        busy.push(camera);
                    }
                }
            }
            cameras = busy;
        }
        Ok(())
    }

    async fn tell_cameras(&mut self) -> Result<(), Over> {
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
        for known in &changed {
            self.told.insert(known.number, Arc::clone(known));
            if let Some(watched) = self.watched.get_mut(&known.number) {
                watched.try_again(&self.site, Some(known), &self.news);
            }
        }
        let message = ToPage::Cameras {
            changed: changed.iter().map(|known| &known.description).collect(),
            gone,
        };
        self.say(&message).await
    }

    async fn tell_figures(&mut self) -> Result<(), Over> {
        let now = Arc::clone(&self.listed.borrow());
        let watched = self.watched.keys();
        let figures = watched
            .filter_map(|number| Some(now.get(number)?.figures.clone()))
            .collect();
        self.say(&ToPage::Figures { figures }).await
    }

    /// Watches those anew that send something else now.
    fn retry(&mut self) {
        let now = Arc::clone(&self.listed.borrow());
        for (number, watched) in &mut self.watched {
            if watched.is_over() {
                watched.begin(&self.site, now.get(number), &self.news);
            }
        }
    }

    async fn ping(&mut self) -> Result<(), Over> {
        if self.pings_unanswered > PINGS_UNANSWERED_MOST {
            return Err(Over::Gone);
        }
        self.pings_unanswered = self.pings_unanswered.saturating_add(1);
        self.send(Message::Ping(bytes::Bytes::new())).await
    }

    async fn say(&mut self, message: &ToPage<'_>) -> Result<(), Over> {
        self.send(Message::Text(message.to_string().into())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Over> {
        match timeout(SEND_MOST, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Over::Gone),
        }
    }
}

fn now_us() -> i64 {
    Timestamp::now().as_nanoseconds().div_euclid(1000)
}
