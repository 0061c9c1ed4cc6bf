//! `cargo xtask header`: writes `include/sdvr.h`.

#[path = "../tests/generated/mod.rs"]
mod generated;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = generated::path();
    std::fs::write(&path, generated::text()?)?;
    println!("written: {}", path.display());
    Ok(())
}
