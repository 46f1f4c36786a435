//! The JPEG decoder, written for this crate: it reads baseline and progressive files of 8 bits. [`decode`]
//! hands the picture's rows one by one to the `RowReceiver` of `photo/mod.rs`, at the file's size or
//! reduced; [`header`] reads the size alone. `photo/mod.rs` calls both.
//!
//! The decoders that other crates offer were measured over the files of `examples/photo_corpus.rs`, and
//! `docs/photos.md` has the table. `zune-jpeg` makes other pictures of many valid files without a word;
//! `jpeg-decoder`, which does well, is in maintenance mode and keeps every coefficient of a progressive
//! photo. This one reads baseline and progressive files of 8 bits with any whole sampling factors, in any
//! number of scans, within [`MAX_COEFFICIENT_BYTES`] and a few rows, and distinguishes a file that lost
//! pixels from one that lost only its end marker.

mod coefficients;
mod frame;
mod huffman;
mod idct;
mod planes;
mod scan;

use coefficients::{CoefficientReader, Coefficients};
use frame::Frame;
use huffman::{Bits, HuffmanTable};
use planes::{Colours, Planes};
use scan::{BlockReader, NATURAL, Scan, read_blocks, sequential};

use crate::error::PaintError;
use crate::photo::RowReceiver;

/// Why a JPEG cannot be read.
#[derive(Debug)]
pub(super) enum JpegError {
    /// The file ends within the picture.
    Short,
    /// A scan names a table that the file does not have.
    NoTable,
    /// It makes no sense.
    Damaged(&'static str),
    /// It is of a kind that is not read here.
    Unsupported(String),
}

fn damaged(reason: &'static str) -> JpegError {
    JpegError::Damaged(reason)
}

impl From<JpegError> for PaintError {
    fn from(fault: JpegError) -> Self {
        let corrupt = |reason: &str| Self::Corrupt { reason: reason.to_owned() };
        match fault {
            JpegError::Short => corrupt("the file ends before the picture does"),
            JpegError::NoTable => corrupt("a scan names a table that the file does not have"),
            JpegError::Damaged(reason) => corrupt(reason),
            JpegError::Unsupported(what) => Self::Unsupported { what },
        }
    }
}

/// Decodes a JPEG file. Its rows go to `source`, which is asked for the wanted size first.
pub(super) fn decode(bytes: &[u8], source: &mut RowReceiver) -> Result<(), PaintError> {
    // From behind the start marker, by which the file was recognised.
    let mut file = JpegFile { bytes, at: 2, ..JpegFile::default() };
    file.read(source)
}

/// Reads a JPEG file up to the header of its frame.
pub(super) fn header(bytes: &[u8], source: &mut RowReceiver) -> Result<(), PaintError> {
    let mut file = JpegFile { bytes, at: 2, ..JpegFile::default() };
    loop {
        match file.segment()? {
            // These three of the range begin no frame: Huffman tables, a reserved marker, and the
            // settings of arithmetic coding.
            Some((marker @ 0xC0..=0xCF, segment)) if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                let frame = Frame::read(marker, segment)?;
                return source.begin(frame.width as u32, frame.height as u32);
            }
            Some((0xD9 | 0xDA, _)) | None => return Err(JpegError::Short.into()),
            Some(_) => {}
        }
    }
}

/// What was read of a file so far.
#[derive(Default)]
struct JpegFile<'a> {
    bytes: &'a [u8],
    /// Of the next marker.
    at: usize,
    frame: Option<Frame>,
    quantisations: [Option<[f32; 64]>; 4],
    dc: [Option<HuffmanTable>; 4],
    ac: [Option<HuffmanTable>; 4],
    /// Units between restarts.
    interval: usize,
    jfif: bool,
    adobe: Option<u8>,
    exif: Option<&'a [u8]>,
    /// Number and content of the pieces of a colour profile.
    profile: Vec<(u8, &'a [u8])>,
    scans: usize,
    coefficients: Vec<Coefficients>,
    side: usize,
}

