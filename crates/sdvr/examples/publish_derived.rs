//! Makes a camera's pictures gray, and publishes them beside it: who reads `front-door/gray` need not know that no camera sends it.
//!
//! `cargo run -p sdvr --example publish_derived -- front-door`

mod arguments;

use sdvr::{Camera, FourCc, Pixels, Policy, PublishOptions, Publisher, StreamFormat};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (name, _, count) = arguments::read("usage: publish_derived LABEL [--count N]")?;
    let mut publisher = None;
    let mut pictures = Camera::wait_for(&name).decoded(Pixels::Gray);
    for decoded in pictures.frames(Policy::Every).until_end().take(count) {
        let decoded = decoded?;
        let picture = decoded.picture();
        let format = StreamFormat {
            fourcc: FourCc::GREY,
            width: picture.width(),
            height: picture.height(),
            rate: decoded.frame().format().rate,
        };
        let publisher = match &mut publisher {
            Some(publisher) => publisher,
            none => {
                let mut options = PublishOptions::new(format);
                options.source = Some(name.parse()?);
                none.insert(Publisher::create(&format!("{name}/gray"), options)?)
            }
        };
        publisher.set_format(format)?;
        // With the frame's number and time, by which others find what belongs together.
        publisher.publish_from(decoded.frame(), picture.bytes())?;
    }
    if let Some(publisher) = publisher {
        // Until those who read have taken what is left.
        publisher.close();
    }
    Ok(())
}
