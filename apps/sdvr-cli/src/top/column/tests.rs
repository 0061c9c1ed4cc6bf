use sdvr::{FourCc, Link, StreamState};

use super::*;
use crate::top::cameras_for_tests::{NOW, camera};

fn columns(width: usize, cameras: &[CameraFigures]) -> Vec<Column> {
    Fitting::new(width, &Longest::of(cameras))
        .columns()
        .collect()
}

fn width(fitting: &Fitting) -> usize {
    fitting.headers().join(GAP).len()
}

#[test]
fn a_narrow_terminal_has_the_most_important_columns_and_a_wide_one_all() {
    use Column::{
        Age, Fingerprint, Format, Fps, Label, Link, Lost, Mbit, P50, P99, Resent, Size, State,
    };
    let cameras = [camera("front-door")];
    assert_eq!(
        columns(60, &cameras),
        [Label, State, Fps, Mbit, P99, Lost, Age]
    );
    assert_eq!(
        columns(80, &cameras),
        [Label, State, Fps, Mbit, P50, P99, Lost, Resent, Link, Age]
    );
    assert_eq!(
        columns(200, &cameras),
        [
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
            Fingerprint
        ]
    );
    assert_eq!(columns(0, &cameras), []);
}

#[test]
fn no_width_is_exceeded_and_every_cell_is_as_wide_as_its_header() {
    let mut long = camera(&"x".repeat(63));
    long.camera.lost = u64::MAX;
    long.camera.retransmitted = Some(u64::MAX);
    long.frames_per_second = 1e300;
    long.bits_per_second = f64::INFINITY;
    long.camera.format.width = u32::MAX;
    long.camera.format.height = u32::MAX;
    long.camera.last_frame = Some(Timestamp::from_nanoseconds(i64::MIN));
    let cameras = [long, camera("a")];
    let longest = Longest::of(&cameras);
    for wide in 0..400 {
        let fitting = Fitting::new(wide, &longest);
        assert!(width(&fitting) <= wide, "{wide}");
        for figures in &cameras {
            let cells = fitting
                .cells(figures, NOW)
                .into_iter()
                .map(|(_, cell)| cell);
            let cells: Vec<usize> = cells.map(|cell| cell.len()).collect();
            let headers: Vec<usize> = fitting.headers().iter().map(String::len).collect();
            assert_eq!(cells, headers, "{wide}");
        }
    }
}

#[test]
fn the_directory_is_told_where_there_are_several() {
    let mut other = camera("other");
    other.camera.directory = "/dev/shm/sdvr-\u{1b}[2J".into();
    let cameras = [camera("one"), other];
    let fitting = Fitting::new(400, &Longest::of(&cameras));
    assert!(fitting.columns().any(|column| column == Column::Directory));
    assert_eq!(
        Column::Directory.text(&cameras[1], NOW),
        "/dev/shm/sdvr-?[2J"
    );
    assert!(!columns(400, &cameras[..1]).contains(&Column::Directory));
}

#[test]
fn what_is_not_known_is_a_dash() {
    let mut bare = camera("bare");
    bare.latency = None;
    bare.camera.link = None;
    bare.camera.last_frame = None;
    bare.camera.format.width = 0;
    for column in [
        Column::Size,
        Column::P50,
        Column::P99,
        Column::Resent,
        Column::Link,
        Column::Age,
    ] {
        assert_eq!(column.text(&bare, NOW), "-", "{column:?}");
    }
    bare.camera.retransmitted = Some(0);
    assert_eq!(Column::Resent.text(&bare, NOW), "0");
}

#[test]
fn what_a_camera_says_of_itself_never_reaches_the_terminal_raw() {
    let mut hostile = camera("hostile");
    hostile.camera.format.fourcc = FourCc(*b"\x1b[2J");
    hostile.camera.directory = "/dev/shm/\n\u{9b}31m".into();
    for column in Column::ALL {
        let text = column.text(&hostile, NOW);
        assert!(
            text.chars().all(|it| matches!(it, ' '..='~')),
            "{column:?}: {text:?}"
        );
    }
}

#[track_caller]
fn sorts(column: Column, mut change: impl FnMut(&mut CameraFigures, u32), expected: [u32; 3]) {
    let mut cameras: Vec<(u32, CameraFigures)> = (0..3).map(|n| (n, camera("same"))).collect();
    for (number, figures) in &mut cameras {
        change(figures, *number);
    }
    for is_reversed in [false, true] {
        let order = Order {
            column,
            is_reversed,
        };
        cameras.sort_by(|(_, one), (_, other)| order.compare(one, other));
        let mut sorted: Vec<u32> = cameras.iter().map(|(number, _)| *number).collect();
        if is_reversed {
            sorted.reverse();
        }
        assert_eq!(sorted, expected, "{column:?}");
    }
}

#[test]
fn numbers_sort_from_the_largest_and_what_is_not_known_is_last() {
    sorts(
        Column::Fps,
        |it, n| it.frames_per_second = f64::from(n),
        [2, 1, 0],
    );
    sorts(Column::Lost, |it, n| it.camera.lost = n.into(), [2, 1, 0]);
    sorts(
        Column::Resent,
        |it, n| it.camera.retransmitted = u64::from(n).checked_sub(1),
        [2, 1, 0],
    );
    sorts(
        Column::Size,
        |it, n| it.camera.format.width = 100 + n,
        [2, 1, 0],
    );
    sorts(
        Column::Age,
        |it, n| it.camera.last_frame = (n > 0).then(|| NOW.offset_by(-i64::from(n))),
        [2, 1, 0],
    );
    sorts(
        Column::P99,
        |it, n| {
            if n == 1 {
                it.latency = None
            } else if let Some(l) = &mut it.latency {
                l.p99 = std::time::Duration::from_secs(n.into());
            }
        },
        [2, 0, 1],
    );
}

#[test]
fn states_sort_from_the_worst_and_texts_from_a() {
    let states = [StreamState::Live, StreamState::Lost, StreamState::Stale];
    sorts(
        Column::State,
        |it, n| it.camera.state = states[n as usize],
        [1, 2, 0],
    );
    let links = [Link::Udp, Link::Ethernet, Link::Tcp];
    sorts(
        Column::Link,
        |it, n| it.camera.link = Some(links[n as usize]),
        [1, 2, 0],
    );
    let labels = ["c", "a", "b"];
    sorts(
        Column::Label,
        |it, n| it.camera.label = labels[n as usize].parse().expect("it is one"),
        [1, 2, 0],
    );
}

#[test]
fn every_key_sorts_by_one_column() {
    let keys: Vec<char> = Column::ALL.into_iter().filter_map(Column::key).collect();
    let mut single = keys.clone();
    single.sort_unstable();
    single.dedup();
    assert_eq!(single.len(), keys.len());
    // Those that mean something else.
    assert!(keys.iter().all(|key| !"qsSrp?h/<> ".contains(*key)));
}
