//! Takes frames out of the rings and writes them down: a thread for each camera, so that none waits for another's disk.

mod camera;
mod clock;
mod events;
mod history;
mod housekeeping;
mod input;
mod missing;
mod pace;
mod pause;
mod places;
mod retries;
mod seat;
mod shared;
mod taken;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use sdvr::{Camera, CameraInfo, EachCamera, Error, Start, Unread};

use self::camera::CameraRecorder;
use self::events::Triggers;
use self::housekeeping::{Remover, Teller};
use self::input::{Got, Input};
use self::pace::{Depth, Pace};
use self::places::{NoPlace, Place};
use self::retries::Retries;
use self::seat::Seat;
use self::shared::Shared;
use crate::options::RecordOptions;
use crate::segment::Passed;
use crate::status::StatusPage;

/// How long a frame is waited for before other things are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// How often it is looked for events, and whether to end.
const EVENT_INTERVAL: Duration = Duration::from_millis(50);

/// Records cameras until `is_to_end`; `tell` is told what people should know.
///
/// # Errors
///
/// When nothing can be recorded where it should be, or another program records there. What goes wrong later is told, and recording goes on as soon as it can.
pub fn run(
    options: RecordOptions,
    is_to_end: impl Fn() -> bool,
    tell: impl Fn(fmt::Arguments<'_>) + Send + Sync + 'static,
) -> anyhow::Result<()> {
    housekeeping::check_directory(&options.directory)?;
    housekeeping::take_descriptors();
    let mut triggers = match &options.events {
        Some(events) => {
            let place = events.trigger.as_deref();
            let opened = Triggers::new(events.signals.clone(), place);
            Some(opened.with_context(|| {
                let place = place.map(|place| place.display().to_string());
                format!(
                    "cannot listen to --on-trigger {}",
                    place.unwrap_or_default()
                )
            })?)
        }
        None => None,
    };
    let start = match options.events {
        Some(_) => Start::Oldest,
        None => Start::Now,
    };
    let named = options.cameras.clone();
    let shared = Arc::new(Shared::new(options, tell));
    places::open_all(&shared)?;
    let page = StatusPage::create()
        .inspect_err(|error| {
            shared.say(format_args!(
                "`sdvr top` will not show this recorder: {error:#}"
            ))
        })
        .ok();
    let recorded = Arc::clone(&shared);
    let is_meant = move |camera: &CameraInfo| {
        named.is_empty() || named.iter().any(|name| camera.is_called(name))
    };
    let each = EachCamera::new()
        .start_at(start)
        .with_derived()
        .only(is_meant)
        .start(move |camera| record(&recorded, camera))
        .context("cannot start a thread")?;
    let remover = Remover::start(&shared).context("cannot start a thread")?;
    let mut teller = Teller::new(&shared, page);
    while !is_to_end() {
        if let Some(triggers) = &mut triggers {
            triggers.look(&shared.events);
            for notice in shared.events.take_notices() {
                shared.say(format_args!("{notice}"));
            }
        }
        teller.turn();
        std::thread::sleep(EVENT_INTERVAL);
    }
    each.stop();
    remover.end();
    teller.say_sum();
    Ok(())
}

/// Records one camera until it goes.
fn record(shared: &Arc<Shared>, camera: Camera) {
    if let Some(info) = camera.info() {
        shared.events.meet(&[info.label.as_str(), camera.label()]);
    }
    let Some(place) = wait_for_place(shared, &camera) else {
        return;
    };
    let fingerprint = camera.info().and_then(|info| info.origin.fingerprint());
    let names = camera.label().to_owned();
    let seat = Seat::new(shared, &place, fingerprint, names);
    shared.events.meet(&seat.names());
    let mut recorder = CameraRecorder::new(shared, seat);
    let mut input = Input::new(camera, shared.options.form);
    let (mut pace, mut retries) = (Pace::default(), Retries::default());
    while record_what_is_there(&mut input, &mut recorder, &mut pace, &mut retries) {
        recorder.turn();
        let depth = input.camera().info().map(|info| Depth {
            slots: info.slots,
            bytes: info.data_bytes,
        });
        if let Some(rest) = depth.and_then(|depth| pace.take_rest(depth)) {
            let due = recorder.due_in().unwrap_or(rest);
            std::thread::sleep(rest.min(due));
        }
    }
    recorder.leave(input.missing_at_end());
}

/// Where a camera is recorded; waits while there is no such place, and says why. `None` when the camera goes meanwhile.
fn wait_for_place<'a>(shared: &'a Shared, camera: &Camera) -> Option<Place<'a>> {
    let info = camera.info()?;
    let mut retries = Retries::default();
    while !camera.has_gone() {
        let rest = retries.due_in(Instant::now());
        if !rest.is_zero() {
            std::thread::sleep(rest.min(LOOK_INTERVAL));
            continue;
        }
        let error = match shared.place_for(&info.label, info.origin.fingerprint(), info.stream) {
            Ok(place) => return Some(place),
            Err(error) => error,
        };
        let is_full = matches!(&error, NoPlace::Index(error) if error.is_disk_full());
        // To open a folder takes long, which is not done each second for ever; to see that somebody has it, or that there is no room, does not.
        if error.is_anothers() || is_full {
            retries.begin_anew();
        }
        if retries.fail(Instant::now(), &error.to_string()) {
            let label = &info.label;
            shared.say(format_args!("{label}: cannot be recorded: {error}"));
        }
        if is_full && shared.make_room(&shared.options.directory) {
            retries.begin_anew();
        }
    }
    None
}

