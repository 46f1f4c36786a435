//! [`Coefficients`]: the coefficients of one JPEG component, kept while the scans of a progressive file (or
//! of another one with several scans) bring them; only those are kept that the picture at its reduced size
//! needs. [`CoefficientReader`] reads a scan into them. The decoder in `jpeg/mod.rs` has [`Coefficients`]
//! for each component of such a file, at a size that memory holds ([`largest_side_within`]).
//!
//! Of each block only the lowest `side` by `side` are kept, which is all that the picture at `side`
//! eighths is made of. Of the others one bit is kept: whether they are zero, on which the reading
//! of later scans depends. So the picture's size is no bound to what a photo may have.

use super::JpegError;
use super::frame::Frame;
use super::huffman::{Bits, HuffmanTable};
use super::scan::{BlockReader, NATURAL, Scan, difference, sequential};

/// The coefficients of one component.
#[derive(Debug)]
pub(super) struct Coefficients {
    side: usize,
    /// Blocks in a row.
    across: usize,
    values: Vec<i16>,
    /// One bit for each coefficient of a block, by its place in the zigzag.
    set: Vec<u64>,
    /// How many low bits of each coefficient have not come yet.
    missing: [u8; 64],
}

impl Coefficients {
    pub(super) fn new(blocks: (usize, usize), side: usize) -> Self {
        let count = blocks.0 * blocks.1;
        Self {
            side,
            across: blocks.0,
            values: vec![0; count * side * side],
            set: vec![0; count],
            // More bits than any scan leaves: nothing has come of this coefficient.
            missing: [u8::MAX; 64],
        }
    }

    /// Bytes that a block takes.
    pub(super) const fn bytes_per_block(side: usize) -> usize {
        8 + 2 * side * side
    }

    /// Whether every bit of every coefficient has come.
    pub(super) fn is_complete(&self) -> bool {
        self.missing == [0; 64]
    }

    /// The coefficients of a block, each multiplied by its quantisation.
    pub(super) fn block(&self, x: usize, y: usize, quantisation: &[f32; 64]) -> [f32; 64] {
        let side = self.side;
        let values = &self.values[(y * self.across + x) * side * side..][..side * side];
        let mut block = [0.0; 64];
        for (row, values) in values.chunks_exact(side).enumerate() {
            for (column, value) in values.iter().enumerate() {
                block[8 * row + column] = f32::from(*value) * quantisation[8 * row + column];
            }
        }
        block
    }

    fn value(&mut self, block: usize, place: usize) -> Option<&mut i16> {
        let natural = usize::from(NATURAL[place]);
        let (row, column) = (natural / 8, natural % 8);
        let side = self.side;
        (row < side && column < side)
            .then(|| &mut self.values[block * side * side + row * side + column])
    }

    fn put(&mut self, block: usize, place: usize, value: i32) {
        self.set[block] |= 1 << place;
        if let Some(kept) = self.value(block, place) {
            // A valid coefficient fits. A damaged one is cut, and spoils its block alone.
            *kept = value as i16;
        }
    }

    /// One more bit of a coefficient that is not zero.
    fn refine(&mut self, block: usize, place: usize, bit: i16) {
        if let Some(kept) = self.value(block, place)
            // A bit that is there already is not added again, as in libjpeg.
            && *kept & bit == 0
        {
            *kept = kept.wrapping_add(if *kept < 0 { -bit } else { bit });
        }
    }
}

/// Reads a scan into the coefficients.
pub(super) struct CoefficientReader<'a> {
    pub(super) scan: &'a Scan,
    pub(super) progressive: bool,
    /// For each of the scan's components: its coefficients and its tables.
    pub(super) parts:
        Vec<(&'a mut Coefficients, Option<&'a HuffmanTable>, Option<&'a HuffmanTable>)>,
    pub(super) predicted: [i32; 4],
    /// Blocks that follow without anything new in them.
    pub(super) empty: u32,
}

impl CoefficientReader<'_> {
    /// Notes what the scan has brought, once it is read.
    pub(super) fn finish_scan(&mut self) {
        let (first, last) = self.scan.band;
        for (coefficients, ..) in &mut self.parts {
            coefficients.missing[first..=last].fill(self.scan.left as u8);
        }
    }
}

