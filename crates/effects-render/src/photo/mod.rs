//! Reads a photo from untrusted bytes: formats, limits, truncation, orientation.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{
    ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage,
};

use crate::error::PaintError;
use crate::scale;
use crate::truncation;

/// Reads a photo to its end, as [`paint`](crate::paint) does, and tells its upright size.
///
/// ```
/// let photo = effects_render::test_card(640, 480)?;
/// assert_eq!(effects_render::photo_size(&photo)?, (640, 480));
/// # Ok::<(), effects_render::PaintError>(())
/// ```
///
/// # Errors
///
/// Whatever [`paint`](crate::paint) has to say against the photo.
pub fn photo_size(photo: &[u8]) -> Result<(u32, u32), PaintError> {
    Photo::decode(photo).map(|photo| (photo.width, photo.height))
}

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
        if bytes.len() > MAX_BYTES {
            return Err(PaintError::TooManyBytes { length: bytes.len(), limit: MAX_BYTES });
        }
        let format = recognise(bytes)?;
        truncation::check(bytes, format)?;
        // A decoder is other people's code before bytes of nobody knows whom: should it ever panic,
        // the photo is to blame and not the process to end.
        catch_unwind(AssertUnwindSafe(|| read(bytes, format)))
            .unwrap_or_else(|_| Err(corrupt("the decoder gave it up")))
    }
}

fn read(bytes: &[u8], format: ImageFormat) -> Result<Photo, PaintError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits());
    let mut decoder = reader.into_decoder().map_err(|error| decoding(&error))?;
    let (width, height) = decoder.dimensions();
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(PaintError::TooLarge { width, height, limit: MAX_SIDE });
    }
    // A broken EXIF block says nothing about the picture, which is then taken as upright.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let colours = decoder.color_type();
    let mut pixels = vec![0; usize::try_from(decoder.total_bytes()).unwrap_or(usize::MAX)];
    decoder.read_image(&mut pixels).map_err(|error| decoding(&error))?;
    let rgb = opaque(pixels, colours)?;
    let picture =
        RgbImage::from_raw(width, height, rgb).ok_or_else(|| corrupt("pixels are missing"))?;
    let mut picture = DynamicImage::ImageRgb8(picture);
    picture.apply_orientation(orientation);
    let rgb = picture.into_rgb8();
    let (width, height) = rgb.dimensions();
    Ok(Photo { width, height, rgb: rgb.into_raw() })
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

/// What a decoder may take beside the pixels, whose number is checked by the header: colour
/// profiles and texts are compressed, too, and can be bombs.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE * 16);
    limits.max_image_height = Some(MAX_SIDE * 16);
    limits.max_alloc = Some(16 << 20);
    limits
}

fn decoding(error: &ImageError) -> PaintError {
    corrupt(&error.to_string())
}

fn corrupt(reason: &str) -> PaintError {
    PaintError::Corrupt { reason: reason.to_owned() }
}

/// Makes any kind of pixel three bytes of red, green and blue, in place where that is possible: a
/// large photo must not be in memory twice. Transparent parts show white, as paper would.
fn opaque(mut pixels: Vec<u8>, colours: ColorType) -> Result<Vec<u8>, PaintError> {
    match colours {
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => {}
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => {
            for i in 0..pixels.len() / 2 {
                let value = u32::from(u16::from_ne_bytes([pixels[2 * i], pixels[2 * i + 1]]));
                pixels[i] = ((value + 128) / 257) as u8;
            }
            pixels.truncate(pixels.len() / 2);
        }
        _ => return Err(corrupt("it has an unknown kind of pixel")),
    }
    match colours.channel_count() {
        4 => {
            for i in 0..pixels.len() / 4 {
                for channel in 0..3 {
                    pixels[3 * i + channel] = on_white(pixels[4 * i + channel], pixels[4 * i + 3]);
                }
            }
            pixels.truncate(pixels.len() / 4 * 3);
        }
        3 => {}
        channels => {
            let mut rgb = Vec::with_capacity(pixels.len() / usize::from(channels) * 3);
            for pixel in pixels.chunks_exact(usize::from(channels)) {
                let grey = on_white(pixel[0], *pixel.get(1).unwrap_or(&255));
                rgb.extend_from_slice(&[grey; 3]);
            }
            return Ok(rgb);
        }
    }
    pixels.shrink_to_fit();
    Ok(pixels)
}

fn on_white(value: u8, alpha: u8) -> u8 {
    if alpha == 255 {
        return value;
    }
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

/// The longest side of a photo that is read, in pixels.
pub const MAX_SIDE: u32 = 4096;

/// The longest file of a photo that is read, in bytes: more than any photo of that many pixels has.
pub const MAX_BYTES: usize = 160 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_pixel_becomes_opaque_red_green_and_blue() {
        let wide =
            |values: &[u16]| values.iter().flat_map(|v| v.to_ne_bytes()).collect::<Vec<u8>>();
        for (pixels, colours, rgb) in [
            (vec![7, 200], ColorType::L8, vec![7, 7, 7, 200, 200, 200]),
            (vec![7, 255, 0, 0], ColorType::La8, vec![7, 7, 7, 255, 255, 255]),
            (vec![1, 2, 3], ColorType::Rgb8, vec![1, 2, 3]),
            (vec![1, 2, 3, 255, 0, 100, 255, 51], ColorType::Rgba8, vec![1, 2, 3, 204, 224, 255]),
            (wide(&[0, 257, 65_535]), ColorType::Rgb16, vec![0, 1, 255]),
            (wide(&[514, 0, 65_535, 65_535]), ColorType::Rgba16, vec![2, 0, 255]),
            (wide(&[514]), ColorType::L16, vec![2, 2, 2]),
            (wide(&[514, 0]), ColorType::La16, vec![255, 255, 255]),
        ] {
            assert_eq!(opaque(pixels, colours).unwrap(), rgb, "{colours:?}");
        }
        assert!(opaque(vec![0; 12], ColorType::Rgb32F).is_err());
    }
}
