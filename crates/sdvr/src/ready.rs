//! A descriptor that says when a camera has something to say, for programs that wait by `epoll`, Qt or asyncio; and what that shares with
//! groups of cameras: threads that wait for many.

mod readiness;
mod seeker;
mod threads;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

pub(crate) use readiness::{Listener, Readiness};

use crate::camera::Camera;

/// A descriptor that is readable when its camera has something to say. Made by [`Camera::ready`].
///
/// Readable means that [`Camera::next`] with [`Duration::ZERO`](std::time::Duration::ZERO) would give a frame or an error, or has to look at what
/// has happened: the camera ended, its daemon went, another ring came in the place of the last, or a camera that was gone has come back. Sometimes there turns out to be
/// nothing: frames that the policy does not want, for one.
///
/// It is for level-triggered waiting. Only the camera's own calls change it, so there is nothing to read from it and nothing to reset:
/// **it stays readable until a call for a frame has given `None`**, and becomes readable again with whatever comes after that call looked. So the usual loop
/// neither spins nor misses a frame, whether it takes all there is at a time or one:
///
/// ```no_run
/// use std::time::Duration;
/// use rustix::event::{PollFd, PollFlags, poll};
/// use sdvr::{Camera, Policy};
///
/// let mut camera = Camera::open("front-door")?;
/// let ready = camera.ready()?;
/// loop {
///     poll(&mut [PollFd::new(&ready, PollFlags::IN)], None)?;
///     while let Some(frame) = camera.next(Policy::Every, Duration::ZERO)? {
///         println!("frame {}", frame.number());
///     }
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// With edge-triggered waiting (`EPOLLET`), take frames until `None`, as ever there. It tells of frames that the policy of the last call wants; to ask
/// with another policy, call at once. It is readable from the beginning: the first call says what there is.
///
/// # Threads
///
/// All such descriptors of a process share threads: one for every 127 cameras, which wait in the kernel, and one that looks for cameras that are gone. When nothing comes, a waiting
/// thread looks whether the daemons live as often as a blocked [`Camera::next`] would, every 50 to 500 ms for all of its cameras together, with two system calls a camera; the other one sleeps while no
/// camera is gone, else looks at their directories once a second and when something changes in them. A frame costs two switches of threads instead of one, and nothing while the descriptor is readable.
/// The threads end when the last [`Ready`] of the process is dropped (and the last [`Group`](crate::Group) that needs them). They are not there in the child after a `fork`: open cameras anew in it.
///
/// Dropping this does nothing to the camera. When the camera is dropped first, the descriptor stays as it is.
#[derive(Clone, Debug)]
pub struct Ready {
    readiness: Arc<Readiness>,
}

impl Camera {
    /// A descriptor to wait on for this camera together with other things. A second call gives the same one while the first is not
    /// dropped. See [`Ready`].
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left, or the system gives it no thread.
    pub fn ready(&mut self) -> io::Result<Ready> {
        if let Some(readiness) = self.readiness.upgrade() {
            return Ok(Ready { readiness });
        }
        // Readable: nobody has looked yet.
        let descriptor = eventfd(1, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let readiness = Arc::new(Readiness::new(Listener::Descriptor(descriptor))?);
        self.readiness = Arc::downgrade(&readiness);
        Ok(Ready { readiness })
    }
}

impl AsFd for Ready {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.readiness.descriptor()
    }
}

impl AsRawFd for Ready {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
