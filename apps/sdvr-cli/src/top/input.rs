//! What keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::column::Column;
use super::model::{Mode, Model};

/// What is to be done after a key, besides showing the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Show,
    /// Something else may have written to the terminal: all of it is to be drawn.
    DrawAnew,
    /// The user wants to do something else meanwhile.
    Suspend,
    Quit,
}

/// The part of the terminal that the table has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

impl Model {
    pub(super) fn handle_key(&mut self, key: KeyEvent, page: Page) -> Then {
        if key.kind == KeyEventKind::Release {
            return Then::Show;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return self.handle_control(key.code);
        }
        match self.mode {
            Mode::Help => self.mode = Mode::Table,
            Mode::Filter => self.handle_filter_key(key.code),
            Mode::Table => return self.handle_table_key(key.code, page),
        }
        Then::Show
    }

    fn handle_control(&mut self, code: KeyCode) -> Then {
        match code {
            KeyCode::Char('c') => return Then::Quit,
            KeyCode::Char('z') => return Then::Suspend,
            KeyCode::Char('l') => return Then::DrawAnew,
            KeyCode::Char('u') if self.mode == Mode::Filter => self.clear_filter(),
            // What some terminals send for the backspace key.
            KeyCode::Char('h') if self.mode == Mode::Filter => self.erase_filter(),
            _ => {}
        }
        Then::Show
    }

    fn handle_filter_key(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.mode = Mode::Table,
            KeyCode::Esc => {
                self.clear_filter();
                self.mode = Mode::Table;
            }
            KeyCode::Backspace => self.erase_filter(),
            KeyCode::Char(character) => self.type_filter(character),
            _ => {}
        }
    }

    fn handle_table_key(&mut self, code: KeyCode, page: Page) -> Then {
        let rows = isize::try_from(page.rows).unwrap_or(isize::MAX);
        match code {
            KeyCode::Char('q') => return Then::Quit,
            KeyCode::Up => self.scroll(-1),
            KeyCode::Down => self.scroll(1),
            KeyCode::PageUp => self.scroll(-rows),
            KeyCode::PageDown | KeyCode::Char(' ') => self.scroll(rows),
            KeyCode::Home => self.scroll_to_begin(),
            KeyCode::End => self.scroll_to_end(),
            KeyCode::Char('s' | '>') => self.sort_by_neighbour(page.columns, true),
            KeyCode::Char('S' | '<') => self.sort_by_neighbour(page.columns, false),
            KeyCode::Char('r') => self.reverse(),
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Esc => self.clear_filter(),
            KeyCode::Char('p') => self.is_paused = !self.is_paused,
            KeyCode::Char('?' | 'h') => self.mode = Mode::Help,
            KeyCode::Char(character) => {
                let mut columns = Column::ALL.into_iter();
                if let Some(column) = columns.find(|column| column.key() == Some(character)) {
                    self.sort_by(column);
                }
            }
            _ => {}
        }
        Then::Show
    }
}

#[cfg(test)]
mod tests;
