//! Photos as cameras and programs make them that do not keep to the ordinary: colour profiles,
//! orientations in odd places, ends that are missing, other formats.

use std::io::Cursor;

use image::codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
use image::{DynamicImage, ExtendedColorType, GrayImage, ImageEncoder, ImageFormat, RgbImage};
use moxcms::ColorProfile;

use super::jpeg_writer::{Colours, Kind, Scans, write};
use super::{checksum, encoded, portrait, quarters, with_chunk, with_orientation};

/// What the photos with a profile show, in the profile's own numbers: every shade and colour.
pub(crate) fn shades() -> RgbImage {
    RgbImage::from_fn(128, 96, |x, y| image::Rgb([(x * 2) as u8, (y * 8 / 3) as u8, (x + y) as u8]))
}

/// The profiles, each with a name.
pub(crate) fn profiles() -> [(&'static str, ColorProfile); 3] {
    [
        ("p3", ColorProfile::new_display_p3()),
        ("adobe", ColorProfile::new_adobe_rgb()),
        ("prophoto", ColorProfile::new_pro_photo_rgb()),
    ]
}

/// A file of a picture with a profile.
pub(crate) fn with_profile(
    picture: &RgbImage,
    format: ImageFormat,
    profile: &ColorProfile,
) -> Vec<u8> {
    let profile = profile.encode().unwrap();
    let mut file = Vec::new();
    let (width, height) = picture.dimensions();
    let kind = ExtendedColorType::Rgb8;
    match format {
        ImageFormat::Png => {
            let mut encoder = PngEncoder::new(&mut file);
            encoder.set_icc_profile(profile).unwrap();
            encoder.write_image(picture, width, height, kind).unwrap();
        }
        ImageFormat::Jpeg => {
            let mut encoder = JpegEncoder::new_with_quality(&mut file, 98);
            encoder.set_icc_profile(profile).unwrap();
            encoder.write_image(picture, width, height, kind).unwrap();
        }
        _ => {
            let mut encoder = WebPEncoder::new_lossless(&mut file);
            encoder.set_icc_profile(profile).unwrap();
            encoder.write_image(picture, width, height, kind).unwrap();
        }
    }
    file
}

/// A PNG or JPEG file of a picture of greys with a profile.
pub(crate) fn grey_with_profile(
    picture: &GrayImage,
    format: ImageFormat,
    profile: &ColorProfile,
) -> Vec<u8> {
    let (mut file, profile) = (Vec::new(), profile.encode().unwrap());
    let (width, height) = picture.dimensions();
    let kind = ExtendedColorType::L8;
    if format == ImageFormat::Png {
        let mut encoder = PngEncoder::new(&mut file);
        encoder.set_icc_profile(profile).unwrap();
        encoder.write_image(picture, width, height, kind).unwrap();
    } else {
        let mut encoder = JpegEncoder::new_with_quality(&mut file, 98);
        encoder.set_icc_profile(profile).unwrap();
        encoder.write_image(picture, width, height, kind).unwrap();
    }
    file
}

/// Photos that are turned by what is written in odd places; each is `quarters(60, 40)`, to be turned a
/// quarter to the right.
pub(crate) fn turned() -> Vec<(&'static str, Vec<u8>)> {
    let picture = quarters(60, 40);
    let (png, jpeg) = (encoded(&picture, ImageFormat::Png), encoded(&picture, ImageFormat::Jpeg));
    let block = |kind: u8, value: u8| {
        let mut block = b"II*\0\x08\0\0\0\x01\0\x12\x01".to_vec();
        block.extend_from_slice(&[kind, 0, 1, 0, 0, 0, value, 0, 0, 0, 0, 0, 0, 0]);
        block
    };
    let (short, long) = (block(3, 6), block(4, 6));
    let segment = |block: &[u8]| {
        let length = u16::try_from(block.len() + 8).unwrap().to_be_bytes();
        [&[0xFF, 0xE1][..], &length, b"Exif\0\0", block].concat()
    };
    let jpeg_with = |segments: &[u8]| [&jpeg[..2], segments, &jpeg[2..]].concat();
    let before_end = |chunk: &[u8]| {
        let end = png.len() - 12;
        [&png[..end], chunk, &png[end..]].concat()
    };
    let digits: String =
        [b"Exif\0\0", &short[..]].concat().iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("\nexif\n{:8}\n{digits}\n", digits.len() / 2);
    let raw = [b"Raw profile type exif\0\0".as_slice(), &stored_zlib(text.as_bytes())].concat();
    let plain = [b"Raw profile type exif\0".as_slice(), text.as_bytes()].concat();
    let app1 = [b"Raw profile type APP1\0".as_slice(), text.as_bytes()].concat();
    vec![
        ("short.jpg", with_orientation(&picture, ImageFormat::Jpeg, 6)),
        ("long.jpg", jpeg_with(&segment(&long))),
        ("two-blocks.jpg", jpeg_with(&[segment(&short), segment(&block(3, 3))].concat())),
        ("behind-the-pixels.png", before_end(&chunk(b"eXIf", &short))),
        ("long.png", with_chunk(&png, *b"eXIf", &long)),
        ("raw-profile.png", with_chunk(&png, *b"zTXt", &raw)),
        ("raw-profile-behind.png", before_end(&chunk(b"zTXt", &raw))),
        ("raw-profile-plain.png", with_chunk(&png, *b"tEXt", &plain)),
        ("raw-profile-app1.png", with_chunk(&png, *b"tEXt", &app1)),
        ("short.webp", with_orientation(&picture, ImageFormat::WebP, 6)),
    ]
}

/// Photos that lost their end, or more than that; and whether their pixels are all there.
pub(crate) fn cut() -> Vec<(&'static str, Vec<u8>, bool)> {
    let picture = portrait(120, 90);
    let (png, jpeg) = (encoded(&picture, ImageFormat::Png), encoded(&picture, ImageFormat::Jpeg));
    let progressive = |scans| {
        let kind = Kind {
            size: (120, 90),
            colours: Colours::YCbCr,
            sampling: vec![(2, 2), (1, 1), (1, 1)],
            scans,
            restart: 0,
        };
        write(&kind, |x, y| picture.get_pixel(x as u32, y as u32).0)
    };
    let without_end = |file: &[u8]| file[..file.len() - 2].to_vec();
    let half = |file: &[u8]| file[..file.len() / 2].to_vec();
    let data = png.windows(4).position(|kind| kind == b"IDAT").unwrap();
    let length = u32::from_be_bytes(png[data - 4..data].try_into().unwrap()) as usize;
    let mut wrong = png.clone();
    wrong[data + 4 + length] ^= 1;
    let bits = progressive(Scans::Bits);
    let last_scan = bits.windows(2).rposition(|pair| pair == [0xFF, 0xDA]).unwrap();
    vec![
        ("no-end.jpg", without_end(&jpeg), true),
        ("no-end-progressive.jpg", without_end(&bits), true),
        ("no-end-apart.jpg", without_end(&progressive(Scans::Apart)), true),
        ("a-second-one-for-the-end.jpg", [without_end(&jpeg), jpeg.clone()].concat(), true),
        ("no-end.png", png[..png.len() - 12].to_vec(), true),
        ("wrong-checksum.png", wrong, true),
        ("half.jpg", half(&jpeg), false),
        ("half-progressive.jpg", half(&bits), false),
        ("last-scan-missing.jpg", bits[..last_scan].to_vec(), false),
        ("half-and-a-second-one.jpg", [half(&jpeg), jpeg.clone()].concat(), false),
        ("half.png", half(&png), false),
    ]
}

/// A photo in each of the other formats, and interlaced: all are `portrait(90, 70)`.
pub(crate) fn formats() -> Vec<(&'static str, Vec<u8>)> {
    let picture = portrait(90, 70);
    let whole = DynamicImage::ImageRgb8(picture.clone());
    let written = |picture: &DynamicImage, format| {
        let mut file = Cursor::new(Vec::new());
        picture.write_to(&mut file, format).unwrap();
        file.into_inner()
    };
    vec![
        ("photo.gif", written(&whole, ImageFormat::Gif)),
        ("photo.bmp", written(&whole, ImageFormat::Bmp)),
        ("photo.tif", written(&whole, ImageFormat::Tiff)),
        ("sixteen.tif", written(&whole.to_rgb16().into(), ImageFormat::Tiff)),
        ("grey.tif", written(&whole.to_luma8().into(), ImageFormat::Tiff)),
        ("float.tif", written(&whole.to_rgb32f().into(), ImageFormat::Tiff)),
        ("interlaced.png", interlaced(&picture)),
    ]
}

/// An interlaced PNG file.
fn interlaced(picture: &RgbImage) -> Vec<u8> {
    let (width, height) = picture.dimensions();
    let mut rows = Vec::new();
    for (left, top, across, down) in [
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ] {
        for y in (top..height).step_by(down) {
            rows.push(0);
            for x in (left..width).step_by(across) {
                rows.extend_from_slice(&picture.get_pixel(x, y).0);
            }
        }
    }
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 1]].concat();
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &header),
        chunk(b"IDAT", &stored_zlib(&rows)),
        chunk(b"IEND", b""),
    ]
    .concat()
}

/// A chunk of a PNG file.
fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let kind_and_content = [&kind[..], content].concat();
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[..], &kind_and_content, &checksum(&kind_and_content).to_be_bytes()].concat()
}

/// A zlib stream that compresses nothing.
fn stored_zlib(bytes: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let blocks: Vec<&[u8]> = bytes.chunks(60_000).collect();
    for (at, block) in blocks.iter().enumerate() {
        let length = block.len() as u16;
        stream.push(u8::from(at + 1 == blocks.len()));
        stream.extend_from_slice(&length.to_le_bytes());
        stream.extend_from_slice(&(!length).to_le_bytes());
        stream.extend_from_slice(block);
    }
    let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    stream.extend_from_slice(&(b << 16 | a).to_be_bytes());
    stream
}
