//! The SDVR protocol: bytes and time in, bytes and frames out; no I/O, no clock, no threads.
