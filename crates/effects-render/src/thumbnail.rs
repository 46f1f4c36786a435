//! [`thumbnail`]: a small JPEG copy of a picture, for lists of many pictures. The report page of
//! `effects batch` (`batch/report_page.rs`) embeds one of each picture. (The Python package makes its own,
//! in `python/rust/thumbnail.rs`.)

use image::ImageEncoder;
use image::codecs::jpeg::JpegEncoder;

use crate::contact_sheet::fit;
use crate::error::PaintError;
use crate::photo;

/// A picture (any that is taken as a photo), made to fit within `side` by `side` pixels. Returns a JPEG file.
///
/// ```
/// let card = effects_render::test_card(640, 320)?;
/// let small = effects_render::thumbnail(&card, 160)?;
/// assert!(small.starts_with(b"\xff\xd8") && small.len() < 16 * 1024);
/// # Ok::<(), effects_render::PaintError>(())
/// ```
///
/// # Errors
///
/// [`PaintError::BadSize`] unless `side` lies in 16..=512; when the picture cannot be read.
pub fn thumbnail(picture: &[u8], side: u32) -> Result<Vec<u8>, PaintError> {
    if !(16..=512).contains(&side) {
        return Err(PaintError::BadSize { field: "side", value: side, low: 16, high: 512 });
    }
    let small = fit(&photo::read_for(picture, side, side)?.photo, side);
    let rgb: Vec<u8> =
        small.data().chunks_exact(4).flat_map(|pixel| &pixel[..3]).copied().collect();
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, QUALITY)
        .write_image(&rgb, small.width(), small.height(), image::ExtendedColorType::Rgb8)
        .map_err(|error| PaintError::Scene {
            template: "thumbnail".to_owned(),
            reason: error.to_string(),
        })?;
    Ok(file)
}

/// Of 1 to 100: at this size more is not seen.
const QUALITY: u8 = 78;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_keeps_its_shape_and_what_is_none_is_refused() {
        let card = crate::test_card(640, 320).unwrap();
        let small = photo::read_for(&thumbnail(&card, 160).unwrap(), 512, 512).unwrap().photo;
        assert_eq!((small.width, small.height), (160, 80));
        assert!(thumbnail(b"no picture", 160).is_err());
        assert!(thumbnail(&card, 1024).is_err());
    }
}
