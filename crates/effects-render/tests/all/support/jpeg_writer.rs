//! Writes JPEG files of every kind that the standard's baseline and progressive modes allow.
//!
//! It is no encoder for photos: its Huffman tables fit any picture and none well.

use std::f32::consts::PI;

/// What a file is to be like.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) size: (usize, usize),
    pub(crate) colours: Colours,
    /// The sampling factors of each component, across and down.
    pub(crate) sampling: Vec<(usize, usize)>,
    pub(crate) scans: Scans,
    /// Units between restarts, 0 for none.
    pub(crate) restart: usize,
}

/// What the components are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Colours {
    Grey,
    /// With a JFIF header.
    YCbCr,
    /// With neither a JFIF nor an Adobe header.
    BareYCbCr,
    /// With an Adobe header.
    AdobeRgb,
    /// Told by the names of the components alone.
    NamedRgb,
    Cmyk,
    Ycck,
}

/// In which scans the picture comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scans {
    Interleaved,
    /// One for each component.
    Apart,
    /// The first component, then all others together.
    FirstApart,
    /// Progressive, by frequencies alone.
    Bands,
    /// Progressive, by frequencies and bits, as libjpeg does it.
    Bits,
}

/// One scan: components, first and last coefficient, bits that came earlier, bits left.
type Scan = (Vec<usize>, usize, usize, u32, u32);

impl Colours {
    pub(crate) fn components(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Cmyk | Self::Ycck => 4,
            _ => 3,
        }
    }

    /// The components of a colour.
    fn of(self, [r, g, b]: [u8; 3]) -> Vec<f32> {
        let [red, green, blue] = [r, g, b].map(f32::from);
        let y = 0.299 * red + 0.587 * green + 0.114 * blue;
        let ycc =
            |[y, r, b]: [f32; 3]| vec![y, 128.0 + (b - y) * 0.564_334, 128.0 + (r - y) * 0.713_267];
        match self {
            Self::Grey => vec![y],
            Self::YCbCr | Self::BareYCbCr => ycc([y, red, blue]),
            Self::AdobeRgb | Self::NamedRgb => vec![red, green, blue],
            // A little black everywhere, so that the fourth component matters.
            Self::Cmyk => vec![red, green, blue, 230.0],
            Self::Ycck => {
                let inks = [255.0 - y, 255.0 - red, 255.0 - blue];
                let mut parts = ycc(inks);
                parts.push(230.0);
                parts
            }
        }
    }

    /// What a reader should show for a colour.
    pub(crate) fn shown(self, [r, g, b]: [u8; 3]) -> [f32; 3] {
        let [red, green, blue] = [r, g, b].map(f32::from);
        match self {
            Self::Grey => [0.299 * red + 0.587 * green + 0.114 * blue; 3],
            Self::Cmyk | Self::Ycck => [red, green, blue].map(|ink| ink * 230.0 / 255.0),
            _ => [red, green, blue],
        }
    }
}

impl Scans {
    fn list(self, components: usize) -> Vec<Scan> {
        let all: Vec<usize> = (0..components).collect();
        let whole = |parts: Vec<usize>| (parts, 0, 63, 0, 0);
        match self {
            Self::Interleaved => vec![whole(all)],
            Self::Apart => all.into_iter().map(|part| whole(vec![part])).collect(),
            Self::FirstApart if components > 1 => {
                vec![whole(vec![0]), whole((1..components).collect())]
            }
            Self::FirstApart => vec![whole(all)],
            Self::Bands => {
                let mut scans = vec![(all.clone(), 0, 0, 0, 0)];
                for part in all {
                    scans.push((vec![part], 1, 5, 0, 0));
                    scans.push((vec![part], 6, 63, 0, 0));
                }
                scans
            }
            Self::Bits => {
                let mut scans = vec![(all.clone(), 0, 0, 0, 1)];
                scans.extend(all.iter().map(|part| (vec![*part], 1, 5, 0, 2)));
                scans.extend(all.iter().map(|part| (vec![*part], 6, 63, 0, 2)));
                scans.extend(all.iter().map(|part| (vec![*part], 1, 63, 2, 1)));
                scans.push((all.clone(), 0, 0, 1, 0));
                scans.extend(all.iter().map(|part| (vec![*part], 1, 63, 1, 0)));
                scans
            }
        }
    }
}

