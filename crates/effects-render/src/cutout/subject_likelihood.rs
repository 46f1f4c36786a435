//! [`subject_likelihood`]: for each cell of a photo's map, how likely it belongs to the subject: more where
//! its colour is unlike the border's, where there is skin or a person round a face, and near the middle.
//! `Cutout::of` (`mod.rs`) calls it, and hands this first guess to [`segment`](super::segment), which
//! sharpens it.

use super::segment::ColourGroups;
use super::{Map, distance_squared};
use crate::subject::skin_likeness;

/// For each cell how likely it belongs to the subject, as log-odds within -3..=3.
pub(super) fn subject_likelihood(map: &Map, palette: &ColourGroups) -> Vec<f32> {
    let border = border_density(map, palette);
    let away = distance_from_border(map, &border);
    let mut sorted = away.clone();
    sorted.sort_by(f32::total_cmp);
    // Almost the farthest: a few odd cells must not set the scale for all.
    let far = sorted[sorted.len() * 92 / 100].max(12.0);
    let people = people(map);
    let scores: Vec<f32> = (0..map.len())
        .map(|i| {
            let (x, y) = map.cell(i);
            let x = (x as f32 + 0.5) / map.columns as f32 - 0.5;
            let y = (y as f32 + 0.5) / map.rows as f32 - 0.52;
            let centre = (-(x * x / 0.18 + y * y / 0.26)).exp();
            let apart = (away[i] / far).min(1.0);
            let unlike = 1.0 - (border[i] / 0.12).min(1.0);
            let skin = skin_likeness(&map.rgb[i * 3..i * 3 + 3]);
            let score = (0.45 * apart + 0.3 * unlike + 0.25 * skin * apart.max(0.3))
                * (0.35 + 0.65 * centre)
                + 0.12 * centre;
            // Near a face only what the border does not lead to: not the wall behind a head.
            let person = people[i] * ((apart - 0.08) / 0.3).clamp(0.0, 1.0);
            score.max(person * 0.75).max(if person > 0.0 { score + 0.25 * person } else { 0.0 })
        })
        .collect();
    let threshold = threshold(&scores);
    scores.iter().map(|score| ((score - threshold) / 0.12).clamp(-3.0, 3.0)).collect()
}

/// How much a cell of the border counts as background: the upper corners wholly, the lower edge's
/// middle, where a portrait goes on, not at all.
fn border_weight(map: &Map, i: usize) -> f32 {
    let (x, y) = map.cell(i);
    let across = (x as f32 + 0.5) / map.columns as f32;
    let down = (y as f32 + 0.5) / map.rows as f32;
    if y < BORDER {
        1.0
    } else if x < BORDER || x + BORDER >= map.columns {
        1.0 - 0.6 * ((down - 0.6) / 0.4).max(0.0)
    } else if y + BORDER >= map.rows {
        0.35 * ((across - 0.5) * 2.0).powi(2)
    } else {
        0.0
    }
}

/// For each cell how much of the border has its colour, 0..=1.
fn border_density(map: &Map, palette: &ColourGroups) -> Vec<f32> {
    let weights: Vec<f32> = (0..map.len()).map(|i| border_weight(map, i)).collect();
    let total: f32 = weights.iter().sum();
    palette.weigh_by_colour(&weights).iter().map(|sum| sum / total).collect()
}

/// The colour changes that lie on the easiest way from the border to each cell.
///
/// A way starts at a price where the border's colour is rare there: that may be the subject.
fn distance_from_border(map: &Map, border: &[f32]) -> Vec<f32> {
    let mut distance: Vec<f32> = (0..map.len())
        .map(|i| match border_weight(map, i) {
            0.0 => f32::MAX,
            weight => 60.0 * (-(border[i] / 0.1)).exp() + 40.0 * (1.0 - weight),
        })
        .collect();
    let step = |from: usize, to: usize| {
        // A slow change, as of light on a wall, costs next to nothing.
        (distance_squared(map.lab[from], map.lab[to]).sqrt() - 2.0).max(0.05)
    };
    let relax = |i: usize, distance: &mut Vec<f32>| {
        for from in map.neighbours(i) {
            distance[i] = distance[i].min(distance[from] + step(from, i));
        }
    };
    // Sweeps there and back take the place of a queue: each pair lets a way turn once more.
    for _ in 0..3 {
        (0..map.len()).for_each(|i| relax(i, &mut distance));
        (0..map.len()).rev().for_each(|i| relax(i, &mut distance));
    }
    distance
}

