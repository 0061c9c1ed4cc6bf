//! The terminal: taken, drawn on, and given back as it was, whatever happens.

use std::io::{self, BufWriter, Stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event};
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{execute, queue};
use ratatui::layout::{Position, Rect};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Signal;

use super::figures::Looker;
use super::input::{Page, Then};
use super::model::Model;
use super::signals::Signals;
use super::view::{self, Palette};

/// What a screen full of changes takes at most, so that it goes out in one piece: over a network each piece may be a packet.
const BUFFER_BYTES: usize = 64 << 10;

/// Whether what is seen is the alternate screen, which is ours: a panic gives the terminal back from wherever it happens, and what it says must stay.
static HAS_ALTERNATE_SCREEN: AtomicBool = AtomicBool::new(false);

/// Whether the terminal is one on which can be drawn.
pub(super) fn can_be_used() -> bool {
    std::env::var_os("TERM").is_some_and(|name| !name.is_empty() && name != "dumb")
}

pub(super) fn run(interval: Duration, mut looker: Looker, mut model: Model) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let palette = Palette::of_environment();
    let mut screen = Screen::open().context("cannot draw on the terminal")?;
    let mut next = Instant::now() + interval;
    loop {
        let page = screen.draw(&mut model, palette)?;
        let is_there = wait(&signals, next)?;
        signals.hear();
        if !is_there || signals.end() {
            return Ok(());
        }
        if signals.take_stop() {
            screen.suspend()?;
        }
        if signals.take_continued() {
            screen.take_back()?;
        }
        while event::poll(Duration::ZERO)? {
            let Event::Key(key) = event::read()? else {
                continue;
            };
            match model.handle_key(key, page) {
                Then::Show => {}
                Then::DrawAnew => screen.draw_anew()?,
                Then::Suspend => screen.suspend()?,
                Then::Quit => return Ok(()),
            }
        }
        let now = Instant::now();
        if now >= next {
            // Who was stopped for a while does not make up for it.
            next = (next + interval).max(now);
            if !model.is_paused {
                model.take(looker.look());
            }
        }
    }
}

/// Until a key, a signal, or the time; false when the terminal is gone.
fn wait(signals: &Signals, until: Instant) -> anyhow::Result<bool> {
    let stdin = io::stdin();
    let mut descriptors = [
        PollFd::new(&stdin, PollFlags::IN),
        PollFd::new(signals, PollFlags::IN),
    ];
    let rest = until.saturating_duration_since(Instant::now());
    let rest = Timespec::try_from(rest).context("the interval is too long")?;
    match poll(&mut descriptors, Some(&rest)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error).context("cannot wait for keys"),
    }
    let [terminal, _] = &descriptors;
    // Reading from it would then never end.
    let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    Ok(!terminal.revents().intersects(gone))
}

/// A terminal that is ours until this is dropped.
struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Screen {
    fn open() -> anyhow::Result<Self> {
        // A panic would be written across the table, and the shell left without its line.
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
        let out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout());
        let mut screen = Self {
            terminal: Terminal::new(CrosstermBackend::new(out))?,
        };
        screen.take_back()?;
        Ok(screen)
    }

    /// Draws what has changed; gives how much room the table has.
    fn draw(&mut self, model: &mut Model, palette: Palette) -> anyhow::Result<Page> {
        let mut page = Page {
            columns: 0,
            rows: 0,
        };
        self.terminal
            .draw(|frame| page = view::draw(frame, model, palette))
            .context("cannot draw on the terminal")?;
        Ok(page)
    }

    /// Gives the terminal back and stops, with all that was started with this program, until somebody has it go on.
    fn suspend(&mut self) -> anyhow::Result<()> {
        give_back();
        rustix::process::kill_current_process_group(Signal::STOP)?;
        self.take_back()
    }

    /// Takes the terminal, also from whoever had it meanwhile, and draws all of it.
    fn take_back(&mut self) -> anyhow::Result<()> {
        // It may have been left in any state.
        disable_raw_mode()?;
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen)?;
        // Relaxed, here and below: nothing else hangs on it.
        HAS_ALTERNATE_SCREEN.store(true, Ordering::Relaxed);
        self.terminal.hide_cursor()?;
        self.draw_anew()
    }

    /// Has the next drawing be of everything.
    fn draw_anew(&mut self) -> anyhow::Result<()> {
        // `clear` would ask the terminal where its cursor is, and wait for an answer that some never give.
        let size = self.terminal.size()?;
        Ok(self.terminal.resize(Rect::from((Position::ORIGIN, size)))?)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// The terminal as it was. Nothing can be done where that fails.
fn give_back() {
    if HAS_ALTERNATE_SCREEN.swap(false, Ordering::Relaxed) {
        // tmux wraps lines that are longer than the terminal was wide before it was resized, and leaves what is then too much above the screen of before.
        let _ = queue!(io::stdout(), Clear(ClearType::All));
    }
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}
