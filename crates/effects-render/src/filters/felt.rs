//! [`felt`]: the filter `felt <colours> <fuzz> <saturation> <pastel>` of a scene, which turns a
//! photo into pieces of dyed felt laid on each other. `apply` in `filters/mod.rs` calls it.
//!
//! The photo is reduced to a few soft colours. Each pixel takes the colour of one a few pixels away,
//! shifted along the fibres, so that the pieces have woolly edges; then the pieces throw light and
//! shade on each other, and fibres lie over all.

use resvg::tiny_skia::Pixmap;

use super::palette::Palette;
use super::{FilterArguments, relief};
use crate::raster::{self, luma};
use crate::scene::SceneError;
use crate::tiles::Tile;

pub(super) fn felt(pixmap: &mut Pixmap, arguments: &FilterArguments<'_>) -> Result<(), SceneError> {
    let colours = arguments.number(0, 14.0)? as usize;
    let fuzz = arguments.number(1, 3.0)?;
    let saturation = arguments.number(2, 1.2)?;
    let pastel = arguments.number(3, 0.08)?;
    let tile = Tile::named("felt").ok_or_else(|| SceneError::new("no felt texture".to_owned()))?;
    let soft = raster::blur(pixmap, fuzz * 0.9);
    let palette = Palette::of(&soft, colours);
    let labels = woolly_labels(&soft, &palette, tile, fuzz);
    let dyed = palette.graded(saturation, pastel);
    for (pixel, label) in pixmap.data_mut().chunks_exact_mut(4).zip(labels) {
        pixel[..3].copy_from_slice(&dyed.colours[usize::from(label)]);
    }
    let swollen = raster::blur(pixmap, fuzz * 1.3);
    let height: Vec<u8> = swollen.data().chunks_exact(4).map(|p| luma(p) as u8).collect();
    relief::light(pixmap, &height, 0.75, fuzz.max(1.0) as usize);
    tile.lay(pixmap, 0.5, (97, 31));
    Ok(())
}

fn woolly_labels(soft: &Pixmap, palette: &Palette, tile: &Tile, fuzz: f32) -> Vec<u8> {
    let (width, height) = (soft.width() as usize, soft.height() as usize);
    let reach = (fuzz * 256.0 / 40.0) as i32;
    let data = soft.data();
    let mut labels = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            let aside = (tile.at(x, y) * reach) >> 8;
            // From another part of the texture, so that the two shifts have nothing to
            // do with each other.
            let down = (tile.at(x + 211, y + 67) * reach) >> 8;
            let from_x = (x as i32 + aside).clamp(0, width as i32 - 1) as usize;
            let from_y = (y as i32 + down).clamp(0, height as i32 - 1) as usize;
            let at = (from_y * width + from_x) * 4;
            labels.push(palette.index(data[at], data[at + 1], data[at + 2]) as u8);
        }
    }
    labels
}
