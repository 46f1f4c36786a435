//! Photos and pixels for the tests.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(dead_code, reason = "each test program uses its own part")]

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

/// A picture of four quarters: red, green / blue, yellow.
pub(crate) fn quarters(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| match (x < width / 2, y < height / 2) {
        (true, true) => Rgb([220, 30, 30]),
        (false, true) => Rgb([30, 200, 30]),
        (true, false) => Rgb([30, 30, 220]),
        (false, false) => Rgb([230, 220, 40]),
    })
}

/// A made-up portrait: a head with eyes and a mouth before a plain wall.
pub(crate) fn portrait(width: u32, height: u32) -> RgbImage {
    let (cx, cy, r) = (width as f32 * 0.5, height as f32 * 0.36, height as f32 * 0.2);
    RgbImage::from_fn(width, height, |x, y| {
        let (dx, dy) = ((x as f32 - cx) / r, (y as f32 - cy) / r);
        let eye = (dx.abs() - 0.4).hypot(dy + 0.2) < 0.14;
        let mouth = dx.abs() < 0.4 && (dy - 0.5).abs() < 0.07;
        if eye || mouth {
            Rgb([60, 30, 25])
        } else if dx.hypot(dy * 0.85) < 1.0 {
            Rgb([226, 176, 146])
        } else if dy > 1.1 && dx.abs() < 1.9 {
            Rgb([190, 60, 60])
        } else {
            Rgb([150, 170, (150 + x * 60 / width) as u8])
        }
    })
}

/// The file a picture makes.
pub(crate) fn encoded(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(picture.clone()).write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// A JPEG file with this EXIF orientation.
pub(crate) fn jpeg_with_orientation(picture: &RgbImage, orientation: u8) -> Vec<u8> {
    let plain = encoded(picture, ImageFormat::Jpeg);
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend_from_slice(&[orientation, 0, 0, 0, 0, 0, 0, 0]);
    let mut file = plain[..2].to_vec();
    file.extend_from_slice(&[0xFF, 0xE1]);
    file.extend_from_slice(&u16::try_from(exif.len() + 2).unwrap().to_be_bytes());
    file.extend_from_slice(&exif);
    file.extend_from_slice(&plain[2..]);
    file
}

/// The pixels of a painting.
pub(crate) fn decoded(png: &[u8]) -> RgbImage {
    image::load_from_memory_with_format(png, ImageFormat::Png).unwrap().into_rgb8()
}

/// The text chunks of a PNG file, as (keyword, text).
pub(crate) fn texts(png: &[u8]) -> Vec<(String, String)> {
    let reader = png::Decoder::new(Cursor::new(png)).read_info().unwrap();
    let info = reader.info();
    let latin = info.uncompressed_latin1_text.iter();
    latin.map(|chunk| (chunk.keyword.clone(), chunk.text.clone())).collect()
}
