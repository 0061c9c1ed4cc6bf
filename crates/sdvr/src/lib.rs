//! Read the frames of every camera that an SDVR daemon on this host receives.
//!
//! ```no_run
//! use sdvr::{Camera, Pixels, Policy};
//!
//! fn main() -> Result<(), sdvr::Error> {
//!     for decoded in Camera::open("front-door")?.decoded(Pixels::Bgr).frames(Policy::Latest) {
//!         let decoded = decoded?;
//!         let (frame, picture) = (decoded.frame(), decoded.picture());
//!         println!("{} {}x{}, {} missed, {:?} old", frame.number(), picture.width(), picture.height(), decoded.missed(), frame.age());
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Without [`Camera::decoded`] frames are as the camera sent them:
//!
//! ```no_run
//! use sdvr::{Camera, Policy};
//!
//! let mut camera = Camera::open("front-door")?;
//! for frame in camera.frames(Policy::Every) {
//!     let frame = frame?;
//!     println!("{} {} bytes, {} missed", frame.number(), frame.bytes().len(), frame.missed());
//! }
//! # Ok::<(), sdvr::Error>(())
//! ```
//!
//! Many cameras are waited for by a [`Group`], work is done for each camera that comes by [`for_each_camera`], and what a program makes of them is published by a [`Publisher`].
//!
//! Frames lie in shared memory; reading them asks nobody. A program that is slow, stopped or killed disturbs neither the daemon nor another
//! program: it is told exactly which frames it missed. A camera that goes and comes back, and a daemon that is restarted, are waited for
//! inside; nothing has to be opened again.
//!
//! Frames are searched where `SDVR_SHM_DIR` says, else in this user's directory under `/dev/shm`, then in every other one there that may be read. A camera of this
//! user's own daemon comes before others of the same name; of several others none is taken ([`Error::Ambiguous`]).
//!
//! What a program makes of frames, it can publish as a [`Publisher`] beside the cameras; others read it as they read a camera.
#![forbid(unsafe_code)]

mod account;
mod camera;
mod cameras;
mod daemon;
mod each;
mod error;
mod frame;
mod group;
mod monitor;
mod open_rings;
#[cfg(feature = "decode")]
mod pictures;
mod place;
mod publisher;
mod ready;
mod unread;

pub use camera::{Camera, Frames, Policy, Start};
pub use cameras::{CameraInfo, Cameras, Change};
pub use daemon::Daemon;
pub use each::{EachCamera, ForEach, for_each_camera, for_each_camera_in};
pub use error::Error;
pub use frame::Frame;
pub use group::{FrameSet, Group, GroupError, Member, SetPart};
pub use monitor::{CameraFigures, Latency, Monitor};
#[cfg(feature = "decode")]
pub use pictures::{Decoded, DecodedFrames, Deferred, Pictures};
pub use publisher::{PublishError, PublishOptions, Published, Publisher};
pub use ready::Ready;
#[cfg(feature = "decode")]
pub use sdvr_decode::{
    Coded, Colours, DecodeError, Decoder, DecoderOptions, EngineChoice, Layout, Matrix, Picture,
    Pixels, Plane, Range, jpeg,
};
pub use sdvr_frame::{
    Fingerprint, FourCc, FrameFlags, FrameNumber, FrameRate, InstanceId, InvalidLabel, Label, Link,
    PublicKey, StreamFormat, StreamId, StreamKind, StreamLabel, StreamState, Timestamp,
};
pub use sdvr_ring::{FrameMeta, FrameWords, Origin, Statistics, StatisticsError};
pub use unread::Unread;