/// The value that parts dark from light best (Otsu's).
fn threshold(scores: &[f32]) -> f32 {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f32::total_cmp);
    let total: f32 = sorted.iter().sum();
    let count = sorted.len() as f32;
    let (mut best, mut at) = (0.0, sorted[sorted.len() / 2]);
    let mut below = 0.0;
    for (i, score) in sorted.iter().enumerate() {
        let parts = (i as f32, count - i as f32);
        // Not where one of the parts has almost nothing in it.
        if (0.1..0.9).contains(&(parts.0 / count)) {
            let apart = below / parts.0 - (total - below) / parts.1;
            let between = parts.0 * parts.1 * apart * apart;
            if between > best {
                (best, at) = (between, *score);
            }
        }
        below += score;
    }
    at
}

/// For each cell how likely a person is there, 0..=1: a head round each face, a body below it.
///
/// A face is a compact piece of skin with darker features in it.
fn people(map: &Map) -> Vec<f32> {
    let skin: Vec<bool> = map.rgb.chunks_exact(3).map(|pixel| skin_likeness(pixel) > 0.5).collect();
    let mut people = vec![0.0f32; map.len()];
    // What is no skin counts as seen, so that no piece begins there.
    let mut seen: Vec<bool> = skin.iter().map(|is_skin| !is_skin).collect();
    for start in 0..map.len() {
        if seen[start] {
            continue;
        }
        let piece = map.reached(start, &mut seen, &|from, to| {
            skin[to] && distance_squared(map.lab[from], map.lab[to]) < 110.0
        });
        if let Some(face) = FaceSpot::of(map, &piece) {
            for (i, person) in people.iter_mut().enumerate() {
                *person = person.max(face.person_at(map.cell(i)));
            }
        }
    }
    people
}

/// A face's middle and size, in cells.
struct FaceSpot {
    x: f32,
    y: f32,
    width: f32,
    height: f32,
}

impl FaceSpot {
    fn of(map: &Map, piece: &[usize]) -> Option<Self> {
        let (mut left, mut right, mut top, mut bottom) = (map.columns, 0, map.rows, 0);
        let mut lightness = 0.0;
        for &i in piece {
            let (x, y) = map.cell(i);
            (left, right) = (left.min(x), right.max(x));
            (top, bottom) = (top.min(y), bottom.max(y));
            lightness += map.lab[i][0];
        }
        lightness /= piece.len() as f32;
        let (width, height) = ((right - left + 1) as f32, (bottom - top + 1) as f32);
        let dark = (top..=bottom)
            .flat_map(|y| (left..=right).map(move |x| y * map.columns + x))
            .filter(|&i| map.lab[i][0] < lightness - 11.0)
            .count() as f32;
        let edge = map.columns / 16;
        let inside =
            left > edge && top > 0 && right + edge + 1 < map.columns && bottom + 1 < map.rows;
        let is_face = inside
            && (0.0025..0.2).contains(&(piece.len() as f32 / map.len() as f32))
            && (0.45..1.5).contains(&(width / height))
            && piece.len() as f32 / (width * height) > 0.38
            && (0.02..0.55).contains(&(dark / (width * height)))
            && (top as f32) < 0.6 * map.rows as f32;
        let width = width.max(height * 0.62);
        let height = height.clamp(width, width * 1.5);
        let x = (left + right) as f32 / 2.0;
        is_face.then_some(Self { x, y: top as f32 + height * 0.45, width, height })
    }

    fn person_at(&self, (x, y): (usize, usize)) -> f32 {
        let (x, y) = (x as f32 - self.x, y as f32 - self.y);
        let head = (x / (self.width * 0.75)).powi(2) + (y / (self.height * 0.85)).powi(2);
        if head < 1.0 {
            return 1.0;
        }
        let down = y / self.height;
        let half = self.width * (0.45 + (down * 1.1).min(0.75)) * 0.8;
        if (0.0..5.5).contains(&down) && x.abs() < half { 0.8 * (1.0 - down / 9.0) } else { 0.0 }
    }
}

/// Cells that are the border's.
const BORDER: usize = 2;
