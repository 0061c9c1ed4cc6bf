use super::*;
use crate::datagram::parity::Parity;

const FRAGMENT: u16 = 1136;

fn facts(frame_bytes: u32) -> FrameFacts {
    FrameFacts {
        stream: StreamId(1),
        number: FrameNumber(7),
        frame_bytes,
        fragment_bytes: FRAGMENT,
        captured: Timestamp::from_nanoseconds(5),
        flags: FrameFlags::KEY,
    }
}

fn content(frame_bytes: u32) -> Vec<u8> {
    (0..frame_bytes).map(|byte| (byte % 251) as u8).collect()
}

fn partial(frame_bytes: u32) -> PartialFrame {
    PartialFrame::new(facts(frame_bytes), 1 << 30).unwrap()
}

fn take(
    frame: &mut PartialFrame,
    facts: &FrameFacts,
    piece: Piece<'_>,
) -> Result<Taken, SessionError> {
    frame.take(facts, piece, &mut Clearing::new(1 << 30))
}

/// Gives fragment `number` of the frame.
fn give(frame: &mut PartialFrame, number: u32) -> Result<Taken, SessionError> {
    let facts = *frame.facts();
    let whole = content(facts.frame_bytes);
    let fragments: Vec<&[u8]> = whole.chunks(FRAGMENT.into()).collect();
    take(
        frame,
        &facts,
        fragment(number * u32::from(FRAGMENT), fragments[number as usize]),
    )
}

fn fragment(offset: u32, bytes: &[u8]) -> Piece<'_> {
    Piece::Fragment { offset, bytes }
}

fn missing(frame: &PartialFrame) -> Vec<Range<u32>> {
    frame.missing_below(u32::MAX).collect()
}

#[test]
fn a_frame_is_whole_when_each_fragment_has_come_in_any_order_and_any_number_of_times() {
    for frame_bytes in [1, 1135, 1136, 1137, 100_000, 500_000] {
        let mut frame = partial(frame_bytes);
        let facts = *frame.facts();
        let whole = content(frame_bytes);
        let fragments: Vec<&[u8]> = whole.chunks(FRAGMENT.into()).collect();
        let count = facts.fragments();
        // A step that has no divisor in common with any of the counts.
        for step in 0..count {
            let number = (step * 7919 + 13) % count;
            assert!(!frame.is_whole());
            let piece = fragment(number * u32::from(FRAGMENT), fragments[number as usize]);
            assert_eq!(take(&mut frame, &facts, piece), Ok(Taken::Kept));
            assert_eq!(take(&mut frame, &facts, piece), Ok(Taken::Needless));
        }
        assert!(frame.is_whole(), "{frame_bytes}");
        assert_eq!(frame.into_bytes(), Some(whole));
    }
}

#[test]
fn what_is_missing_is_told_in_runs() {
    let mut frame = partial(200 * u32::from(FRAGMENT));
    assert_eq!(missing(&frame), [0..200]);
    for number in [0, 1, 63, 64, 130] {
        give(&mut frame, number).unwrap();
    }
    assert_eq!(missing(&frame), [2..63, 65..130, 131..200]);
    assert_eq!(
        frame.missing_below(100).collect::<Vec<_>>(),
        [2..63, 65..100]
    );
    assert_eq!(frame.missing_below(2).count(), 0);
    assert_eq!(frame.heard(), 131);
    assert_eq!(frame.into_bytes(), None);
}

#[test]
fn a_fragment_that_lies_about_its_place_is_refused() {
    let last = 2 * u32::from(FRAGMENT);
    let lies: [(u32, usize); 8] = [
        (0, 0),
        (0, 1135),
        (0, 1137),
        (1, 1136),
        (last, 1136),
        (last, 99),
        (last + 1136, 100),
        (u32::MAX - 100, 100),
    ];
    for (offset, length) in lies {
        let mut frame = partial(last + 100);
        let facts = *frame.facts();
        let taken = take(&mut frame, &facts, fragment(offset, &vec![0; length]));
        assert!(taken.is_err(), "{length} bytes at {offset}");
        assert_eq!(missing(&frame), [0..3]);
    }
}

