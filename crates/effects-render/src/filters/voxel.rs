//! [`voxel`]: the filter `voxel <cell> <colours> <saturation>` of a scene, which turns a picture (a photo
//! or a drawn layer) into bevelled cubes seen from above, in few colours. `apply` in `filters/mod.rs` calls
//! it.
//!
//! Brighter cubes stand higher: they shade their right and lower neighbours.

use resvg::tiny_skia::Pixmap;

use super::FilterArguments;
use super::palette::Palette;
use crate::noise::hash_unit;
use crate::raster::luma;
use crate::scale;
use crate::scene::SceneError;
use crate::tiles::{brighten, brighten_row};

pub(super) fn voxel(
    pixmap: &mut Pixmap,
    arguments: &FilterArguments<'_>,
) -> Result<(), SceneError> {
    let cell = arguments.number(0, 28.0)?.round().clamp(4.0, 2048.0) as usize;
    let colours = arguments.number(1, 32.0)? as usize;
    let saturation = arguments.number(2, 1.2)?;
    let columns = (pixmap.width() as usize).div_ceil(cell);
    let rows = (pixmap.height() as usize).div_ceil(cell);
    let small = scale::resize_pixmap(pixmap, columns as u32, rows as u32);
    // Of the cells' colours, which are all that is shown, and not of the pixels'.
    let palette = Palette::of(&small, colours);
    let labels: Vec<usize> =
        small.data().chunks_exact(4).map(|p| palette.index(p[0], p[1], p[2])).collect();
    let palette = palette.graded(saturation, 0.0);
    Cubes::new(cell, columns, &labels, &palette).paint(pixmap);
    Ok(())
}

struct Cubes {
    cell: usize,
    columns: usize,
    colours: Vec<[u8; 3]>,
    /// How far the shadow of the cube to the left, and of the one above, reaches into each cube.
    shaded: Vec<[usize; 2]>,
    /// The light on a cube's edges, `cell` rows of `cell` changes.
    bevel: Vec<i16>,
}

impl Cubes {
    fn new(cell: usize, columns: usize, labels: &[usize], palette: &Palette) -> Self {
        let colours: Vec<[u8; 3]> = labels.iter().map(|&label| palette.colours[label]).collect();
        let light: Vec<i32> = colours.iter().map(|colour| luma(colour) as i32).collect();
        let side = cell as i32;
        let reach = |caster: Option<usize>, own: usize| {
            let higher = caster.map_or(0, |caster| light[caster] - light[own] - 14);
            (higher * side / 130).clamp(0, side * 2 / 3) as usize
        };
        let shaded = (0..colours.len())
            .map(|own| {
                // For the first cube of a row, the one before it in the list is at the
                // end of the row above.
                let left = (own % columns > 0).then(|| own - 1);
                [reach(left, own), reach(own.checked_sub(columns), own)]
            })
            .collect();
        let bevel = (0..cell * cell).map(|i| bevel(cell, i % cell, i / cell)).collect();
        Self { cell, columns, colours, shaded, bevel }
    }

    /// Paints row by row: first all faces of a row of cubes, then edges and shadows.
    fn paint(&self, pixmap: &mut Pixmap) {
        let width = pixmap.width() as usize;
        let mut faces = vec![[0u8; 3]; self.columns * self.cell];
        let mut changes = vec![0i16; self.columns * self.cell];
        let mut painted = None;
        for (y, line) in pixmap.data_mut().chunks_exact_mut(width * 4).enumerate() {
            let (row, inside) = (y / self.cell, y % self.cell);
            let patches = (row, inside * PATCHES / self.cell);
            // The faces change only from one row of patches to the next.
            if painted.replace(patches) != Some(patches) {
                self.fill(row, patches.1, &mut faces);
            }
            self.light(row, inside, &mut changes);
            for (pixel, face) in line.as_chunks_mut::<4>().0.iter_mut().zip(&faces) {
                pixel[..3].copy_from_slice(face);
            }
            brighten_row(line, &changes[..width]);
        }
    }

    /// Each face is made of four by four patches of slightly different brightness.
    fn fill(&self, row: usize, patch_row: usize, faces: &mut [[u8; 3]]) {
        for (column, face) in faces.chunks_exact_mut(self.cell).enumerate() {
            let cube = row * self.columns + column;
            let patches: [[u8; 3]; PATCHES] = std::array::from_fn(|patch| {
                let id = (cube * PATCHES + patch_row) * PATCHES + patch;
                let mut colour = self.colours[cube];
                brighten(&mut colour, ((hash_unit(id as u32, 9) - 0.5) * 26.0) as i32);
                colour
            });
            for (x, pixel) in face.iter_mut().enumerate() {
                *pixel = patches[x * PATCHES / self.cell];
            }
        }
    }

    /// Edges and shadows on one row of pixels.
    fn light(&self, row: usize, inside: usize, changes: &mut [i16]) {
        let bevel = &self.bevel[inside * self.cell..][..self.cell];
        let shaded = &self.shaded[row * self.columns..][..self.columns];
        for (changes, &[left, above]) in changes.chunks_exact_mut(self.cell).zip(shaded) {
            changes.copy_from_slice(bevel);
            let shade = if inside < above { self.cell } else { left };
            for change in &mut changes[..shade] {
                *change -= 46;
            }
        }
    }
}

/// Light from the top left.
fn bevel(cell: usize, inside_x: usize, inside_y: usize) -> i16 {
    let edge = (cell / 9).max(1);
    let lit = inside_x.min(inside_y);
    let dark = (cell - 1 - inside_x).min(cell - 1 - inside_y);
    if dark == 0 {
        -58
    } else if lit < edge && lit <= dark {
        50
    } else if dark < edge {
        -44
    } else {
        0
    }
}

/// Patches along a face's side.
const PATCHES: usize = 4;
