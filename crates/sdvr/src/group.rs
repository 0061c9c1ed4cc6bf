//! Many cameras, waited for at once.

mod news;
mod seat;
mod sync;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sdvr_frame::Timestamp;
use sdvr_ring::{Awaited, WAIT_MANY_MOST, wait_many};

pub(crate) use news::News;
pub use sync::{FrameSet, SetPart};

use self::seat::{Seat, Waiting};
use crate::camera::{Awaits, Camera, Policy};
use crate::error::Error;
use crate::frame::Frame;
use crate::place::{Listed, Wanted};
use crate::ready::{Listener, Readiness};

/// Names a camera in a [`Group`]; never used again for another one of the same group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member(u64);

/// What went wrong with one camera of a [`Group`]. The others are not concerned, and neither is what comes of this one later: call again.
#[derive(Debug, thiserror::Error)]
#[error("{camera}: {error}")]
pub struct GroupError {
    /// With which.
    pub member: Member,
    /// Its [`Camera::label`].
    pub camera: String,
    /// What.
    #[source]
    pub error: Error,
}

/// Frames of many cameras, from one thread.
///
/// ```no_run
/// use std::time::Duration;
/// use sdvr::{Group, Policy};
///
/// let mut group = Group::open(&["front-door", "garden"])?;
/// while let Some((member, frame)) = group.next(Policy::Every, Duration::from_secs(10))? {
///     let label = group.camera(member).map_or("", |camera| camera.label());
///     println!("{label}: frame {}", frame.number());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A camera that goes stays a member, and goes on when it comes back, as [`Camera::next`] tells; so may one that was not there yet ([`Camera::wait_for`]).
///
/// # What it costs
///
/// The calling thread waits in the kernel for 127 cameras at once. For each 127 more, and for those that are gone, it is told by threads that all groups and all
/// [`Ready`](crate::Ready) of the process share and that sleep while nothing comes. Asking costs nothing for cameras that have nothing to say, however many there are. A thousand cameras of 25
/// small frames a second take 0.9 of a core, and 0.07 of one while none of them sends: then only the daemon's life is looked at (`cargo xtask bench consumers group`).
#[derive(Debug, Default)]
pub struct Group {
    seats: BTreeMap<Member, Seat>,
    /// Those that may have something to say, in the order in which they are asked.
    queue: VecDeque<Member>,
    /// How many of the queue are asked before it is looked who else has something to say: all that were there at the last look.
    turns: usize,
    /// What this thread waits for.
    here: BTreeMap<Member, Awaited>,
    /// How many members are waited for elsewhere.
    elsewhere: usize,
    /// Who has news of those that are waited for elsewhere.
    news: Arc<News>,
    /// What the waiting is for.
    policy: Policy,
    next_member: u64,
    /// Whether [`Self::sync`] may have frames in hand.
    has_pending: bool,
    /// [`FrameSet::time`] of the last set.
    last_set: Option<Timestamp>,
}

impl Group {
    /// A group without members.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The cameras of these names, each as [`Camera::open`] opens it; members in this order.
    ///
    /// # Errors
    ///
    /// Those of [`Camera::open`], which name the camera.
    pub fn open(cameras: &[&str]) -> Result<Self, Error> {
        Self::open_wanted(cameras.iter().map(|camera| Wanted::new(camera)))
    }

