//! [`HuffmanTable`]: decodes the Huffman codes of a JPEG scan; [`Bits`] reads the scan's bits from the
//! file, up to the next marker. The decoder in `jpeg/mod.rs` makes both; the readers of blocks in `scan.rs`
//! and `coefficients.rs` decode with them.

use super::{JpegError, damaged};

/// A Huffman table: a look-up of the short codes, and the ranges of the long ones.
#[derive(Clone, Debug)]
pub(super) struct HuffmanTable {
    /// By the next [`SHORT`] bits: the symbol and its code's length, 0 for a longer code.
    short: Vec<(u8, u8)>,
    /// For each length, the first code beyond it, left-aligned to 16 bits, and what to add to a
    /// code to find its symbol.
    ends: [u32; 17],
    offsets: [i32; 17],
    symbols: Vec<u8>,
}

impl HuffmanTable {
    /// A table from the numbers of codes of the lengths 1 to 16, and the symbols in their order.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Result<Self, JpegError> {
        let mut table = Self {
            short: vec![(0, 0); 1 << SHORT],
            ends: [0; 17],
            offsets: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut at) = (0u32, 0usize);
        for length in 1..=16 {
            let count = usize::from(counts[length - 1]);
            table.offsets[length] = at as i32 - code as i32;
            // More codes than this many bits can tell apart: the fill below would run
            // over the table.
            if code as usize + count > 1 << length || at + count > symbols.len() {
                return Err(damaged("a Huffman table has too many codes"));
            }
            for &symbol in &symbols[at..at + count] {
                if length <= SHORT {
                    // All bits that begin with the code find it.
                    let first = (code << (SHORT - length)) as usize;
                    table.short[first..first + (1 << (SHORT - length))]
                        .fill((symbol, length as u8));
                }
                code += 1;
            }
            at += count;
            table.ends[length] = code << (16 - length);
            code <<= 1;
        }
        Ok(table)
    }
}

/// Bits of a code that are looked up at once.
const SHORT: usize = 9;

/// Reads the bits of a scan from the bytes of the file, up to the next marker.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// Of the next byte to read.
    at: usize,
    /// The next bits, from the top.
    buffer: u64,
    /// How many of them are of the file.
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, buffer: 0, count: 0 }
    }

    /// Where the next marker is looked for: behind the bytes whose bits were taken.
    pub(super) fn end(&self) -> usize {
        self.at
    }

    /// Reads bytes until 57 bits are there or a marker comes.
    fn fill(&mut self) {
        while self.count <= 56 {
            let byte = match self.bytes.get(self.at..) {
                Some(&[0xFF, 0, ..]) => {
                    self.at += 2;
                    0xFF
                }
                // A byte of all ones that ends the file may have lost its companion.
                Some(&[0xFF, ..] | &[]) | None => return,
                Some(&[byte, ..]) => {
                    self.at += 1;
                    byte
                }
            };
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    fn drop(&mut self, count: u32) -> Result<(), JpegError> {
        // Behind the last byte the buffer holds zeros, which are no bits of the file.
        if count > self.count {
            return Err(JpegError::Short);
        }
        self.buffer <<= count;
        self.count -= count;
        Ok(())
    }

    /// The next symbol of a table.
    #[inline]
    pub(super) fn symbol(&mut self, table: &HuffmanTable) -> Result<u8, JpegError> {
        // A code and the number behind it have sixteen bits each at most.
        if self.count < 32 {
            self.fill();
        }
        let (symbol, length) = table.short[(self.buffer >> (64 - SHORT)) as usize];
        if length > 0 {
            self.drop(u32::from(length))?;
            return Ok(symbol);
        }
        let next = (self.buffer >> 48) as u32;
        for length in SHORT + 1..=16 {
            if next < table.ends[length] {
                let code = (next >> (16 - length)) as i32;
                let symbol = usize::try_from(code + table.offsets[length]).ok();
                self.drop(length as u32)?;
                return symbol
                    .and_then(|at| table.symbols.get(at))
                    .copied()
                    .ok_or_else(|| damaged("a code stands for nothing"));
            }
        }
        // No code at all: the bits ran out, or they are none of this table's.
        Err(if self.count < 16 { JpegError::Short } else { damaged("a code stands for nothing") })
    }

    /// The next `count` bits, at most 16, as a number.
    #[inline]
    pub(super) fn take(&mut self, count: u32) -> Result<i32, JpegError> {
        if count == 0 {
            return Ok(0);
        }
        if self.count < count {
            self.fill();
        }
        let value = (self.buffer >> (64 - count)) as i32;
        self.drop(count)?;
        Ok(value)
    }

    /// The next `count` bits as a signed number: the lower half of the range means the negatives.
    #[inline]
    pub(super) fn signed(&mut self, count: u32) -> Result<i32, JpegError> {
        let value = self.take(count)?;
        // With a count of 0 both this and the value are 0.
        let half = 1 << count >> 1;
        Ok(if value < half { value - (1 << count) + 1 } else { value })
    }

    /// Leaves the rest of a byte, and passes the restart marker that must follow.
    pub(super) fn restart(&mut self) -> Result<(), JpegError> {
        self.buffer = 0;
        // A whole byte is left before the next marker, so the marker does not come where it must.
        if self.count >= 8 {
            return Err(damaged("a restart marker is missing"));
        }
        self.count = 0;
        // Any number of bytes 0xFF may stand before a marker.
        while let Some(&[0xFF, 0xFF, ..]) = self.bytes.get(self.at..) {
            self.at += 1;
        }
        match self.bytes.get(self.at..) {
            Some(&[0xFF, 0xD0..=0xD7, ..]) => {
                self.at += 2;
                Ok(())
            }
            Some(&[] | &[_]) | None => Err(JpegError::Short),
            Some(_) => Err(damaged("a restart marker is missing")),
        }
    }
}
