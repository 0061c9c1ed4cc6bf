use sdvr::{CameraFigures, Link, StreamState};

use super::*;
use crate::top::cameras_for_tests::{NOW, camera, labels, model};

fn some() -> Vec<CameraFigures> {
    let mut stale = camera("stale-one");
    stale.camera.state = StreamState::Stale;
    stale.camera.link = Some(Link::Udp);
    let mut busy = camera("busy");
    busy.frames_per_second = 60.0;
    vec![camera("door"), stale, busy]
}

fn filtered(text: &str) -> String {
    let mut model = model(some());
    text.chars()
        .for_each(|character| model.type_filter(character));
    labels(&model)
}

#[test]
fn a_filter_s_words_must_all_be_in_something_that_is_told() {
    assert_eq!(filtered(""), "busy door stale-one");
    assert_eq!(filtered("DOOR"), "door");
    assert_eq!(filtered("udp"), "stale-one");
    assert_eq!(filtered("live mjpg"), "busy door");
    assert_eq!(filtered("live udp"), "");
    assert_eq!(filtered("  "), "busy door stale-one");
    let fingerprint = camera("door")
        .camera
        .fingerprint()
        .expect("it has one")
        .to_string();
    assert_eq!(filtered(&fingerprint), "door");
    assert_eq!(filtered(&fingerprint[20..24]), "door");
    // So few are in many fingerprints.
    assert_eq!(filtered(&fingerprint[20..23]), "");
    // The end of one text and the beginning of the next are no word.
    assert_eq!(filtered("doormjpg"), "");
}

#[test]
fn a_filter_takes_nothing_that_cannot_be_shown_and_an_end() {
    let mut model = model(some());
    "\x1b\u{9b}\n\u{4e2d}d"
        .chars()
        .for_each(|character| model.type_filter(character));
    assert_eq!(model.filter(), "d");
    (0..1000).for_each(|_| model.type_filter('o'));
    assert_eq!(model.filter().len(), FILTER_MOST);
    model.clear_filter();
    model.erase_filter();
    assert_eq!(labels(&model), "busy door stale-one");
    assert_eq!(Model::new(model.order, "a\u{1b}[2Jb").filter(), "a?[2Jb");
}

#[test]
fn a_new_look_is_sorted_and_filtered_like_the_one_before() {
    let mut model = model(some());
    model.sort_by(Column::Fps);
    assert_eq!(labels(&model), "busy door stale-one");
    let mut cameras = some();
    cameras[0].frames_per_second = 100.0;
    model.type_filter('o');
    model.take(Look {
        at: Some(NOW),
        cameras,
        ..Look::default()
    });
    assert_eq!(labels(&model), "door stale-one");
    model.reverse();
    assert_eq!(labels(&model), "stale-one door");
}

#[test]
fn the_neighbours_of_a_column_are_those_that_are_shown() {
    let mut model = model(some());
    model.sort_by_neighbour(60, true);
    assert_eq!(model.order.column, Column::State);
    // Format and size have no room.
    model.sort_by_neighbour(60, true);
    assert_eq!(model.order.column, Column::Fps);
    (0..3).for_each(|_| model.sort_by_neighbour(60, false));
    assert_eq!(model.order.column, Column::Age);
    model.sort_by_neighbour(60, true);
    assert_eq!(model.order.column, Column::Label);
    // The terminal was made so narrow that the column is gone, or that there is none.
    model.sort_by(Column::Fingerprint);
    model.sort_by_neighbour(60, true);
    assert_eq!(model.order.column, Column::Label);
    model.sort_by_neighbour(0, true);
    assert_eq!(model.order.column, Column::Label);
}

fn page(model: &mut Model, rows: usize) -> (usize, String) {
    let (first, cameras) = model.page(rows);
    let labels: Vec<&str> = cameras.map(|it| it.camera.label.as_str()).collect();
    (first, labels.join(" "))
}

#[test]
fn scrolling_ends_at_both_ends_whatever_goes_or_comes() {
    let names = ["a", "b", "c", "d", "e"];
    let mut model = model(names.map(camera).to_vec());
    assert_eq!(page(&mut model, 2), (0, "a b".to_owned()));
    model.scroll(-1);
    assert_eq!(page(&mut model, 2), (0, "a b".to_owned()));
    model.scroll(1);
    assert_eq!(page(&mut model, 2), (1, "b c".to_owned()));
    model.scroll(isize::MAX);
    assert_eq!(page(&mut model, 2), (3, "d e".to_owned()));
    // A larger screen.
    assert_eq!(page(&mut model, 4), (1, "b c d e".to_owned()));
    assert_eq!(page(&mut model, 100), (0, "a b c d e".to_owned()));
    model.scroll_to_end();
    model.take(Look {
        at: Some(NOW),
        cameras: vec![camera("z")],
        ..Look::default()
    });
    assert_eq!(page(&mut model, 2), (0, "z".to_owned()));
    assert_eq!(page(&mut model, 0).1, "");
    model.take(Look::default());
    assert_eq!(page(&mut model, 2), (0, String::new()));
}

#[test]
fn the_summary_counts_states_and_adds_rates() {
    let summary = model(some()).summary();
    assert_eq!(
        summary,
        "3 cameras  2 live  1 stale  120.0 frames/s  7.20 Mbit/s"
    );
    assert!(model(Vec::new()).summary().starts_with("no cameras yet"));
}
