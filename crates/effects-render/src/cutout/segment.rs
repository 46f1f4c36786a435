//! [`segment`] divides the cells of a photo's map into subject and background. It begins with the guess of
//! `subject_likelihood`, and weighs each cell by its colour ([`ColourGroups`]) and its neighbours, in
//! several rounds. [`whole_pieces`] then keeps the largest pieces and fills their holes. `Cutout::of`
//! (`mod.rs`) calls both; `subject_likelihood.rs` weighs the border by [`ColourGroups`] too.
//!
//! As GrabCut does it: how often each colour is found in either part says to which part a cell of
//! that colour belongs, neighbours of like colours follow each other, and both are repeated. A
//! share per cell takes the place of a hard cut, and relaxation that of a flow network.

use std::collections::BTreeMap;

use super::{Lab, Map, distance_squared};

/// The colours of a map, gathered, and how near they are to each other.
pub(super) struct ColourGroups {
    /// The colour of each cell.
    of: Vec<usize>,
    /// Nearness of two colours: 1 for the same, 0 for those that look unlike.
    near: Vec<f32>,
    count: usize,
}

impl ColourGroups {
    pub(super) fn of(map: &Map) -> Self {
        let mut numbers = BTreeMap::new();
        let mut sums: Vec<(Lab, f32)> = Vec::new();
        let mut of = Vec::with_capacity(map.len());
        for colour in &map.lab {
            // Gathered into cubes, since `near` has a number for each pair of colours.
            let key = colour.map(|part| (part / COLOUR_CUBE_SIDE).floor() as i32);
            let number = *numbers.entry(key).or_insert_with(|| {
                sums.push(([0.0; 3], 0.0));
                sums.len() - 1
            });
            for (sum, part) in sums[number].0.iter_mut().zip(colour) {
                *sum += part;
            }
            sums[number].1 += 1.0;
            of.push(number);
        }
        let colours: Vec<Lab> =
            sums.iter().map(|(sum, count)| sum.map(|part| part / count)).collect();
        let near = colours
            .iter()
            .flat_map(|a| {
                colours.iter().map(|b| {
                    (-distance_squared(*a, *b) / (2.0 * LIKENESS_DISTANCE * LIKENESS_DISTANCE))
                        .exp()
                })
            })
            .collect();
        Self { of, near, count: colours.len() }
    }

    /// For each cell the weight of all cells, each as far as its colour is near.
    pub(super) fn weigh_by_colour(&self, weights: &[f32]) -> Vec<f32> {
        let sums = self.weigh_colours(weights);
        self.of.iter().map(|&colour| sums[colour]).collect()
    }

    fn weigh_colours(&self, weights: &[f32]) -> Vec<f32> {
        let mut own = vec![0.0; self.count];
        for (&colour, weight) in self.of.iter().zip(weights) {
            own[colour] += weight;
        }
        self.near
            .chunks_exact(self.count)
            .map(|near| near.iter().zip(&own).map(|(near, own)| near * own).sum())
            .collect()
    }
}

/// The subject's share of each cell, from log-odds of where it is.
pub(super) fn segment(map: &Map, palette: &ColourGroups, likelihood: &[f32]) -> Vec<f32> {
    let links = Links::of(map);
    let mut share: Vec<f32> = likelihood.iter().copied().map(logistic).collect();
    for round in 0..ROUNDS {
        let rest: Vec<f32> = share.iter().map(|share| 1.0 - share).collect();
        let (subject, ground) = (palette.weigh_by_colour(&share), palette.weigh_by_colour(&rest));
        let totals: (f32, f32) = (share.iter().sum(), rest.iter().sum());
        // The first round has only the guess to go by; then the colours count for more.
        let trust = if round == 0 { 0.9 } else { 0.65 };
        let own: Vec<f32> = (0..map.len())
            .map(|i| {
                // The small summands keep a colour that one side lacks from deciding all by itself.
                let odds = (subject[i] / totals.0 + 1e-3) / (ground[i] / totals.1 + 1e-3);
                logistic(1.3 * odds.ln().clamp(-3.0, 3.0) + trust * likelihood[i])
            })
            .collect();
        share = links.relaxed(&own);
        if round > 0 {
            for share in &mut share {
                *share = ((*share - 0.5) * 1.6 + 0.5).clamp(0.0, 1.0);
            }
        }
    }
    share
}

fn logistic(odds: f32) -> f32 {
    1.0 / (1.0 + (-odds).exp())
}

