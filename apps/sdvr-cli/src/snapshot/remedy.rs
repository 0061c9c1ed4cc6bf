//! What to do where a camera sends what is not decoded here.

use sdvr::{DecodeError, FourCc, StreamFormat};

/// Says what the camera sends, and which program makes a picture of it.
pub(super) fn for_format(camera: &str, format: &StreamFormat, cause: &DecodeError) -> String {
    let what = format!("{camera} sends {}: {cause}", format.fourcc);
    match command(camera, format) {
        Some(command) => format!("{what}. Or let another program make the picture: {command}"),
        None if format.fourcc == FourCc::BNCH => what,
        None => {
            format!("{what}. Pipe it into a program that knows the format: sdvr pipe {camera} | …")
        }
    }
}

/// A command line with ffmpeg; `None` for formats that it does not know by the name.
fn command(camera: &str, format: &StreamFormat) -> Option<String> {
    let input = match &format.fourcc.0 {
        b"H264" => "h264",
        b"HEVC" => "hevc",
        b"AV01" => "obu",
        b"Y4M0" => "yuv4mpegpipe",
        _ => return None,
    };
    Some(format!(
        "sdvr pipe {camera} | ffmpeg -f {input} -i - -frames:v 1 -update 1 picture.jpg"
    ))
}

#[cfg(test)]
mod tests {
    use sdvr::FrameRate;

    use super::*;

    #[test]
    fn every_format_without_a_decoder_has_an_answer_of_its_own() {
        let answer = |name: &str| {
            let format = StreamFormat {
                fourcc: name.parse().expect("it is a format"),
                width: 64,
                height: 48,
                rate: FrameRate::UNPACED,
            };
            let cause = DecodeError::Unsupported {
                format: format.fourcc,
                hint: "the reason",
            };
            for_format("door", &format, &cause)
        };
        for (name, words) in [
            ("HEVC", "sdvr pipe door | ffmpeg -f hevc -i -"),
            ("AV01", "-f obu -i -"),
            ("Y4M0", "-f yuv4mpegpipe -i -"),
            ("VP80", "sdvr pipe door | …"),
            ("BNCH", "the reason"),
        ] {
            let said = answer(name);
            assert!(
                said.contains(words) && said.contains(name) && said.contains("the reason"),
                "{said}"
            );
        }
        assert!(!answer("BNCH").contains("pipe"));
    }
}