struct Component {
    sampling: (usize, usize),
    /// Blocks of its own, and of all units.
    blocks: (usize, usize),
    padded: (usize, usize),
    /// By the zigzag.
    coefficients: Vec<[i32; 64]>,
}

/// Writes a picture, given by its colours.
pub(crate) fn write(kind: &Kind, colour: impl Fn(usize, usize) -> [u8; 3]) -> Vec<u8> {
    write_repeated(kind, 1, colour)
}

/// Writes a picture that is so many times as high as its kind says, and the same again and again: a
/// large file in a moment. Its rows of units must be whole, and begin with a restart.
pub(crate) fn write_repeated(
    kind: &Kind,
    times: usize,
    colour: impl Fn(usize, usize) -> [u8; 3],
) -> Vec<u8> {
    let (width, height) = kind.size;
    let count = kind.colours.components();
    let max_sampling = (
        kind.sampling.iter().map(|it| it.0).max().unwrap(),
        kind.sampling.iter().map(|it| it.1).max().unwrap(),
    );
    let units = (width.div_ceil(8 * max_sampling.0), height.div_ceil(8 * max_sampling.1));
    let components: Vec<Component> = (0..count)
        .map(|part| {
            let (h, v) = kind.sampling[part];
            let padded = (units.0 * h, units.1 * v);
            let (across, down) = (max_sampling.0 / h, max_sampling.1 / v);
            let sample = |x: usize, y: usize| {
                let mut sum = 0.0;
                for dy in 0..down {
                    for dx in 0..across {
                        let (x, y) = (x * across + dx, y * down + dy);
                        let colour = colour(x.min(width - 1), y.min(height - 1));
                        sum += kind.colours.of(colour)[part];
                    }
                }
                sum / (across * down) as f32 - 128.0
            };
            let mut coefficients = Vec::new();
            for y in 0..padded.1 {
                for x in 0..padded.0 {
                    coefficients.push(transformed(|i, j| sample(8 * x + i, 8 * y + j), step(part)));
                }
            }
            let blocks = (
                (width * h).div_ceil(8 * max_sampling.0),
                (height * v).div_ceil(8 * max_sampling.1),
            );
            Component { sampling: (h, v), blocks, padded, coefficients }
        })
        .collect();
    let mut file = vec![0xFF, 0xD8];
    let segment = |file: &mut Vec<u8>, marker: u8, content: &[u8]| {
        file.extend_from_slice(&[0xFF, marker]);
        file.extend_from_slice(&u16::try_from(content.len() + 2).unwrap().to_be_bytes());
        file.extend_from_slice(content);
    };
    match kind.colours {
        Colours::Grey | Colours::YCbCr => {
            segment(&mut file, 0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
        }
        Colours::AdobeRgb | Colours::Cmyk => segment(&mut file, 0xEE, b"Adobe\0\x64\0\0\0\0\0"),
        Colours::Ycck => segment(&mut file, 0xEE, b"Adobe\0\x64\0\0\0\0\x02"),
        Colours::BareYCbCr | Colours::NamedRgb => {}
    }
    for slot in 0..2 {
        let mut table = vec![slot as u8];
        table.extend([step(slot) as u8; 64]);
        segment(&mut file, 0xDB, &table);
    }
    let ids: &[u8] = if kind.colours == Colours::NamedRgb { b"RGB" } else { &[1, 2, 3, 4] };
    let mut frame = vec![8];
    frame.extend_from_slice(&((height * times) as u16).to_be_bytes());
    frame.extend_from_slice(&(width as u16).to_be_bytes());
    frame.push(count as u8);
    for (part, ((h, v), id)) in kind.sampling.iter().zip(ids).enumerate() {
        frame.extend_from_slice(&[*id, (h << 4 | v) as u8, u8::from(part > 0)]);
    }
    let progressive = matches!(kind.scans, Scans::Bands | Scans::Bits);
    segment(&mut file, if progressive { 0xC2 } else { 0xC0 }, &frame);
    segment(&mut file, 0xC4, &[&[0x00][..], &DC_COUNTS, &(0..16).collect::<Vec<u8>>()].concat());
    for (slot, counts) in [(0x10, &AC_COUNTS), (0x11, &LONG_COUNTS)] {
        let symbols: Vec<u8> = (0..=255).collect();
        segment(&mut file, 0xC4, &[&[slot][..], counts, &symbols].concat());
    }
    if kind.restart > 0 {
        segment(&mut file, 0xDD, &(kind.restart as u16).to_be_bytes());
    }
    for scan in kind.scans.list(count) {
        let mut header = vec![scan.0.len() as u8];
        for part in &scan.0 {
            header.extend_from_slice(&[ids[*part], u8::from(*part > 0)]);
        }
        header.extend_from_slice(&[scan.1 as u8, scan.2 as u8, (scan.3 << 4 | scan.4) as u8]);
        segment(&mut file, 0xDA, &header);
        let pieces = scanned(&components, &scan, units, progressive, kind.restart);
        for at in 0..pieces.len() * times {
            if at > 0 {
                file.extend_from_slice(&[0xFF, 0xD0 + ((at - 1) % 8) as u8]);
            }
            file.extend_from_slice(&pieces[at % pieces.len()]);
        }
    }
    file.extend_from_slice(&[0xFF, 0xD9]);
    file
}

/// The quantisation of a component.
fn step(part: usize) -> i32 {
    if part == 0 { 1 } else { 2 }
}

/// The quantised coefficients of a block.
fn transformed(sample: impl Fn(usize, usize) -> f32, step: i32) -> [i32; 64] {
    let cosine = |place: usize, frequency: usize| {
        let factor = if frequency == 0 { 0.5f32.sqrt() } else { 1.0 };
        factor * (((2 * place + 1) * frequency) as f32 * PI / 16.0).cos() / 2.0
    };
    let mut rows = [[0.0f32; 8]; 8];
    for (y, row) in rows.iter_mut().enumerate() {
        let line: [f32; 8] = std::array::from_fn(|x| sample(x, y));
        *row = std::array::from_fn(|u| (0..8).map(|x| line[x] * cosine(x, u)).sum());
    }
    std::array::from_fn(|place| {
        let (u, v) = (ZIGZAG[place] % 8, ZIGZAG[place] / 8);
        let value: f32 = (0..8).map(|y| rows[y][u] * cosine(y, v)).sum();
        (value / step as f32).round() as i32
    })
}

fn scanned(
    components: &[Component],
    (parts, first, last, earlier, left): &Scan,
    units: (usize, usize),
    progressive: bool,
    restart: usize,
) -> Vec<Vec<u8>> {
    let mut out = Writer::default();
    let mut pieces = Vec::new();
    let alone = parts.len() == 1;
    let (across, down) = if alone { components[parts[0]].blocks } else { units };
    let mut predicted = vec![0; components.len()];
    for unit in 0..across * down {
        if restart > 0 && unit > 0 && unit.is_multiple_of(restart) {
            out.flush();
            pieces.push(std::mem::take(&mut out.bytes));
            predicted.fill(0);
        }
        let (x, y) = (unit % across, unit / across);
        for part in parts {
            let component = &components[*part];
            let (h, v) = if alone { (1, 1) } else { component.sampling };
            for (j, i) in (0..v).flat_map(|j| (0..h).map(move |i| (j, i))) {
                let at = (y * v + j) * component.padded.0 + x * h + i;
                let block = &component.coefficients[at];
                let long = *part > 0;
                if !progressive {
                    out.difference(block[0], &mut predicted[*part]);
                    out.band(block, 1, 63, 0, long, false);
                } else if *first == 0 && *earlier == 0 {
                    out.difference(block[0] >> left, &mut predicted[*part]);
                } else if *first == 0 {
                    out.bits((block[0] >> left & 1) as u32, 1);
                } else if *earlier == 0 {
                    out.band(block, *first, *last, *left, long, true);
                } else {
                    out.refined(block, *first, *last, *left, long);
                }
            }
        }
    }
    out.flush();
    pieces.push(out.bytes);
    pieces
}

/// The bits of a scan.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    byte: u32,
    count: u32,
    /// Blocks without anything new that were not written yet, and the bits that belong to them.
    empty: u32,
    waiting: Vec<bool>,
    long: bool,
}

