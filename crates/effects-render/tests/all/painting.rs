//! What every look must do: the size asked for, the same bytes again, its notice, a face of its own.

use std::process::Command;

use crate::support::{checksum, decoded, encoded, portrait, quarters, texts, with_orientation};
use effects_render::{
    NOTICE, PaintError, is_painted, looks, paint, paint_scene, photo_size, sampler, test_card,
};
use image::ImageFormat;
use image::imageops::{FilterType, resize};

#[test]
fn every_look_paints_exactly_the_size_asked_for_and_says_what_it_is() {
    let photo = encoded(&portrait(300, 400), ImageFormat::Jpeg);
    let sizes = [(512, 512), (512, 2048), (2048, 512), (513, 777)];
    for (i, look) in looks().iter().enumerate() {
        for (width, height) in [sizes[i % 4], sizes[(i + 1) % 4]] {
            let painting = paint(&photo, look.id, width, height)
                .unwrap_or_else(|error| panic!("{}: {error}", look.id));
            let picture = decoded(&painting.png);
            assert_eq!(picture.dimensions(), (width, height), "{}", look.id);
            let texts = texts(&painting.png);
            assert!(texts.contains(&("Software".to_owned(), "effects-render".to_owned())));
            assert!(texts.contains(&("Comment".to_owned(), NOTICE.to_owned())), "{}", look.id);
        }
    }
}

#[test]
fn painted_looks_hold_at_both_extremes() {
    let photo = encoded(&portrait(700, 400), ImageFormat::Png);
    for look in looks().iter().filter(|look| look.is_painted()) {
        for (width, height) in [(512, 2048), (2048, 512)] {
            let painting = paint(&photo, look.id, width, height).unwrap();
            let picture = decoded(&painting.png);
            // Each third holds more than one flat colour: no part was left unpainted.
            for third in 0..3 {
                let across = width > height;
                let (x, y) = if across { (width / 3 * third, 0) } else { (0, height / 3 * third) };
                let (w, h) = if across { (width / 3, height) } else { (width, height / 3) };
                let view = image::imageops::crop_imm(&picture, x, y, w, h).to_image();
                let first = *view.get_pixel(0, 0);
                assert!(view.pixels().any(|pixel| *pixel != first), "{} third {third}", look.id);
            }
        }
    }
}

#[test]
fn the_same_photo_template_and_size_give_the_same_bytes() {
    // Two threads of this process and one of another, which has made its textures anew.
    let here = std::thread::spawn(all_paintings);
    let again = all_paintings();
    let other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "painting::print_all_paintings", "--nocapture", "--include-ignored"])
        .env(PRINT, "1")
        .output()
        .unwrap();
    let printed = String::from_utf8(other.stdout).unwrap();
    for (look, (one, two)) in looks().iter().zip(here.join().unwrap().iter().zip(&again)) {
        assert_eq!(one, two, "{}", look.id);
        assert!(printed.contains(one), "{one} is not in {printed}");
    }
}

/// One line for each look: its id, and what its picture's bytes come to.
fn all_paintings() -> Vec<String> {
    let photo = encoded(&portrait(320, 320), ImageFormat::Png);
    let line = |id: &str| {
        let png = paint(&photo, id, 600, 512).unwrap_or_else(|error| panic!("{id}: {error}")).png;
        format!("{id} {} {:08x}", png.len(), checksum(&png))
    };
    looks().iter().map(|look| line(look.id)).collect()
}

#[test]
#[ignore = "the other process of the test above"]
fn print_all_paintings() {
    if std::env::var_os(PRINT).is_some() {
        println!("{}", all_paintings().join("\n"));
    }
}

const PRINT: &str = "EFFECTS_RENDER_PRINT_ALL_PAINTINGS";

