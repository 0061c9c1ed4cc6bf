//! Saves the newest picture of a camera, whatever its format, as a PNG file, or as a PPM file, which needs no library.
//!
//! `cargo run -p sdvr --example save_picture -- front-door now.png`

mod arguments;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::Duration;

use sdvr::{Camera, Pixels, Policy};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usage = "usage: save_picture CAMERA FILE.png|FILE.ppm";
    let (name, file, _) = arguments::read(usage)?;
    let path = file.ok_or(usage)?;
    let mut pictures = Camera::wait_for(&name).decoded(Pixels::Rgb);
    let Some(newest) = pictures.next(Policy::Latest, Duration::from_secs(10))? else {
        return Err(format!("nothing came; {name} is {}", pictures.camera().state()).into());
    };
    let picture = newest.picture();
    let mut file = BufWriter::new(File::create(&path)?);
    if path.ends_with(".png") {
        let mut encoder = png::Encoder::new(file, picture.width(), picture.height());
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header()?.write_image_data(picture.bytes())?;
    } else {
        writeln!(file, "P6 {} {} 255", picture.width(), picture.height())?;
        file.write_all(picture.bytes())?;
        file.flush()?;
    }
    println!(
        "{path}: frame {}, {:.3} s old",
        newest.frame().number(),
        newest.frame().age().as_secs_f64()
    );
    Ok(())
}
