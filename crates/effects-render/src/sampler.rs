//! One photo through every look, as a labelled contact sheet.

use resvg::tiny_skia::Color;

use crate::encode;
use crate::error::PaintError;
use crate::looks::looks;
use crate::photo::Photo;
use crate::raster::{self, Blend, new_pixmap};
use crate::scale;
use crate::scene;

/// Paints `photo` through all thirty looks, six in a row, each `side` pixels wide with its title
/// and id below. Returns a PNG file.
///
/// # Errors
///
/// As [`paint`](crate::paint); `side` must lie in 100..=512.
pub fn sampler(photo: &[u8], side: u32) -> Result<Vec<u8>, PaintError> {
    if !(100..=512).contains(&side) {
        return Err(PaintError::BadSize { field: "side", value: side, low: 100, high: 512 });
    }
    let photo = Photo::decode(photo)?.no_larger_than_needed(PAINTED_SIDE, PAINTED_SIDE);
    let (gap, label) = (side / 16, side / 6);
    let rows = (looks().len() as u32).div_ceil(COLUMNS);
    let width = COLUMNS * (side + gap) + gap;
    let height = rows * (side + label + gap) + gap;
    let mut sheet = new_pixmap(width, height);
    sheet.fill(Color::from_rgba8(250, 248, 244, 255));
    let mut labels = String::new();
    for (i, look) in (0..).zip(looks()) {
        let left = gap + i % COLUMNS * (side + gap);
        let top = gap + i / COLUMNS * (side + label + gap);
        let painting = crate::paint_look(&photo, look, PAINTED_SIDE, PAINTED_SIDE)?;
        let small = scale::resize_pixmap(&painting, side, side);
        raster::lay(&mut sheet, &small, left as i32, top as i32, 1.0, Blend::Normal);
        labels.push_str(&label_of(look.title, look.id, left, top + side, side));
    }
    let faulty = |reason: String| PaintError::Scene { template: "sampler".to_owned(), reason };
    scene::draw_over(&mut sheet, &labels).map_err(|fault| faulty(fault.to_string()))?;
    encode::png(&sheet, "sampler").map_err(|error| faulty(error.to_string()))
}

/// The label in the language of scenes.
fn label_of(title: &str, id: &str, left: u32, top: u32, side: u32) -> String {
    let line = |text: &str, y: f32, size: f32, colour: &str| {
        format!(
            "<?letters text=\"{text}\" x=\"{left}\" y=\"{}\" size=\"{}\" weight=\"0.13\" \
             anchor=\"start\" colour=\"{colour}\" max_width=\"{side}\"/?>",
            top as f32 + y * side as f32,
            size * side as f32,
        )
    };
    line(title, 0.075, 0.036, "#222222") + &line(id, 0.135, 0.026, "#888888")
}

const COLUMNS: u32 = 6;

/// Looks are painted at this size and scaled down: their details are meant for it.
const PAINTED_SIDE: u32 = 720;
