//! Bytes of a file or a pipe: cut into frames or refused, the same however the bytes come, and nothing lost between two frames.
//!
//! The first byte says as what (told apart by content, or JPEG, H.264, H.265), the second how many bytes come at a time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sdvr_frame::FourCc;
use sdvr_source::splitter::{FrameEnd, SplitError, Splitter};

/// All frames, and how it ended, when `piece` bytes come at a time.
fn split(
    stream: &[u8],
    forced: Option<FourCc>,
    piece: usize,
) -> (Vec<FrameEnd>, Result<usize, SplitError>) {
    let mut frames = Vec::new();
    let mut splitter = None;
    let (mut begin, mut end) = (0, 0);
    loop {
        let is_end = end == stream.len();
        let buffer = &stream[begin..end];
        if splitter.is_none() {
            splitter = match Splitter::detect(buffer, is_end, forced) {
                Ok(splitter) => splitter,
                Err(error) => return (frames, Err(error)),
            };
            assert!(splitter.is_some() || !is_end, "undecided at the end");
        }
        if let Some(splitter) = &mut splitter {
            match splitter.next_frame(buffer, is_end) {
                Ok(Some(frame)) => {
                    assert!(frame.consumed > 0 && frame.consumed <= buffer.len());
                    assert!(frame.payload.start <= frame.payload.end);
                    assert!(frame.payload.end <= frame.consumed);
                    begin += frame.consumed;
                    frames.push(frame);
                    let _ = (splitter.format(), splitter.extradata().len());
                    continue;
                }
                Ok(None) => {}
                Err(error) => {
                    assert!(splitter.error_position(error) <= buffer.len());
                    return (frames, Err(error));
                }
            }
        }
        if is_end {
            let cut_off = splitter.is_some_and(|splitter| splitter.is_cut_off(buffer));
            return (frames, Ok(usize::from(cut_off)));
        }
        end = (end + piece).min(stream.len());
    }
}

fuzz_target!(|input: &[u8]| {
    let [kind, piece, stream @ ..] = input else {
        return;
    };
    let forced = [
        None,
        Some(FourCc::MJPG),
        Some(FourCc::H264),
        Some(FourCc::HEVC),
    ][usize::from(kind % 4)];
    let (frames, ending) = split(stream, forced, stream.len().max(1));
    let piecewise = split(stream, forced, usize::from(*piece).max(1));
    assert_eq!(piecewise.0, frames);
    assert_eq!(
        piecewise.1.is_ok(),
        ending.is_ok(),
        "{ending:?} {:?}",
        piecewise.1
    );
});
