//! The crate `sdvr` for programs in C, and what the C++ header and `libsdvr.so` stand on.
//!
//! This border translates and nothing else. Its names are those that C sees; `include/sdvr.h` is generated from it (`cargo xtask header`).
//!
//! * Handles are opaque pointers, each kind made and given back by a matching pair of functions. They are tickets and no addresses: what was given back,
//!   never was one, or is another kind's is refused (`handles.rs`).
//! * Every function returns a status and writes what it gives through its last arguments; null is refused ([`arguments`]).
//! * A panic stops at `catch` in `status.rs`.
//!
//! Functions take pointers as `Option<&mut MaybeUninit<T>>`, which is the same to C: null is a case, and that any other pointer may be written to is
//! the one promise of the caller's.
#![expect(
    non_camel_case_types,
    reason = "these are the names that programs in C see"
)]

pub mod arguments;
pub mod camera;
pub mod cameras;
pub mod each;
pub mod facts;
pub mod frame;
pub mod group;
mod handles;
pub mod library;
pub mod picture;
pub mod publisher;
pub mod status;
