//! Files and pipes to take frames from, and the ways to take them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sdvr_frame::{FrameFlags, FrameRate, Timestamp};
use sdvr_source::{CaptureOptions, Next, Source, SourceError, SourceSpec};

use super::jpeg;

pub(crate) const MS: i64 = 1_000_000;
/// What a call may take that does not wait: much for the call, little beside the seconds that a wait would take.
pub(crate) const AT_ONCE: Duration = Duration::from_millis(500);

pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_nanoseconds(ms * MS)
}

pub(crate) struct Files(pub(crate) tempfile::TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A named pipe and its writing end. Both ends are open when this returns.
    pub(crate) fn pipe(
        &self,
        options: &CaptureOptions,
    ) -> Result<(Source, std::fs::File), SourceError> {
        let path = self.0.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        // Reading and writing, so that opening does not wait for the other end.
        let both = std::fs::File::options()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        let source = open(&path, options)?;
        let writer = std::fs::File::options().write(true).open(&path).unwrap();
        drop(both);
        Ok((source, writer))
    }
}

pub(crate) fn open(path: &Path, options: &CaptureOptions) -> Result<Source, SourceError> {
    Source::open(&SourceSpec::File(path.to_owned()), options)
}

pub(crate) fn test_source(text: &str, options: &CaptureOptions) -> Result<Source, SourceError> {
    Source::open(&text.parse().unwrap(), options)
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) number: u64,
    pub(crate) captured: Timestamp,
    pub(crate) flags: FrameFlags,
    pub(crate) payload: Vec<u8>,
}

/// One call, which must not wait.
pub(crate) fn take(source: &mut Source, now: Timestamp) -> Option<Option<Taken>> {
    let started = Instant::now();
    let next = source.try_next(now).unwrap();
    let took = started.elapsed();
    assert!(took < AT_ONCE, "it took {took:?}");
    match next {
        Next::Frame(frame) => Some(Some(Taken {
            number: frame.number.0,
            captured: frame.captured,
            flags: frame.flags,
            payload: frame.payload.to_vec(),
        })),
        Next::NotYet => None,
        Next::Changed => panic!("only cameras become something else"),
        Next::Ended => Some(None),
    }
}

/// All frames until the end, waiting as a caller should: on a clock of our own, which goes to when the next frame is due.
pub(crate) fn take_all(source: &mut Source) -> Vec<Taken> {
    let mut now = at(1000);
    let mut taken = Vec::new();
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < Duration::from_secs(20), "it never ends");
        match take(source, now) {
            Some(Some(frame)) => taken.push(frame),
            Some(None) => return taken,
            None => match source.poll_timeout() {
                Some(due) => now = now.max(due),
                None => assert!(
                    wait_readable(source, Duration::from_secs(10)),
                    "there is nothing to wait for"
                ),
            },
        }
    }
}

pub(crate) fn wait_readable(source: &Source, timeout: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let descriptor = source.descriptor().unwrap();
    let timeout = Timespec {
        tv_sec: timeout.as_secs().cast_signed(),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    poll(
        &mut [PollFd::new(&descriptor, PollFlags::IN)],
        Some(&timeout),
    )
    .unwrap()
        > 0
}

pub(crate) fn images(count: u8) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| jpeg(64, 48, &vec![number; 100 + usize::from(number) * 31]))
        .collect()
}

pub(crate) fn payloads(frames: &[Taken]) -> Vec<&[u8]> {
    frames
        .iter()
        .map(|frame| frame.payload.as_slice())
        .collect()
}

pub(crate) fn numbers(frames: &[Taken]) -> Vec<u64> {
    frames.iter().map(|frame| frame.number).collect()
}

pub(crate) fn rate(frames_a_second: u32) -> CaptureOptions {
    CaptureOptions {
        rate: Some(FrameRate::from_whole(frames_a_second)),
        ..CaptureOptions::default()
    }
}

pub(crate) fn every_nth(every_nth: u32) -> CaptureOptions {
    CaptureOptions {
        every_nth,
        ..CaptureOptions::default()
    }
}

pub(crate) fn looped() -> CaptureOptions {
    CaptureOptions {
        looped: true,
        ..CaptureOptions::default()
    }
}

pub(crate) fn open_error(path: &Path, options: &CaptureOptions) -> String {
    open(path, options).unwrap_err().to_string()
}

pub(crate) fn first_error(path: &Path, options: &CaptureOptions) -> String {
    let mut source = open(path, options).unwrap();
    loop {
        match source.try_next(at(0)) {
            Ok(Next::Ended) => panic!("it ended well"),
            Ok(_) => {}
            Err(error) => return error.to_string(),
        }
    }
}