/// Has a frame recorded: a large one on its way, others are copied, which gather then.
fn take_out_of_ring(input: &mut Input, recorder: &mut CameraRecorder<'_>, unread: &Unread) {
    let frame = input.taken(unread);
    match recorder.pass(&frame, unread.len(), |to| input.pass(unread, to)) {
        Passed::Written => return input.forget_overwritten(),
        Passed::Overwritten => return input.count_overwritten(&frame),
        Passed::No => {}
    }
    match input.copy(unread) {
        Some(bytes) => {
            input.forget_overwritten();
            recorder.take(frame.with_bytes(bytes));
        }
        None => input.count_overwritten(&frame),
    }
    if let Some(unused) = recorder.take_unused() {
        input.give_memory(unused);
    }
}

/// Records the frames that are there, or waits for one. False when the camera has gone.
fn record_what_is_there(
    input: &mut Input,
    recorder: &mut CameraRecorder<'_>,
    pace: &mut Pace,
    retries: &mut Retries,
) -> bool {
    let began = Instant::now();
    let rest = retries.due_in(began);
    if !rest.is_zero() {
        std::thread::sleep(rest.min(LOOK_INTERVAL));
        return !input.camera().has_gone();
    }
    let mut timeout = LOOK_INTERVAL.min(recorder.due_in().unwrap_or(LOOK_INTERVAL));
    // Who never catches up has other things to do, too.
    while began.elapsed() <= LOOK_INTERVAL {
        let next = input.next(timeout);
        if !matches!(next, Ok(Got::Nothing) | Err(_)) {
            retries.begin_anew();
        }
        match next {
            Ok(Got::Frame(frame)) => {
                pace.count(frame.bytes.len(), frame.published);
                recorder.take(frame);
            }
            Ok(Got::InRing(unread)) => {
                pace.count(unread.len(), unread.about().published());
                take_out_of_ring(input, recorder, &unread);
            }
            Ok(Got::Nothing) => return !input.camera().has_gone(),
            Ok(Got::Damaged(error)) => recorder.count_damaged(&error),
            Ok(Got::NeverAPicture(why)) => recorder.count_unrecordable(&why),
            Err(Error::Ended) => recorder.end(),
            Err(error) => {
                let why = error.to_string();
                if retries.fail(Instant::now(), &why) {
                    recorder.say_unrecordable(&why);
                }
                return !input.camera().has_gone();
            }
        }
        // Of what has gathered none is waited for.
        timeout = Duration::ZERO;
    }
    true
}
