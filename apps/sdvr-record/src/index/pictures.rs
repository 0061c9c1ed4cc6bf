//! Files of decoded pictures, `.raw` and `.y4m`, which say nothing of themselves: when their frames were taken stands in a list beside them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::UNIX_EPOCH;

use sdvr_frame::{FourCc, FrameRate, StreamFormat};

use super::layout;
use crate::plain::times_path;
use crate::sample::UtcTime;

/// The first line of a YUV4MPEG2 file is no longer.
const HEAD_BYTES_MOST: u64 = 4096;

/// What a file of pictures and the list beside it say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pictures {
    /// As the list has them.
    pub(crate) frames: u64,
    pub(crate) begins: UtcTime,
    pub(crate) ends: UtcTime,
    pub(crate) head_bytes: u64,
    pub(crate) format: StreamFormat,
}

/// Whether it is the path of such a file.
pub(crate) fn are_in(path: &str) -> bool {
    path.ends_with(".raw") || path.ends_with(".y4m")
}

/// Reads the list beside the file at `folder/path`, and the file's first line. Without a list there are no frames, and the time is the one of the name.
///
/// # Errors
///
/// When one of them cannot be read.
pub(crate) fn look_at(folder: &Path, path: &str) -> io::Result<Pictures> {
    let file = folder.join(path);
    let (head_bytes, format) = head(&file)?;
    let named = layout::time_of_path(path);
    let mut pictures = Pictures {
        frames: 0,
        begins: named,
        ends: named,
        head_bytes,
        format,
    };
    let list = match File::open(times_path(&file)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(pictures),
        list => BufReader::new(list?),
    };
    for line in list.split(b'\n') {
        // The first ones say how planes lie, and what the columns are, and the last may have been cut off.
        let line = line?;
        let Some(time) = std::str::from_utf8(&line).ok().and_then(time_of_line) else {
            continue;
        };
        if pictures.frames == 0 {
            pictures.begins = time;
        }
        pictures.ends = time;
        pictures.frames = pictures.frames.saturating_add(1);
    }
    Ok(pictures)
}

/// `12,2026-11-23T14:05:00.123456789Z`.
fn time_of_line(line: &str) -> Option<UtcTime> {
    let (number, time) = line.split_once(',')?;
    let _: u64 = number.parse().ok()?;
    let time = humantime::parse_rfc3339(time).ok()?;
    let since_epoch = time.duration_since(UNIX_EPOCH).ok()?;
    Some(UtcTime(i64::try_from(since_epoch.as_nanos()).ok()?))
}

/// `YUV4MPEG2 W640 H480 F30:1 …`; nothing of planes alone.
fn head(file: &Path) -> io::Result<(u64, StreamFormat)> {
    let mut format = StreamFormat {
        fourcc: FourCc([b' '; 4]),
        width: 0,
        height: 0,
        rate: FrameRate::UNPACED,
    };
    let mut line = Vec::new();
    BufReader::new(File::open(file)?.take(HEAD_BYTES_MOST)).read_until(b'\n', &mut line)?;
    let text = std::str::from_utf8(&line).unwrap_or_default().trim_end();
    let mut words = text.split(' ');
    if words.next() != Some("YUV4MPEG2") {
        return Ok((0, format));
    }
    format.fourcc = FourCc::Y4M;
    for word in words {
        match word.split_at_checked(1) {
            Some(("W", width)) => format.width = width.parse().unwrap_or(0),
            Some(("H", height)) => format.height = height.parse().unwrap_or(0),
            Some(("F", rate)) => {
                format.rate = rate.replace(':', "/").parse().unwrap_or(format.rate)
            }
            _ => {}
        }
    }
    Ok((u64::try_from(line.len()).unwrap_or(0), format))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: i64 = 1_795_442_700_000_000_000;

    #[test]
    fn the_list_beside_it_says_when_frames_were_taken() {
        let place = tempfile::tempdir().unwrap();
        let day = place.path().join("2026-11-23");
        std::fs::create_dir(&day).unwrap();
        std::fs::write(
            day.join("14-05-00.y4m"),
            "YUV4MPEG2 W64 H48 F30000:1001 Ip C420\nFRAME\n",
        )
        .unwrap();
        let path = "2026-11-23/14-05-00.y4m";
        let mut expected = Pictures {
            frames: 0,
            begins: UtcTime(BEGIN),
            ends: UtcTime(BEGIN),
            head_bytes: 38,
            format: StreamFormat {
                fourcc: FourCc::Y4M,
                width: 64,
                height: 48,
                rate: FrameRate {
                    numerator: 30_000,
                    denominator: 1001,
                },
            },
        };
        assert_eq!(look_at(place.path(), path).unwrap(), expected);
        let list = "# 64x48 pixels, YU12, 4608 bytes a frame\n# 1,2\nframe,captured\n0,2026-11-23T14:05:00.5Z\n1,2026-11-23T14:05:01.000000001Z\n2,2026-11-23T14:0";
        std::fs::write(day.join("14-05-00.times.csv"), list).unwrap();
        expected.frames = 2;
        expected.begins = UtcTime(BEGIN + 500_000_000);
        expected.ends = UtcTime(BEGIN + 1_000_000_001);
        assert_eq!(look_at(place.path(), path).unwrap(), expected);
        std::fs::write(day.join("14-05-00.raw"), [255; 100]).unwrap();
        let planes = look_at(place.path(), "2026-11-23/14-05-00.raw").unwrap();
        assert_eq!(
            (planes.head_bytes, planes.frames, planes.format.width),
            (0, 2, 0)
        );
    }
}
