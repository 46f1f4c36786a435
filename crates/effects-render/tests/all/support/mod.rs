//! Photos and pixels for the tests.

#![allow(dead_code, reason = "an example uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test or an example that cannot go on fails")]

pub(crate) mod jpeg_writer;
pub(crate) mod odd_photos;

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

/// A file with this EXIF orientation.
pub(crate) fn with_orientation(
    picture: &RgbImage,
    format: ImageFormat,
    orientation: u8,
) -> Vec<u8> {
    let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend_from_slice(&[orientation, 0, 0, 0, 0, 0, 0, 0]);
    let plain = encoded(picture, format);
    match format {
        ImageFormat::Jpeg => {
            let mut file = plain[..2].to_vec();
            file.extend_from_slice(&[0xFF, 0xE1]);
            file.extend_from_slice(&u16::try_from(exif.len() + 8).unwrap().to_be_bytes());
            file.extend_from_slice(b"Exif\0\0");
            file.extend_from_slice(&exif);
            file.extend_from_slice(&plain[2..]);
            file
        }
        ImageFormat::Png => with_chunk(&plain, *b"eXIf", &exif),
        _ => {
            // The extended form of the format: flags, then the picture, then the metadata.
            let mut extended = vec![0x08, 0, 0, 0];
            extended.extend_from_slice(&(picture.width() - 1).to_le_bytes()[..3]);
            extended.extend_from_slice(&(picture.height() - 1).to_le_bytes()[..3]);
            let mut body = b"WEBP".to_vec();
            body.extend_from_slice(&riff_chunk(*b"VP8X", &extended));
            body.extend_from_slice(&plain[12..]);
            body.extend_from_slice(&riff_chunk(*b"EXIF", &exif));
            riff_chunk(*b"RIFF", &body)
        }
    }
}

fn riff_chunk(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let mut chunk = kind.to_vec();
    chunk.extend_from_slice(&u32::try_from(content.len()).unwrap().to_le_bytes());
    chunk.extend_from_slice(content);
    chunk.resize(chunk.len().next_multiple_of(2), 0);
    chunk
}

/// A PNG file with one more chunk, right behind its header.
pub(crate) fn with_chunk(png: &[u8], kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let mut chunk = kind.to_vec();
    chunk.extend_from_slice(content);
    let mut file = png[..33].to_vec();
    file.extend_from_slice(&u32::try_from(content.len()).unwrap().to_be_bytes());
    file.extend_from_slice(&chunk);
    file.extend_from_slice(&checksum(&chunk).to_be_bytes());
    file.extend_from_slice(&png[33..]);
    file
}

/// The checksum of a PNG chunk.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
        })
    })
}

/// Small photos of every format, kind of pixel and orientation, each with a name.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let picture = portrait(40, 30);
    let mut seeds = Vec::new();
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
        for orientation in 1..=8 {
            let name = format!("{format:?}-turned-{orientation}");
            seeds.push((name, with_orientation(&picture, format, orientation)));
        }
    }
    let whole = DynamicImage::ImageRgb8(picture);
    let kinds: [(&str, DynamicImage); 7] = [
        ("grey", whole.to_luma8().into()),
        ("grey-alpha", whole.to_luma_alpha8().into()),
        ("grey-16", whole.to_luma16().into()),
        ("grey-alpha-16", whole.to_luma_alpha16().into()),
        ("rgb-16", whole.to_rgb16().into()),
        ("rgba", whole.to_rgba8().into()),
        ("rgba-16", whole.to_rgba16().into()),
    ];
    for (name, picture) in kinds {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
            let mut file = Cursor::new(Vec::new());
            // Not every format holds every kind.
            if picture.write_to(&mut file, format).is_ok() {
                seeds.push((format!("{format:?}-{name}"), file.into_inner()));
            }
        }
    }
    // The JPEG files that the encoder here does not write: progressive, in several scans, of four inks.
    let size = |name: &str| name.ends_with("restart1-17x13") || name.ends_with("restart5-33x50");
    for (name, kind) in jpeg_writer::kinds().into_iter().filter(|(name, _)| size(name)) {
        seeds.push((format!("{name}.jpg"), jpeg_writer::write(&kind, jpeg_writer::colour)));
    }
    for (name, file) in odd_photos::formats() {
        seeds.push((name.to_owned(), file));
    }
    seeds
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
