//! What uncompressed formats are called in files, and here.
//!
//! Matroska's `UncompressedFourCC` and a Windows bitmap header have the names of Windows and of libav; frames have those of V4L2.

use sdvr_frame::FourCc;

/// In files, and in frames. The first name of a format is the one that files are best written with.
const NAMES: [([u8; 4], FourCc); 24] = [
    (*b"YUY2", FourCc::YUYV),
    (*b"yuvs", FourCc::YUYV),
    (*b"UYVY", FourCc::UYVY),
    (*b"2vuy", FourCc::UYVY),
    (*b"YVYU", FourCc::YVYU),
    (*b"NV12", FourCc::NV12),
    (*b"NV21", FourCc::NV21),
    (*b"I420", FourCc::YU12),
    (*b"IYUV", FourCc::YU12),
    (*b"YV12", FourCc::YV12),
    (*b"Y800", FourCc::GREY),
    (*b"Y8  ", FourCc::GREY),
    (*b"Y16 ", FourCc::Y16),
    (*b"Y1\x00\x10", FourCc::Y16),
    (*b"RGB\x18", FourCc::RGB3),
    (*b"BGR\x18", FourCc::BGR3),
    (*b"Y42B", FourCc::YUV422P),
    (*b"422P", FourCc::YUV422P),
    (*b"444P", FourCc::YUV444P),
    (*b"Y444", FourCc::YUV444P),
    (*b"\xbaBG\x08", FourCc::BA81),
    (*b"\xbaGB\x08", FourCc::GBRG),
    (*b"\xbaGR\x08", FourCc::GRBG),
    (*b"\xbaRG\x08", FourCc::RGGB),
];

/// The format that a file names so; `None` if it is none that is carried.
pub(super) fn format_of(name: [u8; 4]) -> Option<FourCc> {
    let named = NAMES.iter().find(|(known, _)| *known == name);
    // Frames' own names do as well, where their layout is known by them.
    named.map(|(_, fourcc)| *fourcc).or_else(|| {
        let fourcc = FourCc(name);
        fourcc.raw_frame_bytes(2, 2).map(|_| fourcc)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_the_names_of_files_and_by_their_own() {
        for (name, expected) in [
            (b"YUY2", Some(FourCc::YUYV)),
            (b"I420", Some(FourCc::YU12)),
            (b"Y800", Some(FourCc::GREY)),
            (b"RGB3", Some(FourCc::RGB3)),
            (b"GRBG", Some(FourCc::GRBG)),
            (b"MJPG", None),
            (b"Y4M0", None),
            (b"v210", None),
        ] {
            assert_eq!(format_of(*name), expected, "{name:?}");
        }
        // A name that meant two formats would make one of them unreadable.
        for (name, fourcc) in NAMES {
            assert_eq!(format_of(name), Some(fourcc));
            assert!(fourcc.is_raw());
        }
    }
}
