//! Red, green and blue out of whatever has colour.

use yuv::{
    YuvBiPlanarImage, YuvConversionMode, YuvError, YuvPackedImage, YuvPlanarImage, YuvRange,
    YuvStandardMatrix,
};

use super::gray::{stretched, upper_bits};
use super::{Source, Strided};
use crate::colours::Range;
use crate::error::DecodeError;
use crate::layout::Layout;
use crate::picture::Pixels;

/// The layout of 8 bits a sample that a layout is brought to first; `None` when it is converted as it is.
pub(super) const fn simpler_layout(layout: Layout) -> Option<Layout> {
    Some(match layout {
        Layout::Gray16 | Layout::Gray16BigEndian => Layout::Gray,
        Layout::P010 => Layout::Nv12,
        Layout::Yuv420Deep => Layout::Yuv420,
        Layout::Yuv422Deep => Layout::Yuv422,
        Layout::Yuv444Deep => Layout::Yuv444,
        Layout::Yuv411 => Layout::Yuv422,
        _ => return None,
    })
}

/// Brings `source` to its [`simpler_layout`].
pub(super) fn simplify(source: &Source<'_>, out: &mut [u8]) {
    let Some(layout) = simpler_layout(source.layout) else {
        return;
    };
    let mut rest = out;
    for (plane, shape) in layout.planes().iter().enumerate() {
        let Some((row_bytes, rows)) = shape.size(source.width, source.height) else {
            return;
        };
        let own = row_bytes.saturating_mul(rows).min(rest.len());
        let (own, behind) = rest.split_at_mut(own);
        rest = behind;
        for (to, from) in own.chunks_exact_mut(row_bytes).zip(source.rows(plane)) {
            match source.layout {
                Layout::Yuv411 if plane > 0 => twice(from, to),
                Layout::Yuv411 => to.copy_from_slice(from),
                Layout::Gray16BigEndian => higher_bytes(from, 0, to),
                Layout::P010 => higher_bytes(from, 1, to),
                _ => upper_bits(from, source.sample_bits, to),
            }
        }
    }
}

/// Each sample two times: of an odd number of places the last one gets one.
fn twice(samples: &[u8], out: &mut [u8]) {
    for (pair, &sample) in out.chunks_mut(2).zip(samples) {
        pair.fill(sample);
    }
}

fn higher_bytes(samples: &[u8], which: usize, out: &mut [u8]) {
    for (to, pair) in out.iter_mut().zip(samples.as_chunks::<2>().0) {
        *to = pair[which];
    }
}

/// Converts what has no simpler layout.
pub(super) fn convert(
    source: &Source<'_>,
    pixels: Pixels,
    out: &mut [u8],
) -> Result<(), DecodeError> {
    let which = Packing::of(pixels);
    let done = match source.layout {
        Layout::Rgb => {
            reorder(source, [0, 1, 2], which, out);
            Ok(())
        }
        Layout::Bgr => {
            reorder(source, [2, 1, 0], which, out);
            Ok(())
        }
        Layout::Gray => {
            gray(source, which, out);
            Ok(())
        }
        Layout::Yuv420 => planar(source, (1, 2), YUV420, which, out),
        Layout::Yvu420 => planar(source, (2, 1), YUV420, which, out),
        Layout::Yuv422 => planar(source, (1, 2), YUV422, which, out),
        Layout::Yuv444 | Layout::Yuva444 => planar(source, (1, 2), YUV444, which, out),
        Layout::Nv12 => paired(source, NV12, which, out),
        Layout::Nv21 => paired(source, NV21, which, out),
        Layout::Nv16 => paired(source, NV16, which, out),
        Layout::Nv61 => paired(source, NV61, which, out),
        Layout::Yuyv => packed(source, YUYV, which, out),
        Layout::Uyvy => packed(source, UYVY, which, out),
        Layout::Yvyu => packed(source, YVYU, which, out),
        Layout::Vyuy => packed(source, VYUY, which, out),
        // These come out of this crate only, or were made simpler before.
        _ => Err(YuvError::ImagesSizesNotMatch),
    };
    // `Source` has checked what these functions check, but for sizes whose products do not fit them.
    done.map_err(|_| DecodeError::Size {
        width: source.width,
        height: source.height,
    })
}

/// Of the tables below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Rgb,
    Bgr,
    Rgba,
}

impl Packing {
    const fn of(pixels: Pixels) -> Self {
        match pixels {
            Pixels::Rgb => Self::Rgb,
            Pixels::Rgba => Self::Rgba,
            _ => Self::Bgr,
        }
    }

    const fn pixel_bytes(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Rgba => 4,
        }
    }

    fn row_bytes(self, width: u32) -> Result<u32, YuvError> {
        let bytes = u32::try_from(self.pixel_bytes()).ok();
        let bytes = bytes.and_then(|bytes| bytes.checked_mul(width));
        bytes.ok_or(YuvError::PointerOverflow)
    }

    /// Where red, green and blue are.
    const fn order(self) -> [usize; 3] {
        match self {
            Self::Rgb | Self::Rgba => [0, 1, 2],
            Self::Bgr => [2, 1, 0],
        }
    }
}

