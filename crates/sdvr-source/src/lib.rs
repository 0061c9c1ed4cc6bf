//! Where frames come from: test pattern, files, pipes.
