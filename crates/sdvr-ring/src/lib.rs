//! Frames in shared memory: one writer, any number of read-only readers, no locks.
