//! A manifest as CSV: commas, a header, quotes where they are needed.

use std::io::{self, BufReader, Bytes, Read};
use std::path::{Path, PathBuf};

use csv::{ByteRecord, Reader, ReaderBuilder};
use effects_core::Error;

use super::columns::{self, Cells};
use super::{Line, Lines, unusable};

pub(super) fn read(
    path: &Path,
    file: impl Read + Send + 'static,
    has_template: bool,
) -> Result<Lines, Error> {
    // Rows of another length are reported, and the rest goes on.
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(LineFeeds::new(file));
    let header = reader.byte_headers().map_err(|error| unusable(path, &error.to_string()))?;
    let names: Vec<String> =
        header.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
    let warnings = check(path, &names, has_template)?;
    let rows = Rows { reader, names, path: path.to_owned(), over: false };
    Ok(Lines::new(rows).with_warnings(warnings))
}

/// A header without which no row could be read is told at once; what is left out, beside it.
fn check(path: &Path, names: &[String], has_template: bool) -> Result<Vec<String>, Error> {
    if let [only] = names
        && only.contains([';', '\t'])
    {
        return Err(unusable(path, "its columns are not parted by commas"));
    }
    if names.iter().all(String::is_empty) {
        return Err(unusable(path, "it is empty: the first line names the columns"));
    }
    let mut needed = vec!["image"];
    needed.extend((!has_template).then_some("template"));
    for needed in needed {
        if names.iter().any(|name| name == needed) {
            continue;
        }
        let meant = names.iter().find(|name| columns::suggestion(name) == Some(needed));
        let hint = meant.map_or_else(String::new, |meant| format!(" (is it {meant:?}?)"));
        let way_out = if needed == "template" { ", and no --template is given" } else { "" };
        let why = format!("line 1: it has no column {needed:?}{hint}{way_out}");
        return Err(unusable(path, &why));
    }
    if let Some(twice) = names.iter().enumerate().find(|(index, name)| {
        columns::NAMES.contains(&name.as_str()) && names[..*index].contains(name)
    }) {
        return Err(unusable(path, &format!("line 1: column {:?} is there twice", twice.1)));
    }
    let unknown = |name: &&String| !name.is_empty() && !columns::NAMES.contains(&name.as_str());
    Ok(names.iter().filter(unknown).map(|name| columns::unknown(name)).collect())
}

struct Rows<R> {
    reader: Reader<LineFeeds<R>>,
    names: Vec<String>,
    path: PathBuf,
    over: bool,
}

impl<R: Read> Iterator for Rows<R> {
    type Item = Result<Line, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let mut record = ByteRecord::new();
        match self.reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => {
                self.over = true;
                return Some(Err(unusable(&self.path, &error.to_string())));
            }
        }
        // The reader is past the row, and its own word for where it began counts blank lines in.
        let within = record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
        let unended = record.as_slice().ends_with(b"\n") && self.reader.get_ref().told_its_end;
        let ends = within + u64::from(!unended);
        let begins = self.reader.position().line().saturating_sub(ends);
        let cells = cells(&self.names, &record).map_err(|why| match within {
            0 => why,
            more => format!("{why}; the row has {} lines: is a quote left open?", more + 1),
        });
        Some(Ok(Line { number: begins, cells }))
    }
}

/// A text whose lines all end in a line feed, the last one too, so that rows can be counted.
struct LineFeeds<R> {
    bytes: Bytes<BufReader<R>>,
    /// A carriage return whose line feed may follow, or what followed it instead.
    held: Option<u8>,
    last: u8,
    over: bool,
    /// Whether whoever reads was told that there is no more: a row that ends then has no end.
    told_its_end: bool,
}

impl<R: Read> LineFeeds<R> {
    fn new(file: R) -> Self {
        let bytes = BufReader::new(file).bytes();
        Self { bytes, held: None, last: b'\n', over: false, told_its_end: false }
    }

    fn next(&mut self) -> io::Result<Option<u8>> {
        let byte = match self.held.take() {
            Some(held) => held,
            None => match self.bytes.next().transpose()? {
                Some(byte) => byte,
                None if self.over || self.last == b'\n' => return Ok(None),
                None => {
                    self.over = true;
                    b'\n'
                }
            },
        };
        if byte != b'\r' {
            return Ok(Some(byte));
        }
        let next = self.bytes.next().transpose()?;
        // Alone it ends a line too, as it did on old machines.
        self.held = next.filter(|next| *next != b'\n');
        Ok(Some(b'\n'))
    }
}