    /// As [`Self::open`], in a directory that is not one of the usual ones.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_in(directory: &Path, cameras: &[&str]) -> Result<Self, Error> {
        let wanted = cameras.iter();
        Self::open_wanted(wanted.map(|camera| Wanted::new_in(directory, camera)))
    }

    fn open_wanted(cameras: impl Iterator<Item = Wanted>) -> Result<Self, Error> {
        let mut group = Self::new();
        let mut listed = Listed::default();
        for wanted in cameras {
            group.add(Camera::open_listed(wanted, &mut listed)?);
        }
        Ok(group)
    }

    /// Adds a camera, with all that it has not given yet. The same camera may be opened and added twice; each member gets all frames.
    pub fn add(&mut self, mut camera: Camera) -> Member {
        let member = Member(self.next_member);
        self.next_member += 1;
        camera.is_sought_elsewhere = true;
        self.seats.insert(member, Seat::new(camera));
        self.queue.push_back(member);
        member
    }

    /// Gives a camera back; it goes on with the frame after the last one that the group took from it. `None` if it is no member. Frames of it that [`Self::sync`]
    /// has in hand are dropped.
    pub fn remove(&mut self, member: Member) -> Option<Camera> {
        let seat = self.seats.remove(&member)?;
        self.here.remove(&member);
        self.queue.retain(|queued| *queued != member);
        self.elsewhere -= usize::from(seat.readiness.is_some());
        let mut camera = seat.camera;
        camera.is_sought_elsewhere = false;
        Some(camera)
    }

    /// One of the cameras, for its label and state. `None` if it is no member.
    #[must_use]
    pub fn camera(&self, member: Member) -> Option<&Camera> {
        self.seats.get(&member).map(|seat| &seat.camera)
    }

    /// All of them, in the order in which they were added.
    pub fn cameras(&self) -> impl Iterator<Item = (Member, &Camera)> {
        self.seats
            .iter()
            .map(|(member, seat)| (*member, &seat.camera))
    }

    /// The next frame that `policy` wants of any of the cameras, and whose it is; waits at most `timeout`. `None` when none came, at once if there are no
    /// members and `timeout` is zero.
    ///
    /// Every camera that has a frame gives one before any gives two, so none has to wait for a faster one.
    ///
    /// # Errors
    ///
    /// Those of [`Camera::next`], with the member: [`Error::Ended`] once each time a camera says that it ends. [`Error::Unusable`] also when the system gives no thread for more
    /// than 127 members, or for one that is gone.
    pub fn next(
        &mut self,
        policy: Policy,
        timeout: Duration,
    ) -> Result<Option<(Member, Frame)>, GroupError> {
        let deadline = Timestamp::now() + timeout;
        self.begin(policy);
        self.queue_pending();
        loop {
            while let Some(member) = self.next_in_turn() {
                let Some(seat) = self.seats.get_mut(&member) else {
                    continue;
                };
                match seat.next(policy) {
                    Ok(Some(frame)) => {
                        self.queue.push_back(member);
                        return Ok(Some((member, frame)));
                    }
                    Ok(None) => self.wait_for(member)?,
                    Err(error) => {
                        self.queue.push_back(member);
                        return Err(self.error(member, error));
                    }
                }
            }
            self.collect(deadline);
            if self.queue.is_empty() && Timestamp::now() >= deadline {
                return Ok(None);
            }
        }
    }

    /// Waits until a camera has something to say, at most `timeout`, and tells all that have: a frame that `policy` wants, or an error. There may turn out to be nothing, when
    /// a camera has just gone. Empty when none has in all that time.
    ///
    /// # Errors
    ///
    /// [`Error::Unusable`] when the system gives no thread, as for [`Self::next`].
    pub fn wait(&mut self, policy: Policy, timeout: Duration) -> Result<Vec<Member>, GroupError> {
        let deadline = Timestamp::now() + timeout;
        self.begin(policy);
        self.queue_pending();
        loop {
            // One at a time, so that an error leaves the others in the queue.
            for _ in 0..self.queue.len() {
                let Some(member) = self.queue.pop_front() else {
                    break;
                };
                if let Some(seat) = self.seats.get_mut(&member) {
                    if seat.has_something(policy) {
                        self.queue.push_back(member);
                    } else {
                        self.wait_for(member)?;
                    }
                }
            }
            // Also those that are waited for, without waiting.
            let now = Timestamp::now();
            let is_over = !self.queue.is_empty() || now >= deadline;
            let before = self.queue.len();
            self.collect(if is_over { now } else { deadline });
            if is_over && self.queue.len() == before {
                return Ok(self.queue.iter().copied().collect());
            }
        }
    }

    /// Frames that one policy does not want may be wanted by another, so that all have to be asked again.
    fn begin(&mut self, policy: Policy) {
        if std::mem::replace(&mut self.policy, policy) != policy {
            for (member, seat) in &mut self.seats {
                if seat.waiting != Waiting::Queued {
                    seat.waiting = Waiting::Queued;
                    self.queue.push_back(*member);
                }
            }
            self.here.clear();
        }
    }

    /// Those of which [`Self::sync`] has frames in hand.
    fn queue_pending(&mut self) {
        if !std::mem::take(&mut self.has_pending) {
            return;
        }
        for (member, seat) in &mut self.seats {
            if seat.waiting != Waiting::Queued && !seat.pending.is_empty() {
                seat.waiting = Waiting::Queued;
                self.here.remove(member);
                self.queue.push_back(*member);
            }
        }
    }

    /// Who is asked next; `None` when it is time to look who has something to say.
    fn next_in_turn(&mut self) -> Option<Member> {
        if self.turns == 0 {
            self.collect(Timestamp::now());
            self.turns = self.queue.len();
        }
        self.turns = self.turns.saturating_sub(1);
        self.queue.pop_front()
    }

    /// A member has nothing to say: has it waited for.
    fn wait_for(&mut self, member: Member) -> Result<(), GroupError> {
        let here_count = self.seats.len() - self.elsewhere;
        let Some(seat) = self.seats.get_mut(&member) else {
            return Ok(());
        };
        match seat.camera.awaits(self.policy) {
            Awaits::Nothing => {
                seat.waiting = Waiting::Queued;
                self.queue.push_back(member);
            }
            // Here if there is room, and then always here: nobody changes places for every frame.
            Awaits::Frame(reader, n)
                if here_count + usize::from(seat.readiness.is_some()) <= WAIT_MANY_MOST =>
            {
                if seat.readiness.take().is_some() {
                    self.elsewhere -= 1;
                }
                let spent = seat.spent.take();
                let awaited = spent
                    .and_then(|spent| spent.again(reader, n))
                    .unwrap_or_else(|| reader.await_frame(n));
                self.here.insert(member, awaited);
                seat.waiting = Waiting::Here;
            }
            awaits => {
                if seat.readiness.is_none() {
                    let listener = Listener::Group(Arc::clone(&self.news), member);
                    match Readiness::new(listener) {
                        Ok(readiness) => seat.readiness = Some(readiness),
                        Err(error) => {
                            let text = format!("the system gives no thread to wait: {error}");
                            self.queue.push_back(member);
                            seat.waiting = Waiting::Queued;
                            return Err(self.error(member, Error::Unusable(text)));
                        }
                    }
                    self.elsewhere += 1;
                }
                if let Some(readiness) = &seat.readiness {
                    readiness.arm(awaits);
                }
                seat.waiting = Waiting::Elsewhere;
            }
        }
        Ok(())
    }

    /// Queues those that have something to say. Waits for one until `deadline` if the queue is empty; may return sooner.
    fn collect(&mut self, deadline: Timestamp) {
        // Before the news are taken, so that later ones end the wait.
        let heard = self.news.bell().rings();
        for member in self.news.take() {
            if let Some(seat) = self.seats.get_mut(&member)
                && seat.waiting == Waiting::Elsewhere
            {
                seat.waiting = Waiting::Queued;
                self.queue.push_back(member);
            }
        }
        let deadline = if self.queue.is_empty() {
            deadline
        } else {
            Timestamp::now()
        };
        let mut awaited: Vec<&mut Awaited> = self.here.values_mut().collect();
        wait_many(&mut awaited, self.news.bell(), heard, deadline);
        let with_news = self.here.extract_if(.., |_, awaited| awaited.has_news());
        for (member, awaited) in with_news {
            if let Some(seat) = self.seats.get_mut(&member) {
                seat.spent = Some(awaited);
                seat.waiting = Waiting::Queued;
                self.queue.push_back(member);
            }
        }
    }

    fn error(&self, member: Member, error: Error) -> GroupError {
        let camera = self.camera(member).map_or("", Camera::label).to_owned();
        GroupError {
            member,
            camera,
            error,
        }
    }
}
