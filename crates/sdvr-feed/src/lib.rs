//! A camera's frames in the form in which other programs take them: as they came, or decoded as planes, as YUV4MPEG2 or as RGB.
#![forbid(unsafe_code)]

mod feed;
mod planes;
mod shape;
mod y4m;

pub use feed::{Feed, Format, NoPicture, Taken};
pub use planes::Planes;
pub use shape::{Form, Shape, fraction};
