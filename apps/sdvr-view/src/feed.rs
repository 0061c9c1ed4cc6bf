//! A camera's pictures: a thread that reads and decodes, and hands each one to the thread of the windows.
//!
//! There are two pictures, the one that is shown and the one that comes next. While the next one is not taken nothing is decoded, so that whatever the screen
//! takes its time for, what comes after is the newest frame there is: no delay can grow, and no work is thrown away. The windows are woken once
//! for all that is new until they look.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use sdvr::{
    Camera, DecodeError, Decoded, Error, Pictures, Pixels, Policy, StreamFormat, StreamState,
};

/// How often the camera is asked how it is while no frame comes.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// The same of one that nobody looks at.
const LOOK_INTERVAL_UNSEEN: Duration = Duration::from_millis(500);
/// How often it is told anew which cameras there are instead of one that was never there: all rings are opened for that.
const NAMES_INTERVAL: Duration = Duration::from_secs(5);

/// What the thread says of its camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// `None` until it has been there.
    pub(crate) state: Option<StreamState>,
    /// Its label; what was asked for while it was never there.
    pub(crate) label: String,
    /// What its frames are announced to be; `None` until it has been there.
    pub(crate) format: Option<StreamFormat>,
    /// Frames that did not arrive.
    pub(crate) lost: u64,
    /// Frames that gave no picture, of formats that can be shown.
    pub(crate) damaged: u64,
    /// Why there is no picture, if there is a reason; gone with the next picture.
    pub(crate) trouble: Option<String>,
}

impl Status {
    /// Of a camera that nobody has looked at yet.
    pub(crate) const fn of_unknown(label: String) -> Self {
        Self {
            state: None,
            label,
            format: None,
            lost: 0,
            damaged: 0,
            trouble: None,
        }
    }
}

/// A camera's thread, which ends with this value.
#[derive(Debug)]
pub(crate) struct Feed {
    shared: Arc<Shared>,
}

struct Shared {
    exchange: Mutex<Exchange>,
    changed: Condvar,
    /// Wakes the windows.
    tell: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Exchange {
    work: Work,
    /// Not taken yet.
    next: Option<Decoded>,
    /// Memory of one that was shown.
    spare: Option<Decoded>,
    status: Status,
    /// Whether the windows were woken and have not looked yet.
    is_told: bool,
}

/// What the thread is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// Its pictures are seen.
    Decode,
    /// Nobody sees them.
    Rest,
    End,
}

/// What is new.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) picture: Option<Decoded>,
    pub(crate) status: Status,
}

impl Feed {
    /// Starts the thread. `tell` is called, in that thread, when there is something to [`Self::take`].
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub(crate) fn start(
        camera: Camera,
        tell: impl Fn() + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let status = Status::of_unknown(camera.label().to_owned());
        let shared = Arc::new(Shared {
            exchange: Mutex::new(Exchange {
                work: Work::Decode,
                next: None,
                spare: None,
                status,
                is_told: false,
            }),
            changed: Condvar::new(),
            tell: Box::new(tell),
        });
        let of_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("camera".to_owned())
            .spawn(move || run(&of_thread, camera.decoded(Pixels::Rgba)))?;
        Ok(Self { shared })
    }

    /// Whether anybody sees the pictures; if not, none is decoded.
    pub(crate) fn set_seen(&self, is_seen: bool) {
        let work = if is_seen { Work::Decode } else { Work::Rest };
        self.shared.lock().work = work;
        self.shared.changed.notify_all();
    }

