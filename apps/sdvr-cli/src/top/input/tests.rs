use super::*;
use crate::top::cameras_for_tests::{camera, labels, model};

const PAGE: Page = Page {
    columns: 80,
    rows: 10,
};

fn press(model: &mut Model, code: KeyCode) -> Then {
    model.handle_key(KeyEvent::new(code, KeyModifiers::NONE), PAGE)
}

fn press_with_control(model: &mut Model, character: char) -> Then {
    let code = KeyCode::Char(character);
    model.handle_key(KeyEvent::new(code, KeyModifiers::CONTROL), PAGE)
}

fn some() -> Model {
    model(vec![camera("door"), camera("window")])
}

#[test]
fn q_and_control_c_quit_but_a_q_in_a_filter_is_a_letter() {
    let mut model = some();
    assert_eq!(press(&mut model, KeyCode::Char('q')), Then::Quit);
    press(&mut model, KeyCode::Char('/'));
    assert_eq!(press(&mut model, KeyCode::Char('q')), Then::Show);
    assert_eq!(model.filter(), "q");
    assert_eq!(press_with_control(&mut model, 'c'), Then::Quit);
    assert_eq!(press_with_control(&mut model, 'z'), Then::Suspend);
    assert_eq!(press_with_control(&mut model, 'l'), Then::DrawAnew);
}

#[test]
fn a_filter_holds_while_it_is_typed_and_goes_by_escape() {
    let mut model = some();
    press(&mut model, KeyCode::Char('/'));
    "winx".chars().for_each(|character| {
        press(&mut model, KeyCode::Char(character));
    });
    assert_eq!(labels(&model), "");
    press(&mut model, KeyCode::Backspace);
    assert_eq!(labels(&model), "window");
    press(&mut model, KeyCode::Enter);
    assert_eq!(
        (model.mode.clone(), labels(&model).as_str()),
        (Mode::Table, "window")
    );
    press(&mut model, KeyCode::Esc);
    assert_eq!(labels(&model), "door window");
    press(&mut model, KeyCode::Char('/'));
    press(&mut model, KeyCode::Char('x'));
    press_with_control(&mut model, 'u');
    assert_eq!((model.mode.clone(), model.filter()), (Mode::Filter, ""));
    press(&mut model, KeyCode::Char('x'));
    press(&mut model, KeyCode::Esc);
    assert_eq!((model.mode.clone(), model.filter()), (Mode::Table, ""));
}

#[test]
fn letters_sort_and_r_turns_round() {
    let mut model = some();
    for (key, column) in [
        ('f', Column::Fps),
        ('t', Column::State),
        ('l', Column::Label),
    ] {
        press(&mut model, KeyCode::Char(key));
        assert_eq!(model.order.column, column);
        assert!(!model.order.is_reversed);
    }
    press(&mut model, KeyCode::Char('r'));
    assert_eq!(labels(&model), "window door");
    press(&mut model, KeyCode::Char('s'));
    assert_eq!(model.order.column, Column::State);
    press(&mut model, KeyCode::Char('<'));
    assert_eq!(model.order.column, Column::Label);
}

#[test]
fn any_key_leaves_the_help() {
    let mut model = some();
    press(&mut model, KeyCode::Char('?'));
    assert_eq!(model.mode, Mode::Help);
    assert_eq!(press(&mut model, KeyCode::Char('q')), Then::Show);
    assert_eq!(model.mode, Mode::Table);
}

#[test]
fn p_pauses_and_goes_on() {
    let mut model = some();
    press(&mut model, KeyCode::Char('p'));
    assert!(model.is_paused);
    press(&mut model, KeyCode::Char('p'));
    assert!(!model.is_paused);
}
