//! Makes SVG of a scene's titles and pixel art: [`LetteringLine`] sets a line of text in a single-line
//! alphabet made for this project, with no font; [`pixels_to_svg`] draws a grid of dots, a letter for each
//! colour. The painter of scenes (`painter.rs`) calls them for the directives `letters` and `pixels`, also
//! for the labels of contact sheets.
//!
//! No font file and no text engine are needed for a few titles. A glyph is an SVG path on a grid
//! whose capitals run from y = 0 to y = 10, small letters from 3.8, with descenders to 13; weight and
//! colour are the stroke's.

use std::fmt::Write as _;

/// How a line of letters is set.
#[derive(Clone, Debug)]
pub(crate) struct LetteringLine<'a> {
    pub(crate) text: &'a str,
    /// Where the baseline starts, is centred, or ends (see `anchor`).
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// Height of capitals.
    pub(crate) size: f64,
    /// Stroke width as a share of `size`.
    pub(crate) weight: f64,
    /// `start`, `middle` or `end`.
    pub(crate) anchor: &'a str,
    pub(crate) colour: &'a str,
    /// The line is shrunk to this width if it is longer.
    pub(crate) max_width: f64,
    pub(crate) opacity: f64,
}

impl LetteringLine<'_> {
    /// The line as an SVG group.
    pub(crate) fn to_svg(&self) -> String {
        // A thicker stroke takes room on both sides of a letter, so the gap grows with it.
        let gap = 2.2 + 10.0 * self.weight;
        let grid_width = line_width(self.text, gap);
        let mut size = self.size;
        if grid_width * size / 10.0 > self.max_width {
            size = self.max_width * 10.0 / grid_width;
        }
        let scale = size / 10.0;
        let start = match self.anchor {
            "middle" => self.x - grid_width * scale / 2.0,
            "end" => self.x - grid_width * scale,
            _ => self.x,
        };
        let mut svg = format!(
            "<g transform=\"translate({start:.2} {:.2}) scale({scale:.4})\" fill=\"none\" \
             stroke=\"{}\" stroke-width=\"{:.3}\" stroke-linecap=\"round\" \
             stroke-linejoin=\"round\" opacity=\"{:.2}\">",
            // The grid begins at the top of the capitals, and `y` is the baseline.
            self.y - size,
            self.colour,
            10.0 * self.weight,
            self.opacity,
        );
        let mut pen = 0.0;
        for letter in self.text.chars() {
            let (advance, path) = glyph(letter);
            if !path.is_empty() {
                let _ = write!(svg, "<path transform=\"translate({pen:.2} 0)\" d=\"{path}\"/>");
            }
            pen += advance + gap;
        }
        svg.push_str("</g>");
        svg
    }
}

/// Pixel art as one path a colour: rows parted by `/`, a letter for each dot, `.` for none.
pub(crate) fn pixels_to_svg(rows: &str, colours: &str, x: f64, y: f64, size: f64) -> String {
    let mut svg = format!("<g transform=\"translate({x:.2} {y:.2}) scale({size:.3})\">");
    for colour in colours.split_whitespace() {
        let mut signs = colour.chars();
        let key = signs.next();
        let mut path = String::new();
        for (row, line) in rows.split('/').enumerate() {
            let mut column = 0;
            let dots: Vec<char> = line.trim().chars().collect();
            while column < dots.len() {
                let run = dots[column..].iter().take_while(|dot| Some(**dot) == key).count();
                if run > 0 {
                    // A hair wider than the grid, or seams would show between the rows.
                    let _ = write!(path, "M{column} {row}h{run}v1.02h-{run}z");
                }
                column += run.max(1);
            }
        }
        let _ = write!(svg, "<path fill=\"{}\" d=\"{path}\"/>", signs.as_str());
    }
    svg.push_str("</g>");
    svg
}

fn line_width(text: &str, gap: f64) -> f64 {
    let sum: f64 = text.chars().map(|letter| glyph(letter).0 + gap).sum();
    // No gap follows the last letter. An empty line is not quite 0 wide, since widths
    // are divided by.
    (sum - gap).max(0.1)
}

/// Advance width and strokes; an unknown sign is a blank.
fn glyph(letter: char) -> (f64, &'static str) {
    GLYPHS
        .iter()
        .find(|(known, _, _)| *known == letter)
        .map_or((3.0, ""), |(_, advance, path)| (*advance, *path))
}

