//! [`decode`] and [`header`]: the decoder of WebP, GIF, BMP and TIFF, which the crate `image` reads as a
//! whole, so that such a photo has to fit into 128 MiB. `photo/mod.rs` calls both, [`header`] for the size
//! alone.

use std::io::Cursor;

use effects_core::ImageFormat;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};

use crate::error::PaintError;
use crate::photo::{RowReceiver, corrupt, opaque};

/// Reads the header of a file of this format.
pub(super) fn header(
    bytes: &[u8],
    format: ImageFormat,
    source: &mut RowReceiver,
) -> Result<(), PaintError> {
    opened(bytes, format, source).map(drop)
}

fn opened<'a>(
    bytes: &'a [u8],
    format: ImageFormat,
    source: &mut RowReceiver,
) -> Result<impl ImageDecoder + use<'a>, PaintError> {
    let known = match format {
        ImageFormat::WebP => image::ImageFormat::WebP,
        ImageFormat::Gif => image::ImageFormat::Gif,
        ImageFormat::Bmp => image::ImageFormat::Bmp,
        ImageFormat::Tiff => image::ImageFormat::Tiff,
        other => return Err(PaintError::UnsupportedFormat { format: other }),
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), known);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_ALLOCATED_BYTES);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| fault(&error))?;
    let (width, height) = decoder.dimensions();
    source.begin(width, height)?;
    let length = decoder.total_bytes();
    if length > MAX_ALLOCATED_BYTES {
        let limit = MAX_ALLOCATED_BYTES / (length / (u64::from(width) * u64::from(height))).max(1);
        return Err(PaintError::TooLargeForFormat { width, height, format, limit });
    }
    Ok(decoder)
}

fn fault(error: &ImageError) -> PaintError {
    match error {
        ImageError::Unsupported(error) => PaintError::Unsupported { what: error.to_string() },
        error => corrupt(&error.to_string()),
    }
}

/// Decodes a file of this format.
pub(super) fn decode(
    bytes: &[u8],
    format: ImageFormat,
    source: &mut RowReceiver,
) -> Result<(), PaintError> {
    if format == ImageFormat::WebP && !webp_is_whole(bytes) {
        return Err(corrupt("the file ends before the picture does"));
    }
    let mut decoder = opened(bytes, format, source)?;
    let (width, height) = decoder.dimensions();
    let length = decoder.total_bytes();
    let colours = decoder.color_type();
    if let Ok(Some(profile)) = decoder.icc_profile() {
        source.profile(&profile, !colours.has_color());
    }
    match decoder.exif_metadata() {
        Ok(Some(exif)) => source.orientation(&exif),
        _ => {
            if let Ok(orientation) = decoder.orientation() {
                source.orientation = orientation;
            }
        }
    }
    source.scaled((width as usize, height as usize));
    let across = width as usize;
    let mut rgb = Vec::with_capacity(across * 3);
    let mut take = |pixels: &[u8], channels: u8| {
        let channels = usize::from(channels);
        for row in pixels.chunks_exact(across * channels) {
            rgb.clear();
            opaque(row, channels, &mut rgb);
            source.row(&rgb);
        }
    };
    match colours {
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => {
            let mut pixels = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
            decoder.read_image(&mut pixels).map_err(|error| fault(&error))?;
            take(&pixels, colours.channel_count());
        }
        _ => {
            // Of sixteen bits or floats a sample: rare, so the library may make a
            // second copy to convert them.
            let picture =
                DynamicImage::from_decoder(decoder).map_err(|error| fault(&error))?.into_rgba8();
            take(picture.as_raw(), 4);
        }
    }
    Ok(())
}

/// Whether the file is as long as it says; its decoder would fill up the rest with grey.
fn webp_is_whole(bytes: &[u8]) -> bool {
    bytes.get(4..8).and_then(|length| <[u8; 4]>::try_from(length).ok()).is_some_and(|length| {
        // Some writers leave off the last padding byte.
        u32::from_le_bytes(length) as usize <= (bytes.len() - 8).saturating_add(1)
    })
}

/// Bytes that a whole picture may take.
const MAX_ALLOCATED_BYTES: u64 = 128 << 20;
