//! Scenes of a caller's own: they draw, and do nothing else. Whatever the text is, the answer is a
//! painting or a clear error, and no file of this machine is read for it.

use std::fmt::Write as _;
use std::sync::OnceLock;

use effects_render::{PaintError, Painting, paint_scene, test_card};
use image::{ImageFormat, Rgb, RgbImage};

use super::support::{decoded, encoded};

fn paint(scene: &str) -> Result<Painting, PaintError> {
    static PHOTO: OnceLock<Vec<u8>> = OnceLock::new();
    let photo = PHOTO.get_or_init(|| test_card(64, 64).unwrap());
    paint_scene(photo, scene, "mine", 512, 512)
}

/// What is wrong in a scene that must not be painted.
fn fault(scene: &str) -> String {
    let shown: String = scene.chars().take(200).collect();
    match paint(scene) {
        Err(PaintError::Scene { reason, .. }) => {
            // It is one of a person's making, to be read by one.
            assert!(reason.len() < 1000, "{shown}: {} bytes", reason.len());
            reason
        }
        Err(other) => panic!("{shown}: {other}"),
        Ok(_) => panic!("painted: {shown}"),
    }
}

/// Whether a scene changes nothing of a plain white picture.
fn is_blank(scene: &str) -> bool {
    paint(scene).unwrap() == paint("").unwrap()
}

