//! [`thumbnail`]: a copy of a picture with no side longer than asked, as a PNG, or as a JPEG where it is
//! opaque and need not be a PNG. `_display.py` shows it in place of large pictures, so that a notebook
//! stays small, and makes with it the PNG for viewers without HTML.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, ImageReader, ImageResult, Limits};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

/// A picture that is no larger than `side` on either side: as a PNG, or as what is smaller to keep, a JPEG
/// where it is opaque. `None` for bytes that are no picture.
#[pyfunction]
pub fn thumbnail(
    py: Python<'_>,
    data: PyBackedBytes,
    side: u32,
    png: bool,
) -> Option<Bound<'_, PyBytes>> {
    let made = py.detach(|| shrunk(&data, side, png)).ok()?;
    Some(PyBytes::new(py, &made))
}

fn shrunk(data: &[u8], side: u32, png: bool) -> ImageResult<Vec<u8>> {
    let mut reader = ImageReader::new(Cursor::new(data)).with_guessed_format()?;
    // The header of a picture from outside may claim any size: decoding ends before it takes the
    // memory.
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    let whole = reader.decode()?;
    let is_small = whole.width() <= side && whole.height() <= side;
    let picture = if is_small { whole } else { whole.thumbnail(side, side) };
    let mut made = Vec::new();
    if png || picture.color().has_alpha() {
        picture.write_to(&mut Cursor::new(&mut made), ImageFormat::Png)?;
    } else {
        let opaque = DynamicImage::ImageRgb8(picture.into_rgb8());
        opaque.write_with_encoder(JpegEncoder::new_with_quality(&mut made, JPEG_QUALITY))?;
    }
    Ok(made)
}

/// Enough for the largest picture of the service many times over.
const MAX_DECODED_BYTES: u64 = 192 << 20;

const JPEG_QUALITY: u8 = 78;