impl<'a> JpegFile<'a> {
    fn read(&mut self, source: &mut RowReceiver) -> Result<(), PaintError> {
        loop {
            let Some((marker, segment)) = self.segment()? else {
                return self.finish(source, false);
            };
            match marker {
                0xC4 => self.huffman_tables(segment)?,
                0xDB => self.quantisation_tables(segment)?,
                0xDD => {
                    let &[high, low, ..] = segment else {
                        return Err(damaged("a restart interval is too short").into());
                    };
                    self.interval = usize::from(u16::from_be_bytes([high, low]));
                }
                0xC0..=0xCF if marker != 0xC8 && marker != 0xCC => {
                    if self.frame.is_some() {
                        return Err(damaged("it has two frames").into());
                    }
                    self.frame = Some(Frame::read(marker, segment)?);
                }
                // The picture is complete, so whatever the file has behind it is not read.
                0xDA if self.scan(segment, source)? => return Ok(()),
                0xD9 => return self.finish(source, true),
                0xE0 => self.jfif |= segment.starts_with(b"JFIF\0"),
                // The first block counts, as with other readers.
                0xE1 => self.exif = self.exif.or(segment.strip_prefix(b"Exif\0\0")),
                0xE2 => self.profile_piece(segment),
                // The twelfth byte says how the components make colours.
                0xEE if segment.starts_with(b"Adobe") => self.adobe = segment.get(11).copied(),
                _ => {}
            }
        }
    }

