//! [`decode`] and [`header`]: the PNG decoder, on the crate `png`. [`decode`] hands the picture's rows one
//! by one, its colour profile and its EXIF block to the `RowReceiver` of `photo/mod.rs`; [`header`] reads
//! the size alone. `photo/mod.rs` calls both.

use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, Limits, Reader, Transformations};

use crate::error::PaintError;
use crate::photo::{RowReceiver, corrupt, exif, opaque};

/// Reads the header of a PNG file.
pub(super) fn header(bytes: &[u8], source: &mut RowReceiver) -> Result<(), PaintError> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    let header = decoder.read_header_info().map_err(|error| corrupt(&error.to_string()))?;
    source.begin(header.width, header.height)
}

/// Decodes a PNG file; with `checked`, its checksums must be right.
pub(super) fn decode(
    bytes: &[u8],
    checked: bool,
    source: &mut RowReceiver,
) -> Result<(), PaintError> {
    let fault = |error: png::DecodingError| corrupt(&error.to_string());
    // Compressed metadata (a profile, texts) can be a decompression bomb, too.
    let mut decoder =
        Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: MAX_METADATA_BYTES });
    decoder.ignore_checksums(!checked);
    // Palettes, and greys of fewer than eight bits, come as whole bytes.
    decoder.set_transformations(Transformations::EXPAND);
    let header = decoder.read_header_info().map_err(fault)?;
    source.begin(header.width, header.height)?;
    let mut reader = decoder.read_info().map_err(fault)?;
    let info = reader.info();
    let size = (info.width, info.height);
    let interlaced = info.interlaced;
    // A file that says it is sRGB needs no conversion.
    if let Some(profile) = info.icc_profile.as_ref().filter(|_| info.srgb.is_none()) {
        let is_grey = matches!(info.color_type, ColorType::Grayscale | ColorType::GrayscaleAlpha);
        source.profile(profile, is_grey);
    }
    if interlaced {
        interlaced_rows(&mut reader, size, source)?;
    } else {
        source.scaled((size.0 as usize, size.1 as usize));
        let mut row = vec![0; reader.output_line_size(size.0).unwrap_or_default()];
        let kind = reader.output_color_type();
        let mut rgb = Vec::new();
        for _ in 0..size.1 {
            let taken = reader.read_row(&mut row).map_err(fault)?;
            taken.ok_or_else(|| corrupt("pixels are missing"))?;
            rgb.clear();
            to_rgb(&row, kind, &mut rgb)?;
            source.row(&rgb);
        }
    }
    // The pixels are there. What follows them can only be missing.
    if reader.finish().is_err() {
        // Only near the end: the same letters may occur among the pixels.
        let ends = bytes.windows(4).rev().take(64).any(|kind| kind == b"IEND");
        source.note(if ends { WRONG_CHECKSUM } else { NO_END });
    }
    // Asked again: chunks behind the pixels are known only now.
    let info = reader.info();
    let block = info.exif_metadata.as_ref().map(|block| block.to_vec());
    let block = block.or_else(|| {
        let is_exif = |keyword: &str| RAW_PROFILES.contains(&keyword);
        let packed = info.compressed_latin1_text.iter().filter(|chunk| is_exif(&chunk.keyword));
        let unpacked = packed.filter_map(|chunk| {
            let mut chunk = chunk.clone();
            chunk.decompress_text_with_limit(MAX_TEXT_BYTES).ok()?;
            chunk.get_text().ok()
        });
        let plain = info.uncompressed_latin1_text.iter();
        let plain = plain.filter(|chunk| is_exif(&chunk.keyword)).map(|chunk| chunk.text.clone());
        unpacked.chain(plain).find_map(|text| exif::from_raw_profile(&text))
    });
    if let Some(block) = block {
        source.orientation(&block);
    }
    Ok(())
}

/// An interlaced picture comes in seven passes over all of it, so that it has to be held. Of a large
/// one only the passes are taken that make it up at a half, a quarter or an eighth.
fn interlaced_rows(
    reader: &mut Reader<Cursor<&[u8]>>,
    (width, height): (u32, u32),
    source: &mut RowReceiver,
) -> Result<(), PaintError> {
    let fault = |error: png::DecodingError| corrupt(&error.to_string());
    let (width, height) = (width as usize, height as usize);
    let bytes_at = |step: usize| width.div_ceil(step) * height.div_ceil(step) * 3;
    let step =
        [1, 2, 4].into_iter().find(|step| bytes_at(*step) <= MAX_INTERLACED_BYTES).unwrap_or(8);
    let (columns, rows) = (width.div_ceil(step), height.div_ceil(step));
    let mut whole = vec![0; columns * rows * 3];
    let kind = reader.output_color_type();
    let mut line = vec![0; reader.output_line_size(width as u32).unwrap_or_default()];
    let mut rgb = Vec::new();
    for (left, top, across, down) in PASSES {
        // The file has no rows of a pass in which the picture has no pixels.
        if left >= width {
            continue;
        }
        for y in (top..height).step_by(down) {
            let taken = reader.read_row(&mut line).map_err(fault)?;
            taken.ok_or_else(|| corrupt("pixels are missing"))?;
            if y % step != 0 {
                continue;
            }
            let pixels = (width - left).div_ceil(across);
            let length = reader.output_line_size(pixels as u32).unwrap_or_default();
            rgb.clear();
            to_rgb(&line[..length.min(line.len())], kind, &mut rgb)?;
            for (x, pixel) in (left..).step_by(across).zip(rgb.as_chunks::<3>().0) {
                if x % step == 0 {
                    whole[(y / step * columns + x / step) * 3..][..3].copy_from_slice(pixel);
                }
            }
        }
    }
    source.scaled((columns, rows));
    for row in whole.chunks_exact(columns * 3) {
        source.row(row);
    }
    Ok(())
}

/// Where the passes of an interlaced picture begin, and their steps.
const PASSES: [(usize, usize, usize, usize); 7] = [
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
];

fn to_rgb(
    row: &[u8],
    (colours, depth): (ColorType, BitDepth),
    rgb: &mut Vec<u8>,
) -> Result<(), PaintError> {
    let channels = colours.samples();
    match depth {
        BitDepth::Eight => opaque(row, channels, rgb),
        BitDepth::Sixteen => {
            // 65,535 is 257 times 255, so that white stays white.
            let narrow =
                |wide: &[u8; 2]| ((u32::from(u16::from_be_bytes(*wide)) + 128) / 257) as u8;
            let narrow: Vec<u8> = row.as_chunks::<2>().0.iter().map(narrow).collect();
            opaque(&narrow, channels, rgb);
        }
        _ => return Err(corrupt("it has an unknown kind of pixel")),
    }
    Ok(())
}

/// Bytes that a colour profile, texts and a row may take.
const MAX_METADATA_BYTES: usize = 16 << 20;

/// What is noted of a file with a wrong checksum.
pub(super) const WRONG_CHECKSUM: &str = "a checksum of the PNG is wrong; its pixels are all there";
const NO_END: &str = "the PNG breaks off behind its pixels; they are all there";

/// The texts that other programs keep an EXIF block in.
const RAW_PROFILES: [&str; 2] = ["Raw profile type exif", "Raw profile type APP1"];

/// Bytes that such a text may have; an EXIF block in a JPEG has 64 KiB at most.
const MAX_TEXT_BYTES: usize = 256 << 10;

/// Bytes that an interlaced picture may take.
const MAX_INTERLACED_BYTES: usize = 64 << 20;
