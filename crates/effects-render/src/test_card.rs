//! [`test_card`]: a photo for when there is none, a small landscape with a sun. The emulator's
//! `LocalPainter` puts it in place of a photo that cannot be fetched, `effects doctor --live` sends it
//! if no photo is given, and tests and benchmarks paint it.

use crate::error::PaintError;
use crate::pixels::PhotoPixels;
use crate::{encode, scene};

/// A PNG to paint from when the real photo cannot be fetched.
///
/// # Errors
///
/// [`PaintError::BadSize`] if a side is zero or larger than 4096.
pub fn test_card(width: u32, height: u32) -> Result<Vec<u8>, PaintError> {
    for (field, value) in [("width", width), ("height", height)] {
        if value == 0 || value > MAX_CARD_SIDE {
            return Err(PaintError::BadSize { field, value, low: 1, high: MAX_CARD_SIDE });
        }
    }
    let faulty = |reason: String| PaintError::Scene { template: NAME.to_owned(), reason };
    // The scene shows no photo, but an input has to have one.
    let blank = PhotoPixels { width: 1, height: 1, rgb: vec![255; 3] };
    let input = scene::SceneInput { photo: &blank, width, height, id: NAME, title: NAME };
    let canvas = scene::paint(SCENE, &input).map_err(|fault| faulty(fault.to_string()))?;
    encode::png(&canvas, NAME).map_err(|error| faulty(error.to_string()))
}

/// Pixels of a side.
const MAX_CARD_SIDE: u32 = 4096;

const NAME: &str = "test card";
const SCENE: &str = include_str!("../scenes/test_card.svg");
