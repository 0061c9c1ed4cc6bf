//! What a device can capture: formats, sizes and rates, as the driver lists them.

use std::fmt;

use rustix::io::Errno;
use sdvr_frame::{FourCc, FrameRate};

use super::abi::{self, BufferType};
use super::device::Device;
use super::text;

/// Drivers list less. One that never comes to an end must not keep us.
const ENTRIES_MOST: u32 = 256;

/// A format of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatInfo {
    /// What the driver calls it.
    pub fourcc: FourCc,
    /// In words.
    pub description: String,
    /// Whether its frames vary in length.
    pub is_compressed: bool,
    /// Its sizes; empty when the driver does not say.
    pub sizes: Vec<SizeInfo>,
}

/// A size, or a range of them, of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizeInfo {
    /// The size, or the smallest one.
    pub least: (u32, u32),
    /// The size, or the largest one.
    pub most: (u32, u32),
    /// From one width, and one height, to the next; 0 when there is one size only.
    pub step: (u32, u32),
    /// Frames a second, as listed; of a range of rates the slowest and the fastest. Empty when the driver does not say.
    pub rates: Vec<FrameRate>,
    /// Whether any rate between the ones listed can be had, too.
    pub any_rate: bool,
}

impl SizeInfo {
    /// Whether it is, or the range has, that size.
    #[must_use]
    pub fn has(&self, size: (u32, u32)) -> bool {
        let is_in = |value: u32, least: u32, most: u32, step: u32| {
            (least..=most).contains(&value)
                && (value - least)
                    .checked_rem(step)
                    .is_none_or(|rest| rest == 0)
        };
        is_in(size.0, self.least.0, self.most.0, self.step.0)
            && is_in(size.1, self.least.1, self.most.1, self.step.1)
    }

    /// The fastest rate listed.
    #[must_use]
    pub fn fastest(&self) -> Option<FrameRate> {
        self.rates
            .iter()
            .copied()
            .max_by(|a, b| a.as_f64().total_cmp(&b.as_f64()))
    }
}

impl fmt::Display for SizeInfo {
    /// `640x480`, or `32x32 to 1920x1080`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}x{}", self.least.0, self.least.1)?;
        if self.most != self.least {
            write!(formatter, " to {}x{}", self.most.0, self.most.1)?;
        }
        Ok(())
    }
}

/// Asks the driver for all of it.
pub(crate) fn list(device: &Device, kind: BufferType) -> Vec<FormatInfo> {
    let mut formats: Vec<FormatInfo> = Vec::new();
    for index in 0..ENTRIES_MOST {
        let mut entry = abi::FormatEntry {
            index,
            kind: kind.0,
            ..Default::default()
        };
        if device.enumerate_format(&mut entry).is_err() {
            break;
        }
        let fourcc = FourCc(entry.pixel_format.to_le_bytes());
        let is_known = formats.iter().any(|format| format.fourcc == fourcc);
        if is_known || entry.flags & abi::FORMAT_EMULATED != 0 {
            continue;
        }
        formats.push(FormatInfo {
            fourcc,
            description: text(&entry.description),
            is_compressed: entry.flags & abi::FORMAT_COMPRESSED != 0,
            sizes: sizes(device, entry.pixel_format),
        });
    }
    formats
}

fn sizes(device: &Device, pixel_format: u32) -> Vec<SizeInfo> {
    let mut sizes = Vec::new();
    for index in 0..ENTRIES_MOST {
        let mut entry = abi::FrameSizeEntry {
            index,
            pixel_format,
            ..Default::default()
        };
        if device.enumerate_size(&mut entry).is_err() {
            break;
        }
        sizes.push(size_of_entry(&entry));
        if entry.kind != abi::DISCRETE {
            break;
        }
    }
    for size in &mut sizes {
        // Of a range, the largest size has the rates that can be relied on.
        (size.rates, size.any_rate) = rates(device, pixel_format, size.most);
    }
    sizes
}

fn size_of_entry(entry: &abi::FrameSizeEntry) -> SizeInfo {
    let [a, b, c, d, e, f] = entry.values;
    let (least, most, step) = if entry.kind == abi::DISCRETE {
        ((a, b), (a, b), (0, 0))
    } else {
        ((a, d), (b.max(a), e.max(d)), (c, f))
    };
    SizeInfo {
        least,
        most,
        step,
        rates: Vec::new(),
        any_rate: false,
    }
}

fn rates(
    device: &Device,
    pixel_format: u32,
    (width, height): (u32, u32),
) -> (Vec<FrameRate>, bool) {
    let mut rates = Vec::new();
    for index in 0..ENTRIES_MOST {
        let mut entry = abi::FrameIntervalEntry {
            index,
            pixel_format,
            width,
            height,
            ..Default::default()
        };
        if device.enumerate_interval(&mut entry).is_err() {
            break;
        }
        let [a, b, c, d, ..] = entry.values;
        if entry.kind == abi::DISCRETE {
            rates.extend(rate(a, b));
        } else {
            // The longest time between frames is the slowest rate.
            let range = [rate(c, d), rate(a, b)];
            return (range.into_iter().flatten().collect(), true);
        }
    }
    (rates, false)
}

/// The rate of a time between frames; none of no time.
pub(crate) fn rate(numerator: u32, denominator: u32) -> Option<FrameRate> {
    FrameRate::new(denominator, numerator).filter(|rate| rate.numerator > 0)
}

