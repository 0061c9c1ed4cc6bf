use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use sdvr::{FourCc, Link};

use super::*;
use crate::top::cameras_for_tests::{camera, model};

fn drawn(model: &mut Model, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("it cannot fail");
    let draw = terminal.draw(|frame| {
        draw(frame, model, Palette::Colours);
    });
    draw.expect("it cannot fail");
    let buffer = terminal.backend().buffer();
    let cells: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
    let lines = cells.chunks(usize::from(width).max(1));
    lines
        .map(|line| line.concat().trim_end().to_owned())
        .collect()
}

fn some() -> Model {
    let mut udp = camera("window");
    udp.camera.link = Some(Link::Udp);
    udp.camera.retransmitted = Some(17);
    udp.camera.lost = 3;
    model(vec![camera("front-door"), udp])
}

#[test]
fn all_is_shown_where_it_belongs() {
    let lines = drawn(&mut some(), 80, 10);
    assert_eq!(
        lines,
        [
            "no daemon: waiting for one (sdvrd)",
            "2 cameras  2 live  60.0 frames/s  4.80 Mbit/s",
            "",
            "LABEL       STATE      FPS  MBIT/S  P50 ms  P99 ms    LOST  RESENT  LINK    AGE",
            "front-door  live      30.0    2.40    1.50    12.3       0       -  tcp    0.0s",
            "window      live      30.0    2.40    1.50    12.3       3      17  udp    0.0s",
            "",
            "",
            "",
            "by LABEL, A to Z            q quit  ? help  s sort  r reverse  / filter  p pause",
        ]
    );
}

#[test]
fn a_screen_of_any_size_can_be_drawn_on() {
    let names: Vec<String> = (0..100).map(|number| format!("camera-{number}")).collect();
    let mut model = model(names.iter().map(|name| camera(name)).collect());
    for key in [
        KeyCode::Null,
        KeyCode::End,
        KeyCode::Char('/'),
        KeyCode::Esc,
        KeyCode::Char('?'),
    ] {
        for (width, height) in [
            (0, 0),
            (1, 1),
            (1, 50),
            (200, 1),
            (3, 2),
            (60, 5),
            (300, 100),
        ] {
            let page = Page {
                columns: width.into(),
                rows: height.into(),
            };
            model.handle_key(KeyEvent::new(key, KeyModifiers::NONE), page);
            drawn(&mut model, width, height);
        }
    }
}

#[test]
fn the_last_line_says_what_is_shown_of_what() {
    let names: Vec<String> = (0..100).map(|number| format!("camera-{number}")).collect();
    let mut model = model(names.iter().map(|name| camera(name)).collect());
    let last = |model: &mut Model| drawn(model, 80, 20).pop().expect("there are lines");
    assert!(
        last(&mut model).starts_with("1-15 of 100  by LABEL, A to Z"),
        "{}",
        last(&mut model)
    );
    model.scroll_to_end();
    "9".chars()
        .for_each(|character| model.type_filter(character));
    model.sort_by(Column::Fps);
    model.is_paused = true;
    assert!(
        last(&mut model)
            .starts_with("PAUSED  1-15 of 19  filter \"9\": 19 of 100  by FPS, largest first"),
        "{}",
        last(&mut model)
    );
}

#[test]
fn what_a_camera_says_of_itself_is_shown_as_text() {
    let mut hostile = camera("hostile");
    hostile.camera.format.fourcc = FourCc(*b"\x1b[2J");
    let lines = drawn(&mut model(vec![hostile]), 200, 10);
    assert!(lines.iter().any(|line| line.contains("?[2J")), "{lines:?}");
    assert!(lines.concat().chars().all(|it| matches!(it, ' '..='~')));
}

#[test]
fn colours_are_for_terminals_that_have_them_and_users_that_want_them() {
    for name in ["xterm-256color", "screen", "tmux-256color", "linux", "foot"] {
        assert_eq!(Palette::of(name, ""), Palette::Colours, "{name}");
        assert_eq!(Palette::of(name, "1"), Palette::None, "{name}");
    }
    for name in ["", "dumb", "vt100", "vt220", "xterm-mono", "ansi-m"] {
        assert_eq!(Palette::of(name, ""), Palette::None, "{name}");
    }
}
