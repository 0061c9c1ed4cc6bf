//! Planes made into what is wanted of a picture.

mod colour;
mod gray;

use crate::bayer::{self, Mosaic};
use crate::colours::Colours;
use crate::error::DecodeError;
use crate::layout::Layout;
use crate::picture::{Picture, Pixels};

/// The most planes a layout has.
const PLANES_MOST: usize = 4;

/// A plane whose rows may have padding behind them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Strided<'a> {
    pub(crate) bytes: &'a [u8],
    /// From the beginning of a row to that of the next.
    pub(crate) stride: usize,
}

/// A picture as it comes, before it is what is wanted of it. Every row of every plane is there: the constructors see to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    layout: Layout,
    width: u32,
    height: u32,
    planes: [Strided<'a>; PLANES_MOST],
    pub(crate) colours: Colours,
    pub(crate) sample_bits: u8,
}

impl<'a> Source<'a> {
    /// Planes that follow one another without padding; bytes behind them are left alone. `None` when there are too few.
    pub(crate) fn of_rows_without_padding(
        layout: Layout,
        width: u32,
        height: u32,
        bytes: &'a [u8],
    ) -> Option<Self> {
        let mut planes = [Strided::default(); PLANES_MOST];
        let mut rest = bytes;
        for (plane, shape) in planes.iter_mut().zip(layout.planes()) {
            let (stride, rows) = shape.size(width, height)?;
            let (bytes, behind) = rest.split_at_checked(stride.checked_mul(rows)?)?;
            *plane = Strided { bytes, stride };
            rest = behind;
        }
        Self::new(layout, width, height, planes)
    }

    /// Planes of any stride. `None` when a row of them is not there.
    pub(crate) fn new(
        layout: Layout,
        width: u32,
        height: u32,
        mut planes: [Strided<'a>; PLANES_MOST],
    ) -> Option<Self> {
        if width == 0 || height == 0 {
            return None;
        }
        for (plane, shape) in planes.iter_mut().zip(layout.planes()) {
            let (row_bytes, rows) = shape.size(width, height)?;
            let until_last = plane.stride.checked_mul(rows.checked_sub(1)?)?;
            if plane.stride < row_bytes {
                return None;
            }
            plane.bytes = plane.bytes.get(..until_last.checked_add(row_bytes)?)?;
        }
        Some(Self {
            layout,
            width,
            height,
            planes,
            colours: Colours::default(),
            sample_bits: 8,
        })
    }

    /// The rows of a plane, without padding.
    fn rows(&self, plane: usize) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let shape = self.layout.planes().get(plane);
        let row_bytes = shape.and_then(|shape| shape.size(self.width, self.height));
        let row_bytes = row_bytes.map_or(0, |(row_bytes, _)| row_bytes);
        let plane = self.planes.get(plane).copied().unwrap_or_default();
        let rows = plane.bytes.chunks(plane.stride.max(1));
        rows.map(move |row| row.get(..row_bytes).unwrap_or_default())
    }
}

/// Makes pictures, and keeps the memory it needs on the way.
#[derive(Debug, Default)]
pub(crate) struct Converter {
    scratch: Vec<u8>,
}

impl Converter {
    /// Makes `source` what is wanted; all of `picture` but its number.
    pub(crate) fn convert(
        &mut self,
        source: &Source<'_>,
        pixels: Pixels,
        picture: &mut Picture,
    ) -> Result<(), DecodeError> {
        let layout = match pixels {
            Pixels::Rgb => Layout::Rgb,
            Pixels::Bgr => Layout::Bgr,
            Pixels::Rgba => Layout::Rgba,
            Pixels::Gray => Layout::Gray,
            Pixels::Planes => source.layout,
        };
        prepare(picture, layout, source.width, source.height)?;
        (picture.colours, picture.sample_bits) = (source.colours, 8);
        match pixels {
            Pixels::Planes => {
                picture.sample_bits = source.sample_bits;
                copy_planes(source, &mut picture.bytes);
                Ok(())
            }
            Pixels::Gray => {
                self.gray(source, &mut picture.bytes);
                Ok(())
            }
            Pixels::Rgb | Pixels::Bgr | Pixels::Rgba => {
                self.coloured(source, pixels, &mut picture.bytes)
            }
        }
    }

