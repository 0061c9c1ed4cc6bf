//! The one place where the client blocks.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sdvr_frame::Timestamp;
use sdvr_source::Source;
use sdvr_transport::Poller;

use crate::link::Link;
use crate::signals::SignalPipe;

/// What woke the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) interrupted: bool,
    pub(crate) triggered: bool,
    pub(crate) dialled: bool,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

/// Blocks until the user ends it or asks for a frame, or a dial, the link, or the source if it is given, wants something, or its time has come.
pub(crate) fn wait(
    interrupted: &SignalPipe,
    trigger: Option<&SignalPipe>,
    dialled: &Poller,
    link: &Link,
    source: Option<&Source>,
    until: Timestamp,
) -> Ready {
    // Where there is none, something takes its place that is waited for anyway: no allocation for each frame.
    let other = PollFd::new(interrupted, PollFlags::IN);
    let [socket, refusal] = link.descriptors();
    let source_descriptor = source.and_then(Source::descriptor);
    let mut descriptors = [
        PollFd::new(interrupted, PollFlags::IN),
        PollFd::new(dialled, PollFlags::IN),
        trigger.map_or_else(
            || other.clone(),
            |trigger| PollFd::new(trigger, PollFlags::IN),
        ),
        socket.as_ref().map_or_else(
            || other.clone(),
            |(socket, flags)| PollFd::new(socket, *flags),
        ),
        refusal.as_ref().map_or_else(
            || other.clone(),
            |(refusal, flags)| PollFd::new(refusal, *flags),
        ),
        // A camera says out of band that its picture has changed.
        source_descriptor.as_ref().map_or_else(
            || other.clone(),
            |source| PollFd::new(source, PollFlags::IN | PollFlags::PRI),
        ),
    ];
    let source_timeout = source.and_then(Source::poll_timeout);
    let now = Timestamp::now();
    let wait = link
        .poll_timeout(now)
        .min(source_timeout.unwrap_or(Timestamp::NEVER))
        .min(until)
        .saturating_since(now)
        .min(Duration::from_secs(3600));
    let timeout = Timespec {
        tv_sec: i64::try_from(wait.as_secs()).unwrap_or(0),
        tv_nsec: wait.subsec_nanos().into(),
    };
    // A signal ends the wait early, which is as good as any other reason.
    let _ = poll(&mut descriptors, Some(&timeout));
    let happened = |index: usize| {
        descriptors
            .get(index)
            .map_or(PollFlags::empty(), PollFd::revents)
    };
    let mut link_events = PollFlags::empty();
    if socket.is_some() {
        link_events |= happened(3);
    }
    if refusal.is_some() {
        link_events |= happened(4);
    }
    let is_broken = link_events.intersects(PollFlags::ERR | PollFlags::HUP);
    Ready {
        interrupted: !happened(0).is_empty(),
        dialled: !happened(1).is_empty(),
        triggered: trigger.is_some() && !happened(2).is_empty(),
        readable: is_broken || link_events.contains(PollFlags::IN),
        writable: is_broken || link_events.contains(PollFlags::OUT),
    }
}
