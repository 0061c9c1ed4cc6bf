//! The algorithms under a model checker: `RUSTFLAGS="--cfg loom" cargo test -p sdvr-ring --lib --release`.
