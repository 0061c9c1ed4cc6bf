//! What is shown: the cameras of the last look, sorted and filtered, and where the user is in them. Knows no terminal.

use sdvr::{CameraFigures, StreamState, Timestamp};

use super::column::{Column, Fitting, Longest, Order};
use super::figures::Look;
use super::text::printable;

/// Shorter words are not searched in fingerprints, where they are by chance.
const FINGERPRINT_LEAST: usize = 4;
/// No filter is longer.
const FILTER_MOST: usize = 64;

/// What the keys are for at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Going through the table.
    Table,
    /// Typing a filter, which holds at once.
    Filter,
    /// Reading the help.
    Help,
}

/// All that there is to show.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) look: Look,
    pub(super) order: Order,
    pub(super) mode: Mode,
    pub(super) is_paused: bool,
    filter: String,
    longest: Longest,
    /// Places in the look's cameras of those that the filter lets through, sorted.
    shown: Vec<usize>,
    /// The first one on the screen, in `shown`.
    first: usize,
}

impl Model {
    pub(super) fn new(order: Order, filter: &str) -> Self {
        let filter = printable(filter);
        Self {
            look: Look::default(),
            order,
            mode: Mode::Table,
            is_paused: false,
            filter: filter.chars().take(FILTER_MOST).collect(),
            longest: Longest::default(),
            shown: Vec::new(),
            first: 0,
        }
    }

    /// Takes what was seen now in the place of what was seen before.
    pub(super) fn take(&mut self, look: Look) {
        self.look = look;
        self.longest = Longest::of(&self.look.cameras);
        self.arrange();
    }

    fn arrange(&mut self) {
        let cameras = &self.look.cameras;
        let lowercase = self.filter.to_lowercase();
        let words: Vec<&str> = lowercase.split_whitespace().collect();
        self.shown = (0..cameras.len())
            .filter(|index| cameras.get(*index).is_some_and(|it| has_words(it, &words)))
            .collect();
        let order = self.order;
        self.shown.sort_by(
            |one, other| match (cameras.get(*one), cameras.get(*other)) {
                (Some(one), Some(other)) => order.compare(one, other),
                _ => std::cmp::Ordering::Equal,
            },
        );
    }

    /// When it was looked.
    pub(super) fn at(&self) -> Timestamp {
        self.look.at.unwrap_or_else(Timestamp::now)
    }

    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    /// How many cameras the filter lets through.
    pub(super) fn shown_count(&self) -> usize {
        self.shown.len()
    }

    /// All cameras that the filter lets through, sorted.
    pub(super) fn shown(&self) -> impl Iterator<Item = &CameraFigures> {
        self.shown
            .iter()
            .filter_map(|index| self.look.cameras.get(*index))
    }

    /// Those that are on a screen with room for `rows`, and the place of the first; goes back if there is room behind the last.
    pub(super) fn page(&mut self, rows: usize) -> (usize, impl Iterator<Item = &CameraFigures>) {
        let rows_most = self.shown.len().saturating_sub(rows);
        self.first = self.first.min(rows_most);
        (self.first, self.shown().skip(self.first).take(rows))
    }

    /// The columns for a screen of that width.
    pub(super) fn fitting(&self, width: usize) -> Fitting {
        Fitting::new(width, &self.longest)
    }

    /// Goes through the cameras, `rows` forward or back; not past the ends.
    pub(super) fn scroll(&mut self, rows: isize) {
        self.first = self.first.saturating_add_signed(rows).min(self.shown.len());
    }

    pub(super) fn scroll_to_begin(&mut self) {
        self.first = 0;
    }

    pub(super) fn scroll_to_end(&mut self) {
        self.first = self.shown.len();
    }

    /// Sorts by a column, in the order that is usual for it.
    pub(super) fn sort_by(&mut self, column: Column) {
        self.order = Order {
            column,
            is_reversed: false,
        };
        self.first = 0;
        self.arrange();
    }

    /// Sorts by the column that comes after, of those that are shown at a width; or before.
    pub(super) fn sort_by_neighbour(&mut self, width: usize, is_forward: bool) {
        let columns: Vec<Column> = self.fitting(width).columns().collect();
        let now = columns.iter().position(|it| *it == self.order.column);
        let next = match (now, is_forward) {
            (None, _) => 0,
            (Some(now), true) => (now + 1) % columns.len(),
            (Some(now), false) => now.checked_sub(1).unwrap_or(columns.len() - 1),
        };
        if let Some(column) = columns.get(next) {
            self.sort_by(*column);
        }
    }

    pub(super) fn reverse(&mut self) {
        self.order.is_reversed = !self.order.is_reversed;
        self.arrange();
    }

    /// Adds a character to the filter, if it is one that can be shown and there is room.
    pub(super) fn type_filter(&mut self, character: char) {
        if matches!(character, ' '..='~') && self.filter.len() < FILTER_MOST {
            self.filter.push(character);
            self.filter_changed();
        }
    }

    pub(super) fn erase_filter(&mut self) {
        self.filter.pop();
        self.filter_changed();
    }

    pub(super) fn clear_filter(&mut self) {
        self.filter.clear();
        self.filter_changed();
    }

    fn filter_changed(&mut self) {
        self.first = 0;
        self.arrange();
    }

    /// All cameras in a line: how many are how, and what they send together.
    pub(super) fn summary(&self) -> String {
        let cameras = &self.look.cameras;
        let mut parts = vec![match cameras.len() {
            0 => return "no cameras yet: waiting for them (sdvrc sends one)".to_owned(),
            1 => "1 camera".to_owned(),
            many => format!("{many} cameras"),
        }];
        for state in [
            StreamState::Live,
            StreamState::Stale,
            StreamState::Lost,
            StreamState::Closed,
        ] {
            let such = cameras.iter().filter(|it| it.camera.state == state).count();
            if such > 0 {
                parts.push(format!("{such} {state}"));
            }
        }
        let sum = |of: fn(&CameraFigures) -> f64| cameras.iter().map(of).sum::<f64>();
        let frames = super::text::decimal(sum(|it| it.frames_per_second));
        let megabits = super::text::decimal(sum(|it| it.bits_per_second) / 1e6);
        parts.push(format!("{frames} frames/s"));
        parts.push(format!("{megabits} Mbit/s"));
        parts.join("  ")
    }
}

/// Whether each of the words, in lower case, is in something that is told of the camera.
fn has_words(figures: &CameraFigures, words: &[&str]) -> bool {
    if words.is_empty() {
        return true;
    }
    let at = Timestamp::from_nanoseconds(0);
    let texts = [
        Column::Label,
        Column::Format,
        Column::State,
        Column::Link,
        Column::Fingerprint,
    ]
    .map(|column| column.text(figures, at).to_lowercase());
    let of_identity = if figures.camera.origin.is_derived() {
        0
    } else {
        FINGERPRINT_LEAST
    };
    let least_bytes = [0, 0, 0, 0, of_identity];
    let mut words = words.iter();
    words.all(|word| {
        let is_in = |(text, least): (&String, usize)| word.len() >= least && text.contains(word);
        texts.iter().zip(least_bytes).any(is_in)
    })
}

#[cfg(test)]
mod tests;