#[test]
fn a_scene_draws_nothing_that_is_not_in_it() {
    let folder = std::env::temp_dir().join(format!("effects-render-scenes-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("secret.svg");
    let drawing = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"512\" height=\"512\">\
                   <rect id=\"all\" width=\"512\" height=\"512\"/></svg>";
    std::fs::write(&file, drawing).unwrap();
    let path = file.to_str().unwrap();
    let targets = [
        path.to_owned(),
        format!("file://{path}"),
        format!("{path}#all"),
        "http://127.0.0.1:9/secret.svg".to_owned(),
        format!("data:image/svg+xml,{}", drawing.replace('#', "%23").replace('"', "&quot;")),
        "//127.0.0.1/secret.svg".to_owned(),
        String::new(),
    ];
    for target in &targets {
        for scene in [
            format!("<image width=\"512\" height=\"512\" href=\"{target}\"/>"),
            format!("<image width=\"512\" height=\"512\" xlink:href=\"{target}\"/>"),
            format!("<use href=\"{target}\"/>"),
            format!("<g><use xlink:href=\"{target}\"/></g>"),
            format!("<linearGradient id=\"a\" href=\"{target}\"/>"),
            format!("<filter id=\"f\"><feImage href=\"{target}\"/></filter>"),
            format!("<rect width=\"9\" height=\"9\" fill=\"url({target})\"/>"),
            format!("<rect width=\"9\" height=\"9\" style=\"fill: URL('{target}')\"/>"),
            format!("<g clip-path='url(\"{target}\")'/>"),
            format!("<style>@import url({target});</style>"),
            format!("<?defs?><image href=\"{target}\"/><?end?><g/>"),
            format!("<?photo w=\"w\" h=\"h\"?><image href=\"{target}\"/><?end?>"),
            format!("<?soft blur=\"2\"?><image href=\"{target}\"/><?end?>"),
        ] {
            fault(&scene);
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
    // A place within the scene itself is one it may name.
    let own = "<?defs?><linearGradient id=\"a\"><stop stop-color=\"#123\"/></linearGradient><?end?>\
               <g id=\"b\"><rect width=\"9\" height=\"9\" fill=\"url(#a)\"/></g>\
               <use href=\"#b\" x=\"20\"/><rect x=\"40\" width=\"9\" height=\"9\" \
               style=\"fill:url( '#a' )\"/>";
    assert!(!is_blank(own));
}

#[test]
fn entities_are_not_expanded() {
    let doctype = "<!DOCTYPE svg [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b SYSTEM \"/etc/passwd\">]>";
    assert!(fault(doctype).contains("DTD") || fault(doctype).contains("SVG"));
    for entity in ["&a;", "&b;", "&lol9;"] {
        fault(&format!("<g id=\"{entity}\"/>"));
        fault(&format!("<title>{entity}</title>"));
    }
    assert!(is_blank("<title>&#65;&amp;</title>"));
}

#[test]
fn elements_that_are_no_shapes_are_named() {
    for element in ["text", "foreignObject", "script", "filter", "marker", "svg", "a", "symbol"] {
        let reason = fault(&format!("<{element}/>"));
        assert!(reason.contains(&format!("<{element}>")), "{reason}");
    }
    let reason = fault("<g xmlns=\"urn:other\"/>");
    assert!(reason.contains("<g>"), "{reason}");
}

#[test]
fn nothing_is_nested_without_end() {
    const DEEP: usize = 100_000;
    let wrapped = |before: &str, after: &str| before.repeat(DEEP) + &after.repeat(DEEP);
    let expression = |inside: String| format!("<g id=\"{{{inside}}}\"/>");
    for scene in [
        expression("(".repeat(DEEP)),
        expression("(".repeat(DEEP) + "1" + &")".repeat(DEEP)),
        expression("-".repeat(DEEP) + "1"),
        expression("min(1,".repeat(DEEP)),
        expression("1-(".repeat(DEEP) + "1" + &")".repeat(DEEP)),
        format!("<?let a = {}1?>", "-".repeat(DEEP)),
        wrapped("<?place x=\"1\"?>", "<?end?>"),
        wrapped("<?if test=\"1\"?>", "<?end?>"),
        wrapped("<?for i=\"1\"?>", "<?end?>"),
        wrapped("<?defs?>", "<?end?>"),
        wrapped("<?soft blur=\"1\"?>", "<?end?>"),
        "<?place?>".repeat(DEEP),
        wrapped("<g>", "</g>"),
        format!("<?defs?>{}<?end?><g/>", wrapped("<clipPath>", "</clipPath>")),
        wrapped("{", "}"),
    ] {
        fault(&scene);
    }
}

#[test]
fn references_do_not_go_on_without_end() {
    const LONG: usize = 20_000;
    let chain = |element: &str, attribute: &str| {
        let mut scene = "<?defs?>".to_owned();
        for i in 0..LONG {
            let next = i + 1;
            let to =
                if attribute == "href" { format!("#a{next}") } else { format!("url(#a{next})") };
            let shape = format!("<rect width=\"1\" height=\"1\" {attribute}=\"{to}\"/>");
            let inside = if element == "pattern" { shape.as_str() } else { "" };
            let own =
                if inside.is_empty() { format!("{attribute}=\"{to}\"") } else { String::new() };
            let _ = write!(
                scene,
                "<{element} id=\"a{i}\" width=\"1\" height=\"1\" {own}>{inside}</{element}>"
            );
        }
        scene + "<?end?><rect width=\"9\" height=\"9\" fill=\"url(#a0)\" clip-path=\"url(#a0)\"/>"
    };
    for scene in [
        chain("clipPath", "clip-path"),
        chain("mask", "mask"),
        chain("pattern", "fill"),
        chain("pattern", "href"),
        chain("linearGradient", "href"),
        chain("use", "href"),
        "<g id=\"a\"><use href=\"#a\"/></g>".to_owned(),
        "<pattern id=\"a\" width=\"9\" height=\"9\"><rect width=\"9\" height=\"9\" \
         fill=\"url(#a)\"/></pattern>"
            .to_owned(),
    ] {
        fault(&scene);
    }
}

#[test]
fn a_few_lines_do_not_become_millions_of_shapes() {
    let mut uses = "<?defs?><g id=\"a0\"><rect width=\"1\" height=\"1\"/></g>".to_owned();
    for level in 1..12 {
        let below = format!("<use href=\"#a{}\"/>", level - 1).repeat(10);
        let _ = write!(uses, "<g id=\"a{level}\">{below}</g>");
    }
    fault(&(uses + "<?end?><use href=\"#a11\"/>"));
    let loops = |times: usize| {
        "<?for i=\"4000\"?>".repeat(times)
            + "<rect width=\"1\" height=\"1\"/>"
            + &"<?end?>".repeat(times)
    };
    fault(&loops(3));
    fault(&loops(30));
    // Loops without a body are loops, too.
    fault(&loops(3).replace("<rect width=\"1\" height=\"1\"/>", "<?let a = 1?>"));
}

#[test]
fn numbers_that_no_picture_needs_are_refused_or_do_no_harm() {
    for number in ["1e300", "-1e300", "1e30", "-1e30", "1/0", "0/0", "-1/0", "1e9", "99999999999"] {
        for scene in [
            format!("<g transform=\"translate({{{number}}} 0)\"/>"),
            format!("<?let a = {number}?>"),
            format!("<?for i=\"{number}\"?><g/><?end?>"),
            format!("<?place x=\"{number}\"?><g/><?end?>"),
            format!("<?place scale=\"{number}\"?><g/><?end?>"),
            format!("<?photo w=\"{number}\" h=\"9\"/?>"),
            format!("<?photo w=\"9\" h=\"9\" zoom=\"{number}\"/?>"),
            format!("<?photo w=\"9\" h=\"9\" detail=\"{number}\"/?>"),
            format!("<?soft blur=\"{number}\"?><rect width=\"9\" height=\"9\"/><?end?>"),
            format!("<?tile dx=\"{number}\"/?>"),
            format!("<?tile strength=\"{number}\"/?>"),
            format!("<?letters text=\"A\" size=\"{number}\"/?>"),
            format!("<?pixels rows=\"a\" colours=\"a#000000\" size=\"{number}\"/?>"),
        ] {
            let reason = fault(&scene);
            assert!(reason.contains("10000"), "{scene}: {reason}");
        }
    }
    assert!(is_blank("<?let a = 100000; b = -100000?>"));
    // Each may be as large as it can: the sum of several is bounded as well.
    for scene in [
        "<?place scale=\"100000\"?><?place scale=\"100000\"?><?place scale=\"100000\"?>\
         <?photo w=\"100000\" h=\"100000\"/?><?end?><?end?><?end?>",
        "<?place scale=\"1000\" x=\"-100000\" y=\"-100000\"?><?photo x=\"-100000\" y=\"-100000\" \
         w=\"100000\" h=\"100000\"/?><?end?>",
        "<?place scale=\"0.0001\"?><?place scale=\"0.0001\"?><?place scale=\"0.0001\"?>\
         <?photo w=\"9\" h=\"9\"/?><?soft blur=\"9\"?><rect width=\"9\" height=\"9\"/><?end?>\
         <?end?><?end?><?end?>",
        "<?place scale=\"0\"?><?photo w=\"9\" h=\"9\"/?><?soft blur=\"9\"?><rect width=\"9\" \
         height=\"9\"/><?end?><?end?>",
        "<?place scale=\"1000\" rotate=\"30\"?><?photo w=\"100000\" h=\"1\"/?><?end?>",
        "<?soft blur=\"100000\"?><rect width=\"9\" height=\"9\"/><?end?>",
        "<?soft blur=\"-100000\" dx=\"100000\"?><rect width=\"9\" height=\"9\"/><?end?>",
        "<?photo w=\"1\" h=\"100000\" zoom=\"-100000\"/?>",
        "<?tile dx=\"100000\" dy=\"100000\" strength=\"-100000\"/?>",
        "<rect width=\"1e38\" height=\"1e38\"/><circle r=\"3e38\"/><path d=\"M0 0L3e38 3e38-3e38 0z\" \
         stroke=\"red\" stroke-width=\"1e38\"/>",
        "<path d=\"M0 0H1e9\" stroke=\"red\" stroke-dasharray=\"1e-9 1e-9\"/>",
        "<?wash fill=\"a\"?><rect width=\"1e38\" height=\"1e38\"/><?end?>",
    ] {
        // Painted or refused, but answered.
        if let Err(error) = paint(scene) {
            assert!(matches!(error, PaintError::Scene { .. }), "{error}");
        }
    }
}

#[test]
fn a_clear_subject_stands_without_its_background() {
    // A red ball, a little left of the middle, before a blue wall.
    let ball = RgbImage::from_fn(300, 200, |x, y| {
        let inside = (f64::from(x) - 130.0).hypot(f64::from(y) - 110.0) < 60.0;
        Rgb(if inside { [210, 50, 40] } else { [90, 130, 220] })
    });
    let ball = encoded(&ball, ImageFormat::Png);
    let scene = "<?subject/?><rect width=\"{w}\" height=\"{h}\" fill=\"{pick(subject, '#ff0', '#0f0')}\"/>\
         <?photo x=\"w*0.25\" y=\"0\" w=\"w*0.5\" h=\"h\" cut=\"subject\" margin=\"8\" finish=\"outline 4\"/?>";
    let picture = decoded(&paint_scene(&ball, scene, "mine", 512, 512).unwrap().png);
    let at = |x: u32, y: u32| picture.get_pixel(x, y).0;
    // A square of 256 pixels at the lower edge's middle; round it the scene's own green.
    assert!(at(256, 384)[0] > 190 && at(256, 384)[1] < 80, "{:?}", at(256, 384));
    for (x, y) in [(256, 100), (136, 264), (376, 500), (20, 384)] {
        assert_eq!(at(x, y), [0, 255, 0], "at {x}, {y}");
    }
    // Frames and margins of any size are painted or refused.
    for sides in
        ["w=\"1\" h=\"1\"", "w=\"100000\" h=\"3\"", "w=\"2\" h=\"100000\"", "w=\"-5\" h=\"0\""]
    {
        for margin in ["0", "-7", "100000"] {
            let frame = format!(
                "{sides} margin=\"{margin}\" finish=\"outline 9; figure 9; shade #123456\""
            );
            let scene = format!("<?photo {frame} cut=\"subject\"/?>");
            if let Err(error) = paint_scene(&ball, &scene, "mine", 512, 512) {
                assert!(matches!(error, PaintError::Scene { .. }), "{scene}: {error}");
            }
        }
    }
}

#[test]
fn without_a_clear_subject_the_photo_is_shown_whole() {
    let land = RgbImage::from_fn(300, 200, |_, y| {
        Rgb(if y < 110 { [140, 190, 240] } else { [60, 120, 50] })
    });
    let land = encoded(&land, ImageFormat::Png);
    let scene = "<?subject/?><?if test=\"subject\"?><rect width=\"512\" height=\"512\"/><?end?>\
         <?if test=\"subject < 1\"?><?photo w=\"w\" h=\"h\" cut=\"subject\"/?><?end?>";
    let picture = decoded(&paint_scene(&land, scene, "mine", 512, 512).unwrap().png);
    assert_eq!(picture.get_pixel(10, 10).0, [140, 190, 240]);
    assert_eq!(picture.get_pixel(500, 500).0, [60, 120, 50]);
}

#[test]
fn filters_take_any_number_or_refuse_it() {
    let filters = [
        "blur",
        "dither 6 0 #000000 #ffffff",
        "duotone #000000 #ffffff",
        "felt",
        "figure",
        "fur",
        "grade",
        "halftone",
        "ink",
        "isometric",
        "outline",
        "palette",
        "patchwork",
        "relief",
        "shade #000000",
        "sphere",
        "stretch",
        "texture grain",
        "tilt_shift",
        "tint #ff0000",
        "vignette",
        "voxel",
    ];
    for name in filters {
        for number in ["nan", "inf", "-inf", "1e30", "-1e30", "10001"] {
            let first = name.split(' ').next().unwrap();
            let place = match first {
                "duotone" | "shade" => continue,
                "texture" => "texture grain {}",
                "tint" => "tint #ff0000 {}",
                _ => "{name} {}",
            };
            let filter = place.replace("{name}", first).replace("{}", number);
            let reason = fault(&format!("<?photo w=\"90\" h=\"60\" filters=\"{filter}\"/?>"));
            assert!(reason.contains("10000"), "{filter}: {reason}");
        }
        for number in ["10000", "-10000", "0", "-1"] {
            let numbers = format!(" {number}").repeat(4);
            let first = name.split(' ').next().unwrap();
            let filter = match first {
                "dither" => format!("dither {number} {number} #000000 #ffffff"),
                "duotone" | "shade" => name.to_owned(),
                "texture" => format!("texture grain {number}"),
                "tint" => format!("tint #ff0000 {number}"),
                "halftone" | "outline" | "vignette" => format!("{first} {number}"),
                _ => format!("{first}{numbers}"),
            };
            for sides in ["w=\"90\" h=\"60\"", "w=\"1\" h=\"500\"", "w=\"500\" h=\"1\""] {
                if let Err(error) = paint(&format!("<?photo {sides} filters=\"{filter}\"/?>")) {
                    assert!(matches!(error, PaintError::Scene { .. }), "{filter}: {error}");
                }
            }
        }
    }
}

#[test]
fn a_pattern_takes_no_more_pixels_than_a_picture_has() {
    for (side, scale) in [("1e6", "1"), ("100", "1e6"), ("30000", "1"), ("3000", "10")] {
        let scene = format!(
            "<?defs?><pattern id=\"a\" width=\"{side}\" height=\"{side}\" patternUnits=\"userSpaceOnUse\" \
             patternTransform=\"scale({scale})\"><rect width=\"9\" height=\"9\"/></pattern><?end?>\
             <rect width=\"512\" height=\"512\" fill=\"url(#a)\"/>"
        );
        let reason = fault(&scene);
        assert!(reason.contains("pattern"), "{reason}");
    }
}
