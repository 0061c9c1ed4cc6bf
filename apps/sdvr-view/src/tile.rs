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
            status: Status::of_unknown(label),
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
        let message = self.message(look.now);
        if let Some((state, trouble)) = &message {
            let lines = [(state.as_str(), WHITE), (trouble.as_str(), ORANGE)];
            let lines = lines.iter().filter(|(line, _)| !line.is_empty());
            let lines: Vec<(&str, Colour)> = lines.copied().collect();
            text::write(canvas, area, Place::Centre, look.size, &lines);
        }
        if look.has_overlay {
            let figures = self.figures();
            // What stands in the middle does not stand here, too.
            let bad = self.bad(message.is_none());
            let lines = [
                (self.status.label.as_str(), WHITE),
                (figures.as_str(), GREY),
                (bad.as_str(), ORANGE),
            ];
            let count = match (figures.is_empty(), bad.is_empty()) {
                (true, _) => 1,
                (false, true) => 2,
                (false, false) => 3,
            };
            text::write(canvas, area, Place::TopLeft, look.size, &lines[..count]);
        }
    }

    /// What stands in the middle: how the camera is, and why there is no picture, if there is something to say.
    fn message(&self, now: Instant) -> Option<(String, String)> {
        let Status { label, trouble, .. } = &self.status;
        match (self.lost_since, &self.decoded, trouble) {
            (Some(since), _, trouble) => {
                let age = age(now.saturating_duration_since(since));
                let trouble = trouble.clone().unwrap_or_default();
                Some((format!("{label}: lost{age}"), trouble))
            }
            (None, Some(_), _) => None,
            (None, None, None) => Some((format!("{label}: waiting for a picture"), String::new())),
            // Its name is in it.
            (None, None, Some(trouble)) if self.status.state.is_none() => {
                Some((String::new(), trouble.clone()))
            }
            (None, None, Some(trouble)) => Some((label.clone(), trouble.clone())),
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

    /// Format, rate, latency and losses, as far as there have been any to measure; empty while the camera was never there.
    fn figures(&self) -> String {
        let Some(announced) = self.status.format else {
            return String::new();
        };
        let (fourcc, size) = match &self.decoded {
            Some(decoded) => {
                let picture = decoded.picture();
                let size = (picture.width(), picture.height());
                (decoded.frame().format().fourcc, size)
            }
            None => (announced.fourcc, (announced.width, announced.height)),
        };
        let mut figures = match size {
            // Where the format does not tell.
            (0, _) | (_, 0) => fourcc.to_string(),
            (width, height) => format!("{width}x{height} {fourcc}"),
        };
        let measured = self.figures.measured.filter(|_| self.decoded.is_some());
        if let Some(measured) = measured {
            figures += &format!("  {:.1}/s", measured.shown_rate);
            if measured.shown_rate < measured.captured_rate * 0.9 {
                figures += &format!(" of {:.1}/s", measured.captured_rate);
            }
            if let Some(latency) = measured.latency {
                figures += &format!("  {} ms", latency.as_millis());
            }
        }
        figures + &format!("  lost {}", self.status.lost)
    }

    /// What is not as it should be.
    fn bad(&self, with_trouble: bool) -> String {
        let damaged = self.status.damaged;
        let damaged = (damaged > 0).then(|| format!("damaged {damaged}"));
        let trouble = self.status.trouble.clone().filter(|_| with_trouble);
        let bad: Vec<String> = damaged.into_iter().chain(trouble).collect();
        bad.join("  ")
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