impl Writer {
    fn bits(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            self.byte = self.byte << 1 | (value >> bit & 1);
            self.count += 1;
            if self.count == 8 {
                self.bytes.push(self.byte as u8);
                if self.byte == 0xFF {
                    self.bytes.push(0);
                }
                (self.byte, self.count) = (0, 0);
            }
        }
    }

    fn flush(&mut self) {
        self.write_empty();
        while self.count > 0 {
            self.bits(1, 1);
        }
    }

    /// A symbol of an AC table.
    fn symbol(&mut self, symbol: u32, long: bool) {
        match (long, symbol) {
            (false, 0..254) => self.bits(symbol, 8),
            (false, _) => self.bits(508 + symbol - 254, 9),
            (true, 0..8) => self.bits((1 << (symbol + 1)) - 2, symbol + 1),
            (true, _) => self.bits(0xFF00 + symbol - 8, 16),
        }
    }

    fn number(&mut self, value: i32, length: u32) {
        self.bits(if value < 0 { value - 1 } else { value } as u32, length);
    }

    fn difference(&mut self, value: i32, predicted: &mut i32) {
        let difference = value - *predicted;
        *predicted = value;
        let length = length(difference);
        self.bits(length, 5);
        self.number(difference, length);
    }

    fn band(
        &mut self,
        block: &[i32; 64],
        first: usize,
        last: usize,
        left: u32,
        long: bool,
        runs: bool,
    ) {
        self.long = long;
        let mut zeros = 0;
        for &value in &block[first..=last] {
            let value = value.signum() * (value.abs() >> left);
            if value == 0 {
                zeros += 1;
                continue;
            }
            self.write_empty();
            while zeros > 15 {
                self.symbol(0xF0, long);
                zeros -= 16;
            }
            let length = length(value);
            self.symbol(zeros << 4 | length, long);
            self.number(value, length);
            zeros = 0;
        }
        if zeros > 0 {
            self.empty += 1;
            if !runs || self.empty == 0x7FFF {
                self.write_empty();
            }
        }
    }

    fn refined(&mut self, block: &[i32; 64], first: usize, last: usize, left: u32, long: bool) {
        self.long = long;
        let values: Vec<i32> = block.iter().map(|value| value.abs() >> left).collect();
        let end = (first..=last).rev().find(|at| values[*at] == 1).unwrap_or(0);
        let mut zeros = 0;
        let mut bits: Vec<bool> = Vec::new();
        for at in first..=last {
            if values[at] == 0 {
                zeros += 1;
                continue;
            }
            while zeros > 15 && at <= end {
                self.write_empty();
                self.symbol(0xF0, long);
                zeros -= 16;
                bits.drain(..).for_each(|bit| self.bits(u32::from(bit), 1));
            }
            if values[at] > 1 {
                bits.push(values[at] & 1 == 1);
                continue;
            }
            self.write_empty();
            self.symbol(zeros << 4 | 1, long);
            self.bits(u32::from(block[at] > 0), 1);
            bits.drain(..).for_each(|bit| self.bits(u32::from(bit), 1));
            zeros = 0;
        }
        if zeros > 0 || !bits.is_empty() {
            self.empty += 1;
            self.waiting.extend(bits);
            if self.empty == 0x7FFF || self.waiting.len() > 900 {
                self.write_empty();
            }
        }
    }

    fn write_empty(&mut self) {
        if self.empty > 0 {
            let length = self.empty.ilog2();
            self.symbol(length << 4, self.long);
            self.bits(self.empty, length);
            self.empty = 0;
            let waiting = std::mem::take(&mut self.waiting);
            waiting.into_iter().for_each(|bit| self.bits(u32::from(bit), 1));
        }
    }
}