    fn gray(&mut self, source: &Source<'_>, out: &mut [u8]) {
        if let Some(mosaic) = mosaic(source.layout) {
            let bytes = out.len().saturating_mul(3);
            self.scratch.resize(bytes, 0);
            let width = source.width as usize;
            let samples = source.planes[0].bytes;
            bayer::demosaic::<3>(mosaic, samples, width, [0, 1, 2], &mut self.scratch);
            gray::of_packed(&self.scratch, [0, 1, 2], out);
        } else {
            gray::of_source(source, out);
        }
    }

    fn coloured(
        &mut self,
        source: &Source<'_>,
        pixels: Pixels,
        out: &mut [u8],
    ) -> Result<(), DecodeError> {
        if let Some(mosaic) = mosaic(source.layout) {
            let width = source.width as usize;
            let samples = source.planes[0].bytes;
            match pixels {
                Pixels::Rgba => bayer::demosaic::<4>(mosaic, samples, width, [0, 1, 2], out),
                Pixels::Rgb => bayer::demosaic::<3>(mosaic, samples, width, [0, 1, 2], out),
                _ => bayer::demosaic::<3>(mosaic, samples, width, [2, 1, 0], out),
            }
            return Ok(());
        }
        let Some(layout) = colour::simpler_layout(source.layout) else {
            return colour::convert(source, pixels, out);
        };
        let (width, height) = (source.width, source.height);
        let size = DecodeError::Size { width, height };
        let bytes = layout
            .picture_bytes(width, height)
            .ok_or_else(|| size.clone())?;
        self.scratch.resize(bytes, 0);
        colour::simplify(source, &mut self.scratch);
        let mut simple =
            Source::of_rows_without_padding(layout, width, height, &self.scratch).ok_or(size)?;
        simple.colours = source.colours;
        colour::convert(&simple, pixels, out)
    }
}

/// Makes room for a picture. What is in the bytes is left: they are all written.
pub(crate) fn prepare(
    picture: &mut Picture,
    layout: Layout,
    width: u32,
    height: u32,
) -> Result<(), DecodeError> {
    DecodeError::check_size(width, height)?;
    let bytes = layout.picture_bytes(width, height);
    let bytes = bytes.ok_or(DecodeError::Size { width, height })?;
    picture.bytes.resize(bytes, 0);
    (picture.layout, picture.width, picture.height) = (layout, width, height);
    picture.sample_bits = 8;
    Ok(())
}

fn copy_planes(source: &Source<'_>, out: &mut [u8]) {
    let mut rest = out;
    for (plane, shape) in source.layout.planes().iter().enumerate() {
        let Some((row_bytes, rows)) = shape.size(source.width, source.height) else {
            return;
        };
        let own = row_bytes.saturating_mul(rows).min(rest.len());
        let (own, behind) = rest.split_at_mut(own);
        rest = behind;
        let strided = source.planes[plane];
        if strided.stride == row_bytes && strided.bytes.len() == own.len() {
            own.copy_from_slice(strided.bytes);
        } else {
            for (to, from) in own.chunks_exact_mut(row_bytes).zip(source.rows(plane)) {
                to.copy_from_slice(from);
            }
        }
    }
}

const fn mosaic(layout: Layout) -> Option<Mosaic> {
    let (red_column, red_row) = match layout {
        Layout::BayerRggb => (0, 0),
        Layout::BayerGrbg => (1, 0),
        Layout::BayerGbrg => (0, 1),
        Layout::BayerBggr => (1, 1),
        _ => return None,
    };
    Some(Mosaic {
        red_column,
        red_row,
    })
}