/// The format that a device is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) fourcc: FourCc,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Each buffer is one field of an interlaced picture, of half its lines.
    pub(crate) is_single_fields: bool,
    /// Of each plane: how far it is from one line to the next, and how long a frame may be.
    pub(crate) planes: Vec<PlaneLayout>,
}

/// How a plane lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlaneLayout {
    pub(crate) line_bytes: u32,
    pub(crate) image_bytes: u32,
}

impl Layout {
    /// Reads `struct v4l2_pix_format` or `struct v4l2_pix_format_mplane`.
    fn parse(format: &abi::Format, kind: BufferType) -> Self {
        let [width, height, fourcc, field, line_bytes, image_bytes, ..] = format.words;
        let planes = if kind == BufferType::MULTI {
            // Five words (the fifth is the colour space), then eight packed planes of 20 bytes, then the number of planes in a byte.
            let [_, _, _, _, _, rest @ ..] = &format.words;
            let (planes, _) = rest.as_chunks::<5>();
            let count = usize::from(plane_count(format)).clamp(1, abi::PLANES_MOST);
            let planes = planes.iter().take(count);
            planes
                .map(|&[image_bytes, line_bytes, ..]| PlaneLayout {
                    line_bytes,
                    image_bytes,
                })
                .collect()
        } else {
            vec![PlaneLayout {
                line_bytes,
                image_bytes,
            }]
        };
        Self {
            fourcc: FourCc(fourcc.to_le_bytes()),
            width,
            height,
            is_single_fields: field == abi::FIELD_ALTERNATE,
            planes,
        }
    }
}

/// The byte after the planes of `struct v4l2_pix_format_mplane`: word 5 + 8 × 5.
fn plane_count(format: &abi::Format) -> u8 {
    let [first, ..] = format.words.get(45).copied().unwrap_or(1).to_ne_bytes();
    first
}

/// What the device is set to.
pub(crate) fn current(device: &Device, kind: BufferType) -> Result<Layout, Errno> {
    let mut format = abi::Format::new(kind);
    device.read_format(&mut format)?;
    Ok(Layout::parse(&format, kind))
}

/// Sets format and size; gives what the driver makes of them.
pub(crate) fn set(
    device: &Device,
    kind: BufferType,
    fourcc: FourCc,
    size: (u32, u32),
) -> Result<Layout, Errno> {
    let set_with = |wanted_field| {
        let mut format = abi::Format::new(kind);
        let [width, height, pixel_format, field, ..] = &mut format.words;
        (*width, *height) = size;
        *pixel_format = u32::from_le_bytes(fourcc.0);
        *field = wanted_field;
        device.set_format(&mut format)?;
        Ok(Layout::parse(&format, kind))
    };
    let layout = set_with(abi::FIELD_NONE)?;
    if layout.is_single_fields {
        // Some drivers can put both fields together.
        set_with(abi::FIELD_INTERLACED)
    } else {
        Ok(layout)
    }
}

/// Sets the rate, where the driver lets it be set; gives the one it then has, if it says.
pub(crate) fn set_rate(
    device: &Device,
    kind: BufferType,
    wanted: Option<FrameRate>,
) -> Option<FrameRate> {
    let mut parameters = abi::StreamParameters::new(kind);
    device.read_parameters(&mut parameters).ok()?;
    if let Some(wanted) = wanted
        && parameters.capability & abi::CAPTURE_TIME_PER_FRAME != 0
    {
        let before = parameters;
        parameters.time_per_frame = [wanted.denominator, wanted.numerator];
        if device.set_parameters(&mut parameters).is_err() {
            parameters = before;
        }
    }
    let [numerator, denominator] = parameters.time_per_frame;
    rate(numerator, denominator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_sizes_has_its_steps_only() {
        let size = SizeInfo {
            least: (40, 17),
            most: (1960, 1081),
            step: (16, 2),
            rates: Vec::new(),
            any_rate: false,
        };
        assert!(size.has((40, 17)) && size.has((1960, 1081)) && size.has((648, 481)));
        assert!(!size.has((640, 481)) && !size.has((648, 480)));
        assert!(!size.has((24, 17)) && !size.has((1976, 1081)));
    }

    #[test]
    fn planes_are_where_the_kernel_puts_them() {
        let mut format = abi::Format::new(BufferType::MULTI);
        format.words[..3].copy_from_slice(&[640, 360, u32::from_le_bytes(*b"NM12")]);
        // sizeimage, bytesperline of two planes.
        format.words[5..7].copy_from_slice(&[230_400, 640]);
        format.words[10..12].copy_from_slice(&[115_200, 704]);
        format.words[45] = u32::from_ne_bytes([2, 0, 0, 0]);
        let layout = Layout::parse(&format, BufferType::MULTI);
        let plane = |line_bytes, image_bytes| PlaneLayout {
            line_bytes,
            image_bytes,
        };
        assert_eq!(layout.planes, [plane(640, 230_400), plane(704, 115_200)]);
        assert_eq!((layout.width, layout.height), (640, 360));
        // A number of planes that no buffer has.
        format.words[45] = u32::MAX;
        assert_eq!(Layout::parse(&format, BufferType::MULTI).planes.len(), 8);
    }

    #[test]
    fn no_time_between_frames_is_no_rate() {
        assert_eq!(rate(1, 30), Some(FrameRate::from_whole(30)));
        assert_eq!(rate(0, 30), None);
        assert_eq!(rate(1, 0), None);
    }
}
