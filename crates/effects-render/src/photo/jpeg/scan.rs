//! [`Scan`]: the header of a JPEG scan. [`read_blocks`] goes through the scan's blocks in the order of the
//! file, and a [`BlockReader`] reads each: `SequentialScan` (`jpeg/mod.rs`) where one scan has the whole
//! picture, `CoefficientReader` (`coefficients.rs`) where there are several. The decoder in `jpeg/mod.rs`
//! reads each scan with them.

use super::frame::Frame;
use super::huffman::{Bits, HuffmanTable};
use super::{JpegError, damaged};

/// What a scan's header says.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    /// Which components of the frame, and the numbers of their tables for DC and AC.
    pub(super) parts: Vec<(usize, usize, usize)>,
    /// The first and the last coefficient.
    pub(super) band: (usize, usize),
    /// How many low bits earlier scans have left, 0 in a first one, and how many this one leaves.
    pub(super) earlier: u32,
    pub(super) left: u32,
}

impl Scan {
    /// Reads the header of a scan from its segment.
    pub(super) fn read(segment: &[u8], frame: &Frame) -> Result<Self, JpegError> {
        let short = || damaged("a scan's header is too short");
        let (&count, rest) = segment.split_first().ok_or_else(short)?;
        let count = usize::from(count);
        if rest.len() < 2 * count + 3 {
            return Err(short());
        }
        let mut parts: Vec<(usize, usize, usize)> = Vec::new();
        for &[id, tables] in rest[..2 * count].as_chunks::<2>().0 {
            let part = frame.components.iter().position(|part| part.id == id);
            let part = part.ok_or_else(|| damaged("a scan is of an unknown component"))?;
            let (dc, ac) = (usize::from(tables >> 4), usize::from(tables & 15));
            if dc > 3 || ac > 3 || parts.iter().any(|(other, ..)| *other == part) {
                return Err(damaged("a scan's header makes no sense"));
            }
            parts.push((part, dc, ac));
        }
        let blocks: usize = parts
            .iter()
            .map(|(part, ..)| frame.components[*part].sampling)
            .map(|(h, v)| h * v)
            .sum();
        // The standard's own limit for an interleaved scan.
        if parts.is_empty() || (parts.len() > 1 && blocks > 10) {
            return Err(damaged("a scan's header makes no sense"));
        }
        let (first, last) = (usize::from(rest[2 * count]), usize::from(rest[2 * count + 1]));
        let (earlier, left) =
            (u32::from(rest[2 * count + 2] >> 4), u32::from(rest[2 * count + 2] & 15));
        if !frame.progressive {
            return Ok(Self { parts, band: (0, 63), earlier: 0, left: 0 });
        }
        // The standard's rules for progressive scans: the first coefficient alone, or others of one
        // component; each later scan adds one bit.
        let sensible = last < 64
            && left <= 13
            && (earlier == 0 || earlier == left + 1)
            && if first == 0 { last == 0 } else { first <= last && parts.len() == 1 };
        if !sensible {
            return Err(damaged("a scan's header makes no sense"));
        }
        Ok(Self { parts, band: (first, last), earlier, left })
    }
}

/// Takes what a scan has.
pub(super) trait BlockReader {
    /// Reads the block at this place of one of the scan's components, counted within the scan.
    fn block(
        &mut self,
        bits: &mut Bits<'_>,
        part: usize,
        x: usize,
        y: usize,
    ) -> Result<(), JpegError>;

    /// Begins anew, as at the scan's begin.
    fn restart(&mut self);

    /// A row of units was read.
    fn row_done(&mut self, y: usize);
}

/// Reads all blocks of a scan. `interval` is the number of units between restarts, 0 for none.
pub(super) fn read_blocks(
    frame: &Frame,
    scan: &Scan,
    interval: usize,
    bits: &mut Bits<'_>,
    blocks: &mut impl BlockReader,
) -> Result<(), JpegError> {
    let alone = scan.parts.len() == 1;
    // A scan of one component leaves out the blocks beyond the edges, which units have.
    let (across, down) = if alone { frame.components[scan.parts[0].0].blocks } else { frame.units };
    let mut until_restart = interval;
    for y in 0..down {
        for x in 0..across {
            if interval > 0 {
                // Asked before a unit and not after one: no restart follows the last unit.
                if until_restart == 0 {
                    bits.restart()?;
                    blocks.restart();
                    until_restart = interval;
                }
                until_restart -= 1;
            }
            if alone {
                blocks.block(bits, 0, x, y)?;
                continue;
            }
            for (i, (part, ..)) in scan.parts.iter().enumerate() {
                let (h, v) = frame.components[*part].sampling;
                for down in 0..v {
                    for across in 0..h {
                        blocks.block(bits, i, x * h + across, y * v + down)?;
                    }
                }
            }
        }
        blocks.row_done(y);
    }
    Ok(())
}

/// Reads a block of a sequential frame, and hands out the coefficients that are not zero by their
/// place in the zigzag.
#[inline]
pub(super) fn sequential(
    bits: &mut Bits<'_>,
    dc: &HuffmanTable,
    ac: &HuffmanTable,
    predicted: &mut i32,
    mut take: impl FnMut(usize, i32),
) -> Result<(), JpegError> {
    // A damaged file may add up to anything.
    *predicted = predicted.wrapping_add(difference(bits, dc)?);
    take(0, *predicted);
    let mut at = 1;
    while at < 64 {
        let symbol = bits.symbol(ac)?;
        let (zeros, length) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        if length == 0 {
            // Without a value, 15 stands for sixteen zeros, and any other number ends the block.
            if zeros != 15 {
                break;
            }
            at += 16;
            continue;
        }
        at += zeros;
        if at > 63 {
            return Err(damaged("a block has too many coefficients"));
        }
        take(at, bits.signed(length)?);
        at += 1;
    }
    Ok(())
}

/// A block's DC value, as the difference to the one before.
pub(super) fn difference(bits: &mut Bits<'_>, dc: &HuffmanTable) -> Result<i32, JpegError> {
    let length = u32::from(bits.symbol(dc)?);
    if length > 16 {
        return Err(damaged("a difference has too many bits"));
    }
    bits.signed(length)
}

/// From the zigzag to rows of eight.
pub(super) const NATURAL: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];