type Done = Result<(), YuvError>;
/// Functions of `yuv`, which has one for each pair of layouts.
type Planar = fn(&YuvPlanarImage<'_, u8>, &mut [u8], u32, YuvRange, YuvStandardMatrix) -> Done;
type Paired = fn(
    &YuvBiPlanarImage<'_, u8>,
    &mut [u8],
    u32,
    YuvRange,
    YuvStandardMatrix,
    YuvConversionMode,
) -> Done;
type Packed = fn(&YuvPackedImage<'_, u8>, &mut [u8], u32, YuvRange, YuvStandardMatrix) -> Done;

// By `Packing`.
const YUV420: [Planar; 3] = [yuv::yuv420_to_rgb, yuv::yuv420_to_bgr, yuv::yuv420_to_rgba];
const YUV422: [Planar; 3] = [yuv::yuv422_to_rgb, yuv::yuv422_to_bgr, yuv::yuv422_to_rgba];
const YUV444: [Planar; 3] = [yuv::yuv444_to_rgb, yuv::yuv444_to_bgr, yuv::yuv444_to_rgba];
const NV12: [Paired; 3] = [
    yuv::yuv_nv12_to_rgb,
    yuv::yuv_nv12_to_bgr,
    yuv::yuv_nv12_to_rgba,
];
const NV21: [Paired; 3] = [
    yuv::yuv_nv21_to_rgb,
    yuv::yuv_nv21_to_bgr,
    yuv::yuv_nv21_to_rgba,
];
const NV16: [Paired; 3] = [
    yuv::yuv_nv16_to_rgb,
    yuv::yuv_nv16_to_bgr,
    yuv::yuv_nv16_to_rgba,
];
const NV61: [Paired; 3] = [
    yuv::yuv_nv61_to_rgb,
    yuv::yuv_nv61_to_bgr,
    yuv::yuv_nv61_to_rgba,
];
const YUYV: [Packed; 3] = [
    yuv::yuyv422_to_rgb,
    yuv::yuyv422_to_bgr,
    yuv::yuyv422_to_rgba,
];
const UYVY: [Packed; 3] = [
    yuv::uyvy422_to_rgb,
    yuv::uyvy422_to_bgr,
    yuv::uyvy422_to_rgba,
];
const YVYU: [Packed; 3] = [
    yuv::yvyu422_to_rgb,
    yuv::yvyu422_to_bgr,
    yuv::yvyu422_to_rgba,
];
const VYUY: [Packed; 3] = [
    yuv::vyuy422_to_rgb,
    yuv::vyuy422_to_bgr,
    yuv::vyuy422_to_rgba,
];

fn planar(
    source: &Source<'_>,
    (cb, cr): (usize, usize),
    function: [Planar; 3],
    which: Packing,
    out: &mut [u8],
) -> Done {
    let (range, matrix) = source.colours.yuv();
    let (y, cb, cr) = (source.planes[0], source.planes[cb], source.planes[cr]);
    let image = YuvPlanarImage {
        y_plane: y.bytes,
        y_stride: stride(y)?,
        u_plane: cb.bytes,
        u_stride: stride(cb)?,
        v_plane: cr.bytes,
        v_stride: stride(cr)?,
        width: source.width,
        height: source.height,
    };
    let row_bytes = which.row_bytes(source.width)?;
    function[which as usize](&image, out, row_bytes, range, matrix)
}

fn paired(source: &Source<'_>, function: [Paired; 3], which: Packing, out: &mut [u8]) -> Done {
    let (range, matrix) = source.colours.yuv();
    let (y, pairs) = (source.planes[0], source.planes[1]);
    let image = YuvBiPlanarImage {
        y_plane: y.bytes,
        y_stride: stride(y)?,
        uv_plane: pairs.bytes,
        uv_stride: stride(pairs)?,
        width: source.width,
        height: source.height,
    };
    let row_bytes = which.row_bytes(source.width)?;
    function[which as usize](
        &image,
        out,
        row_bytes,
        range,
        matrix,
        YuvConversionMode::Balanced,
    )
}

fn packed(source: &Source<'_>, function: [Packed; 3], which: Packing, out: &mut [u8]) -> Done {
    let (range, matrix) = source.colours.yuv();
    let image = YuvPackedImage {
        yuy: source.planes[0].bytes,
        yuy_stride: stride(source.planes[0])?,
        width: source.width,
        height: source.height,
    };
    let row_bytes = which.row_bytes(source.width)?;
    function[which as usize](&image, out, row_bytes, range, matrix)
}

fn stride(plane: Strided<'_>) -> Result<u32, YuvError> {
    u32::try_from(plane.stride).map_err(|_| YuvError::PointerOverflow)
}

/// Of brightness from 0 to 255 all three are that; what is limited is stretched first.
fn gray(source: &Source<'_>, which: Packing, out: &mut [u8]) {
    let samples = source.rows(0).flatten();
    let stretch = source.colours.range == Range::Limited;
    let samples = samples.map(|&sample| if stretch { stretched(sample) } else { sample });
    match which {
        Packing::Rgba => {
            for (to, sample) in out.as_chunks_mut::<4>().0.iter_mut().zip(samples) {
                *to = [sample, sample, sample, 255];
            }
        }
        Packing::Rgb | Packing::Bgr => {
            for (to, sample) in out.as_chunks_mut::<3>().0.iter_mut().zip(samples) {
                *to = [sample; 3];
            }
        }
    }
}

/// Pixels of three bytes, with red, green and blue at these places, into another order.
fn reorder(source: &Source<'_>, from: [usize; 3], which: Packing, out: &mut [u8]) {
    let row_bytes = source.width as usize * which.pixel_bytes();
    let [red, green, blue] = from;
    for (to, row) in out.chunks_exact_mut(row_bytes.max(1)).zip(source.rows(0)) {
        let pixels = row.as_chunks::<3>().0.iter();
        match which {
            _ if from == which.order() && which != Packing::Rgba => to.copy_from_slice(row),
            Packing::Rgba => {
                for (to, pixel) in to.as_chunks_mut::<4>().0.iter_mut().zip(pixels) {
                    *to = [pixel[red], pixel[green], pixel[blue], 255];
                }
            }
            Packing::Rgb | Packing::Bgr => {
                for (to, pixel) in to.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
                    *to = [pixel[2], pixel[1], pixel[0]];
                }
            }
        }
    }
}
