//! Reads a photo from untrusted bytes into upright sRGB pixels, within limits of format, size and memory.
//! [`read_for`] decodes a photo no larger than is needed, for [`paint`](crate::paint) and `paint_scene`,
//! the sampler, contact sheets and thumbnails. `effects batch` finds damaged photos with [`photo_size`],
//! which decodes the whole file; the emulator checks photos with [`photo_header`]; [`decode_photo`] is for
//! other programs.

mod colour;
mod exif;
mod jpeg;
mod png;
mod whole;

use std::panic::{AssertUnwindSafe, catch_unwind};

use effects_core::ImageFormat;
use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};

use crate::error::PaintError;
use crate::pixels::PhotoPixels;
use crate::scale::Shrinking;
use colour::Conversion;

/// Reads a photo to its end, as [`paint`](crate::paint) does, and returns its upright size.
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
    // One useful pixel: the photo is decoded to its end, and next to nothing of it is held.
    read(photo, 1).map(|read| read.full)
}

/// Reads the header of a photo, and returns its size as it is stored: not turned upright.
///
/// ```
/// let photo = effects_render::test_card(640, 480)?;
/// assert_eq!(effects_render::photo_header(&photo[..100])?, (640, 480));
/// # Ok::<(), effects_render::PaintError>(())
/// ```
///
/// # Errors
///
/// What is known without reading the pixels: that the photo is none, of a format that is not read,
/// or too large.
pub fn photo_header(photo: &[u8]) -> Result<(u32, u32), PaintError> {
    let format = recognise(photo)?;
    let mut source = RowReceiver::new(1);
    catch_panic(|| match format {
        ImageFormat::Jpeg => jpeg::header(photo, &mut source),
        ImageFormat::Png => png::header(photo, &mut source),
        _ => whole::header(photo, format, &mut source),
    })?;
    Ok(source.full)
}

/// Decodes a photo as [`paint`](crate::paint) does: upright, in sRGB, transparency on white.
///
/// A photo of more than [`HELD_PIXELS`] comes scaled down.
///
/// ```
/// let photo = effects_render::decode_photo(&effects_render::test_card(640, 480)?)?;
/// assert_eq!((photo.width, photo.height), (640, 480));
/// assert_eq!(photo.rgb.len(), 640 * 480 * 3);
/// assert!(photo.notes.is_empty());
/// # Ok::<(), effects_render::PaintError>(())
/// ```
///
/// # Errors
///
/// Whatever [`paint`](crate::paint) has to say against the photo.
pub fn decode_photo(photo: &[u8]) -> Result<DecodedPhoto, PaintError> {
    let ReadPhoto { photo: PhotoPixels { width, height, rgb }, notes, .. } = read(photo, u32::MAX)?;
    Ok(DecodedPhoto { width, height, rgb, notes })
}

/// The pixels of a photo.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct DecodedPhoto {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Red, green and blue of each pixel, rows from the top.
    pub rgb: Vec<u8>,
    /// What was odd about the file, though its pixels are all there.
    pub notes: Vec<String>,
}

impl std::fmt::Debug for DecodedPhoto {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DecodedPhoto({}x{}, {:?})", self.width, self.height, self.notes)
    }
}

/// A photo, and what was found out while it was read.
#[derive(Debug)]
pub(crate) struct ReadPhoto {
    pub(crate) photo: PhotoPixels,
    /// Its upright size in the file.
    full: (u32, u32),
    pub(crate) notes: Vec<String>,
}

/// Decodes a photo for a painting of this size: one with far more pixels than it can show comes
/// smaller.
pub(crate) fn read_for(bytes: &[u8], width: u32, height: u32) -> Result<ReadPhoto, PaintError> {
    let useful = f64::from(width.max(height)) * 1.4;
    read(bytes, useful.round() as u32)
}

