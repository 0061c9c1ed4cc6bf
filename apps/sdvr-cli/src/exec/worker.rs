//! One camera, and the program that has its frames.

use std::fmt::Display;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use sdvr::{Camera, Error, Fingerprint, Policy, StreamState};

use super::child::{Given, Program};
use super::restarts::{Restart, Restarts};
use super::stop::Stop;
use super::template::Template;
use crate::output::{WrongUsage, say};
use crate::pipe::without_picture::WithoutPicture;
use sdvr_feed::{Feed, Format, NoPicture, Shape, Taken, fraction};

/// What is done for every camera.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) template: Template,
    pub(super) format: Option<Format>,
    pub(super) policy: Option<Policy>,
    pub(super) restart: Restart,
    pub(super) is_verbose: bool,
}

/// How it ended with a camera.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The program has done what it was to do.
    Finished,
    /// The camera is not there, or it was asked to end.
    Gone,
    /// It goes no further, for this camera.
    Failed(anyhow::Error),
}

/// How often it is looked whether there is something else to do than to wait for frames.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// A camera whose ring is replaced, or whose daemon is, comes back within this as a rule. Until then it is not gone.
const RETURN: Duration = Duration::from_secs(1);
/// How long a program may take to read the frame that it is given when it is to end: a part of one would be the last that it sees.
const LAST_FRAME: Duration = Duration::from_secs(1);

/// Follows a camera.
#[derive(Debug)]
pub(super) struct Worker {
    camera: String,
    waits: bool,
    task: Arc<Task>,
    stop: Stop,
    restarts: Restarts,
    state: State,
    without_picture: WithoutPicture,
    planes: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// No program runs; one is started with the first frame after that time.
    Resting {
        until: Instant,
    },
    Running(Running),
}

#[derive(Debug)]
struct Running {
    program: Program,
    shape: Shape,
    fingerprint: Option<Fingerprint>,
    figures: Figures,
}

/// What a program has got, for people.
#[derive(Debug)]
struct Figures {
    label: String,
    given: u64,
    left_out: u64,
}

impl Figures {
    fn say_ended(&self, program: impl Display, status: ExitStatus, why: &str) {
        let Self {
            label,
            given,
            left_out,
        } = self;
        say(format_args!(
            "sdvr: {label}: {program} ended, {why}, with {status}; it was given {given} frames, and {left_out} were left out"
        ));
    }
}

impl Worker {
    /// For a camera by any of its names. One that `waits` also does for the camera to come (back).
    pub(super) fn new(camera: &str, waits: bool, task: &Arc<Task>, stop: &Stop) -> Self {
        Self {
            camera: camera.to_owned(),
            waits,
            task: Arc::clone(task),
            stop: stop.clone(),
            restarts: Restarts::default(),
            state: State::Resting {
                until: Instant::now(),
            },
            without_picture: WithoutPicture::default(),
            planes: Vec::new(),
        }
    }

    /// Until the program is finished, the camera is gone and is not waited for, or it is asked to end.
    ///
    /// # Errors
    ///
    /// What would fail for every camera.
    pub(super) fn run(mut self) -> anyhow::Result<Outcome> {
        let outcome = self.follow();
        self.end_program("it is asked to end");
        outcome
    }

    fn follow(&mut self) -> anyhow::Result<Outcome> {
        let mut camera = Camera::wait_for(&self.camera);
        let mut is_waiting = false;
        loop {
            loop {
                match camera.wait_until_there(LOOK_INTERVAL) {
                    Ok(true) => break,
                    Ok(false) if self.stop.is_set() || !self.waits => return Ok(Outcome::Gone),
                    Ok(false) => {}
                    Err(error) => return Ok(Outcome::Failed(error.into())),
                }
                if !is_waiting && let Err(error) = Camera::open(&self.camera) {
                    // Who has mistyped it sees here which there are.
                    say(format_args!("sdvr: {error}; it is waited for"));
                }
                is_waiting = true;
            }
            is_waiting = true;
            let mut feed = Feed::open(camera, self.task.format);
            if let Some(outcome) = self.serve(&mut feed)? {
                return Ok(outcome);
            }
            camera = feed.into_camera();
        }
    }

    /// Until the camera is gone, and is waited for.
    fn serve(&mut self, feed: &mut Feed) -> anyhow::Result<Option<Outcome>> {
        let mut last_there = Instant::now();
        loop {
            if self.stop.is_set() {
                return Ok(Some(Outcome::Gone));
            }
            if let Some(outcome) = self.look_at_program()? {
                return Ok(Some(outcome));
            }
            let is_gone = match feed.next(self.policy(feed), LOOK_INTERVAL) {
                // It has come back as one that is read in another way. This frame was not.
                Ok(Taken::Frame(_)) if feed.is_outdated() => return Ok(None),
                Ok(Taken::Frame(shape)) => {
                    self.take(feed, shape)?;
                    last_there = Instant::now();
                    false
                }
                Ok(Taken::Nothing) => {
                    if !is_gone(feed.camera().state()) {
                        last_there = Instant::now();
                    }
                    last_there.elapsed() >= RETURN
                }
                Ok(Taken::NoPicture(NoPicture::Damaged(error))) => {
                    self.without_picture.count(&error);
                    false
                }
                Ok(Taken::NoPicture(NoPicture::Never(why))) => {
                    return Ok(Some(Outcome::Failed(WrongUsage(why).into())));
                }
                Err(Error::Ended) => true,
                Err(error) => return Ok(Some(Outcome::Failed(error.into()))),
            };
            if is_gone {
                self.end_program("its camera is gone");
                return Ok((!self.waits).then_some(Outcome::Gone));
            }
        }
    }