    /// The next marker and what belongs to it; what stands before it is passed over.
    fn segment(&mut self) -> Result<Option<(u8, &'a [u8])>, JpegError> {
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(next) = rest.windows(2).position(|pair| pair[0] == 0xFF && pair[1] != 0xFF)
            else {
                return Ok(None);
            };
            let marker = rest[next + 1];
            self.at += next + 2;
            match marker {
                // Filling, and restarts that belong to no scan.
                0 | 1 | 0xD0..=0xD7 => {}
                // The end of the first picture was lost, and another follows.
                0xD8 => return Ok(None),
                0xD9 => return Ok(Some((marker, &[]))),
                _ => {
                    let rest = self.bytes.get(self.at..).unwrap_or_default();
                    let &[high, low, ..] = rest else { return Err(JpegError::Short) };
                    // The length counts its own two bytes; with less the reading would not move on.
                    let length = usize::from(u16::from_be_bytes([high, low])).max(2);
                    let segment = rest.get(2..length).ok_or(JpegError::Short)?;
                    self.at += length;
                    return Ok(Some((marker, segment)));
                }
            }
        }
    }

    fn quantisation_tables(&mut self, mut segment: &[u8]) -> Result<(), JpegError> {
        let fault = || damaged("a quantisation table is too short");
        while let Some((&head, rest)) = segment.split_first() {
            let slot = self.quantisations.get_mut(usize::from(head & 15));
            let slot = slot.ok_or_else(|| damaged("a quantisation table has no such number"))?;
            let mut table = [0.0; 64];
            let wide = usize::from(head >> 4 != 0);
            let numbers = rest.get(..64 << wide).ok_or_else(fault)?;
            for (place, number) in numbers.chunks_exact(1 << wide).enumerate() {
                let number = number.iter().fold(0u16, |sum, byte| sum << 8 | u16::from(*byte));
                // Tables are stored in the order of the zigzag.
                table[usize::from(NATURAL[place])] = f32::from(number);
            }
            *slot = Some(table);
            segment = &rest[64 << wide..];
        }
        Ok(())
    }

    fn huffman_tables(&mut self, mut segment: &[u8]) -> Result<(), JpegError> {
        let fault = || damaged("a Huffman table is too short");
        while let Some((&head, rest)) = segment.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or_else(fault)?;
            let symbols: usize = counts.iter().map(|count| usize::from(*count)).sum();
            let symbols = rest.get(..symbols).ok_or_else(fault)?;
            let tables = if head >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            let slot = tables.get_mut(usize::from(head & 15));
            let slot = slot.ok_or_else(|| damaged("a Huffman table has no such number"))?;
            *slot = Some(HuffmanTable::new(counts, symbols)?);
            segment = &rest[symbols.len()..];
        }
        Ok(())
    }

    fn profile_piece(&mut self, segment: &'a [u8]) {
        // The count of pieces is not needed: those that came are put in the order of their numbers.
        if let Some(&[number, _, ref piece @ ..]) = segment.strip_prefix(b"ICC_PROFILE\0") {
            self.profile.push((number, piece));
        }
    }

    /// How the components make colours, as libjpeg guesses it.
    fn colours(&self, frame: &Frame) -> Colours {
        let ids: Vec<u8> = frame.components.iter().map(|part| part.id).collect();
        // Adobe's numbers: 0 for RGB and CMYK, 1 for YCbCr, 2 for YCCK.
        match (ids.len(), self.adobe) {
            (1, _) => Colours::Grey,
            (4, Some(2)) => Colours::Ycck,
            (4, _) => Colours::Cmyk,
            _ if self.jfif => Colours::YCbCr,
            (_, Some(0)) => Colours::Rgb,
            (_, Some(_)) => Colours::YCbCr,
            _ if ids == *b"RGB" => Colours::Rgb,
            _ => Colours::YCbCr,
        }
    }

    /// Reads a scan. Whether that was all of the picture.
    fn scan(&mut self, segment: &[u8], source: &mut RowReceiver) -> Result<bool, PaintError> {
        let mut frame =
            self.frame.take().ok_or_else(|| damaged("a scan comes before its frame"))?;
        let scan = Scan::read(segment, &frame)?;
        self.scans += 1;
        if self.scans > MAX_SCANS {
            return Err(damaged("it has too many scans").into());
        }
        for (part, ..) in &scan.parts {
            let part = &mut frame.components[*part];
            // Later tables of the same number are for other components.
            if part.quantisation.is_none() {
                let table = self.quantisations[part.quantisation_slot];
                part.quantisation = Some(table.ok_or(JpegError::NoTable)?);
            }
        }
        let whole = !frame.progressive && scan.parts.len() == frame.components.len();
        if self.scans == 1 {
            self.begin(&frame, source)?;
        }
        let mut bits = Bits::new(self.bytes, self.at);
        // One scan has all components: rows are made as they are read, and no coefficient is kept.
        if whole && self.scans == 1 {
            let colours = self.colours(&frame);
            let mut tables = Vec::new();
            for (_, dc, ac) in &scan.parts {
                let (Some(dc), Some(ac)) = (&self.dc[*dc], &self.ac[*ac]) else {
                    return Err(JpegError::NoTable.into());
                };
                tables.push((dc, ac));
            }
            let mut painted = SequentialScan {
                scan: &scan,
                frame: &frame,
                tables,
                side: self.side,
                planes: Planes::new(&frame, self.side, colours),
                predicted: [0; 4],
                source,
            };
            read_blocks(&frame, &scan, self.interval, &mut bits, &mut painted)?;
            self.at = bits.end();
            self.frame = Some(frame);
            if !self.has_end_marker() {
                source.note(NO_END);
            }
            return Ok(true);
        }
        // The first of several scans. What they bring is kept until the last, at a size
        // that memory holds.
        if self.coefficients.is_empty() {
            self.side = coefficients::largest_side_within(&frame, self.side, MAX_COEFFICIENT_BYTES);
            source.scaled(frame.size_at(self.side));
            let side = self.side;
            self.coefficients =
                frame.components.iter().map(|part| Coefficients::new(part.padded, side)).collect();
        }
        let mut coefficients: Vec<Option<&mut Coefficients>> =
            self.coefficients.iter_mut().map(Some).collect();
        let mut parts = Vec::new();
        for (part, dc, ac) in &scan.parts {
            // Each component is in a scan once (`Scan::read`), so each is borrowed once.
            let coefficients = coefficients[*part].take().ok_or(JpegError::NoTable)?;
            parts.push((coefficients, self.dc[*dc].as_ref(), self.ac[*ac].as_ref()));
        }
        let mut reader = CoefficientReader {
            scan: &scan,
            progressive: frame.progressive,
            parts,
            predicted: [0; 4],
            empty: 0,
        };
        read_blocks(&frame, &scan, self.interval, &mut bits, &mut reader)?;
        reader.finish_scan();
        self.at = bits.end();
        self.frame = Some(frame);
        Ok(false)
    }

    /// The header is read: asks for the size, and passes on the metadata.
    fn begin(&mut self, frame: &Frame, source: &mut RowReceiver) -> Result<(), PaintError> {
        source.begin(frame.width as u32, frame.height as u32)?;
        if let Some(exif) = self.exif {
            source.orientation(exif);
        }
        self.profile.sort_by_key(|(number, _)| *number);
        let length: usize = self.profile.iter().map(|(_, piece)| piece.len()).sum();
        if length > 0 {
            let pieces: Vec<&[u8]> = self.profile.iter().map(|(_, piece)| *piece).collect();
            source.profile(&pieces.concat(), frame.components.len() == 1);
        }
        let (width, height) = source.wanted();
        // The transform itself can make an eighth, a quarter or a half of the size. The
        // smallest that is no less than wanted is taken, which also saves the most
        // time; the rest is resampled.
        let enough = |side: &usize| {
            let (across, down) = frame.size_at(*side);
            across >= width as usize && down >= height as usize
        };
        self.side = [1, 2, 4].into_iter().find(enough).unwrap_or(8);
        source.scaled(frame.size_at(self.side));
        Ok(())
    }

    /// The end of the file, or its marker: makes the rows of what the scans have brought.
    fn finish(&mut self, source: &mut RowReceiver, marked: bool) -> Result<(), PaintError> {
        let Some(frame) = self.frame.take() else {
            return Err(JpegError::Short.into());
        };
        // A scan for each component is the least there must be. Without the end marker, nothing may
        // be missing of any of them.
        let begun = frame.components.iter().all(|part| part.quantisation.is_some());
        let complete = self.coefficients.iter().all(Coefficients::is_complete);
        if self.coefficients.is_empty() || !begun || !(marked || complete) {
            return Err(JpegError::Short.into());
        }
        if !marked {
            source.note(NO_END);
        }
        let mut planes = Planes::new(&frame, self.side, self.colours(&frame));
        for unit in 0..frame.units.1 {
            for (i, part) in frame.components.iter().enumerate() {
                let Some(quantisation) = &part.quantisation else {
                    return Err(JpegError::Short.into());
                };
                for y in unit * part.sampling.1..(unit + 1) * part.sampling.1 {
                    for x in 0..part.padded.0 {
                        let block = self.coefficients[i].block(x, y, quantisation);
                        let (out, stride) = planes.block(i, x, y);
                        idct::inverse(&block, self.side, out, stride);
                    }
                }
            }
            planes.row_done(&mut |row| source.row(row));
        }
        Ok(())
    }

    /// Whether the end marker follows, or anything else a writer puts there; only a file that is
    /// over has lost it.
    fn has_end_marker(&mut self) -> bool {
        matches!(self.segment(), Ok(Some(_)))
    }
}