// Dots, as of the i, are strokes of a tenth of a unit, which their round caps make round.
const GLYPHS: &[(char, f64, &str)] = &[
    ('A', 6.4, "M0 10 3.2 0 6.4 10M1.2 6.4H5.2"),
    ('B', 6.0, "M0 0V10H3.4A2.6 2.6 0 0 0 3.4 4.8H0M0 0H3A2.4 2.4 0 0 1 3 4.8"),
    ('C', 6.0, "M6 2.2A3.2 3.2 0 0 0 0 3.2V6.8A3.2 3.2 0 0 0 6 7.8"),
    ('D', 6.0, "M0 0V10H2.4A3.6 3.6 0 0 0 6 6.4V3.6A3.6 3.6 0 0 0 2.4 0Z"),
    ('E', 5.2, "M5.2 0H0V10H5.2M0 5H4.4"),
    ('F', 5.0, "M5 0H0V10M0 5H4.2"),
    ('G', 6.2, "M6 2.2A3.2 3.2 0 0 0 0 3.2V6.8A3.1 3.1 0 0 0 6.2 6.8V5.4H3.6"),
    ('H', 6.0, "M0 0V10M6 0V10M0 5H6"),
    ('I', 0.2, "M0.1 0V10"),
    ('J', 4.6, "M4.6 0V7.4A2.4 2.4 0 0 1 0 8"),
    ('K', 6.0, "M0 0V10M5.8 0 0 5.8M2 4 6 10"),
    ('L', 5.0, "M0 0V10H5"),
    ('M', 7.4, "M0 10V0L3.7 6 7.4 0V10"),
    ('N', 6.2, "M0 10V0L6.2 10V0"),
    ('O', 6.4, "M0 3.2A3.2 3.2 0 0 1 6.4 3.2V6.8A3.2 3.2 0 0 1 0 6.8Z"),
    ('P', 6.0, "M0 10V0H3.2A2.8 2.8 0 0 1 3.2 5.6H0"),
    ('Q', 6.6, "M0 3.2A3.2 3.2 0 0 1 6.4 3.2V6.8A3.2 3.2 0 0 1 0 6.8ZM4.2 7.4 6.6 10.4"),
    ('R', 6.0, "M0 10V0H3.2A2.8 2.8 0 0 1 3.2 5.6H0M3 5.6 6 10"),
    (
        'S',
        5.8,
        "M5.8 2A2.8 2.4 0 0 0 3 0A2.5 2.45 0 0 0 3 4.9A2.7 2.55 0 0 1 3 10A2.9 2.6 0 0 1 0 8",
    ),
    ('T', 6.0, "M0 0H6M3 0V10"),
    ('U', 6.2, "M0 0V6.9A3.1 3.1 0 0 0 6.2 6.9V0"),
    ('V', 6.2, "M0 0 3.1 10 6.2 0"),
    ('W', 9.0, "M0 0 2.3 10 4.5 1.6 6.7 10 9 0"),
    ('X', 6.0, "M0 0 6 10M6 0 0 10"),
    ('Y', 6.0, "M0 0 3 5V10M6 0 3 5"),
    ('Z', 5.8, "M0 0H5.8L0 10H5.8"),
    ('a', 4.8, "M0 6.9A2.4 3.1 0 0 1 4.8 6.9A2.4 3.1 0 0 1 0 6.9M4.8 3.8V10"),
    ('b', 4.8, "M0 0V10M0 6.9A2.4 3.1 0 0 1 4.8 6.9A2.4 3.1 0 0 1 0 6.9"),
    ('c', 4.6, "M4.5 5A2.5 3.1 0 1 0 4.5 8.8"),
    ('d', 4.8, "M0 6.9A2.4 3.1 0 0 1 4.8 6.9A2.4 3.1 0 0 1 0 6.9M4.8 0V10"),
    ('e', 4.8, "M0.1 6.7H4.8A2.4 3.1 0 1 0 4.2 9"),
    ('f', 3.4, "M3.4 0.3A1.9 2 0 0 0 1.2 2.2V10M0 4H3"),
    ('g', 4.8, "M0 6.9A2.4 3.1 0 0 1 4.8 6.9A2.4 3.1 0 0 1 0 6.9M4.8 3.8V11A2.3 2 0 0 1 0.4 11.8"),
    ('h', 4.6, "M0 0V10M0 6.2A2.3 2.4 0 0 1 4.6 6.2V10"),
    ('i', 0.2, "M0.1 3.8V10M0.1 1V0.9"),
    ('j', 1.6, "M1.5 3.8V11.2A1.4 1.6 0 0 1 0 12.6M1.5 1V0.9"),
    ('k', 4.4, "M0 0V10M4.2 3.8 0 7.6M1.6 6.2 4.4 10"),
    ('l', 0.2, "M0.1 0V10"),
    ('m', 7.4, "M0 3.8V10M0 6A1.85 2.2 0 0 1 3.7 6V10M3.7 6A1.85 2.2 0 0 1 7.4 6V10"),
    ('n', 4.6, "M0 3.8V10M0 6.2A2.3 2.4 0 0 1 4.6 6.2V10"),
    ('o', 4.8, "M0 6.9A2.4 3.1 0 0 1 4.8 6.9A2.4 3.1 0 0 1 0 6.9"),
    ('p', 4.8, "M0 3.8V13M0 6.9A2.4 3.1 0 0 1 4.8 6.9A2.4 3.1 0 0 1 0 6.9"),
    ('q', 4.8, "M0 6.9A2.4 3.1 0 0 1 4.8 6.9A2.4 3.1 0 0 1 0 6.9M4.8 3.8V13"),
    ('r', 3.0, "M0 3.8V10M0 6.4A2.6 2.6 0 0 1 3 4"),
    (
        's',
        4.2,
        "M4.1 4.9A2 1.7 0 0 0 2.1 3.8A2 1.55 0 0 0 2.1 6.9A2.1 1.55 0 0 1 2.1 10A2.1 1.7 0 0 1 0 8.8",
    ),
    ('t', 3.4, "M1.2 1.2V8.4A1.6 1.6 0 0 0 3.4 9.8M0 3.9H3.2"),
    ('u', 4.6, "M0 3.8V7.6A2.3 2.4 0 0 0 4.6 7.6M4.6 3.8V10"),
    ('v', 4.6, "M0 3.8 2.3 10 4.6 3.8"),
    ('w', 7.0, "M0 3.8 1.8 10 3.5 4.4 5.2 10 7 3.8"),
    ('x', 4.4, "M0 3.8 4.4 10M4.4 3.8 0 10"),
    ('y', 4.6, "M0 3.8 2.4 10M4.7 3.8 1.9 11.8Q1.5 12.8 0.2 12.8"),
    ('z', 4.4, "M0 3.8H4.4L0 10H4.4"),
    ('0', 6.0, "M0 3A3 3 0 0 1 6 3V7A3 3 0 0 1 0 7Z"),
    ('1', 2.6, "M0 2 2.6 0V10"),
    ('2', 6.0, "M0 2.6A2.85 2.7 0 1 1 5 4.6L0 10H6"),
    ('3', 5.8, "M0.2 1.6A2.6 2.4 0 1 1 2.8 4.8A2.8 2.6 0 1 1 0 8.2"),
    ('4', 6.0, "M4.4 10V0L0 7H6"),
    ('5', 5.8, "M5.4 0H0.8L0.4 4.4A3 3 0 1 1 0 8.2"),
    ('6', 6.0, "M4.6 0 0.5 5.4M0 7A3 3 0 1 0 6 7A3 3 0 1 0 0 7"),
    ('7', 6.0, "M0 0H6L2 10"),
    (
        '8',
        5.4,
        "M2.7 4.7A2.35 2.35 0 1 1 2.7 0A2.35 2.35 0 1 1 2.7 4.7A2.65 2.65 0 1 1 2.7 10\
         A2.65 2.65 0 1 1 2.7 4.7",
    ),
    ('9', 6.0, "M1.4 10 5.5 4.6M0 3A3 3 0 1 0 6 3A3 3 0 1 0 0 3"),
    ('-', 3.6, "M0 5.4H3.6"),
    ('_', 5.4, "M0 11.4H5.4"),
    ('.', 0.2, "M0.1 10V9.9"),
    (',', 0.8, "M0.7 9.6 0 11.4"),
    (':', 0.2, "M0.1 9V8.9M0.1 4V3.9"),
    ('!', 0.2, "M0.1 0V6.4M0.1 10V9.9"),
    ('?', 5.2, "M0 2.4A2.6 2.4 0 1 1 2.6 5V6.6M2.6 10V9.9"),
    ('\'', 0.2, "M0.1 0V2"),
    ('/', 4.0, "M4 0 0 10"),
    ('+', 5.0, "M2.5 2.8V7.8M0 5.3H5"),
    ('#', 6.0, "M2 1 1 9.4M5 1 4 9.4M.4 3.6H6M0 6.8H5.6"),
    ('*', 4.0, "M2 1V5.4M0 2 4 4.4M4 2 0 4.4"),
    ('(', 1.8, "M1.8-.8A8 8 0 0 0 1.8 10.8"),
    (')', 1.8, "M0-.8A8 8 0 0 1 0 10.8"),
    (
        '春',
        10.0,
        "M1.4 1.5H8.6M2 3.3H8M.5 5.1H9.5M5 0C4.9 3.6 3.4 6.8.2 8M5.6 4C6.2 6 7.8 7.4 9.8 8\
         M3 6.7V10.2H7V6.7ZM3 8.4H7",
    ),
    (
        '福',
        10.0,
        "M2 0 2.9 1M.3 2.2H4C3.4 4 2 5.6.1 6.6M2.2 4.6V10.2M2.8 5.2 4 6.4M5.1.5H9.9\
         M5.9 2.1H9.1V4.1H5.9ZM5.2 5.7H9.8V10H5.2ZM5.2 7.8H9.8M7.5 5.7V10",
    ),
    (
        '喜',
        10.0,
        "M5 0V2.6M1 1.2H9M2 2.7H8M2.6 4.1H7.4V5.6H2.6ZM3.4 5.8 4 6.9M6.6 5.8 6 6.9M.4 7H9.6\
         M2.6 8.2H7.4V10.2H2.6Z",
    ),
    ('中', 10.0, "M1.2 2.4H8.8V6.6H1.2ZM5 0V10.4"),
    (
        '秋',
        10.0,
        "M4.2 .2 1 1.2M.2 3H4.6M2.5 .8V10.2M2.4 3.2C2 5 1.2 6.4 .1 7.4M2.8 4.2 4.4 6\
         M7.4 .6V4C7.3 6.8 6.3 8.8 4.8 10M7.5 4.6C7.9 7 8.8 8.8 10 9.8\
         M5.6 2.6C5.6 3.6 5.3 4.4 5 5M9.6 2.4 8.6 4.6",
    ),
    (
        '月',
        10.0,
        "M2.6 .4H7.8V9.2C7.8 10 7.4 10.2 6.2 10M2.6 .4V5C2.6 7.4 2.2 9 1 10.2M2.6 3.4H7.8\
         M2.6 6.3H7.8",
    ),
    (
        '圆',
        10.0,
        "M.8 .6H9.2V10H.8ZM3.4 2.2H6.6V3.8H3.4ZM2.9 7.4V5H7.1V7.4\
         M5 6C4.9 7.4 4 8.2 2.6 8.8M5.6 7.6 7.4 8.8",
    ),
    (
        '新',
        10.0,
        "M2.6 0V1.2M.6 1.4H4.8M1.4 1.8 1.9 3.2M4 1.8 3.4 3.2M.2 3.5H5.2M.5 5.3H5\
         M2.7 3.6V10.2M2.6 5.6C2.2 7 1.4 8.2 .4 9M3 6.2 4.6 8\
         M9.4 .6C8.2 1.2 7 1.4 6.1 1.5V5C6.1 7.4 5.9 9 5.2 10.2M6.1 4.3H10M8.3 4.3V10.3",
    ),
    ('大', 10.0, "M.6 3.4H9.4M5 0C5 4.6 4 8 .6 10.2M5.2 3.6C5.8 7 7.2 9 9.6 10.2"),
    ('吉', 10.0, "M.6 2H9.4M5 0V4.6M1.6 4.6H8.4M2.2 6.2H7.8V10.2H2.2Z"),
    (
        '万',
        10.0,
        "M.5 1H9.5M4 1C4 5.4 3.2 8.4 .8 10.2\
         M3.9 4.2H8.2C8.2 7 7.8 9 7.2 9.8C6.8 10.2 6.2 10 5.2 9.6",
    ),
    (
        '事',
        10.0,
        "M.8 1H9.2M2.4 2.3H7.6V3.7H2.4ZM2.2 5H8V8.2M.4 6.6H9.6M2.2 8.2H8\
         M5 0V9.2C5 10.2 4.4 10.2 3.4 9.8",
    ),
    (
        '如',
        10.0,
        "M2.4 .4C2 3 1.4 5.4 .8 7C2.4 7.8 3.8 9 4.6 10M.2 3H4.8C4.4 6.4 3 8.8 .4 10.2\
         M6 2.4H9.6V9.4H6Z",
    ),
    (
        '意',
        10.0,
        "M5 0V1M1.4 1.2H8.6M3 1.6 3.5 2.7M7 1.6 6.5 2.7M.6 3H9.4M2.4 4.2H7.6V7H2.4Z\
         M2.4 5.6H7.6M1.4 7.8 .6 9.6\
         M3.2 7.8C3.2 9.6 3.4 10.2 4.6 10.2H6.4C7 10.2 7.2 9.8 7.2 9M5 7.6 5.6 8.6\
         M8.4 7.8 9.4 9.2",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sign_of_the_titles_is_there() {
        for letter in
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'.,!?/:".chars()
        {
            assert!(!glyph(letter).1.is_empty(), "{letter}");
        }
    }

    #[test]
    fn a_long_line_is_shrunk_to_fit() {
        let line = LetteringLine {
            text: "Micro Landscape",
            x: 0.0,
            y: 50.0,
            size: 40.0,
            weight: 0.1,
            anchor: "start",
            colour: "#000",
            max_width: 100.0,
            opacity: 1.0,
        };
        let svg = line.to_svg();
        // The gap of a weight of 0.1.
        let width = line_width(line.text, 3.2);
        assert!(svg.contains(&format!("scale({:.4})", 100.0 / width)), "{svg}");
    }
}
