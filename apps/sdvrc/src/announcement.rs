//! What the server is asked to make room for: how long frames may become. Kept over sessions, so that a server that
//! comes back is asked for what was in use.

use std::time::Duration;

use sdvr_frame::{InstanceId, StreamId, StreamKind, Timestamp};
use sdvr_session::{OpenStream, StreamCode};
use sdvr_source::SourceDescription;
use tracing::{info, warn};

/// The one stream of a camera.
pub(crate) const STREAM: StreamId = StreamId(0);
/// How long a stream that was refused waits to be asked for again.
pub(crate) const REFUSED_WAIT: Duration = Duration::from_secs(5);
/// How long frames that are too long are dropped before the server is asked for more room again.
const GROWTH_WAIT: Duration = Duration::from_secs(60);
/// A compressed frame may be this many times as long as the first one before the stream is opened anew.
const FRAME_GROWTH: usize = 8;
const FRAME_LEAST_KIB: u32 = 64;
/// Frames that have been so many times as short as announced for so long, twice, give memory back …
const SHRINK_TIMES: u32 = 16;
const SHRINK_WINDOW: Duration = Duration::from_secs(20);
/// … and keep room for frames so many times as long as the longest of them.
const SHRUNK_ROOM: u32 = 4;

/// The stream as it is asked for.
#[derive(Debug)]
pub(crate) struct Announcement {
    open: OpenStream,
    /// Less than this is of no use.
    least_kib: u32,
    growth: Growth,
    /// What frames needed lately; `None` where all are of one length.
    recent: Option<Recent>,
}

/// The longest frames of this window of time, and of the one before.
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    ends: Option<Timestamp>,
    longest_kib: u32,
    before_kib: u32,
}

impl Recent {
    /// Notes a frame; at the end of a window, gives the longest of two.
    fn note(&mut self, now: Timestamp, needed_kib: u32) -> Option<u32> {
        let ends = *self.ends.get_or_insert(now + SHRINK_WINDOW);
        self.longest_kib = self.longest_kib.max(needed_kib);
        if now < ends {
            return None;
        }
        let is_first = self.before_kib == 0;
        let longest_kib = self.longest_kib.max(self.before_kib);
        *self = Self {
            ends: Some(now + SHRINK_WINDOW),
            longest_kib: 0,
            before_kib: self.longest_kib,
        };
        (!is_first).then_some(longest_kib)
    }
}

/// How far the stream is with frames of another length than it announced.
#[derive(Clone, Copy, Debug)]
enum Growth {
    /// They fit, or were not seen.
    None,
    /// More was asked for, or less: what is needed, and what there was.
    Asked { needed_kib: u32, from_kib: u32 },
    /// More was refused; not asked again until then.
    Refused { again_at: Timestamp },
}

/// Whether a frame fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    Fits,
    /// The stream must be opened anew first, as it is announced now.
    AfterOpening,
    /// The server has no room for it.
    TooLong,
}

impl Announcement {
    pub(crate) fn new(instance: InstanceId, description: &SourceDescription) -> Self {
        let first_kib = kib(description
            .frame_bytes
            .unwrap_or(description.first_frame_bytes));
        let frame_kib = if description.frame_bytes.is_some() {
            first_kib
        } else {
            kib(description.first_frame_bytes.saturating_mul(FRAME_GROWTH)).max(FRAME_LEAST_KIB)
        };
        Self {
            open: OpenStream {
                stream: STREAM,
                kind: StreamKind::Video,
                instance,
                format: description.format,
                frame_kib,
                parent: STREAM,
                latency_ms: 0,
                label: None,
                extradata: description.extradata.clone(),
            },
            least_kib: first_kib,
            growth: Growth::None,
            recent: description.frame_bytes.is_none().then(Recent::default),
        }
    }

    /// What to ask for.
    pub(crate) const fn open(&self) -> &OpenStream {
        &self.open
    }

    /// How long frames may wait at the server for what was lost on the way; `None` where nothing is lost.
    pub(crate) fn set_latency(&mut self, latency: Option<Duration>) {
        let latency_ms = latency.map_or(0, |latency| latency.as_millis().max(1));
        self.open.latency_ms = u16::try_from(latency_ms).unwrap_or(u16::MAX);
    }

    /// A new session begins, whose server takes frames of at most `most_kib`: more is not asked for, unless even the
    /// first frame is longer.
    pub(crate) fn limit(&mut self, most_kib: u32) {
        self.open.frame_kib = self.open.frame_kib.min(most_kib.max(self.least_kib));
        self.growth = Growth::None;
    }

