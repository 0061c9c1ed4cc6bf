//! A camera as it is seen: its newest picture, and what is written on it.

use std::time::{Duration, Instant};

use sdvr::{Decoded, StreamState};

use crate::canvas::{Area, BLACK, Canvas, Colour, Darkness, WHITE};
use crate::feed::{Feed, Status};
use crate::figures::Figures;
use crate::scale::Scaler;
use crate::text::{self, Place, Size};

const BACKGROUND: Colour = 0x0018_1818;
const GREY: Colour = 0x00d0_d0d0;
const ORANGE: Colour = 0x00ff_b040;

/// A camera.
#[derive(Debug)]
pub(crate) struct Tile {
    feed: Feed,
    decoded: Option<Decoded>,
    pub(crate) status: Status,
    pub(crate) figures: Figures,
    /// Since when it is not live, after it was seen.
    pub(crate) lost_since: Option<Instant>,
    /// Whether the picture has not been on the screen.
    is_new: bool,
    /// How large its pictures are, as far as that was told before the first one.
    announced: Option<(u32, u32)>,
}

/// What is drawn besides the picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) has_overlay: bool,
    pub(crate) size: Size,
    pub(crate) now: Instant,
}

impl Tile {
    pub(crate) fn new(
        feed: Feed,
        label: String,
        announced: Option<(u32, u32)>,
        now: Instant,
    ) -> Self {
        Self {
            feed,
            decoded: None,
            status: Status {
                state: None,
                label,
                lost: 0,
                damaged: 0,
                trouble: None,
            },
            figures: Figures::new(now),
            lost_since: None,
            is_new: false,
            announced,
        }
    }

    /// Takes what the camera's thread has.
    pub(crate) fn handle_news(&mut self, now: Instant) {
        let news = self.feed.take(&mut self.decoded);
        if news.picture.is_some() {
            self.decoded = news.picture;
            self.is_new = true;
        }
        self.status = news.status;
        let is_live = matches!(self.status.state, None | Some(StreamState::Live));
        self.lost_since = (!is_live).then(|| self.lost_since.unwrap_or(now));
    }

    pub(crate) fn set_seen(&self, is_seen: bool) {
        self.feed.set_seen(is_seen);
    }

    pub(crate) const fn decoded(&self) -> Option<&Decoded> {
        self.decoded.as_ref()
    }

    /// Pixels of its pictures, across and down, if that is known.
    pub(crate) fn picture_size(&self) -> Option<(u32, u32)> {
        let picture = self.decoded.as_ref().map(Decoded::picture);
        let size = picture.map(|picture| (picture.width(), picture.height()));
        size.or(self.announced)
    }

    /// Draws all of `area`.
    pub(crate) fn draw(
        &self,
        canvas: &mut Canvas<'_>,
        area: Area,
        scaler: &mut Scaler,
        look: Look,
    ) {
        match &self.decoded {
            Some(decoded) => {
                let picture = decoded.picture();
                let place = area.fitting(picture.width(), picture.height());
                canvas.fill_around(area, place, BLACK);
                scaler.draw(picture, canvas, place);
                if self.lost_since.is_some() {
                    canvas.darken(place, Darkness::Half);
                }
            }
            None => canvas.fill(area, BACKGROUND),
        }
        let status = &self.status;
        let about = match (self.lost_since, &self.decoded) {
            (Some(since), _) => Some(("lost", age(look.now.saturating_duration_since(since)))),
            (None, Some(_)) => None,
            (None, None) => Some(("waiting for a picture", String::new())),
        };
        if let Some((word, age)) = about {
            let trouble = status.trouble.as_deref().unwrap_or_default();
            let first = format!("{}: {word}{age}", status.label);
            let lines = [(first.as_str(), WHITE), (trouble, ORANGE)];
            let count = if trouble.is_empty() { 1 } else { 2 };
            text::write(canvas, area, Place::Centre, look.size, &lines[..count]);
        }
        if look.has_overlay {
            let (figures, bad) = self.overlay();
            let lines = [
                (status.label.as_str(), WHITE),
                (figures.as_str(), GREY),
                (bad.as_str(), ORANGE),
            ];
            let count = if bad.is_empty() { 2 } else { 3 };
            text::write(canvas, area, Place::TopLeft, look.size, &lines[..count]);
        }
    }

    /// The picture is on the screen.
    pub(crate) fn handle_shown(&mut self) {
        if std::mem::take(&mut self.is_new)
            && let Some(decoded) = &self.decoded
        {
            self.figures.count_shown(decoded);
        }
    }

    /// Format, rate and latency; and what is not as it should be.
    fn overlay(&self) -> (String, String) {
        let mut figures = String::new();
        if let Some(decoded) = &self.decoded {
            let picture = decoded.picture();
            let fourcc = decoded.frame().format().fourcc;
            figures = format!("{}x{} {fourcc}", picture.width(), picture.height());
        }
        let mut bad = Vec::new();
        if let Some(measured) = self.figures.measured {
            figures += &format!("  {:.1}/s", measured.shown_rate);
            if measured.shown_rate < measured.captured_rate * 0.9 {
                figures += &format!(" of {:.1}/s", measured.captured_rate);
            }
            if let Some(latency) = measured.latency {
                figures += &format!("  {} ms", latency.as_millis());
            }
        }
        figures += &format!("  lost {}", self.status.lost);
        if self.status.damaged > 0 {
            bad.push(format!("damaged {}", self.status.damaged));
        }
        if let Some(trouble) = &self.status.trouble {
            bad.push(trouble.clone());
        }
        (figures, bad.join("  "))
    }
}

/// How long ago, for people; nothing of what has just happened.
fn age(age: Duration) -> String {
    match age.as_secs() {
        0 => String::new(),
        seconds @ 1..120 => format!(" {seconds} s ago"),
        seconds => format!(" {} min ago", seconds / 60),
    }
}
