//! The model as lines on a screen.

use ratatui::Frame;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use sdvr::{CameraFigures, StreamState};

use super::column::{Column, Fitting, GAP};
use super::daemons;
use super::input::Page;
use super::model::{Mode, Model};
use super::text::cut;

const KEYS: &str = "q quit  ? help  s sort  r reverse  / filter  p pause";
const HELP: [&str; 15] = [
    "up down PgUp PgDn    go through the cameras",
    "Home End             to the first, to the last",
    "s or >, S or <       sort by the next column, by the one before",
    "l t d f m 5 9        sort by label, state, format, fps, Mbit/s, p50, p99",
    "o n k a              ... by lost, resent, link, age",
    "r                    sort the other way round",
    "/                    show only cameras with these words in their label,",
    "                     format, state, link or fingerprint",
    "Esc                  show all cameras again",
    "p                    pause, go on",
    "Ctrl-L               draw everything anew",
    "Ctrl-Z               stop; `fg` goes on",
    "q, Ctrl-C            quit",
    "",
    "Any key goes back to the cameras. `sdvr top --help` says what the columns are.",
];

/// With which colours, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Palette {
    Colours,
    None,
}

impl Palette {
    /// None where the user wants none (`NO_COLOR`), or the terminal's name is that of one without.
    pub(super) fn of_environment() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        Self::of(&variable("TERM"), &variable("NO_COLOR"))
    }

    fn of(terminal: &str, no_color: &str) -> Self {
        // As no-color.org has it: whatever it says.
        let is_without = !no_color.is_empty()
            || ["", "dumb", "ansi-m", "cons25-m"].contains(&terminal)
            || ["vt1", "vt2", "vt3"]
                .iter()
                .any(|name| terminal.starts_with(name))
            || terminal.ends_with("-mono")
            || terminal.ends_with("-m");
        if is_without {
            Self::None
        } else {
            Self::Colours
        }
    }

    const fn colour(self, colour: Color) -> Style {
        match self {
            Self::Colours => Style::new().fg(colour),
            Self::None => Style::new(),
        }
    }

    const fn of_state(self, state: StreamState) -> Style {
        match state {
            StreamState::Live => self.colour(Color::Green),
            StreamState::Stale => self.colour(Color::Yellow),
            StreamState::Lost => self.colour(Color::Red).add_modifier(Modifier::BOLD),
            StreamState::Closed | StreamState::Moved => Style::new().add_modifier(Modifier::DIM),
        }
    }
}

/// Draws all of it; gives the room that the table has.
pub(super) fn draw(frame: &mut Frame<'_>, model: &mut Model, palette: Palette) -> Page {
    let area = frame.area();
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut lines: Vec<Line<'static>> = Vec::new();
    // The table is what is left when the line of its headers and the last one are taken, at least half of a small screen.
    let above = daemons::lines(&model.look, width, height / 3);
    let is_gone = |line: &str| line.contains("GONE");
    lines.extend(above.into_iter().map(|line| {
        let style = if is_gone(&line) {
            palette.of_state(StreamState::Lost)
        } else {
            Style::new()
        };
        Line::styled(line, style)
    }));
    if height > 6 {
        lines.push(Line::styled(cut(&model.summary(), width), bold));
        lines.push(Line::default());
    }
    let fitting = model.fitting(width);
    let rows = height.saturating_sub(lines.len() + 2);
    let page = Page {
        columns: width,
        rows,
    };
    if model.mode == Mode::Help {
        let help = HELP.iter().map(|line| Line::raw(cut(line, width)));
        lines.extend(help.take(rows + 1));
    } else {
        lines.push(headers(&fitting, model, width));
        let at = model.at();
        let (_, cameras) = model.page(rows);
        lines.extend(cameras.map(|figures| row(&fitting, figures, at, palette)));
    }
    lines.resize(height.saturating_sub(1), Line::default());
    lines.push(footer(model, page, palette));
    // On a screen of no line at all there is none to draw.
    lines.truncate(height);
    frame.render_widget(Text::from(lines), area);
    page
}

/// Across the whole screen, with the column by which is sorted made out.
fn headers(fitting: &Fitting, model: &Model, width: usize) -> Line<'static> {
    let bar = Style::new().add_modifier(Modifier::REVERSED);
    let mut spans: Vec<Span<'static>> = Vec::new();
    let mut used = 0;
    for (column, header) in fitting.columns().zip(fitting.headers()) {
        if used > 0 {
            spans.push(Span::styled(GAP, bar));
            used += GAP.len();
        }
        used += header.len();
        let is_sorted = column == model.order.column;
        let emphasis = Modifier::BOLD | Modifier::UNDERLINED;
        let style = if is_sorted {
            bar.add_modifier(emphasis)
        } else {
            bar
        };
        spans.push(Span::styled(header, style));
    }
    spans.push(Span::styled(" ".repeat(width.saturating_sub(used)), bar));
    Line::from(spans)
}

fn row(
    fitting: &Fitting,
    figures: &CameraFigures,
    at: sdvr::Timestamp,
    palette: Palette,
) -> Line<'static> {
    let mut spans: Vec<Span<'static>> = Vec::new();
    for (column, cell) in fitting.cells(figures, at) {
        if !spans.is_empty() {
            spans.push(Span::raw(GAP));
        }
        let style = match column {
            Column::State => palette.of_state(figures.camera.state),
            Column::Lost if figures.newly_lost > 0 => palette.of_state(StreamState::Lost),
            _ => Style::new(),
        };
        spans.push(Span::styled(cell, style));
    }
    Line::from(spans)
}

/// What is shown of how many, in which order; and the keys, if there is room.
fn footer(model: &mut Model, page: Page, palette: Palette) -> Line<'static> {
    if model.mode == Mode::Filter {
        let typed = format!("filter: {}_", model.filter());
        let hint = "  (Enter keeps it, Esc shows all)";
        return Line::from(vec![
            Span::styled(cut(&typed, page.columns), palette.colour(Color::Cyan)),
            Span::raw(hint),
        ]);
    }
    let (shown, all) = (model.shown_count(), model.look.cameras.len());
    let (first, cameras) = model.page(page.rows);
    let last = first + cameras.count();
    let mut parts = Vec::new();
    if model.is_paused {
        parts.push("PAUSED".to_owned());
    }
    if shown > page.rows {
        parts.push(format!("{}-{last} of {shown}", first + 1));
    }
    if !model.filter().is_empty() {
        parts.push(format!("filter \"{}\": {shown} of {all}", model.filter()));
    }
    let order = model.order;
    let by = order.column.header();
    parts.push(format!(
        "by {by}, {}",
        order.column.direction(order.is_reversed)
    ));
    let left = cut(&parts.join(GAP), page.columns);
    let room = page.columns.saturating_sub(left.len());
    let right = if room >= KEYS.len() + GAP.len() {
        format!("{KEYS:>room$}")
    } else {
        String::new()
    };
    let style = if model.is_paused {
        palette.colour(Color::Yellow)
    } else {
        Style::new()
    };
    Line::from(vec![
        Span::styled(left, style),
        Span::styled(right, Style::new().add_modifier(Modifier::DIM)),
    ])
}

#[cfg(test)]
mod tests;
