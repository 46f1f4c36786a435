//! `isometric <cells> <depth> <colours> <saturation>`: the photo as a standing wall of cubes.
//!
//! Each cube comes forward by its brightness. The wall runs down to the right, gently, so that the
//! photo can still be read; what lies round it is transparent. The picture changes its shape: see
//! [`isometric`].

use resvg::tiny_skia::{Color, FillRule, Paint, PathBuilder, Pixmap, Transform};

use super::Arguments;
use super::palette::Palette;
use crate::raster::{luma, new_pixmap};
use crate::scale;
use crate::scene::Fault;

/// A wall of C columns and R rows of cubes comes out 0.95 C + 0.6 depth wide and
/// R + 0.27 C + 0.42 depth high, in cubes, scaled to the width of the picture that went in.
pub(super) fn isometric(source: &Pixmap, arguments: &Arguments<'_>) -> Result<Pixmap, Fault> {
    let columns = arguments.number(0, 48.0)?.clamp(4.0, 120.0).round();
    let depth = arguments.number(1, 3.0)?.max(0.0);
    let colours = arguments.number(2, 40.0)? as usize;
    let saturation = arguments.number(3, 1.1)?;
    let rows =
        (columns * source.height() as f32 / source.width() as f32).round().clamp(2.0, 1024.0);
    let small = scale::resize_pixmap(source, columns as u32, rows as u32);
    let palette = Palette::of(&small, colours);
    let labels: Vec<usize> =
        small.data().chunks_exact(4).map(|p| palette.index(p[0], p[1], p[2])).collect();
    let palette = palette.graded(saturation, 0.0);
    let side = source.width() as f32 / (columns * ALONG.0 - depth * FORWARD.0);
    let wall = Wall { side, depth, rows: rows as usize };
    let height = side * (rows + columns * ALONG.1 + depth * FORWARD.1) + 2.0;
    let mut target = new_pixmap(source.width(), height as u32);
    for column in 0..columns as usize {
        for row in (0..rows as usize).rev() {
            let colour = palette.colours[labels[row * columns as usize + column]];
            wall.cube(&mut target, column, row, colour);
        }
    }
    Ok(target)
}

struct Wall {
    side: f32,
    depth: f32,
    rows: usize,
}

impl Wall {
    /// Where a corner lies: along the wall, forward, and up, in cubes.
    fn point(&self, along: f32, forward: f32, up: f32) -> (f32, f32) {
        let x = along * ALONG.0 + (forward - self.depth) * FORWARD.0;
        let y = along * ALONG.1 + forward * FORWARD.1 + self.rows as f32 - up;
        (x * self.side, y * self.side)
    }

    fn cube(&self, target: &mut Pixmap, column: usize, row: usize, colour: [u8; 3]) {
        let forward = (luma(&colour) as f32 / 255.0 * self.depth * 2.0).round() / 2.0 + 0.001;
        let (left, right) = (column as f32, column as f32 + 1.0);
        let (low, high) = ((self.rows - 1 - row) as f32, (self.rows - row) as f32);
        let faces = [
            // Top, right side, front.
            (
                [
                    (left, 0.0, high),
                    (right, 0.0, high),
                    (right, forward, high),
                    (left, forward, high),
                ],
                1.22,
            ),
            (
                [
                    (right, 0.0, low),
                    (right, forward, low),
                    (right, forward, high),
                    (right, 0.0, high),
                ],
                0.62,
            ),
            (
                [
                    (left, forward, low),
                    (right, forward, low),
                    (right, forward, high),
                    (left, forward, high),
                ],
                1.0,
            ),
        ];
        for (corners, light) in faces {
            self.face(target, corners, colour, light);
        }
    }

    fn face(
        &self,
        target: &mut Pixmap,
        corners: [(f32, f32, f32); 4],
        colour: [u8; 3],
        light: f32,
    ) {
        let mut path = PathBuilder::new();
        for (i, (along, forward, up)) in corners.into_iter().enumerate() {
            let (x, y) = self.point(along, forward, up);
            if i == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
        }
        path.close();
        let lit =
            colour.map(|c| (f32::from(c) * light + (light - 1.0).max(0.0) * 60.0).min(255.0) as u8);
        let mut paint = Paint { anti_alias: true, ..Paint::default() };
        paint.set_color(Color::from_rgba8(lit[0], lit[1], lit[2], 255));
        if let Some(path) = path.finish() {
            target.fill_path(&path, &paint, FillRule::Winding, Transform::identity(), None);
        }
    }
}

/// Where a cube's edges go on the paper: along the wall, and towards the viewer.
const ALONG: (f32, f32) = (0.95, 0.27);
const FORWARD: (f32, f32) = (-0.6, 0.42);