    /// What is new since the last time; the picture takes the place of `shown`, whose memory is used for another.
    pub(crate) fn take(&self, shown: &mut Option<Decoded>) -> News {
        let mut exchange = self.shared.lock();
        exchange.is_told = false;
        let picture = exchange.next.take();
        if picture.is_some() {
            exchange.spare = shown.take();
            self.shared.changed.notify_all();
        }
        News {
            picture,
            status: exchange.status.clone(),
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.lock().work = Work::End;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Exchange> {
        self.exchange
            .lock()
            .expect("no code panics while holding the exchange")
    }

    /// Waits until a picture is wanted, at most as long as the camera need not be asked how it is; gives memory for it, if there is some.
    fn turn(&self) -> Turn {
        let is_idle = |exchange: &mut Exchange| match exchange.work {
            Work::End => false,
            Work::Rest => true,
            Work::Decode => exchange.next.is_some(),
        };
        let exchange = self.lock();
        let (mut exchange, _) = self
            .changed
            .wait_timeout_while(exchange, LOOK_INTERVAL_UNSEEN, is_idle)
            .expect("no code panics while holding the exchange");
        match exchange.work {
            Work::End => Turn::End,
            Work::Decode if exchange.next.is_none() => Turn::Decode(exchange.spare.take()),
            Work::Decode | Work::Rest => Turn::Look,
        }
    }

    /// Hands over what there is, and wakes the windows if that is news and they do not know yet.
    fn hand_over(&self, got: Got, look: impl FnOnce(&mut Status)) {
        let mut exchange = self.lock();
        let mut status = exchange.status.clone();
        look(&mut status);
        let mut is_news = status != exchange.status;
        exchange.status = status;
        match got {
            Got::Picture(decoded) => {
                exchange.next = Some(decoded);
                is_news = true;
            }
            Got::Nothing(memory) => exchange.spare = exchange.spare.take().or(memory),
        }
        let is_to_be_told = is_news && !exchange.is_told;
        exchange.is_told |= is_news;
        drop(exchange);
        if is_to_be_told {
            (self.tell)();
        }
    }
}

/// What the thread does next.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
enum Turn {
    Decode(Option<Decoded>),
    /// How the camera is, and no more.
    Look,
    End,
}

enum Got {
    Picture(Decoded),
    /// And the memory was not used.
    Nothing(Option<Decoded>),
}

fn run(shared: &Shared, mut pictures: Pictures) {
    let mut absence = Absence::default();
    loop {
        absence.handle_time(shared, pictures.camera());
        let result = match shared.turn() {
            Turn::End => return,
            Turn::Look => Ok(Got::Nothing(None)),
            Turn::Decode(memory) => next(&mut pictures, memory),
        };
        let is_broken = matches!(
            result,
            Err(Error::Unusable(_) | Error::Ambiguous { .. } | Error::Forbidden)
        );
        let (got, trouble) = match result {
            Ok(got) => (got, None),
            Err(Error::Ended) => (Got::Nothing(None), None),
            Err(error) => (Got::Nothing(None), Some(error)),
        };
        let camera = pictures.camera();
        let (info, state) = (camera.info(), camera.state());
        let has_picture = matches!(got, Got::Picture(_));
        shared.hand_over(got, |status| {
            if info.is_some() && status.state.is_none() {
                // That it is not there.
                status.trouble = None;
            }
            if info.is_some() || status.state.is_some() {
                status.state = Some(state);
            }
            if let Some(info) = info {
                camera.label().clone_into(&mut status.label);
                status.format = Some(info.format);
                status.lost = camera.lost();
            }
            if has_picture {
                status.trouble = None;
            }
            if trouble.as_ref().is_some_and(is_damage) {
                status.damaged = status.damaged.saturating_add(1);
            }
            if let Some(error) = trouble {
                status.trouble = Some(in_short(&error));
            }
        });
        if is_broken {
            // Nothing tells when it is better.
            thread::sleep(LOOK_INTERVAL_UNSEEN);
        }
    }
}

fn next(pictures: &mut Pictures, memory: Option<Decoded>) -> Result<Got, Error> {
    let Some(mut decoded) = memory else {
        let next = pictures.next(Policy::Latest, LOOK_INTERVAL)?;
        return Ok(next.map_or(Got::Nothing(None), Got::Picture));
    };
    let has_come = pictures.next_into(Policy::Latest, LOOK_INTERVAL, &mut decoded)?;
    Ok(if has_come {
        Got::Picture(decoded)
    } else {
        Got::Nothing(Some(decoded))
    })
}

/// Says of a camera that was never there which ones are, until it comes.
#[derive(Debug, Default)]
struct Absence {
    /// Which cameras there were when it was said last.
    told: Option<Instant>,
}

impl Absence {
    fn handle_time(&mut self, shared: &Shared, camera: &Camera) {
        let is_due = self
            .told
            .is_none_or(|told| told.elapsed() >= NAMES_INTERVAL);
        if !is_due || camera.info().is_some() || shared.lock().status.state.is_some() {
            return;
        }
        let is_first = self.told.replace(Instant::now()).is_none();
        // Other errors are told when it is asked for frames.
        let Err(Error::NotFound { wanted, known }) = Camera::open(camera.label()) else {
            return;
        };
        let text = format!("there is no camera {wanted:?} ({known}); waiting for it");
        if is_first {
            let _ = writeln!(std::io::stderr(), "sdvr: {text}");
        }
        shared.hand_over(Got::Nothing(None), |status| status.trouble = Some(text));
    }
}

/// Whether a frame is to blame, and not its format.
const fn is_damage(error: &Error) -> bool {
    match error {
        Error::Undecodable { cause, .. } => !matches!(
            cause,
            DecodeError::Unsupported { .. }
                | DecodeError::Size { .. }
                | DecodeError::UnknownPixels { .. }
        ),
        _ => false,
    }
}

/// What there is room for on a picture; the same for one frame after another.
fn in_short(error: &Error) -> String {
    match error {
        Error::Undecodable {
            cause: DecodeError::Unsupported { format, hint },
            ..
        } => format!("{format} cannot be shown: {hint}"),
        Error::Undecodable { cause, .. } => cause.to_string(),
        error => error.to_string(),
    }
}
