//! [`paint`] reads a photo's bytes and paints it through a template, [`paint_scene`] through a scene of the
//! caller's; both return a [`Painting`], a PNG file and notes about the photo. The emulator's
//! `LocalPainter` calls [`paint`]; [`paint_scene`] is for other programs, such as `examples/try_looks.rs`.
//! [`sampler`](fn@crate::sampler) paints a photo that is decoded already, with [`paint_look`].

use std::ops::RangeInclusive;

use crate::error::PaintError;
use crate::looks::TemplateLook;
use crate::pixels::PhotoPixels;
use crate::{encode, looks, photo, scene};

/// A finished picture.
#[derive(Clone, Eq, PartialEq)]
pub struct Painting {
    /// The PNG file, of exactly the size asked for.
    pub png: Vec<u8>,
    /// What was odd about the photo's file, though its pixels are all there: warnings for the user.
    pub notes: Vec<String>,
}

impl std::fmt::Debug for Painting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Painting")
            .field("png_bytes", &self.png.len())
            .field("notes", &self.notes)
            .finish()
    }
}

/// Paints `photo` (the bytes of a JPEG, PNG, WebP, GIF, BMP or TIFF file) through the template with
/// this id.
///
/// The picture is `width` by `height` pixels, each in [`SIDES`]. An EXIF orientation and a colour
/// profile in the photo are respected; transparency shows white; of an animation the first picture
/// counts. A large photo is scaled down while it is read: a JPEG or PNG of 108 megapixels is painted
/// within 192 MiB.
///
/// # Errors
///
/// [`PaintError`] when the template is unknown, the size is out of range, or the photo cannot be
/// read: not a picture, another format, damaged, cut short, over
/// [`MAX_PIXELS`](crate::MAX_PIXELS), over [`MAX_SIDE`](crate::MAX_SIDE) pixels a side or over
/// [`MAX_BYTES`](crate::MAX_BYTES).
pub fn paint(
    photo: &[u8],
    template_id: &str,
    width: u32,
    height: u32,
) -> Result<Painting, PaintError> {
    // The cheap checks first: a photo may take a second to read.
    let look = looks::find(template_id)
        .ok_or_else(|| PaintError::UnknownTemplate { id: template_id.to_owned() })?;
    check_side("width", width)?;
    check_side("height", height)?;
    let photo::ReadPhoto { photo, notes, .. } = photo::read_for(photo, width, height)?;
    let canvas = paint_look(&photo, look, width, height)?;
    // Before the PNG is made, so that the peak of memory does not have both.
    drop(photo);
    let png = encode::png(&canvas, look.id)
        .map_err(|error| PaintError::Scene { template: id(look), reason: error.to_string() })?;
    Ok(Painting { png, notes })
}

/// Paints `photo` with a scene of your own, in the language described on the crate's front page.
///
/// ```
/// let photo = effects_render::test_card(320, 240)?;
/// let scene = r#"<?photo x="0" y="0" w="w" h="h" filters="duotone #102040 #f0e0c0"/?>"#;
/// let painting = effects_render::paint_scene(&photo, scene, "two tones", 512, 512)?;
/// assert!(!painting.png.is_empty());
/// # Ok::<(), effects_render::PaintError>(())
/// ```
///
/// # Errors
///
/// As [`paint`], and [`PaintError::Scene`] with what is wrong in the scene.
pub fn paint_scene(
    photo: &[u8],
    scene: &str,
    title: &str,
    width: u32,
    height: u32,
) -> Result<Painting, PaintError> {
    check_side("width", width)?;
    check_side("height", height)?;
    let photo::ReadPhoto { photo, notes, .. } = photo::read_for(photo, width, height)?;
    let input = scene::SceneInput { photo: &photo, width, height, id: title, title };
    let faulty = |reason: String| PaintError::Scene { template: title.to_owned(), reason };
    let canvas = scene::paint(scene, &input).map_err(|fault| faulty(fault.to_string()))?;
    let png = encode::png(&canvas, title).map_err(|error| faulty(error.to_string()))?;
    Ok(Painting { png, notes })
}

/// Paints a decoded photo through a template.
pub(crate) fn paint_look(
    photo: &PhotoPixels,
    look: &TemplateLook,
    width: u32,
    height: u32,
) -> Result<resvg::tiny_skia::Pixmap, PaintError> {
    let input = scene::SceneInput { photo, width, height, id: look.id, title: look.title };
    scene::paint(look.scene, &input)
        .map_err(|fault| PaintError::Scene { template: id(look), reason: fault.to_string() })
}

fn id(look: &TemplateLook) -> String {
    look.id.to_owned()
}

fn check_side(field: &'static str, value: u32) -> Result<(), PaintError> {
    if SIDES.contains(&value) {
        return Ok(());
    }
    Err(PaintError::BadSize { field, value, low: *SIDES.start(), high: *SIDES.end() })
}

/// The sides, in pixels, that a painting may have.
pub const SIDES: RangeInclusive<u32> = 512..=2048;
