//! [`open`]: opens a manifest file and decodes it as UTF-8 text: UTF-8, UTF-16 with a byte order mark, or,
//! with a warning, Windows-1252 where the file's letters are not UTF-8. It refuses a workbook, an archive
//! or another file that is no text. `csv.rs` and `json_lines.rs` read their rows from it; `Manifest::at`
//! reads the beginning, where a file's name does not tell its format.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use effects_core::Error;
use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::table_copy::TableCopy;
use super::{unreadable, unusable};

/// A manifest being read as UTF-8.
pub(super) type TextReader = Box<dyn BufRead + Send>;

/// Opens a manifest past the mark that it may begin with; with what a person should know of that.
/// `path` is that of its file, for messages.
pub(super) fn open(path: &Path, table: &TableCopy) -> Result<(TextReader, Option<String>), Error> {
    let fails = |error: io::Error| unreadable(path, &error);
    let mut file = BufReader::new(table.reader());
    let start = file.fill_buf().map_err(fails)?;
    if let Some(what) = other_format(start) {
        return Err(unusable(path, what));
    }
    let (encoding, mark) = match start {
        [0xef, 0xbb, 0xbf, ..] => (UTF_8, 3),
        [0xff, 0xfe, ..] => (UTF_16LE, 2),
        [0xfe, 0xff, ..] => (UTF_16BE, 2),
        _ if start.contains(&0) => {
            let why =
                "it has zero bytes, so it is no text, or UTF-16 without a mark: save it as UTF-8";
            return Err(unusable(path, why));
        }
        // Read to its end for this: the first letter that is not ASCII may be anywhere in it.
        _ => (unmarked(table.reader()).map_err(fails)?, 0),
    };
    file.consume(mark);
    if encoding == UTF_8 {
        // Cells that are not UTF-8 after all are reported row by row.
        return Ok((Box::new(file), None));
    }
    let warning = (encoding == WINDOWS_1252).then(|| {
        "it is not UTF-8 and is read as Windows-1252 (Latin-1): look whether letters with accents are \
         right, or save it as UTF-8"
            .to_owned()
    });
    let decoder = encoding.new_decoder_without_bom_handling();
    let decoded = Utf8Decoder { file, decoder, is_over: false };
    Ok((Box::new(BufReader::new(decoded)), warning))
}

/// What a file is that is no text, and the way out.
fn other_format(start: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 5] = [
        (
            b"PK\x03\x04",
            "it is an Excel workbook (.xlsx) or another ZIP archive under another name: save the \
             sheet as CSV (UTF-8)",
        ),
        (
            b"\xd0\xcf\x11\xe0",
            "it is an old Excel workbook (.xls) under another name: save the sheet as CSV (UTF-8)",
        ),
        (b"PAR1", "it is a Parquet file: write it as CSV or JSON Lines"),
        (b"\x1f\x8b", "it is compressed with gzip: unpack it first"),
        (b"%PDF", "it is a PDF: give the table as CSV or JSON Lines"),
    ];
    known.into_iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, what)| what)
}

/// The encoding of a file without a mark. It is an older code page only where nothing but ASCII is UTF-8:
/// a file of which one cell alone is broken would get other letters in all the others.
fn unmarked(mut file: impl Read) -> io::Result<&'static Encoding> {
    let (mut buffer, mut kept) = (vec![0; 1 << 16], 0);
    let (mut letters, mut broken) = (false, false);
    loop {
        let read = file.read(&mut buffer[kept..])?;
        let filled = kept + read;
        let mut rest = &buffer[..filled];
        while let Err(error) = std::str::from_utf8(rest) {
            let (valid, after) = rest.split_at(error.valid_up_to());
            letters |= !valid.is_ascii();
            rest = after;
            match error.error_len() {
                // A letter that the end of the buffer cuts.
                None if read > 0 => break,
                None => (broken, rest) = (true, &[]),
                Some(length) => (broken, rest) = (true, &after[length..]),
            }
        }
        // The bytes of a letter that the buffer's end cut go to its front, and the next read adds the
        // rest.
        kept = if std::str::from_utf8(rest).is_ok() { 0 } else { rest.len() };
        letters |= kept == 0 && !rest.is_ascii();
        if read == 0 {
            break;
        }
        let filled = filled - kept..filled;
        buffer.copy_within(filled, 0);
    }
    Ok(if broken && !letters { WINDOWS_1252 } else { UTF_8 })
}

/// Decodes what it reads.
struct Utf8Decoder<R> {
    file: R,
    decoder: Decoder,
    is_over: bool,
}

impl<R: BufRead> Read for Utf8Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.is_over {
            let coded = self.file.fill_buf()?;
            let is_last = coded.is_empty();
            let (result, read, written, _) = self.decoder.decode_to_utf8(coded, buffer, is_last);
            self.file.consume(read);
            self.is_over = is_last && result == CoderResult::InputEmpty;
            // 0 bytes would be the end for the reader, and half a letter decodes to none yet.
            if written > 0 {
                return Ok(written);
            }
        }
        Ok(0)
    }
}
