//! The header that programs are compiled with says what the library has.

mod generated;

#[test]
fn the_header_is_the_library_s() {
    let kept = std::fs::read_to_string(generated::path()).unwrap_or_default();
    let fresh = generated::text().expect("the border can be read");
    assert!(
        kept == fresh,
        "{} is not what the library has now: run `cargo xtask header`",
        generated::path().display()
    );
}
