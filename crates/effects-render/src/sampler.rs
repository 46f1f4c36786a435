//! [`sampler`]: paints one photo through every template, as a labelled contact sheet. The command
//! `effects sampler` calls it.

use crate::contact_sheet::Sheet;
use crate::error::PaintError;
use crate::looks::looks;
use crate::painting::paint_look;
use crate::{photo, scale};

/// Paints `photo` through all thirty looks, six in a row, each `side` pixels wide with its title
/// and id below. Returns a PNG file.
///
/// # Errors
///
/// As [`paint`](crate::paint); `side` must lie in 100..=512.
pub fn sampler(photo: &[u8], side: u32) -> Result<Vec<u8>, PaintError> {
    let mut sheet = Sheet::new(looks().len() as u32, side)?;
    // Read once for all thirty.
    let photo = photo::read_for(photo, PAINTED_SIDE, PAINTED_SIDE)?.photo;
    for look in looks() {
        let painting = paint_look(&photo, look, PAINTED_SIDE, PAINTED_SIDE)?;
        sheet.add(&scale::resize_pixmap(&painting, side, side), look.title, look.id);
    }
    sheet.finish("sampler")
}

/// Looks are painted at this size and scaled down: their details are meant for it.
const PAINTED_SIDE: u32 = 720;