/// Decodes a photo. Where its shorter side is far more than `useful`, it comes at about that size.
fn read(bytes: &[u8], useful: u32) -> Result<ReadPhoto, PaintError> {
    let format = recognise(bytes)?;
    let decode = |checked: bool| {
        let mut source = RowReceiver::new(useful);
        match format {
            ImageFormat::Jpeg => jpeg::decode(bytes, &mut source)?,
            ImageFormat::Png => png::decode(bytes, checked, &mut source)?,
            _ => whole::decode(bytes, format, &mut source)?,
        }
        source.finish()
    };
    // A wrong checksum alone costs no pixel: such a file is read again without the check, and noted.
    catch_panic(|| match decode(true) {
        Err(error @ PaintError::Corrupt { .. }) if format == ImageFormat::Png => {
            let mut read = decode(false).map_err(|_| error)?;
            if !read.notes.iter().any(|note| note == png::WRONG_CHECKSUM) {
                read.notes.push(png::WRONG_CHECKSUM.to_owned());
            }
            Ok(read)
        }
        other => other,
    })
}

fn recognise(bytes: &[u8]) -> Result<ImageFormat, PaintError> {
    if bytes.len() > MAX_BYTES {
        return Err(PaintError::TooManyBytes { length: bytes.len(), limit: MAX_BYTES });
    }
    ImageFormat::sniff(bytes).ok_or_else(|| PaintError::NotAnImage {
        length: bytes.len(),
        what: ImageFormat::why_no_picture(bytes).unwrap_or("is not a picture"),
    })
}

/// Decoders are partly third-party code, and the bytes are untrusted: a panic becomes an error of the
/// photo and does not end the process.
fn catch_panic<T>(read: impl FnOnce() -> Result<T, PaintError>) -> Result<T, PaintError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(corrupt("its decoder failed on it")))
}

/// What a decoder gives its rows to: it says how large they are to be, and makes the photo of them.
struct RowReceiver {
    useful: u32,
    full: (u32, u32),
    wanted: (u32, u32),
    shrinking: Option<Shrinking>,
    orientation: Orientation,
    conversion: Option<Conversion>,
    notes: Vec<String>,
}

impl RowReceiver {
    fn new(useful: u32) -> Self {
        Self {
            useful,
            full: (0, 0),
            wanted: (0, 0),
            shrinking: None,
            orientation: Orientation::NoTransforms,
            conversion: None,
            notes: Vec::new(),
        }
    }

    /// The file's header is read: refuses what is too large, and decides on the size.
    fn begin(&mut self, width: u32, height: u32) -> Result<(), PaintError> {
        let pixels = u64::from(width) * u64::from(height);
        // Before memory is taken for any pixel: a header of a few bytes can promise gigabytes.
        if width > MAX_SIDE || height > MAX_SIDE || pixels > MAX_PIXELS {
            return Err(PaintError::TooLarge { width, height, limit: MAX_PIXELS });
        }
        if pixels == 0 {
            return Err(corrupt("it has no pixels"));
        }
        self.full = (width, height);
        let shorter = f64::from(width.min(height));
        let useful = f64::from(self.useful);
        let enough = if shorter > useful * 1.2 { useful / shorter } else { 1.0 };
        let held = (HELD_PIXELS as f64 / pixels as f64).sqrt().min(1.0);
        let factor = enough.min(held);
        let scaled = |side: u32| (f64::from(side) * factor).round().max(1.0) as u32;
        self.wanted = (scaled(width), scaled(height));
        Ok(())
    }

    /// The size that the photo will have: a decoder may reduce its rows to no less.
    fn wanted(&self) -> (u32, u32) {
        self.wanted
    }

    /// How large the rows come. Where that is less than was wanted, the photo becomes that size.
    fn scaled(&mut self, size: (usize, usize)) {
        let size = (size.0 as u32, size.1 as u32);
        // A JPEG in several scans may come smaller than was wanted, to fit into memory:
        // it is not enlarged.
        let target = (self.wanted.0.min(size.0), self.wanted.1.min(size.1));
        self.shrinking = Some(Shrinking::new(size, target));
        self.wanted = target;
    }