impl<R: Read> Read for LineFeeds<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let Some(byte) = self.next()? else { break };
            buffer[filled] = byte;
            self.last = byte;
            filled += 1;
        }
        self.told_its_end = filled == 0;
        Ok(filled)
    }
}

fn cells(names: &[String], record: &ByteRecord) -> Result<Cells, String> {
    if record.len() != names.len() {
        let (found, wanted) = (record.len(), names.len());
        return Err(format!("it has {found} columns, and the header has {wanted}"));
    }
    let mut cells = Cells::default();
    for (name, value) in names.iter().zip(record) {
        let Some(cell) = cells.named(name) else { continue };
        let Ok(text) = std::str::from_utf8(value) else {
            return Err(format!("column {name:?} is not UTF-8"));
        };
        let text = text.trim();
        *cell = (!text.is_empty()).then(|| text.to_owned());
    }
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(rows: &[Line]) -> Vec<u64> {
        rows.iter().map(|row| row.number).collect()
    }

    fn rows_of(text: &str) -> Vec<Line> {
        let path = Path::new("rows.csv");
        let lines = read(path, std::io::Cursor::new(text.to_owned()), false).unwrap();
        lines.map(Result::unwrap).collect()
    }

    fn refusal(text: &str) -> String {
        let file = std::io::Cursor::new(text.to_owned());
        read(Path::new("rows.csv"), file, false).err().unwrap().to_string()
    }

    #[test]
    fn quotes_line_breaks_and_blanks_are_read_as_they_are_meant() {
        let text = "template,image,key\r\n\
                    glass_ball,\"a \"\"b\"\", c.jpg\",\r\n\
                    \r\n\
                    my_world,\"two\nlines.jpg\",k\r\n\
                    my_world, d.jpg ,last";
        let rows = rows_of(text);
        let cells = |index: usize| rows[index].cells.as_ref().unwrap();
        assert_eq!(cells(0).image.as_deref(), Some("a \"b\", c.jpg"));
        assert_eq!(cells(0).key, None);
        assert_eq!(cells(1).image.as_deref(), Some("two\nlines.jpg"));
        assert_eq!(cells(2).image.as_deref(), Some("d.jpg"));
        assert_eq!(numbers(&rows), [2, 4, 6]);
        for ending in ["\n", "\r\n", "\r"] {
            let text = "template,image\na,b\n\nc,\"d\ne\"\nf,g".replace('\n', ending);
            assert_eq!(numbers(&rows_of(&text)), [2, 4, 6], "{ending:?}");
            assert_eq!(numbers(&rows_of(&format!("{text}{ending}{ending}"))), [2, 4, 6]);
        }
    }

    #[test]
    fn a_row_of_another_length_is_one_bad_row() {
        let rows = rows_of("template,image\na\nb,c\nd,e,f\ng,h");
        assert_eq!(rows.iter().filter(|row| row.cells.is_ok()).count(), 2);
        let why = rows[2].cells.as_ref().unwrap_err();
        assert_eq!((rows[2].number, why.as_str()), (4, "it has 3 columns, and the header has 2"));
    }

    #[test]
    fn a_quote_left_open_is_told() {
        let rows = rows_of("template,image,key\na,b,c\nd,\"e,f\ng,h,i\nj,k,l\n");
        assert_eq!(numbers(&rows), [2, 3]);
        let why = rows[1].cells.as_ref().unwrap_err();
        assert!(why.contains("2 columns") && why.contains("is a quote left open?"), "{why}");
    }

    #[test]
    fn a_header_that_no_row_can_be_read_by_is_refused() {
        for (text, why) in [
            ("", "it is empty"),
            ("template;image\n", "not parted by commas"),
            ("Template,image\n", "no column \"template\" (is it \"Template\"?)"),
            ("template,url\n", "no column \"image\" (is it \"url\"?)"),
            ("template,image,image\n", "column \"image\" is there twice"),
        ] {
            assert!(refusal(text).contains(why), "{}", refusal(text));
        }
    }
}