    /// Whether a frame of `frame_bytes` may be sent; asks for more room if it may be had.
    pub(crate) fn fit(&mut self, now: Timestamp, frame_bytes: usize, most_kib: u32) -> Fit {
        let needed_kib = kib(frame_bytes);
        if needed_kib <= self.open.frame_kib {
            return self.shrink(now, needed_kib);
        }
        if needed_kib > most_kib
            || matches!(self.growth, Growth::Refused { again_at } if now < again_at)
        {
            return Fit::TooLong;
        }
        let from_kib = self.open.frame_kib;
        self.open.frame_kib = needed_kib.saturating_mul(2).min(most_kib);
        info!(
            from_kib,
            to_kib = self.open.frame_kib,
            "frames have become larger; opening the stream anew"
        );
        self.growth = Growth::Asked {
            needed_kib,
            from_kib,
        };
        Fit::AfterOpening
    }

    /// Gives memory back that frames have not needed for long.
    fn shrink(&mut self, now: Timestamp, needed_kib: u32) -> Fit {
        let Some(longest_kib) = self
            .recent
            .as_mut()
            .and_then(|recent| recent.note(now, needed_kib))
        else {
            return Fit::Fits;
        };
        let from_kib = self.open.frame_kib;
        let to_kib = longest_kib.saturating_mul(SHRUNK_ROOM).max(FRAME_LEAST_KIB);
        if longest_kib.saturating_mul(SHRINK_TIMES) > from_kib || to_kib >= from_kib {
            return Fit::Fits;
        }
        info!(
            from_kib,
            to_kib, "frames have become smaller; opening the stream anew"
        );
        self.open.frame_kib = to_kib;
        // A large first frame is no reason any more to ask for as much.
        self.least_kib = self.least_kib.min(longest_kib);
        self.growth = Growth::Asked {
            needed_kib: to_kib,
            from_kib,
        };
        Fit::AfterOpening
    }

    /// The server has opened the stream.
    pub(crate) fn was_opened(&mut self) {
        if matches!(self.growth, Growth::Asked { .. }) {
            self.growth = Growth::None;
        }
    }

    /// The server has refused the stream. True when it should be asked at once for less, as it is announced now.
    pub(crate) fn was_refused(&mut self, now: Timestamp, code: StreamCode) -> bool {
        // For less there may be room; of any other reason the size is not the cause.
        let less_may_do = matches!(code, StreamCode::NoMemory | StreamCode::FramesTooLarge);
        let asked_kib = self.open.frame_kib;
        match self.growth {
            Growth::Asked { needed_kib, .. } if less_may_do && asked_kib > needed_kib => {
                self.open.frame_kib = needed_kib;
                true
            }
            // What was in use may go on, whatever the reason.
            Growth::Asked {
                needed_kib,
                from_kib,
            } => {
                warn!(
                    frame_kib = needed_kib,
                    most_kib = from_kib,
                    "{}; frames longer than before are dropped for {} s",
                    refusal_text(code),
                    GROWTH_WAIT.as_secs()
                );
                self.open.frame_kib = from_kib;
                self.growth = Growth::Refused {
                    again_at: now + GROWTH_WAIT,
                };
                true
            }
            Growth::None | Growth::Refused { .. } if !less_may_do => false,
            Growth::None | Growth::Refused { .. } => {
                self.open.frame_kib = (asked_kib / 2).max(self.least_kib).min(asked_kib);
                self.open.frame_kib < asked_kib
            }
        }
    }
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

/// What a refusal means to the user.
pub(crate) fn refusal_text(code: StreamCode) -> &'static str {
    match code {
        StreamCode::NoMemory => {
            "the server has no shared memory left for this stream (its log says how much it needs)"
        }
        StreamCode::TooManyStreams => "the server takes no more streams of one camera",
        StreamCode::FramesTooLarge => "the server does not take frames as large as these",
        StreamCode::TooOften => "the server was asked for streams too often",
        StreamCode::Open | StreamCode::Internal | StreamCode::Other(_) => {
            "the server could not open the stream; its log says why"
        }
    }
}

#[cfg(test)]
mod tests {
    use sdvr_frame::{FourCc, FrameRate, StreamFormat};

    use super::*;

    const NOW: Timestamp = Timestamp::from_nanoseconds(1_000_000_000);
    const MOST_KIB: u32 = 256 * 1024;

    fn announcement(first_frame_bytes: usize, frame_bytes: Option<usize>) -> Announcement {
        let description = SourceDescription {
            format: StreamFormat {
                fourcc: FourCc::MJPG,
                width: 640,
                height: 480,
                rate: FrameRate::from_whole(30),
            },
            extradata: Vec::new(),
            frame_bytes,
            first_frame_bytes,
        };
        Announcement::new(InstanceId([1; 16]), &description)
    }

    /// What is asked for, one after the other, by a server that refuses all of it.
    fn asked(announcement: &mut Announcement) -> Vec<u32> {
        let mut asked = vec![announcement.open().frame_kib];
        while announcement.was_refused(NOW, StreamCode::NoMemory) {
            asked.push(announcement.open().frame_kib);
        }
        asked
    }