/// Bits that a number needs.
fn length(value: i32) -> u32 {
    32 - value.unsigned_abs().leading_zeros()
}

/// Sixteen codes of five bits.
const DC_COUNTS: [u8; 16] = [0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// Codes of eight bits, and two of nine.
const AC_COUNTS: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 254, 2, 0, 0, 0, 0, 0, 0, 0];
/// One of each length up to eight, and the rest of sixteen bits.
const LONG_COUNTS: [u8; 16] = [1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 248];

const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Every kind that is worth a look, with a name of words with hyphens between.
pub(crate) fn kinds() -> Vec<(String, Kind)> {
    let three: [[(usize, usize); 3]; 19] = [
        [(1, 1), (1, 1), (1, 1)],
        [(2, 1), (1, 1), (1, 1)],
        [(1, 2), (1, 1), (1, 1)],
        [(2, 2), (1, 1), (1, 1)],
        [(4, 1), (1, 1), (1, 1)],
        [(1, 4), (1, 1), (1, 1)],
        [(4, 2), (1, 1), (1, 1)],
        [(2, 4), (1, 1), (1, 1)],
        [(3, 1), (1, 1), (1, 1)],
        [(1, 3), (1, 1), (1, 1)],
        [(2, 2), (2, 1), (2, 1)],
        [(2, 2), (1, 2), (1, 2)],
        [(2, 2), (2, 1), (1, 2)],
        [(4, 1), (2, 1), (2, 1)],
        [(2, 1), (2, 1), (2, 1)],
        // A first component with less than another.
        [(1, 1), (2, 2), (2, 2)],
        [(1, 1), (2, 1), (2, 1)],
        [(1, 2), (2, 1), (1, 1)],
        [(2, 1), (2, 2), (1, 1)],
    ];
    let four: [[(usize, usize); 4]; 3] =
        [[(1, 1); 4], [(2, 2), (1, 1), (1, 1), (2, 2)], [(2, 1), (1, 1), (1, 1), (2, 1)]];
    let scans = [Scans::Interleaved, Scans::Apart, Scans::FirstApart, Scans::Bands, Scans::Bits];
    let sizes = [(1, 1), (8, 8), (17, 13), (33, 50), (3, 70), (64, 48)];
    let mut kinds = Vec::new();
    let mut add = |colours: Colours, sampling: &[(usize, usize)], sizes: &[(usize, usize)]| {
        for scans in scans {
            for restart in [0, 1, 5] {
                for &size in sizes {
                    let factors: Vec<String> =
                        sampling.iter().map(|(h, v)| format!("{h}x{v}")).collect();
                    let name = format!(
                        "{colours:?}-{}-{scans:?}-restart{restart}-{}x{}",
                        factors.join("_"),
                        size.0,
                        size.1
                    );
                    let sampling = sampling.to_vec();
                    kinds.push((name, Kind { size, colours, sampling, scans, restart }));
                }
            }
        }
    };
    for sampling in &three {
        add(Colours::YCbCr, sampling, &sizes);
    }
    for colours in [Colours::BareYCbCr, Colours::AdobeRgb, Colours::NamedRgb] {
        for sampling in &three[..4] {
            add(colours, sampling, &sizes[2..4]);
        }
    }
    for factors in [(1, 1), (2, 2), (1, 2)] {
        add(Colours::Grey, &[factors], &sizes);
    }
    for colours in [Colours::Cmyk, Colours::Ycck] {
        for sampling in &four {
            add(colours, sampling, &sizes[2..5]);
        }
    }
    kinds
}

/// The picture in all of them: soft colours, and an edge.
pub(crate) fn colour(x: usize, y: usize) -> [u8; 3] {
    let wave = |a: f32, b: f32| (127.0 + 90.0 * (x as f32 * a + y as f32 * b).sin()) as u8;
    let edge = if x + 2 * y > 60 && x < 40 { 30 } else { 0 };
    [wave(0.08, 0.05) + edge, wave(0.05, -0.07), wave(-0.04, 0.09) / 2 + edge]
}
