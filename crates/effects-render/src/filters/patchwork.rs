//! [`patchwork`]: the filter `patchwork <columns> <rows> <amount>` of a scene, which turns a photo
//! into a quilt of padded patches, each of its own cloth. `apply` in `filters/mod.rs` calls it.
//!
//! Every patch is dyed towards a hue of its own and woven either along or across; its rim sinks
//! into the seam while its middle bulges into the light.

use resvg::tiny_skia::Pixmap;

use super::FilterArguments;
use crate::noise::hash_unit;
use crate::raster::luma;
use crate::scene::SceneError;
use crate::tiles::{Tile, brighten};

pub(super) fn patchwork(
    pixmap: &mut Pixmap,
    arguments: &FilterArguments<'_>,
) -> Result<(), SceneError> {
    let columns = arguments.number(0, 6.0)?.max(1.0);
    let rows = arguments.number(1, 6.0)?.max(1.0);
    let amount = (arguments.number(2, 0.4)? * 256.0) as i32;
    let tile =
        Tile::named("weave").ok_or_else(|| SceneError::new("no weave texture".to_owned()))?;
    let (width, height) = (pixmap.width() as usize, pixmap.height() as usize);
    let across: Vec<PatchPlace> = (0..width).map(|x| PatchPlace::of(x, width, columns)).collect();
    for (y, row) in pixmap.data_mut().chunks_exact_mut(width * 4).enumerate() {
        let down = PatchPlace::of(y, height, rows);
        for (x, pixel) in row.chunks_exact_mut(4).enumerate() {
            let along = &across[x];
            let id = down.patch * 97 + along.patch;
            dye(pixel, hue(along.patch, down.patch), amount);
            let shift = (hash_unit(id, 1) * 512.0) as usize;
            let thread = if (along.patch + down.patch).is_multiple_of(2) {
                tile.at(x + shift, y)
            } else {
                // Half as fine again, and turned.
                tile.at(y * 3 / 4 + shift, x * 3 / 4)
            };
            let light = thread * 38 / 100 + (along.light + down.light) / 2;
            brighten(pixel, light + along.sink.min(down.sink));
        }
    }
    Ok(())
}

/// Where a column or a row of pixels lies within its patch.
struct PatchPlace {
    patch: u32,
    /// How far the cloth faces the light, from the top left.
    light: i32,
    /// Not positive: how deep it lies in the seam.
    sink: i32,
}

impl PatchPlace {
    fn of(pixel: usize, side: usize, patches: f32) -> Self {
        let at = (pixel as f32 + 0.5) / side as f32 * patches;
        let part = at.fract();
        let edge = part.min(1.0 - part);
        let slope = (1.0 - edge * 3.2).max(0.0);
        let facing = if part < 0.5 { slope } else { -slope };
        let depth = (1.0 - edge * 11.0).max(0.0);
        Self {
            patch: at as u32,
            light: (facing * 34.0) as i32,
            sink: (depth * depth * -110.0) as i32,
        }
    }
}

/// Neighbours never share a hue: a step right and a step down move by different amounts.
fn hue(column: u32, row: u32) -> [i32; 3] {
    HUES[((column * 3 + row * 5 + row / 2) % HUES.len() as u32) as usize]
}

/// Mixes a hue in, keeping light and dark.
fn dye(pixel: &mut [u8], hue: [i32; 3], amount: i32) {
    let grey = luma(pixel) as i32;
    for (channel, hue) in pixel[..3].iter_mut().zip(hue) {
        let value = i32::from(*channel);
        // Cloth is never black: its darkest is the hue itself, dimmed.
        let dyed = (hue * (grey + 46) / 236).min(255);
        *channel = (value + (((dyed - value) * amount) >> 8)).clamp(0, 255) as u8;
    }
}

const HUES: [[i32; 3]; 8] = [
    [255, 176, 168],
    [168, 214, 236],
    [255, 226, 150],
    [186, 226, 170],
    [232, 184, 232],
    [255, 202, 150],
    [170, 224, 210],
    [250, 238, 222],
];
