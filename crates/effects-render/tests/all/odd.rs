//! Photos that do not keep to the ordinary are read as other programs read them.

use effects_render::{PaintError, decode_photo, paint, photo_size};
use image::{DynamicImage, ImageFormat, RgbImage};
use moxcms::{ColorProfile, Layout, TransformOptions};

use crate::support::odd_photos::{
    cut, formats, grey_with_profile, profiles, shades, turned, with_profile,
};
use crate::support::{portrait, quarters};

fn mean_difference(one: &[u8], other: &[u8]) -> f64 {
    assert_eq!(one.len(), other.len());
    let sum: u64 = one.iter().zip(other).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / one.len() as f64
}

fn pixels(photo: &[u8]) -> RgbImage {
    let photo = decode_photo(photo).unwrap();
    RgbImage::from_raw(photo.width, photo.height, photo.rgb).unwrap()
}

#[test]
fn a_colour_profile_is_converted_to_srgb_in_every_format() {
    let picture = shades();
    for (name, profile) in profiles() {
        let srgb = ColorProfile::new_srgb();
        let options = TransformOptions::default();
        let transform =
            profile.create_transform_8bit(Layout::Rgb, &srgb, Layout::Rgb, options).unwrap();
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
            let file = with_profile(&picture, format, &profile);
            // Of a JPEG the numbers are not quite those that were written.
            let numbers = image::load_from_memory(&file).unwrap().into_rgb8();
            let mut ought = vec![0; numbers.as_raw().len()];
            transform.transform(numbers.as_raw(), &mut ought).unwrap();
            let difference = mean_difference(pixels(&file).as_raw(), &ought);
            assert!(difference <= 1.0, "{name} {format:?}: {difference}");
            assert!(mean_difference(numbers.as_raw(), &ought) > 3.0, "the profile does nothing");
        }
    }
}

#[test]
fn a_profile_of_greys_is_converted_in_a_photo_of_greys_alone() {
    let profile = ColorProfile::new_gray_with_gamma(1.0);
    let (srgb, options) = (ColorProfile::new_srgb(), TransformOptions::default());
    let transform =
        profile.create_transform_8bit(Layout::Gray, &srgb, Layout::Rgb, options).unwrap();
    let picture = shades();
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
        let file = with_profile(&picture, format, &profile);
        let numbers = image::load_from_memory(&file).unwrap().into_rgb8();
        let difference = mean_difference(pixels(&file).as_raw(), numbers.as_raw());
        assert!(difference <= 1.0, "{format:?}: {difference}");
    }
    let grey = DynamicImage::ImageRgb8(picture).into_luma8();
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        let file = grey_with_profile(&grey, format, &profile);
        let numbers = image::load_from_memory(&file).unwrap().into_luma8();
        let mut ought = vec![0; numbers.as_raw().len() * 3];
        transform.transform(numbers.as_raw(), &mut ought).unwrap();
        let difference = mean_difference(pixels(&file).as_raw(), &ought);
        assert!(difference <= 1.0, "{format:?}: {difference}");
    }
}

#[test]
fn the_orientation_is_found_wherever_it_is_written() {
    let upright = image::imageops::rotate90(&quarters(60, 40));
    for (name, file) in turned() {
        assert_eq!(photo_size(&file), Ok((40, 60)), "{name}");
        let difference = mean_difference(pixels(&file).as_raw(), upright.as_raw());
        assert!(difference < 6.0, "{name}: {difference}");
    }
}

#[test]
fn a_file_without_its_end_is_painted_with_a_note_if_its_pixels_are_all_there() {
    let whole = portrait(120, 90);
    for (name, file, is_there) in cut() {
        if is_there {
            let painting =
                paint(&file, "glass_ball", 512, 512).unwrap_or_else(|e| panic!("{name}: {e}"));
            let ought = match name {
                "wrong-checksum.png" => "a checksum of the PNG is wrong",
                "no-end.png" => "the PNG breaks off",
                _ => "no end marker",
            };
            let notes = &painting.notes;
            assert!(matches!(&notes[..], [note] if note.contains(ought)), "{name}: {notes:?}");
            let difference = mean_difference(pixels(&file).as_raw(), whole.as_raw());
            assert!(difference < 6.0, "{name}: {difference}");
        } else {
            let error = paint(&file, "glass_ball", 512, 512).unwrap_err();
            assert!(matches!(error, PaintError::Corrupt { .. }), "{name}: {error}");
        }
    }
}

#[test]
fn gif_bmp_tiff_and_interlaced_png_are_painted() {
    let picture = portrait(90, 70);
    let grey = image::DynamicImage::ImageRgb8(picture.clone()).to_luma8();
    let grey = image::DynamicImage::ImageLuma8(grey).into_rgb8();
    for (name, file) in formats() {
        let ought = if name.starts_with("grey") { &grey } else { &picture };
        let difference = mean_difference(pixels(&file).as_raw(), ought.as_raw());
        // A GIF has 256 colours.
        assert!(difference < if name.ends_with("gif") { 6.0 } else { 0.6 }, "{name}: {difference}");
        assert!(paint(&file, "glass_ball", 512, 512).is_ok(), "{name}");
    }
}
