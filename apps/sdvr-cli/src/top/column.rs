//! The table's columns: what they show, how they sort, and which of them a terminal has room for.

use std::cmp::Ordering;

use sdvr::{CameraFigures, Origin, StreamState, Timestamp};

use super::text::{age, count, cut, decimal, milliseconds, printable};

/// Between two columns.
pub(super) const GAP: &str = "  ";
/// No label is shorter cut than this, if it is longer.
const LABEL_LEAST: usize = 16;

/// What is told of a camera, in the order in which it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Column {
    Label,
    State,
    Format,
    Size,
    Fps,
    Mbit,
    P50,
    P99,
    Lost,
    Resent,
    Link,
    Age,
    Fingerprint,
    Directory,
}

impl Column {
    pub(super) const ALL: [Self; 14] = [
        Self::Label,
        Self::State,
        Self::Format,
        Self::Size,
        Self::Fps,
        Self::Mbit,
        Self::P50,
        Self::P99,
        Self::Lost,
        Self::Resent,
        Self::Link,
        Self::Age,
        Self::Fingerprint,
        Self::Directory,
    ];

    /// The most important ones first: those at the end are left out where there is no room.
    const BY_IMPORTANCE: [Self; 14] = [
        Self::Label,
        Self::State,
        Self::Fps,
        Self::Mbit,
        Self::Lost,
        Self::P99,
        Self::Age,
        Self::P50,
        Self::Link,
        Self::Resent,
        Self::Format,
        Self::Size,
        Self::Fingerprint,
        Self::Directory,
    ];

    pub(super) const fn header(self) -> &'static str {
        match self {
            Self::Label => "LABEL",
            Self::State => "STATE",
            Self::Format => "FORMAT",
            Self::Size => "SIZE",
            Self::Fps => "FPS",
            Self::Mbit => "MBIT/S",
            Self::P50 => "P50 ms",
            Self::P99 => "P99 ms",
            Self::Lost => "LOST",
            Self::Resent => "RESENT",
            Self::Link => "LINK",
            Self::Age => "AGE",
            Self::Fingerprint => "FINGERPRINT",
            Self::Directory => "DIRECTORY",
        }
    }

    /// The key that sorts by it.
    pub(super) const fn key(self) -> Option<char> {
        match self {
            Self::Label => Some('l'),
            Self::State => Some('t'),
            Self::Format => Some('d'),
            Self::Fps => Some('f'),
            Self::Mbit => Some('m'),
            Self::P50 => Some('5'),
            Self::P99 => Some('9'),
            Self::Lost => Some('o'),
            Self::Resent => Some('n'),
            Self::Link => Some('k'),
            Self::Age => Some('a'),
            Self::Size | Self::Fingerprint | Self::Directory => None,
        }
    }

    /// Whether it is a number: written to the right, sorted from the largest.
    const fn is_number(self) -> bool {
        matches!(
            self,
            Self::Fps | Self::Mbit | Self::P50 | Self::P99 | Self::Lost | Self::Resent | Self::Age
        )
    }

    /// In which order it sorts, for people.
    pub(super) const fn direction(self, is_reversed: bool) -> &'static str {
        match (self, is_reversed) {
            (Self::State, false) => "worst first",
            (Self::State, true) => "best first",
            (Self::Size, false) => "largest first",
            (Self::Size, true) => "smallest first",
            _ if self.is_number() => {
                if is_reversed {
                    "smallest first"
                } else {
                    "largest first"
                }
            }
            (_, false) => "A to Z",
            (_, true) => "Z to A",
        }
    }

    /// The least room that it needs, and the most that it can use, when the longest texts of these columns are so long.
    fn room(self, longest: &Longest) -> (usize, usize) {
        let header = self.header().len();
        match self {
            Self::Label => {
                let most = longest.label.max(header);
                (most.min(LABEL_LEAST), most)
            }
            Self::State | Self::Format | Self::Fps | Self::Mbit => (6, 6),
            Self::P50 | Self::P99 | Self::Lost | Self::Resent => (6, 6),
            Self::Size => (9, 9),
            Self::Link => (4, 4),
            Self::Age => (5, 5),
            Self::Fingerprint => (14, longest.identity.max(14)),
            Self::Directory => (header, longest.directory.max(header)),
        }
    }

    /// What it says of a camera that was looked at at `at`. Printable ASCII, whatever the camera says of itself.
    pub(super) fn text(self, figures: &CameraFigures, at: Timestamp) -> String {
        let camera = &figures.camera;
        let format = camera.format;
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let text = match self {
            Self::Label => camera.label.to_string(),
            Self::State => camera.state.to_string(),
            Self::Format => format.fourcc.to_string(),
            Self::Size if format.width == 0 => "-".to_owned(),
            Self::Size => format!("{}x{}", format.width, format.height),
            Self::Fps => decimal(figures.frames_per_second),
            Self::Mbit => decimal(figures.bits_per_second / 1e6),
            Self::P50 => or_dash(figures.latency.map(|latency| milliseconds(latency.p50))),
            Self::P99 => or_dash(figures.latency.map(|latency| milliseconds(latency.p99))),
            Self::Lost => count(camera.lost),
            Self::Resent => or_dash(camera.retransmitted.map(count)),
            Self::Link => or_dash(camera.link.map(|link| link.to_string())),
            Self::Age => or_dash(camera.last_frame.map(|last| age(at.saturating_since(last)))),
            Self::Fingerprint => identity(figures),
            Self::Directory => camera.directory.to_string_lossy().into_owned(),
        };
        printable(&text)
    }

    /// How two cameras compare in it, the smaller one first; what a camera does not have is smaller than anything.
    fn compare(self, one: &CameraFigures, other: &CameraFigures) -> Ordering {
        let (a, b) = (&one.camera, &other.camera);
        match self {
            Self::Label => a.label.cmp(&b.label),
            Self::State => badness(a.state).cmp(&badness(b.state)),
            Self::Format => a
                .format
                .fourcc
                .to_string()
                .cmp(&b.format.fourcc.to_string()),
            Self::Size => {
                let pixels = |it: &CameraFigures| {
                    let format = it.camera.format;
                    u64::from(format.width) * u64::from(format.height)
                };
                pixels(one).cmp(&pixels(other))
            }
            Self::Fps => one.frames_per_second.total_cmp(&other.frames_per_second),
            Self::Mbit => one.bits_per_second.total_cmp(&other.bits_per_second),
            Self::P50 => {
                let p50 = |it: &CameraFigures| it.latency.map(|latency| latency.p50);
                p50(one).cmp(&p50(other))
            }
            Self::P99 => {
                let p99 = |it: &CameraFigures| it.latency.map(|latency| latency.p99);
                p99(one).cmp(&p99(other))
            }
            Self::Lost => a.lost.cmp(&b.lost),
            Self::Resent => a.retransmitted.cmp(&b.retransmitted),
            Self::Link => {
                let name = |it: &CameraFigures| it.camera.link.map(|link| link.to_string());
                name(one).cmp(&name(other))
            }
            // Who has sent nothing yet has no age; the others are the older the earlier their last frame was.
            Self::Age => match (a.last_frame, b.last_frame) {
                (Some(a), Some(b)) => b.cmp(&a),
                (a, b) => a.is_some().cmp(&b.is_some()),
            },
            Self::Fingerprint => identity(one).cmp(&identity(other)),
            Self::Directory => a.directory.cmp(&b.directory),
        }
    }
}