/// How strongly each cell holds to the one on its right and the one below.
struct Links {
    columns: usize,
    right: Vec<f32>,
    below: Vec<f32>,
}

impl Links {
    fn of(map: &Map) -> Self {
        let between = |i: usize, other: usize| distance_squared(map.lab[i], map.lab[other]);
        let has_right = |i: usize| map.cell(i).0 + 1 < map.columns;
        let has_below = |i: usize| map.cell(i).1 + 1 < map.rows;
        let right: Vec<Option<f32>> =
            (0..map.len()).map(|i| has_right(i).then(|| between(i, i + 1))).collect();
        let below: Vec<Option<f32>> =
            (0..map.len()).map(|i| has_below(i).then(|| between(i, i + map.columns))).collect();
        let all = || right.iter().chain(&below).flatten();
        let mean = all().sum::<f32>() / (all().count() as f32).max(1.0);
        let scale = 1.0 / (2.0 * mean.max(4.0));
        let strength = |links: Vec<Option<f32>>| {
            links.into_iter().map(|link| link.map_or(0.0, |d| (-scale * d).exp())).collect()
        };
        Self { columns: map.columns, right: strength(right), below: strength(below) }
    }

    /// Each cell's value, drawn towards those of its neighbours.
    fn relaxed(&self, own: &[f32]) -> Vec<f32> {
        let mut values = own.to_vec();
        let mut relax = |i: usize| {
            let (mut sum, mut weight) = (OWN_WEIGHT * own[i], OWN_WEIGHT);
            let mut add = |strength: f32, value: f32| {
                sum += strength * value;
                weight += strength;
            };
            // Across the end of a row the link is 0, so no cell draws the one in the next row.
            if i >= 1 {
                add(self.right[i - 1], values[i - 1]);
            }
            if i + 1 < own.len() {
                add(self.right[i], values[i + 1]);
            }
            if i >= self.columns {
                add(self.below[i - self.columns], values[i - self.columns]);
            }
            if i + self.columns < own.len() {
                add(self.below[i], values[i + self.columns]);
            }
            // In place (Gauss-Seidel), so that one sweep carries a value across the whole map.
            values[i] = sum / weight;
        };
        for _ in 0..SWEEPS {
            (0..own.len()).for_each(&mut relax);
            (0..own.len()).rev().for_each(&mut relax);
        }
        values
    }
}

/// 1 for the cells of the largest pieces and of the holes in them, 0 for the others.
pub(super) fn whole_pieces(map: &Map, share: &[f32], likelihood: &[f32]) -> Vec<f32> {
    let is_subject: Vec<bool> = share.iter().map(|&share| share > 0.5).collect();
    let mut seen: Vec<bool> = is_subject.iter().map(|is| !is).collect();
    let mut pieces: Vec<(f32, Vec<usize>)> = Vec::new();
    for start in 0..map.len() {
        if !seen[start] {
            let piece = map.reached(start, &mut seen, &|_, to| is_subject[to]);
            // Weighed by how likely its cells are, so that a large piece of background
            // does not win.
            pieces.push((piece.iter().map(|&i| logistic(likelihood[i])).sum(), piece));
        }
    }
    let largest = pieces.iter().map(|(weight, _)| *weight).fold(0.0, f32::max);
    let mut cover = vec![0.0; map.len()];
    for (_, piece) in pieces.iter().filter(|(weight, _)| *weight > 0.3 * largest) {
        for &i in piece {
            cover[i] = 1.0;
        }
    }
    // Background that the photo's border does not lead to is a hole.
    let mut outside: Vec<bool> = cover.iter().map(|&cover| cover > 0.5).collect();
    for i in 0..map.len() {
        let (x, y) = map.cell(i);
        let at_border = x == 0 || y == 0 || x + 1 == map.columns || y + 1 == map.rows;
        if at_border && !outside[i] {
            map.reached(i, &mut outside, &|_, to| cover[to] < 0.5);
        }
    }
    // What is still unseen was not reached.
    for (cover, seen) in cover.iter_mut().zip(outside) {
        if !seen {
            *cover = 1.0;
        }
    }
    cover
}

/// Colours within a cube of this side count as one.
const COLOUR_CUBE_SIDE: f32 = 5.0;

/// The distance at which colours look alike.
const LIKENESS_DISTANCE: f32 = 7.0;

const ROUNDS: usize = 6;

/// Times that values are drawn together, each once from the top and once from the bottom.
const SWEEPS: usize = 9;

/// How strongly a cell holds to its own colour's value.
const OWN_WEIGHT: f32 = 0.12;