    fn policy(&self, feed: &Feed) -> Policy {
        match self.task.policy {
            // Frames that are left out are missing in those that come after.
            None | Some(Policy::Latest) if feed.needs_all() => Policy::Every,
            policy => policy.unwrap_or(Policy::Latest),
        }
    }

    /// Gives a frame to the program, which is started anew if frames have become others.
    fn take(&mut self, feed: &mut Feed, shape: Shape) -> anyhow::Result<()> {
        let fingerprint = feed
            .camera()
            .info()
            .and_then(|info| info.origin.fingerprint());
        if let State::Running(running) = &self.state
            && (running.shape != shape || running.fingerprint != fingerprint)
        {
            self.end_program("its camera sends other frames now");
        }
        if let State::Resting { until } = &self.state {
            if Instant::now() < *until || feed.begins_late() {
                return Ok(());
            }
            self.state = State::Running(self.start(feed.camera().label(), shape, fingerprint)?);
        }
        let State::Running(running) = &mut self.state else {
            return Ok(());
        };
        let mut is_over_since = None;
        let gives_up = || {
            let is_over = self.stop.is_set() || is_gone(feed.camera().state());
            let since = is_over.then(|| *is_over_since.get_or_insert_with(Instant::now));
            self.stop.is_urgent() || since.is_some_and(|since| since.elapsed() >= LAST_FRAME)
        };
        let (shape, planes, is_first) =
            (&running.shape, &mut self.planes, running.figures.given == 0);
        let given = running.program.give(gives_up, |input| {
            if is_first {
                Feed::write_header(shape, input)?;
            }
            feed.write(shape, planes, input)
        });
        match given {
            Given::All => {
                let (of_run, between_runs) = feed.missed();
                if !is_first {
                    let missed = of_run.saturating_add(between_runs);
                    running.figures.left_out = running.figures.left_out.saturating_add(missed);
                }
                running.figures.given = running.figures.given.saturating_add(1);
            }
            Given::Unwanted => {}
            Given::TooLate => self.end_program("it did not read"),
        }
        Ok(())
    }

    /// # Errors
    ///
    /// When the program cannot be started, for whatever camera.
    fn start(
        &self,
        label: &str,
        shape: Shape,
        fingerprint: Option<Fingerprint>,
    ) -> anyhow::Result<Running> {
        let template = &self.task.template;
        let (rate, name) = (shape.rate, template.program().display());
        let mut command = Command::new(template.program());
        command
            .args(template.arguments_for(label))
            .env("SDVR_CAMERA", label)
            .env("SDVR_FORMAT", shape.form.to_string())
            .env("SDVR_WIDTH", shape.width.to_string())
            .env("SDVR_HEIGHT", shape.height.to_string())
            .env("SDVR_FPS", fraction(rate.numerator, rate.denominator))
            .env(
                "SDVR_FINGERPRINT",
                fingerprint.map_or_else(String::new, |fingerprint| fingerprint.to_string()),
            );
        let program =
            Program::start(&mut command).with_context(|| format!("cannot run CMD {name}"))?;
        if self.task.is_verbose {
            say(format_args!(
                "sdvr: {label}: {name} is started as process {} and given {shape}",
                program.id()
            ));
        }
        Ok(Running {
            program,
            shape,
            fingerprint,
            figures: Figures {
                label: label.to_owned(),
                given: 0,
                left_out: 0,
            },
        })
    }

    /// Looks whether the program has ended by itself.
    fn look_at_program(&mut self) -> anyhow::Result<Option<Outcome>> {
        let State::Running(running) = &mut self.state else {
            return Ok(None);
        };
        let Some(status) = running.program.ended().context(NOT_SEEN)? else {
            return Ok(None);
        };
        let label = &running.figures.label;
        let name = self.task.template.program().display();
        if self.task.restart.follows(status) {
            let (pause, count) = self.restarts.after(running.program.life());
            say(format_args!(
                "sdvr: {label}: {name} ended with {status}; it is started again in {} s (restart {count})",
                pause.as_secs_f64()
            ));
            self.state = State::Resting {
                until: Instant::now() + pause,
            };
            return Ok(None);
        }
        if self.task.is_verbose {
            running.figures.say_ended(&name, status, "by itself");
        }
        let outcome = if status.success() {
            Outcome::Finished
        } else {
            Outcome::Failed(anyhow!("{label}: {name} ended with {status}"))
        };
        self.state = State::Resting {
            until: Instant::now(),
        };
        Ok(Some(outcome))
    }

    /// Ends the program, if one runs.
    fn end_program(&mut self, why: &str) {
        let resting = State::Resting {
            until: Instant::now(),
        };
        let State::Running(running) = std::mem::replace(&mut self.state, resting) else {
            return;
        };
        let name = self.task.template.program().display();
        let Running {
            program, figures, ..
        } = running;
        match program.end(&self.stop) {
            Ok(status) if self.task.is_verbose => figures.say_ended(&name, status, why),
            Ok(_) => {}
            Err(error) => say(format_args!("sdvr: {}: {NOT_SEEN}: {error}", figures.label)),
        }
    }
}

const NOT_SEEN: &str = "cannot see whether CMD has ended";

/// Whether no frame can come any more before the camera comes back.
fn is_gone(state: StreamState) -> bool {
    !matches!(state, StreamState::Live | StreamState::Stale)
}