/// Who it is, or what it is made of.
fn identity(figures: &CameraFigures) -> String {
    match &figures.camera.origin {
        Origin::Camera(key) => key.fingerprint().to_string(),
        Origin::Derived {
            source: Some(source),
        } => format!("derived from {source}"),
        Origin::Derived { source: None } => "derived".to_owned(),
    }
}

/// How much a state is a reason to look after the camera.
const fn badness(state: StreamState) -> u8 {
    match state {
        StreamState::Live => 0,
        StreamState::Closed | StreamState::Moved => 1,
        StreamState::Stale => 2,
        StreamState::Lost => 3,
    }
}

/// By what cameras are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) column: Column,
    pub(super) is_reversed: bool,
}

impl Order {
    /// Which of two cameras is shown first; those that are equal as they come.
    pub(super) fn compare(self, one: &CameraFigures, other: &CameraFigures) -> Ordering {
        let ascending = self.column.compare(one, other);
        let is_descending =
            self.column.is_number() || matches!(self.column, Column::State | Column::Size);
        if is_descending == self.is_reversed {
            ascending
        } else {
            ascending.reverse()
        }
    }
}

/// How long the longest texts are of columns that are as wide as these.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Longest {
    label: usize,
    identity: usize,
    directory: usize,
    has_several_directories: bool,
}

impl Longest {
    pub(super) fn of(cameras: &[CameraFigures]) -> Self {
        let mut longest = Self::default();
        for figures in cameras {
            let camera = &figures.camera;
            longest.label = longest.label.max(camera.label.as_str().len());
            longest.identity = longest.identity.max(match &camera.origin {
                // Of all the same length: the hash is not worked out for that.
                Origin::Camera(_) => 50,
                Origin::Derived { .. } => identity(figures).len(),
            });
            let directory = camera.directory.to_string_lossy().chars().count();
            longest.directory = longest.directory.max(directory);
        }
        longest.has_several_directories = cameras.windows(2).any(
            |pair| matches!(pair, [one, next] if one.camera.directory != next.camera.directory),
        );
        longest
    }
}

/// The columns that a terminal of this width has room for, and how wide they are there.
#[derive(Clone, Debug, Default)]
pub(super) struct Fitting(Vec<(Column, usize)>);

impl Fitting {
    pub(super) fn new(width: usize, longest: &Longest) -> Self {
        let mut chosen: Vec<(Column, usize)> = Vec::new();
        let mut left = width + GAP.len();
        for column in Column::BY_IMPORTANCE {
            let (least, _) = column.room(longest);
            let is_wanted = column != Column::Directory || longest.has_several_directories;
            if is_wanted && least + GAP.len() <= left {
                left -= least + GAP.len();
                chosen.push((column, least));
            }
        }
        // What is left goes to those that are cut.
        for (column, room) in &mut chosen {
            let more = (column.room(longest).1 - *room).min(left);
            *room += more;
            left -= more;
        }
        let place = |column: Column| Column::ALL.iter().position(|it| *it == column);
        chosen.sort_by_key(|(column, _)| place(*column));
        Self(chosen)
    }

    pub(super) fn columns(&self) -> impl Iterator<Item = Column> {
        self.0.iter().map(|(column, _)| *column)
    }

    /// The headers, each as wide as its column.
    pub(super) fn headers(&self) -> Vec<String> {
        let columns = self.0.iter();
        columns
            .map(|(column, width)| aligned(*column, column.header(), *width))
            .collect()
    }

    /// A camera's cells, each as wide as its column.
    pub(super) fn cells(&self, figures: &CameraFigures, at: Timestamp) -> Vec<(Column, String)> {
        let columns = self.0.iter();
        columns
            .map(|&(column, width)| (column, aligned(column, &column.text(figures, at), width)))
            .collect()
    }
}

fn aligned(column: Column, text: &str, width: usize) -> String {
    let text = cut(text, width);
    if column.is_number() {
        format!("{text:>width$}")
    } else {
        format!("{text:width$}")
    }
}

#[cfg(test)]
mod tests;
