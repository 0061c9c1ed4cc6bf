//! The picture that is seen, as a file.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sdvr::{Decoded, FourCc, Frame, Picture};
use sdvr_image::ImageKind;

/// What will be written.
#[derive(Debug)]
pub(crate) struct Photograph {
    label: String,
    captured: SystemTime,
    image: Image,
}

#[derive(Debug)]
enum Image {
    /// As the camera made it.
    Jpeg(Frame),
    /// Without a loss.
    Png(Picture),
}

impl Photograph {
    /// Copies what is needed of what is seen: writing it takes longer than the next picture.
    pub(crate) fn of(label: &str, decoded: &Decoded) -> Self {
        let frame = decoded.frame();
        let fourcc = frame.format().fourcc;
        // V4L2 has two names for them.
        let is_jpeg = [FourCc::MJPG, FourCc(*b"JPEG")].contains(&fourcc);
        Self {
            label: label.to_owned(),
            captured: frame.captured_date(),
            image: if is_jpeg {
                Image::Jpeg(frame.clone())
            } else {
                Image::Png(decoded.picture().clone())
            },
        }
    }

    /// Writes it into `folder`, under a name that tells the label and the time. Gives where it is, or for people why it is not there.
    pub(crate) fn write(&self, folder: &Path) -> Result<PathBuf, String> {
        let (bytes, extension) = match &self.image {
            Image::Jpeg(frame) => {
                let whole = sdvr::jpeg::with_huffman_tables(frame.bytes());
                (
                    whole.map_err(|error| error.to_string())?.into_owned(),
                    "jpg",
                )
            }
            Image::Png(picture) => {
                let image = sdvr_image::encode(ImageKind::Png, picture, self.captured);
                (image.map_err(|error| error.to_string())?, "png")
            }
        };
        let path = folder.join(file_name(&self.label, self.captured, extension));
        match sdvr_image::write(&path, &bytes, self.captured) {
            Ok(()) => Ok(path),
            Err(error) => Err(format!("cannot write {}: {error}", path.display())),
        }
    }
}

/// A name in one folder, whatever the label: a derived stream's has slashes in it.
fn file_name(label: &str, captured: SystemTime, extension: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    let label: String = label
        .chars()
        .take(128)
        .map(|letter| if is_plain(letter) { letter } else { '_' })
        .collect();
    // Some file systems do not take colons.
    let date = humantime::format_rfc3339_millis(captured)
        .to_string()
        .replace(':', "-");
    format!("{label}-{date}.{extension}")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[track_caller]
    fn check(label: &str, captured_ms: u64, expected: &str) {
        let captured = UNIX_EPOCH + Duration::from_millis(captured_ms);
        assert_eq!(file_name(label, captured, "png"), expected);
    }

    #[test]
    fn names_tell_label_and_time() {
        check("front-door", 0, "front-door-1970-01-01T00-00-00.000Z.png");
        check("a", 951_827_696_789, "a-2000-02-29T12-34-56.789Z.png");
        check("a", 1_709_251_199_999, "a-2024-02-29T23-59-59.999Z.png");
        check("a", 4_107_542_400_000, "a-2100-03-01T00-00-00.000Z.png");
    }

    #[test]
    fn no_label_leaves_the_folder_or_hides_a_file() {
        check("door/people", 0, "door_people-1970-01-01T00-00-00.000Z.png");
        check("../../etc/x", 0, "______etc_x-1970-01-01T00-00-00.000Z.png");
        check(".\0\u{1b}ä", 0, "____-1970-01-01T00-00-00.000Z.png");
        let long = file_name(&"x".repeat(5000), UNIX_EPOCH, "jpg");
        assert!(long.len() < 200);
    }
}