    /// The next row: red, green and blue.
    fn row(&mut self, rgb: &[u8]) {
        if let Some(shrinking) = &mut self.shrinking {
            shrinking.push(rgb);
        }
    }

    fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }

    /// An EXIF block.
    fn orientation(&mut self, block: &[u8]) {
        if let Some(orientation) = exif::orientation(block) {
            self.orientation = orientation;
        }
    }

    /// The colour profile of a photo, and whether that has greys alone.
    fn profile(&mut self, profile: &[u8], is_grey: bool) {
        self.conversion = Conversion::of(profile, is_grey);
    }

    fn finish(self) -> Result<ReadPhoto, PaintError> {
        let (width, height) = self.wanted;
        let mut rgb = self.shrinking.map(Shrinking::finish).unwrap_or_default();
        // After the rows were reduced, when fewer pixels are left to convert.
        if let Some(conversion) = &self.conversion {
            conversion.apply(&mut rgb);
        }
        // None where rows are missing, since then the bytes are too few.
        let picture = RgbImage::from_raw(width, height, rgb);
        let picture = picture.ok_or_else(|| corrupt("pixels are missing"))?;
        let mut picture = DynamicImage::ImageRgb8(picture);
        picture.apply_orientation(self.orientation);
        let rgb = picture.into_rgb8();
        let (width, height) = rgb.dimensions();
        // These four turn the picture onto its side.
        let full = match self.orientation {
            Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH => (self.full.1, self.full.0),
            _ => self.full,
        };
        Ok(ReadPhoto {
            photo: PhotoPixels { width, height, rgb: rgb.into_raw() },
            full,
            notes: self.notes,
        })
    }
}

fn corrupt(reason: &str) -> PaintError {
    PaintError::Corrupt { reason: reason.to_owned() }
}

/// Adds pixels of one to four samples as red, green and blue. Transparent parts show white, as paper
/// would.
fn opaque(samples: &[u8], channels: usize, rgb: &mut Vec<u8>) {
    match channels {
        1 => rgb.extend(samples.iter().flat_map(|grey| [*grey; 3])),
        2 => {
            let (pixels, _) = samples.as_chunks::<2>();
            rgb.extend(pixels.iter().flat_map(|[grey, alpha]| [on_white(*grey, *alpha); 3]));
        }
        3 => rgb.extend_from_slice(samples),
        _ => {
            let (pixels, _) = samples.as_chunks::<4>();
            rgb.extend(
                pixels.iter().flat_map(|[r, g, b, alpha]| [r, g, b].map(|v| on_white(*v, *alpha))),
            );
        }
    }
}

fn on_white(value: u8, alpha: u8) -> u8 {
    if alpha == 255 {
        return value;
    }
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

/// The longest side of a photo that is read, in pixels.
pub const MAX_SIDE: u32 = 65_535;

/// The most pixels of a photo that is read: what the largest cameras of phones take. A file of
/// another format than JPEG and PNG, which has to be decoded whole, may have fewer: as many as fit
/// into 128 MiB.
pub const MAX_PIXELS: u64 = 200_000_000;

/// The most pixels of a photo that are held at once; one with more is scaled down while it is read.
pub const HELD_PIXELS: u64 = 4096 * 4096;

/// The longest file of a photo that is read, in bytes: as many as a client uploads.
pub const MAX_BYTES: usize = effects_core::MAX_PHOTO_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_pixel_becomes_opaque_red_green_and_blue() {
        for (samples, channels, expected) in [
            (vec![7, 200], 1, vec![7, 7, 7, 200, 200, 200]),
            (vec![7, 255, 0, 0], 2, vec![7, 7, 7, 255, 255, 255]),
            (vec![1, 2, 3], 3, vec![1, 2, 3]),
            (vec![1, 2, 3, 255, 0, 0, 0, 128], 4, vec![1, 2, 3, 127, 127, 127]),
        ] {
            let mut rgb = Vec::new();
            opaque(&samples, channels, &mut rgb);
            assert_eq!(rgb, expected);
        }
    }
}
