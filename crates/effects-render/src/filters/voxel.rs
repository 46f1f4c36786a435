//! `voxel <cell> <colours> <saturation>`: bevelled cubes seen from above, in few colours.
//!
//! Brighter cubes stand higher: they shade their right and lower neighbours.

use resvg::tiny_skia::Pixmap;

use super::Arguments;
use super::palette::Palette;
use crate::noise::hash_unit;
use crate::raster::luma;
use crate::scale;
use crate::scene::Fault;
use crate::tiles::brighten;

pub(super) fn voxel(pixmap: &mut Pixmap, arguments: &Arguments<'_>) -> Result<(), Fault> {
    let cell = arguments.number(0, 28.0)?.round().max(4.0) as usize;
    let colours = arguments.number(1, 32.0)? as usize;
    let saturation = arguments.number(2, 1.2)?;
    let columns = (pixmap.width() as usize).div_ceil(cell);
    let rows = (pixmap.height() as usize).div_ceil(cell);
    let small = scale::resize_pixmap(pixmap, columns as u32, rows as u32);
    let palette = Palette::of(&small, colours);
    let labels: Vec<usize> =
        small.data().chunks_exact(4).map(|p| palette.index(p[0], p[1], p[2])).collect();
    let palette = palette.graded(saturation, 0.0);
    let cubes = Cubes { cell, columns, labels, palette };
    let width = pixmap.width() as usize;
    for (y, row) in pixmap.data_mut().chunks_exact_mut(width * 4).enumerate() {
        for (x, pixel) in row.chunks_exact_mut(4).enumerate() {
            cubes.paint(x, y, pixel);
        }
    }
    Ok(())
}

struct Cubes {
    cell: usize,
    columns: usize,
    labels: Vec<usize>,
    palette: Palette,
}

impl Cubes {
    fn colour(&self, column: usize, row: usize) -> [u8; 3] {
        self.palette.colours[self.labels[row * self.columns + column]]
    }

    fn paint(&self, x: usize, y: usize, pixel: &mut [u8]) {
        let (column, row) = (x / self.cell, y / self.cell);
        let (inside_x, inside_y) = (x % self.cell, y % self.cell);
        let colour = self.colour(column, row);
        pixel[..3].copy_from_slice(&colour);
        brighten(pixel, self.speckle(column, row, inside_x, inside_y));
        let shade = self.bevel(inside_x, inside_y)
            + self.shadow(column, row, inside_x, inside_y, luma(&colour));
        brighten(pixel, shade);
    }

    /// Each face is made of four by four patches of slightly different brightness.
    fn speckle(&self, column: usize, row: usize, inside_x: usize, inside_y: usize) -> i32 {
        let patch = (inside_y * 4 / self.cell) * 4 + inside_x * 4 / self.cell;
        let id = (row * self.columns + column) * 16 + patch;
        ((hash_unit(id as u32, 9) - 0.5) * 26.0) as i32
    }

    /// Light from the top left.
    fn bevel(&self, inside_x: usize, inside_y: usize) -> i32 {
        let edge = (self.cell / 9).max(1);
        let from_right = self.cell - 1 - inside_x;
        let from_bottom = self.cell - 1 - inside_y;
        let lit = inside_x.min(inside_y);
        let dark = from_right.min(from_bottom);
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

    fn shadow(&self, column: usize, row: usize, inside_x: usize, inside_y: usize, own: u32) -> i32 {
        let cast = |column: usize, row: usize, away: usize| {
            let other = luma(&self.colour(column, row)) as i32;
            let reach = ((other - own as i32 - 14) * self.cell as i32 / 130)
                .clamp(0, self.cell as i32 * 2 / 3);
            if (away as i32) < reach { -46 } else { 0 }
        };
        let left = if column > 0 { cast(column - 1, row, inside_x) } else { 0 };
        let above = if row > 0 { cast(column, row - 1, inside_y) } else { 0 };
        left.min(above)
    }
}