impl BlockReader for CoefficientReader<'_> {
    fn block(
        &mut self,
        bits: &mut Bits<'_>,
        part: usize,
        x: usize,
        y: usize,
    ) -> Result<(), JpegError> {
        let (coefficients, dc, ac) = &mut self.parts[part];
        let at = y * coefficients.across + x;
        let (first, last) = self.scan.band;
        let left = self.scan.left;
        if !self.progressive {
            let (Some(dc), Some(ac)) = (*dc, *ac) else { return Err(JpegError::NoTable) };
            let predicted = &mut self.predicted[part];
            return sequential(bits, dc, ac, predicted, |place, value| {
                coefficients.put(at, place, value);
            });
        }
        match (first, self.scan.earlier) {
            (0, 0) => {
                let predicted = &mut self.predicted[part];
                *predicted =
                    predicted.wrapping_add(difference(bits, dc.ok_or(JpegError::NoTable)?)?);
                coefficients.put(at, 0, predicted.wrapping_shl(left));
            }
            (0, _) => {
                if bits.take(1)? == 1
                    && let Some(kept) = coefficients.value(at, 0)
                {
                    *kept |= 1 << left;
                }
            }
            (_, 0) => {
                let ac = ac.ok_or(JpegError::NoTable)?;
                first_bits(bits, ac, coefficients, at, (first, last), left, &mut self.empty)?;
            }
            _ => {
                let ac = ac.ok_or(JpegError::NoTable)?;
                next_bit(bits, ac, coefficients, at, (first, last), left, &mut self.empty)?;
            }
        }
        Ok(())
    }

    fn restart(&mut self) {
        self.predicted = [0; 4];
        self.empty = 0;
    }

    fn row_done(&mut self, _: usize) {}
}

/// A block's coefficients of a band, all but their low bits.
fn first_bits(
    bits: &mut Bits<'_>,
    ac: &HuffmanTable,
    coefficients: &mut Coefficients,
    block: usize,
    (first, last): (usize, usize),
    left: u32,
    empty: &mut u32,
) -> Result<(), JpegError> {
    if *empty > 0 {
        *empty -= 1;
        return Ok(());
    }
    let mut at = first;
    while at <= last {
        let symbol = bits.symbol(ac)?;
        let (zeros, length) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        if length == 0 {
            if zeros != 15 {
                // Less one for this block, which is over.
                *empty = (1 << zeros) - 1 + bits.take(zeros as u32)? as u32;
                break;
            }
            at += 16;
            continue;
        }
        at += zeros;
        if at > last {
            return Err(super::damaged("a block has too many coefficients"));
        }
        coefficients.put(block, at, bits.signed(length)? << left);
        at += 1;
    }
    Ok(())
}

/// One more bit of a block's coefficients of a band: of those that are not zero, and new ones.
fn next_bit(
    bits: &mut Bits<'_>,
    ac: &HuffmanTable,
    coefficients: &mut Coefficients,
    block: usize,
    (first, last): (usize, usize),
    left: u32,
    empty: &mut u32,
) -> Result<(), JpegError> {
    let bit = 1i16 << left;
    let mut at = first;
    if *empty == 0 {
        while at <= last {
            let symbol = bits.symbol(ac)?;
            let (mut zeros, length) = (usize::from(symbol >> 4), symbol & 15);
            let new = match length {
                0 if zeros != 15 => {
                    // With this block, whose known coefficients still get their bits below.
                    *empty = (1 << zeros) + bits.take(zeros as u32)? as u32;
                    break;
                }
                0 => None,
                1 => Some(if bits.take(1)? == 1 { bit } else { -bit }),
                _ => return Err(super::damaged("a refinement has more than a bit")),
            };
            // The bits of those that are not zero stand between.
            while at <= last {
                if coefficients.set[block] >> at & 1 == 1 {
                    if bits.take(1)? == 1 {
                        coefficients.refine(block, at, bit);
                    }
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                at += 1;
            }
            if let Some(value) = new {
                if at > last {
                    return Err(super::damaged("a block has too many coefficients"));
                }
                coefficients.put(block, at, i32::from(value));
            }
            at += 1;
        }
    }
    if *empty > 0 {
        while at <= last {
            if coefficients.set[block] >> at & 1 == 1 && bits.take(1)? == 1 {
                coefficients.refine(block, at, bit);
            }
            at += 1;
        }
        *empty -= 1;
    }
    Ok(())
}

/// The largest size, in eighths and no larger than `wanted`, at which all coefficients take at most
/// `max_bytes` bytes; 1 if none does.
pub(super) fn largest_side_within(frame: &Frame, wanted: usize, max_bytes: usize) -> usize {
    let blocks: usize = frame.components.iter().map(|part| part.padded.0 * part.padded.1).sum();
    [8, 4, 2, 1]
        .into_iter()
        .filter(|side| *side <= wanted)
        .find(|side| blocks * Coefficients::bytes_per_block(*side) <= max_bytes)
        .unwrap_or(1)
}