    #[test]
    fn a_server_with_little_memory_is_asked_for_less_and_less_down_to_the_first_frame() {
        assert_eq!(
            asked(&mut announcement(1000 << 10, None)),
            [8000, 4000, 2000, 1000]
        );
        assert_eq!(
            asked(&mut announcement(500, None)),
            [64, 32, 16, 8, 4, 2, 1]
        );
        assert_eq!(asked(&mut announcement(5000, Some(5 << 20))), [5120]);
    }

    #[test]
    fn no_more_is_asked_for_than_a_server_takes_unless_the_first_frame_needs_it() {
        let mut large = announcement(40 << 20, None);
        large.limit(MOST_KIB);
        assert_eq!(large.open().frame_kib, MOST_KIB);
        let mut too_large = announcement(300 << 20, None);
        too_large.limit(MOST_KIB);
        assert_eq!(too_large.open().frame_kib, 300 * 1024);
    }

    #[test]
    fn a_longer_frame_opens_the_stream_anew_and_the_next_session_asks_for_as_much() {
        let mut grown = announcement(8 << 10, None);
        assert_eq!(grown.fit(NOW, 64 << 10, MOST_KIB), Fit::Fits);
        assert_eq!(grown.fit(NOW, 65 << 10, MOST_KIB), Fit::AfterOpening);
        assert_eq!(grown.open().frame_kib, 130);
        grown.was_opened();
        grown.limit(MOST_KIB);
        assert_eq!(grown.open().frame_kib, 130);
        assert_eq!(grown.fit(NOW, 257 << 20, MOST_KIB), Fit::TooLong);
    }

    /// What is announced after a minute and a half of frames of one length, one a second.
    fn after_a_while(announcement: &mut Announcement, from_s: u64, frame_bytes: usize) -> u32 {
        for second in 0..=90 {
            let now = NOW + Duration::from_secs(from_s + second);
            if announcement.fit(now, frame_bytes, MOST_KIB) == Fit::AfterOpening {
                announcement.was_opened();
            }
        }
        announcement.open().frame_kib
    }

    #[test]
    fn a_stream_whose_frames_have_become_small_gives_memory_back_and_takes_it_again() {
        let mut stream = announcement(20 << 10, None);
        assert_eq!(after_a_while(&mut stream, 0, 20 << 10), 160);
        assert_eq!(after_a_while(&mut stream, 100, 8 << 20), 16 * 1024);
        // A long frame now and then keeps it.
        for second in 200..300 {
            let now = NOW + Duration::from_secs(second);
            let frame_bytes = if second % 19 == 0 { 8 << 20 } else { 20 << 10 };
            assert_eq!(stream.fit(now, frame_bytes, MOST_KIB), Fit::Fits);
        }
        assert_eq!(after_a_while(&mut stream, 300, 20 << 10), 80);
        stream.limit(MOST_KIB);
        assert_eq!(stream.open().frame_kib, 80);
        assert_eq!(after_a_while(&mut stream, 400, 8 << 20), 16 * 1024);
    }

    #[test]
    fn a_server_that_refuses_a_smaller_stream_keeps_the_one_it_has() {
        let mut stream = announcement(8 << 20, None);
        let mut second = 0;
        while stream.fit(NOW + Duration::from_secs(second), 20 << 10, MOST_KIB) == Fit::Fits {
            second += 1;
        }
        assert_eq!(stream.open().frame_kib, 80);
        assert!(stream.was_refused(NOW, StreamCode::TooOften));
        assert_eq!(stream.open().frame_kib, 64 * 1024);
    }

    #[test]
    fn frames_of_one_length_never_open_the_stream_anew() {
        let mut raw = announcement(5000, Some(5 << 20));
        assert_eq!(after_a_while(&mut raw, 0, 5000), 5120);
    }

    #[test]
    fn where_there_is_no_room_to_grow_what_fits_goes_on() {
        let mut grown = announcement(8 << 10, None);
        assert_eq!(grown.fit(NOW, 100 << 10, MOST_KIB), Fit::AfterOpening);
        assert_eq!(asked(&mut grown)[..3], [200, 100, 64]);
        grown.open.frame_kib = 64;
        assert_eq!(grown.fit(NOW, 100 << 10, MOST_KIB), Fit::TooLong);
        assert_eq!(grown.fit(NOW, 64 << 10, MOST_KIB), Fit::Fits);
        let later = NOW + GROWTH_WAIT;
        assert_eq!(grown.fit(later, 100 << 10, MOST_KIB), Fit::AfterOpening);
    }

    #[test]
    fn what_was_in_use_is_asked_for_again_whatever_is_in_the_way_of_more() {
        let mut grown = announcement(8 << 10, None);
        assert!(!grown.was_refused(NOW, StreamCode::TooOften));
        assert_eq!(grown.fit(NOW, 100 << 10, MOST_KIB), Fit::AfterOpening);
        assert!(grown.was_refused(NOW, StreamCode::TooOften));
        assert_eq!(grown.open().frame_kib, 64);
        assert!(!grown.was_refused(NOW, StreamCode::Internal));
        assert_eq!(grown.fit(NOW, 64 << 10, MOST_KIB), Fit::Fits);
    }
}
