//! Photos come from anywhere: whatever the bytes are, the answer is a painting or a clear error.

mod support;

use effects_render::{PaintError, Painting, paint_scene};
use image::{ImageFormat, RgbImage};
use proptest::prelude::*;
use support::{encoded, portrait};

/// Decodes, and paints nothing on it: what is tested here is the reading.
fn read(photo: &[u8]) -> Result<Painting, PaintError> {
    paint_scene(photo, "", "blank", 512, 512)
}

const FORMATS: [ImageFormat; 3] = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP];

#[test]
fn all_three_formats_are_read_at_any_small_size() {
    for format in FORMATS {
        for (width, height) in [(1, 1), (1, 200), (333, 7), (640, 480)] {
            assert!(read(&encoded(&portrait(width, height), format)).is_ok(), "{format:?}");
        }
    }
}

#[test]
fn cut_files_are_corrupt() {
    for format in FORMATS {
        let file = encoded(&portrait(200, 160), format);
        for percent in [15, 40, 60, 80, 97] {
            let cut = &file[..file.len() * percent / 100];
            let error = read(cut).expect_err("a cut file");
            assert!(matches!(error, PaintError::Corrupt { .. }), "{format:?} {percent}: {error}");
        }
    }
}

#[test]
fn a_thumbnails_end_marker_does_not_hide_that_a_jpeg_is_cut() {
    let file = encoded(&portrait(200, 160), ImageFormat::Jpeg);
    // A comment segment that holds an end-of-image marker, as thumbnails in metadata do.
    let mut with_comment = file[..2].to_vec();
    with_comment.extend_from_slice(&[0xFF, 0xFE, 0, 6, 0xFF, 0xD9, 0, 0]);
    with_comment.extend_from_slice(&file[2..]);
    assert!(read(&with_comment).is_ok());
    let error = read(&with_comment[..with_comment.len() * 3 / 4]).expect_err("a cut file");
    assert!(matches!(error, PaintError::Corrupt { .. }), "{error}");
}

#[test]
fn other_files_are_named() {
    assert_eq!(read(b"").unwrap_err(), PaintError::NotAnImage { length: 0 });
    assert_eq!(read(b"<html>no</html>").unwrap_err(), PaintError::NotAnImage { length: 15 });
    let error = read(b"GIF89a\x01\0\x01\0\0\0\0;").unwrap_err();
    assert_eq!(error, PaintError::UnsupportedFormat { format: "GIF" });
}

#[test]
fn too_many_pixels_are_refused_before_they_are_decoded() {
    let wide = encoded(&RgbImage::new(4097, 2), ImageFormat::Png);
    let error = read(&wide).unwrap_err();
    assert_eq!(error, PaintError::TooLarge { width: 4097, height: 2, limit: 4096 });
    assert!(read(&encoded(&RgbImage::new(4096, 2), ImageFormat::Png)).is_ok());
    let error = read(&png_claiming(60_000, 60_000)).unwrap_err();
    assert_eq!(error, PaintError::TooLarge { width: 60_000, height: 60_000, limit: 4096 });
    let error = read(&png_claiming(u32::MAX / 2, 3)).unwrap_err();
    assert!(matches!(error, PaintError::TooLarge { .. } | PaintError::Corrupt { .. }), "{error}");
}

/// A PNG whose header promises this size.
fn png_claiming(width: u32, height: u32) -> Vec<u8> {
    let mut file = encoded(&RgbImage::new(2, 2), ImageFormat::Png);
    file[16..20].copy_from_slice(&width.to_be_bytes());
    file[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc(&file[12..29]);
    file[29..33].copy_from_slice(&checksum.to_be_bytes());
    file
}

/// The checksum of a PNG chunk.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn bytes_that_begin_like_a_picture_never_panic(
        format in 0..3usize,
        bytes in proptest::collection::vec(any::<u8>(), 0..2048),
    ) {
        let mut file = encoded(&portrait(9, 9), FORMATS[format]);
        file.truncate(40);
        file.extend_from_slice(&bytes);
        let _: Result<Painting, PaintError> = read(&file);
    }

    #[test]
    fn damaged_pictures_give_a_painting_or_an_error(
        format in 0..3usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut file = encoded(&portrait(64, 48), FORMATS[format]);
        for (place, value) in changes {
            let place = place.index(file.len());
            file[place] = value;
        }
        if let Ok(painting) = read(&file) {
            prop_assert!(painting.png.starts_with(b"\x89PNG"));
        }
    }
}
