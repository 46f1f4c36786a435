//! [`isometric`]: the filter `isometric <cells> <depth> <colours> <saturation> <thickness>` of a
//! scene, which turns a photo into a standing wall of cubes. `apply` in `filters/mod.rs` calls it.
//!
//! Each cube comes forward by its brightness, from a wall of this thickness; where the photo was cut
//! away there are no cubes. The wall runs down to the right, gently, so that the
//! photo can still be read; what lies round it is transparent. The picture changes its shape: see
//! [`isometric`].

use resvg::tiny_skia::{
    Color, FillRule, Paint, PathBuilder, Pixmap, PremultipliedColorU8, Transform,
};

use super::FilterArguments;
use super::palette::Palette;
use crate::pixels::new_pixmap;
use crate::raster::luma;
use crate::scale;
use crate::scene::SceneError;

/// A wall of C columns and R rows of cubes comes out 0.95 C + 0.6 depth wide and
/// R + 0.27 C + 0.42 depth high, in cubes, scaled to the width of the picture that went in.
pub(super) fn isometric(
    source: &Pixmap,
    arguments: &FilterArguments<'_>,
) -> Result<Pixmap, SceneError> {
    let columns = arguments.number(0, 48.0)?.clamp(4.0, 120.0).round();
    let depth = arguments.number(1, 3.0)?.max(0.0);
    let colours = arguments.number(2, 40.0)? as usize;
    let saturation = arguments.number(3, 1.1)?;
    let thickness = arguments.number(4, 0.0)?.max(0.0);
    let rows =
        (columns * source.height() as f32 / source.width() as f32).round().clamp(2.0, 1024.0);
    let small = scale::resize_pixmap(source, columns as u32, rows as u32);
    let palette = Palette::of(&small, colours);
    let label = |pixel: &PremultipliedColorU8| {
        // At the edge of a cut-out the stored colours are premultiplied, and darker than the photo's.
        let pure = pixel.demultiply();
        (pixel.alpha() > 127).then(|| palette.index(pure.red(), pure.green(), pure.blue()))
    };
    let labels: Vec<Option<usize>> = small.pixels().iter().map(label).collect();
    let palette = palette.graded(saturation, 0.0);
    let cubes = labels
        .into_iter()
        .map(|label| Some(Cube::new(palette.colours[label?], depth, thickness)))
        .collect();
    let depth = depth + thickness;
    // `FORWARD.0` is negative: what comes forward goes to the left, and makes the wall wider.
    let side = source.width() as f32 / (columns * ALONG.0 - depth * FORWARD.0);
    let wall = Wall { side, depth, columns: columns as usize, rows: rows as usize, cubes };
    let height = side * (rows + columns * ALONG.1 + depth * FORWARD.1) + 2.0;
    let mut target = new_pixmap(source.width(), height as u32);
    for column in 0..wall.columns {
        // From the lowest cube up and from left to right: each is painted over those that it hides.
        for row in (0..wall.rows).rev() {
            wall.cube(&mut target, column, row);
        }
    }
    Ok(target)
}

#[derive(Clone, Copy)]
struct Cube {
    colour: [u8; 3],
    /// How far it comes out of the wall.
    forward: f32,
}

impl Cube {
    fn new(colour: [u8; 3], depth: f32, thickness: f32) -> Self {
        let relief = luma(&colour) as f32 / 255.0 * depth;
        // In steps of half a cube, so that neighbours of about the same brightness are flush.
        Self { colour, forward: thickness + (relief * 2.0).round() / 2.0 + 0.001 }
    }
}

struct Wall {
    side: f32,
    /// How far the brightest cube may come out.
    depth: f32,
    columns: usize,
    rows: usize,
    cubes: Vec<Option<Cube>>,
}

impl Wall {
    /// Where a corner lies: along the wall, forward, and up, in cubes.
    fn point(&self, along: f32, forward: f32, up: f32) -> (f32, f32) {
        let x = along * ALONG.0 + (forward - self.depth) * FORWARD.0;
        let y = along * ALONG.1 + forward * FORWARD.1 + self.rows as f32 - up;
        (x * self.side, y * self.side)
    }

    /// How far the cube at this place comes out; where there is none, not at all.
    fn forward(&self, column: usize, row: Option<usize>) -> f32 {
        let cube = row
            .filter(|_| column < self.columns)
            .and_then(|row| self.cubes[row * self.columns + column]);
        cube.map_or(0.0, |cube| cube.forward)
    }

    /// Of each face what shows: not what lies behind the cube above, or behind that on the right.
    fn cube(&self, target: &mut Pixmap, column: usize, row: usize) {
        let Some(Cube { colour, forward }) = self.cubes[row * self.columns + column] else {
            return;
        };
        let (left, right) = (column as f32, column as f32 + 1.0);
        let (low, high) = ((self.rows - 1 - row) as f32, (self.rows - row) as f32);
        let above = self.forward(column, row.checked_sub(1));
        if above < forward {
            let corners = [
                (left, above, high),
                (right, above, high),
                (right, forward, high),
                (left, forward, high),
            ];
            self.face(target, corners, colour, 1.22);
        }
        let beside = self.forward(column + 1, Some(row));
        if beside < forward {
            let corners = [
                (right, beside, low),
                (right, forward, low),
                (right, forward, high),
                (right, beside, high),
            ];
            self.face(target, corners, colour, 0.62);
        }
        // A little larger: the next cubes are painted over it, and no gap shines through.
        let (right, high) = (right + SEAM, high + SEAM);
        let corners = [
            (left, forward, low),
            (right, forward, low),
            (right, forward, high),
            (left, forward, high),
        ];
        self.face(target, corners, colour, 1.0);
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

/// How much of a cube the faces overlap.
const SEAM: f32 = 0.08;

/// Where a cube's edges go on the paper: along the wall, and towards the viewer.
const ALONG: (f32, f32) = (0.95, 0.27);
const FORWARD: (f32, f32) = (-0.6, 0.42);
