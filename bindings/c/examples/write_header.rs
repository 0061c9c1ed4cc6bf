//! `cargo xtask header`: writes `include/sdvr.h`.

#[path = "../tests/header/mod.rs"]
mod header;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = header::path();
    std::fs::write(&path, header::text()?)?;
    println!("written: {}", path.display());
    Ok(())
}