#[test]
fn a_fragment_that_contradicts_the_first_is_refused() {
    let first = facts(5000);
    let others = [
        FrameFacts {
            frame_bytes: 5001,
            ..first
        },
        FrameFacts {
            fragment_bytes: 568,
            ..first
        },
        FrameFacts {
            captured: Timestamp::from_nanoseconds(6),
            ..first
        },
        FrameFacts {
            flags: FrameFlags::NONE,
            ..first
        },
    ];
    for other in others {
        let mut frame = partial(5000);
        assert!(
            take(&mut frame, &other, fragment(0, &[0; 1136])).is_err(),
            "{other:?}"
        );
    }
}

#[test]
fn frames_that_cannot_be_are_refused() {
    let refused = |facts, most| PartialFrame::new(facts, most).is_err();
    assert!(refused(facts(0), 1000));
    assert!(refused(facts(1001), 1000));
    assert!(!refused(facts(1000), 1000));
    let no_fragments = FrameFacts {
        fragment_bytes: 0,
        ..facts(1000)
    };
    assert!(refused(no_fragments, 1000));
    let short = |frame_bytes| FrameFacts {
        fragment_bytes: 255,
        ..facts(frame_bytes)
    };
    assert!(refused(short(256), 1000));
    assert!(!refused(short(255), 1000));
}

#[test]
fn memory_follows_what_arrives_and_not_what_is_announced() {
    let mut frame = partial(200 << 20);
    assert_eq!(frame.held_bytes(), 0);
    let first = *frame.facts();
    take(&mut frame, &first, fragment(0, &[1; 1136])).unwrap();
    assert!(
        frame.held_bytes() <= STEP_BYTES + 64,
        "{}",
        frame.held_bytes()
    );
    // Half of the frame has arrived: at most all of it is held.
    let half = 100 << 20;
    let offset = half - half % u32::from(FRAGMENT);
    take(&mut frame, &first, fragment(offset, &[1; 1136])).unwrap();
    assert!(frame.held_bytes() <= 101 << 20, "{}", frame.held_bytes());
}

/// Of frame after frame only the last fragment comes.
#[test]
fn memory_is_not_cleared_for_ends_without_beginnings() {
    let frame_bytes = 1000 * u32::from(FRAGMENT);
    let mut clearing = Clearing::new(frame_bytes.into());
    let facts = facts(frame_bytes);
    let end = frame_bytes - u32::from(FRAGMENT);
    let taken = (0..1000).filter(|_| {
        let mut frame = partial(frame_bytes);
        let taken = frame.take(&facts, fragment(end, &[1; 1136]), &mut clearing);
        taken == Ok(Taken::Kept)
    });
    assert_eq!(taken.count(), 2);
    // Whole frames are taken all the same, and earn what was spent.
    for _ in 0..3 {
        let mut frame = partial(frame_bytes);
        for number in 0..1000 {
            let offset = number * u32::from(FRAGMENT);
            assert_eq!(
                frame.take(&facts, fragment(offset, &[1; 1136]), &mut clearing),
                Ok(Taken::Kept)
            );
        }
    }
    let mut frame = partial(frame_bytes);
    assert_eq!(
        frame.take(&facts, fragment(end, &[1; 1136]), &mut clearing),
        Ok(Taken::Kept)
    );
}

/// Computed fragments may lie far ahead of what has arrived, as others do.
#[test]
fn memory_is_not_cleared_for_parity_either() {
    let facts = facts(200 * u32::from(FRAGMENT));
    let whole = content(facts.frame_bytes);
    let parity = Parity::of(&facts, &whole, 50).unwrap();
    let take_all = |clearing: &mut Clearing| {
        let mut frame = partial(facts.frame_bytes);
        for (number, bytes) in (0..150).zip(whole.chunks(FRAGMENT.into())) {
            let piece = fragment(number * u32::from(FRAGMENT), bytes);
            assert_eq!(frame.take(&facts, piece, clearing), Ok(Taken::Kept));
        }
        for number in 0..parity.count() {
            let rows = parity.rows;
            let piece = Piece::Parity {
                place: ParityPlace { number, rows },
                bytes: parity.bytes(number),
            };
            frame.take(&facts, piece, clearing).unwrap();
        }
        frame.into_bytes()
    };
    assert_eq!(take_all(&mut Clearing::new(0)), None);
    let enough = &mut Clearing::new(facts.frame_bytes.into());
    assert_eq!(take_all(enough), Some(whole.clone()));
}
