//! Whether the scans of a baseline image are those that its headers announce, as far as that can be told without decoding it.
//!
//! A decoder that meets a marker where none may be goes on with another scan, and what is missing of the picture stays what it was before.

use super::{Coding, DEFINE_HUFFMAN_TABLES, END_OF_IMAGE, Malformed, START_OF_SCAN, Segments};

const DEFINE_RESTART_INTERVAL: u8 = 0xdd;
/// Restart markers count from 0 to 7 and begin anew.
const RESTARTS: [u8; 8] = [0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7];

/// The frame header of a baseline image.
#[derive(Clone, Copy, Debug)]
struct Frame {
    components: u8,
    /// Of how many units, which are what restart markers count, its scan consists if it has all components.
    units: u64,
}

/// Refuses a baseline image in which a component has no scan or two, or whose restart markers do not count right. Other images pass.
pub(crate) fn check(image: &[u8]) -> Result<(), Malformed> {
    let mut segments = Segments::new(image);
    let (mut frame, mut restart_interval) = (None, 0);
    let mut components = 0_u8;
    loop {
        let segment = segments.next()?;
        match segment.marker {
            DEFINE_RESTART_INTERVAL => {
                let interval = segment.content.first_chunk().copied();
                restart_interval = interval.map_or(0, u16::from_be_bytes);
            }
            START_OF_SCAN => {
                let frame: Frame = frame.ok_or(Malformed::NoPicture)?;
                let own = segment.content.first().copied().unwrap_or_default();
                components = components.saturating_add(own);
                // A marker where none may be makes a decoder begin the next scan.
                if own == 0 || components > frame.components {
                    return Err(segment.damaged());
                }
                let units = if own == frame.components {
                    Some(frame.units)
                } else {
                    None
                };
                check_restarts(&mut segments, units, restart_interval)?;
            }
            END_OF_IMAGE => {
                let is_whole = frame.is_some_and(|frame| frame.components == components);
                return if is_whole {
                    Ok(())
                } else {
                    Err(Malformed::Truncated { bytes: segment.at })
                };
            }
            // With all components there, only the end may follow.
            _ if frame.is_some_and(|frame| frame.components == components) => {
                return Err(segment.damaged());
            }
            DEFINE_HUFFMAN_TABLES => {}
            marker => match Coding::of(marker, segment.content) {
                Some(Coding::Baseline) => frame = Frame::parse(segment.content),
                Some(Coding::Other) => return Ok(()),
                None => {}
            },
        }
    }
}

/// Goes over a scan's data; of one whose units are known it must have as many restart markers as its interval says.
fn check_restarts(
    segments: &mut Segments<'_>,
    units: Option<u64>,
    interval: u16,
) -> Result<(), Malformed> {
    let begin = segments.at;
    segments.skip_entropy_coded();
    let coded = segments.image.get(begin..segments.at).unwrap_or_default();
    let mut expected = RESTARTS.iter().copied().cycle();
    let mut restarts = 0_u64;
    for (at, pair) in coded.windows(2).enumerate() {
        if let [0xff, marker @ 0xd0..=0xd7] = *pair {
            if interval == 0 || expected.next() != Some(marker) {
                let at = begin.saturating_add(at);
                return Err(Malformed::Segment { marker, at });
            }
            restarts += 1;
        }
    }
    let Some(units) = units.filter(|_| interval > 0) else {
        return Ok(());
    };
    // Some encoders mark the end of the last interval, too.
    let least = units.div_ceil(interval.into()).saturating_sub(1);
    if (least..=least.saturating_add(1)).contains(&restarts) {
        Ok(())
    } else {
        Err(Malformed::Truncated { bytes: segments.at })
    }
}

impl Frame {
    /// Annex B.2.2: precision, lines, samples a line, and of each component its number, sampling factors and quantisation table.
    fn parse(content: &[u8]) -> Option<Self> {
        let (
            &[
                _,
                height_high,
                height_low,
                width_high,
                width_low,
                components,
            ],
            rest,
        ) = content.split_first_chunk()?;
        let height = u64::from(u16::from_be_bytes([height_high, height_low]));
        let width = u64::from(u16::from_be_bytes([width_high, width_low]));
        let factors = rest.chunks_exact(3).map(|component| component[1]);
        let across = factors.clone().map(|factors| factors >> 4).max()?;
        let down = factors.map(|factors| factors & 15).max()?;
        let (across, down) = if components == 1 {
            (1, 1)
        } else {
            (across, down)
        };
        let blocks = |side: u64, factor: u8| side.div_ceil(8 * u64::from(factor.max(1)));
        Some(Self {
            components,
            units: blocks(width, across) * blocks(height, down),
        })
    }
}
