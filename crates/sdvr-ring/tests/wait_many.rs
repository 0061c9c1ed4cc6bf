//! Whoever waits on many rings at once hears of each frame, and wakes the others who wait for it.

mod support;
