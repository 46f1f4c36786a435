//! Reads a photo from untrusted bytes: formats, limits, truncation, orientation.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageError, ImageFormat, ImageReader, Limits};

use crate::error::PaintError;
use crate::scale;
use crate::truncation;

/// A decoded photo: opaque RGB, upright.
#[derive(Clone, Debug)]
pub(crate) struct Photo {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Three bytes a pixel, rows from the top.
    pub(crate) rgb: Vec<u8>,
}

impl Photo {
    /// Decodes a PNG, JPEG or WebP file.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, PaintError> {
        let format = recognise(bytes)?;
        truncation::check(bytes, format)?;
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        reader.limits(limits());
        let mut decoder = reader.into_decoder().map_err(|error| decoding(&error))?;
        let (width, height) = decoder.dimensions();
        if width > MAX_SIDE || height > MAX_SIDE {
            return Err(PaintError::TooLarge { width, height, limit: MAX_SIDE });
        }
        // A broken EXIF block says nothing about the picture, which is then taken as upright.
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let image = DynamicImage::from_decoder(decoder).map_err(|error| decoding(&error))?;
        let mut image = DynamicImage::ImageRgb8(on_white(image));
        image.apply_orientation(orientation);
        let rgb = image.into_rgb8();
        let (width, height) = rgb.dimensions();
        Ok(Self { width, height, rgb: rgb.into_raw() })
    }
}

impl Photo {
    /// A photo with far more pixels than the painting can show is made smaller once, here, and its
    /// memory given back.
    pub(crate) fn no_larger_than_needed(self, width: u32, height: u32) -> Self {
        let useful = f64::from(width.max(height)) * 1.4;
        let shorter = f64::from(self.width.min(self.height));
        if shorter <= useful * 1.2 {
            return self;
        }
        let scaled = |side: u32| (f64::from(side) * useful / shorter).round().max(1.0) as u32;
        let (width, height) = (scaled(self.width), scaled(self.height));
        let rgb = scale::shrink_rgb(&self, width, height);
        Self { width, height, rgb }
    }
}

fn recognise(bytes: &[u8]) -> Result<ImageFormat, PaintError> {
    match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP)) => Ok(format),
        Ok(other) => Err(PaintError::UnsupportedFormat { format: name_of(other) }),
        Err(_) => Err(PaintError::NotAnImage { length: bytes.len() }),
    }
}

fn name_of(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Gif => "GIF",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Ico => "ICO",
        ImageFormat::Avif => "AVIF",
        ImageFormat::Qoi => "QOI",
        ImageFormat::Pnm => "PNM",
        ImageFormat::Hdr => "HDR",
        ImageFormat::OpenExr => "OpenEXR",
        _ => "different",
    }
}

/// The decoder refuses before it allocates, whatever the header claims.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE * 16);
    limits.max_image_height = Some(MAX_SIDE * 16);
    // 4096 x 4096 at 16 bits a channel and alpha, and a little for the decoder itself.
    limits.max_alloc = Some(160 << 20);
    limits
}

fn decoding(error: &ImageError) -> PaintError {
    PaintError::Corrupt { reason: error.to_string() }
}

/// Transparent parts show white, as paper would.
fn on_white(image: DynamicImage) -> image::RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let rgba = image.into_rgba8();
    let (width, height) = rgba.dimensions();
    let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
    for pixel in rgba.as_raw().chunks_exact(4) {
        let alpha = u32::from(pixel[3]);
        for &channel in &pixel[..3] {
            rgb.push(((u32::from(channel) * alpha + 255 * (255 - alpha) + 127) / 255) as u8);
        }
    }
    image::RgbImage::from_raw(width, height, rgb).unwrap_or_default()
}

/// The longest side of a photo that is read, in pixels.
pub const MAX_SIDE: u32 = 4096;