/// Paints the blocks of a sequential scan as they come.
struct SequentialScan<'a> {
    scan: &'a Scan,
    frame: &'a Frame,
    tables: Vec<(&'a HuffmanTable, &'a HuffmanTable)>,
    side: usize,
    planes: Planes,
    predicted: [i32; 4],
    source: &'a mut RowReceiver,
}

impl BlockReader for SequentialScan<'_> {
    #[inline]
    fn block(
        &mut self,
        bits: &mut Bits<'_>,
        part: usize,
        x: usize,
        y: usize,
    ) -> Result<(), JpegError> {
        let (dc, ac) = self.tables[part];
        let component = self.scan.parts[part].0;
        let Some(quantisation) = &self.frame.components[component].quantisation else {
            return Err(JpegError::NoTable);
        };
        let mut block = [0.0; 64];
        sequential(bits, dc, ac, &mut self.predicted[part], |place, value| {
            let natural = usize::from(NATURAL[place]);
            // Multiplied only where there is a coefficient: most of a block is zero.
            block[natural] = value as f32 * quantisation[natural];
        })?;
        let (out, stride) = self.planes.block(component, x, y);
        idct::inverse(&block, self.side, out, stride);
        Ok(())
    }

    fn restart(&mut self) {
        self.predicted = [0; 4];
    }

    fn row_done(&mut self, _: usize) {
        self.planes.row_done(&mut |row| self.source.row(row));
    }
}

/// Bytes that the coefficients of a picture in several scans may take.
const MAX_COEFFICIENT_BYTES: usize = 104 << 20;

/// Scans that a file may have: each costs time for the whole picture, however short it is.
const MAX_SCANS: usize = 100;

const NO_END: &str = "the JPEG has no end marker; its pixels are all there";
