//! What to do where a camera sends no JPEG images.

use sdvr::{FourCc, StreamFormat};

/// Says what the camera sends, and which program makes a picture of it.
pub(super) fn for_format(camera: &str, format: &StreamFormat) -> String {
    let fourcc = format.fourcc;
    let what = format!("{camera} sends {fourcc}, and nothing is decoded here");
    match command(camera, format) {
        Some(command) => format!("{what}; let another program make the picture: {command}"),
        None if fourcc == FourCc::BNCH => {
            format!("{camera} sends {fourcc}, measuring frames that are no pictures")
        }
        None => {
            format!("{what}; pipe it into a program that knows the format: sdvr pipe {camera} | …")
        }
    }
}

/// A command line with ffmpeg; `None` for formats that it does not know by the name.
fn command(camera: &str, format: &StreamFormat) -> Option<String> {
    let (width, height) = (format.width, format.height);
    let raw =
        |pixels: &str| format!("-f rawvideo -pixel_format {pixels} -video_size {width}x{height}");
    let (pipe_as, input) = match &format.fourcc.0 {
        b"H264" => ("", "-f h264".to_owned()),
        b"HEVC" => ("", "-f hevc".to_owned()),
        b"YUYV" => ("", raw("yuyv422")),
        b"UYVY" => ("", raw("uyvy422")),
        b"NV12" => ("", raw("nv12")),
        b"YU12" | b"422P" | b"444P" | b"GREY" => (" --format y4m", "-f yuv4mpegpipe".to_owned()),
        b"Y4M0" => ("", "-f yuv4mpegpipe".to_owned()),
        _ => return None,
    };
    Some(format!(
        "sdvr pipe {camera}{pipe_as} | ffmpeg {input} -i - -frames:v 1 -update 1 picture.jpg"
    ))
}

#[cfg(test)]
mod tests {
    use sdvr::FrameRate;

    use super::*;

    #[test]
    fn every_known_format_has_an_answer_of_its_own() {
        let answer = |name: &str| {
            for_format(
                "door",
                &StreamFormat {
                    fourcc: name.parse().expect("it is a format"),
                    width: 64,
                    height: 48,
                    rate: FrameRate::UNPACED,
                },
            )
        };
        for (name, words) in [
            ("H264", "-f h264 -i -"),
            ("HEVC", "-f hevc -i -"),
            ("YUYV", "-pixel_format yuyv422 -video_size 64x48"),
            ("NV12", "-pixel_format nv12 -video_size 64x48"),
            ("GREY", "--format y4m | ffmpeg -f yuv4mpegpipe"),
            ("BNCH", "no pictures"),
            ("RGB3", "sdvr pipe door |"),
        ] {
            let said = answer(name);
            assert!(said.contains(words) && said.contains(name), "{said}");
        }
    }
}
