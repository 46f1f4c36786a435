//! Arbitrary bytes as the photo, under the real painter: in base64, as a data URL, as an upload.

use std::io::Cursor;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use effects_emulator::Emulator;
use image::{DynamicImage, ImageFormat};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::cases;
use crate::common::*;

static EMULATOR: LazyLock<Emulator> = LazyLock::new(|| Emulator::start().unwrap());

/// A photo in each of the formats that are read, and the beginnings of those that are not.
static PHOTOS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let photo = DynamicImage::ImageRgb8(image::RgbImage::from_fn(40, 30, |x, y| {
        image::Rgb([x as u8 * 6, y as u8 * 8, (x * y) as u8])
    }));
    let encode = |format| {
        let mut bytes = Cursor::new(Vec::new());
        photo.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    let mut photos = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP].map(encode).to_vec();
    photos.push(PHOTO.to_vec());
    photos.extend([b"GIF89a".to_vec(), b"BM".to_vec(), b"<svg xmlns=".to_vec(), Vec::new()]);
    photos
});

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn photos_with_any_bytes_in_them(
        which in 0..8_usize,
        at in any::<prop::sample::Index>(),
        bytes in vec(any::<u8>(), 0..40),
        cut in any::<bool>(),
        way in 0..3_u8,
    ) {
        let mut photo = PHOTOS[which].clone();
        let at = at.index(photo.len() + 1);
        let end = if cut { photo.len() } else { (at + bytes.len()).min(photo.len()) };
        photo.splice(at..end, bytes);
        let base64 = STANDARD.encode(&photo);
        let image = match way {
            0 => format!("data:image/png;base64,{base64}"),
            1 => base64,
            _ => upload(&*EMULATOR, &photo),
        };
        let sides = json!({"image_input1": image, "template_id": "glass_ball", "width": 512, "height": 512});
        let task = finish(&*EMULATOR, &create(&*EMULATOR, &sides));
        // What is too short for a photo in base64 passes for a path, and nothing for nothing.
        let codes = ["3009096", "3009097", "3009001"];
        let code = task["error"]["code"].as_str().unwrap_or_default();
        let short = way == 1 && codes[1..].contains(&code);
        prop_assert!(task["status"] == "completed" || code == codes[0] || short, "{task}");
    }
}
