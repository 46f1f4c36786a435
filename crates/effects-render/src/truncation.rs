//! Tells files that were cut short, which the decoders would fill up with grey.

use image::ImageFormat;

use crate::error::PaintError;

/// Refuses a JPEG without its end marker and a WebP shorter than it says.
///
/// PNG needs no help: its decoder notices by itself.
pub(crate) fn check(bytes: &[u8], format: ImageFormat) -> Result<(), PaintError> {
    let whole = match format {
        ImageFormat::Jpeg => jpeg_is_whole(bytes),
        ImageFormat::WebP => webp_is_whole(bytes),
        _ => true,
    };
    if whole {
        Ok(())
    } else {
        Err(PaintError::Corrupt { reason: "the file ends before the picture does".to_owned() })
    }
}

/// Walks the segments to the first scan, then looks for the end marker behind it: a thumbnail in
/// the metadata has an end marker too, which must not count.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[first, marker]) = bytes.get(at..at + 2) {
        if first != 0xFF {
            return false;
        }
        match marker {
            0xFF => at += 1,
            START_OF_SCAN => return has_end_marker(&bytes[at..]),
            0x01 | 0xD0..=0xD8 => at += 2,
            _ => match bytes.get(at + 2..at + 4) {
                Some(&[high, low]) => at += 2 + usize::from(u16::from_be_bytes([high, low])).max(2),
                _ => return false,
            },
        }
    }
    false
}

fn has_end_marker(scan: &[u8]) -> bool {
    scan.windows(2).rev().any(|pair| pair == [0xFF, END_OF_IMAGE])
}

fn webp_is_whole(bytes: &[u8]) -> bool {
    match bytes.get(4..8) {
        Some(&[a, b, c, d]) => {
            let declared = u32::from_le_bytes([a, b, c, d]) as usize;
            // Some writers leave off the last padding byte.
            declared <= (bytes.len() - 8).saturating_add(1)
        }
        _ => false,
    }
}

const START_OF_SCAN: u8 = 0xDA;
const END_OF_IMAGE: u8 = 0xD9;