#[test]
fn no_two_painted_looks_are_alike() {
    for photo in [encoded(&portrait(480, 480), ImageFormat::Png), test_card(640, 480).unwrap()] {
        let small: Vec<_> = looks()
            .iter()
            .filter(|look| look.is_painted())
            .map(|look| {
                let painting = paint(&photo, look.id, 512, 512).unwrap();
                (look.id, resize(&decoded(&painting.png), 64, 64, FilterType::Triangle))
            })
            .collect();
        for (i, (one, a)) in small.iter().enumerate() {
            for (other, b) in &small[..i] {
                let apart: u64 =
                    a.iter().zip(b.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
                let mean = apart as f64 / a.len() as f64;
                assert!(mean >= 12.0, "{one} and {other} differ by {mean:.1} of 255 only");
            }
        }
    }
}

#[test]
fn the_photo_matters() {
    let (one, other) = (portrait(300, 300), quarters(300, 300));
    for look in looks() {
        let paint = |photo| paint(&encoded(photo, ImageFormat::Png), look.id, 512, 512).unwrap();
        assert!(paint(&one) != paint(&other), "{}", look.id);
    }
}

#[test]
fn all_eight_orientations_are_respected_in_all_three_formats() {
    let scene = r#"<?photo x="0" y="0" w="w" h="h"/?>"#;
    // The quarters (red, green / blue, yellow) as they must stand, row by row.
    let upright = ["rgby", "gryb", "ybgr", "byrg", "rbgy", "bryg", "ygbr", "gyrb"];
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
        for (orientation, wanted) in (1..).zip(upright) {
            let photo = with_orientation(&quarters(128, 128), format, orientation);
            let picture = decoded(&paint_scene(&photo, scene, "plain", 512, 512).unwrap().png);
            let seen: String = [(100, 100), (400, 100), (100, 400), (400, 400)]
                .map(|(x, y)| match picture.get_pixel(x, y).0 {
                    [150..=255, 0..100, 0..100] => 'r',
                    [0..100, 150..=255, 0..100] => 'g',
                    [0..100, 0..100, 150..=255] => 'b',
                    [150..=255, 150..=255, 0..100] => 'y',
                    _ => '?',
                })
                .into_iter()
                .collect();
            assert_eq!(seen, wanted, "{format:?} {orientation}");
        }
    }
}

#[test]
fn a_turned_photo_changes_its_sides() {
    let photo = with_orientation(&quarters(60, 40), ImageFormat::Jpeg, 6);
    assert_eq!(photo_size(&photo).unwrap(), (40, 60));
}

#[test]
fn transparency_shows_white() {
    let clear = image::RgbaImage::from_pixel(64, 64, image::Rgba([200, 0, 0, 0]));
    let mut file = std::io::Cursor::new(Vec::new());
    clear.write_to(&mut file, ImageFormat::Png).unwrap();
    let scene = r#"<?photo x="0" y="0" w="w" h="h"/?>"#;
    let painting = paint_scene(file.get_ref(), scene, "plain", 512, 512).unwrap();
    assert_eq!(decoded(&painting.png).get_pixel(256, 256).0, [255, 255, 255]);
}

#[test]
fn unknown_templates_and_sizes_are_refused_by_name() {
    let photo = test_card(64, 64).unwrap();
    let error = paint(&photo, "Glass_Ball", 512, 512).unwrap_err();
    assert_eq!(error, PaintError::UnknownTemplate { id: "Glass_Ball".to_owned() });
    let error = paint(&photo, "glass_ball", 511, 512).unwrap_err();
    assert!(matches!(error, PaintError::BadSize { field: "width", value: 511, .. }), "{error}");
    let error = paint(&photo, "glass_ball", 512, 2049).unwrap_err();
    assert!(matches!(error, PaintError::BadSize { field: "height", value: 2049, .. }), "{error}");
    assert!(is_painted("glass_ball"));
    assert!(!is_painted("Glass_Ball"));
}

#[test]
fn a_faulty_scene_is_an_error_with_its_reason() {
    let photo = test_card(64, 64).unwrap();
    for (scene, reason) in [
        (r#"<rect width="{nowhere}"/>"#, "nowhere"),
        (r#"<?photo filters="sepia"/?>"#, "sepia"),
        (r#"<?tile name="velvet"/?>"#, "velvet"),
        (r#"<?part name="unicorn"/?>"#, "unicorn"),
        (r#"<?dance/?>"#, "dance"),
        (r#"<?soft blend="burn"?><rect/><?end?>"#, "burn"),
        ("<rect", "SVG"),
    ] {
        let error = paint_scene(&photo, scene, "mine", 512, 512).unwrap_err();
        assert!(matches!(error, PaintError::Scene { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn the_sampler_shows_all_thirty() {
    let photo = encoded(&portrait(200, 200), ImageFormat::Jpeg);
    let sheet = decoded(&sampler(&photo, 100).unwrap());
    assert_eq!(sheet.dimensions(), (6 * 106 + 6, 5 * (100 + 16 + 6) + 6));
    let error = sampler(&photo, 99).unwrap_err();
    assert!(matches!(error, PaintError::BadSize { field: "side", value: 99, .. }), "{error}");
}

#[test]
fn a_test_card_has_the_size_asked_for_and_refuses_nonsense() {
    assert_eq!(decoded(&test_card(320, 200).unwrap()).dimensions(), (320, 200));
    assert!(test_card(0, 200).is_err());
    assert!(test_card(320, 5000).is_err());
}
