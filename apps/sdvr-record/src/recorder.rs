//! Takes frames out of the rings and writes them down.

mod clock;
mod events;
mod history;
mod pace;
mod taken;
