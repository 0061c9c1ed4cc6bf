//! What a stream is called by browsers.

use sdvr::FourCc;

/// The codec string of WebCodecs; `None` when the key frame does not tell.
pub(crate) fn codec_string(fourcc: FourCc, key_frame: &[u8]) -> Option<String> {
    match fourcc {
        FourCc::H264 => {
            let sps =
                units(key_frame).find(|unit| unit.first().is_some_and(|byte| byte & 0x1f == 7))?;
            let [profile, constraints, level] = *sps.get(1..4)?.first_chunk()?;
            Some(format!("avc1.{profile:02x}{constraints:02x}{level:02x}"))
        }
        FourCc::VP80 => Some("vp8".to_owned()),
        _ => None,
    }
}

/// The units of a frame in the byte stream format (H.264 and H.265, Annex B), without start codes.
pub(crate) fn units(frame: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(frame);
    std::iter::from_fn(move || {
        let unit = rest?;
        let end = start_code(unit);
        rest = end.and_then(|end| after_start_code(unit.get(end..)?));
        let unit = unit.get(..end.unwrap_or(unit.len()))?;
        // What is left are zeros before the next start code, and behind the last unit.
        let length = unit
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last + 1);
        unit.get(..length)
    })
}

fn start_code(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|three| three == [0, 0, 1])
}

fn after_start_code(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(start_code(bytes)?.checked_add(3)?..)
}
