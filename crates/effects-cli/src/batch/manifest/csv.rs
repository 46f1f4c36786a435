//! [`read`]: checks the header of a CSV manifest and reads its rows, also as spreadsheets write them: with
//! one of four separators or that of a `sep=` line, rows cut short or filled with empty cells, rows of
//! nothing but separators. `Manifest::lines` calls it, and gets the rows one by one from [`ManifestLines`].

use std::io::{self, BufReader, Bytes, Chain, Cursor, Read};
use std::path::{Path, PathBuf};

use csv::{ByteRecord, Reader, ReaderBuilder};
use effects_core::{Error, count_of};

use super::columns::{self, Cells};
use super::table_copy::TableCopy;
use super::{ManifestLine, ManifestLines, text, unreadable, unusable};

pub(super) fn read(
    path: &Path,
    table: &TableCopy,
    has_template: bool,
    strict: bool,
) -> Result<ManifestLines, Error> {
    let (file, warning) = text::open(path, table)?;
    let warning = warning.map(|warning| format!("manifest {}: {warning}", path.display()));
    let lines = read_text(path, file, has_template, strict)?;
    let warnings = warning.into_iter().chain(lines.warnings.iter().cloned()).collect();
    Ok(lines.with_warnings(warnings))
}

fn read_text(
    path: &Path,
    file: impl Read + Send + 'static,
    has_template: bool,
    strict: bool,
) -> Result<ManifestLines, Error> {
    let mut feeds = LineFeedReader::new(file);
    let CsvStart { text, separator, lines } =
        CsvStart::of(&mut feeds).map_err(|error| unreadable(path, &error))?;
    // Rows of another length are looked at one by one, and the rest goes on.
    let mut reader = ReaderBuilder::new()
        .flexible(true)
        .delimiter(separator)
        .from_reader(Cursor::new(text).chain(feeds));
    let header = reader.byte_headers().map_err(|error| unusable(path, &error.to_string()))?;
    let names: Vec<String> =
        header.iter().map(|name| String::from_utf8_lossy(name).into()).collect();
    let warnings = check(path, &names, has_template, strict, lines + 1)?;
    let names = names.iter().map(|name| columns::normalised_name(name)).collect();
    let rows =
        CsvRows { reader, names, path: path.to_owned(), lines_before: lines, is_over: false };
    Ok(ManifestLines::new(rows).with_warnings(warnings))
}

/// The beginning of a manifest, to its header's end.
struct CsvStart {
    /// The header, with its line's end.
    text: Vec<u8>,
    separator: u8,
    /// How many lines were left out: a line that only names the separator, and blank ones.
    lines: u64,
}

impl CsvStart {
    fn of<R: Read>(feeds: &mut LineFeedReader<R>) -> io::Result<Self> {
        let (mut text, mut lines, mut named) = (feeds.line()?, 0, None);
        // Excel's own way to say which separator follows.
        if let [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', separator, b'\n'] = text[..] {
            (text, lines, named) = (feeds.line()?, 1, Some(separator));
        }
        // Blank lines before the header; names of columns have no line breaks.
        while !text.is_empty() && is_blank(&text) {
            text = feeds.line()?;
            lines += 1;
        }
        if let Some(separator) = named {
            return Ok(Self { text, separator, lines });
        }
        let separator = SEPARATORS
            .into_iter()
            // A tie goes to the comma. A separator within a quoted name makes no column of ours.
            .max_by_key(|separator| (known(&text, *separator), *separator == b','));
        Ok(Self { text, separator: separator.unwrap_or(b','), lines })
    }
}

/// How many of our columns a header names with this separator.
fn known(header: &[u8], separator: u8) -> usize {
    let mut reader = ReaderBuilder::new().delimiter(separator).from_reader(header);
    let names = reader.byte_headers().cloned().unwrap_or_default();
    let is_known =
        |name: &&[u8]| columns::is_known(&columns::normalised_name(&String::from_utf8_lossy(name)));
    names.iter().filter(is_known).count()
}

/// Refuses a header by which no row could be read. Returns a warning for each column that is left out.
fn check(
    path: &Path,
    given: &[String],
    has_template: bool,
    strict: bool,
    line: u64,
) -> Result<Vec<String>, Error> {
    let names: Vec<String> = given.iter().map(|name| columns::normalised_name(name)).collect();
    if names.iter().all(String::is_empty) {
        return Err(unusable(path, "it is empty: the first line names the columns"));
    }
    let mut needed = vec!["image"];
    needed.extend((!has_template).then_some("template"));
    for needed in needed {
        if names.iter().any(|name| name == needed) {
            continue;
        }
        let meant = given.iter().find(|name| columns::suggestion(name) == Some(needed));
        let hint = meant.map_or_else(String::new, |meant| format!(" (is it {:?}?)", meant.trim()));
        let way_out = if needed == "template" { ", and no --template is given" } else { "" };
        let why = format!("line {line}: it has no column {needed:?}{hint}{way_out}");
        return Err(unusable(path, &why));
    }
    if let Some(twice) = names
        .iter()
        .enumerate()
        .find(|(index, name)| columns::is_known(name) && names[..*index].contains(name))
    {
        return Err(unusable(path, &format!("line {line}: column {:?} is there twice", twice.1)));
    }
    if strict && let Some((name, meant)) = columns::lookalike(&names) {
        let why = format!(
            "line {line}: column {name:?} is not known and looks like {meant:?}: under --strict, \
             give it that name, or another"
        );
        return Err(unusable(path, &why));
    }
    let unknown = |name: &&String| !columns::is_known(&columns::normalised_name(name));
    let named = given.iter().filter(|name| !name.trim().is_empty());
    Ok(named.filter(unknown).map(|name| columns::unknown(name.trim())).collect())
}

struct CsvRows<R> {
    reader: Reader<Chain<Cursor<Vec<u8>>, LineFeedReader<R>>>,
    names: Vec<String>,
    path: PathBuf,
    /// Lines before those that are read.
    lines_before: u64,
    is_over: bool,
}

impl<R: Read> Iterator for CsvRows<R> {
    type Item = Result<ManifestLine, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.is_over {
                return None;
            }
            let mut record = ByteRecord::new();
            match self.reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(unusable(&self.path, &error.to_string())));
                }
            }
            // Spreadsheets write rows of nothing but separators below a table.
            if record.iter().all(is_blank) {
                continue;
            }
            // The reader is past the row, and its own word for where it began counts blank lines in.
            let within = record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
            // A quote left open to the end of the text has the last line feed in its cell, and the row
            // none after it.
            let unended = record.as_slice().ends_with(b"\n")
                && self.reader.get_ref().get_ref().1.was_end_read;
            let ends = within + u64::from(!unended);
            let begins = self.reader.position().line().saturating_sub(ends) + self.lines_before;
            let cells = cells(&self.names, &record, within > 0).map_err(|why| match within {
                0 => why,
                more => format!("{why}; the row has {} lines: is a quote left open?", more + 1),
            });
            return Some(Ok(ManifestLine { number: begins, cells }));
        }
    }
}

fn is_blank(cell: &[u8]) -> bool {
    cell.iter().all(u8::is_ascii_whitespace)
}

/// A text whose lines all end in a line feed, the last one too, so that rows can be counted.
struct LineFeedReader<R> {
    bytes: Bytes<BufReader<R>>,
    /// A carriage return whose line feed may follow, or what followed it instead.
    lookahead: Option<u8>,
    last: u8,
    is_over: bool,
    /// Whether the last read returned the end of the text: a row that ends then has no line feed.
    was_end_read: bool,
}

impl<R: Read> LineFeedReader<R> {
    fn new(file: R) -> Self {
        let bytes = BufReader::new(file).bytes();
        Self { bytes, lookahead: None, last: b'\n', is_over: false, was_end_read: false }
    }

    /// The next line, with its end; nothing at the end of the text.
    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        while let Some(byte) = self.next()? {
            line.push(byte);
            self.last = byte;
            if byte == b'\n' {
                break;
            }
        }
        Ok(line)
    }

    fn next(&mut self) -> io::Result<Option<u8>> {
        let byte = match self.lookahead.take() {
            Some(lookahead) => lookahead,
            None => match self.bytes.next().transpose()? {
                Some(byte) => byte,
                None if self.is_over || self.last == b'\n' => return Ok(None),
                None => {
                    self.is_over = true;
                    b'\n'
                }
            },
        };
        if byte != b'\r' {
            return Ok(Some(byte));
        }
        let next = self.bytes.next().transpose()?;
        // Alone it ends a line too, as it did on old machines.
        self.lookahead = next.filter(|next| *next != b'\n');
        Ok(Some(b'\n'))
    }
}

impl<R: Read> Read for LineFeedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let Some(byte) = self.next()? else { break };
            buffer[filled] = byte;
            self.last = byte;
            filled += 1;
        }
        // The CSV reader asks once more after the last byte, and takes the row that it has for whole
        // then.
        self.was_end_read = filled == 0;
        Ok(filled)
    }
}

/// The cells of a row. A spreadsheet cuts empty cells at a row's end, or adds some; a row that has line
/// breaks and another length is one whose quote was left open.
fn cells(names: &[String], record: &ByteRecord, has_line_breaks: bool) -> Result<Cells, String> {
    let (found, wanted) = (record.len(), names.len());
    let is_longer = record.iter().skip(wanted).any(|cell| !is_blank(cell));
    if is_longer || has_line_breaks && found != wanted {
        let found = count_of(found as u64, "column");
        return Err(format!("it has {found}, and the header has {wanted}"));
    }
    let mut cells = Cells::default();
    for (name, value) in names.iter().zip(record) {
        match std::str::from_utf8(value) {
            Ok(text) => drop(cells.put(name, text)),
            // What is in other columns is left out, whatever its encoding.
            Err(_) if columns::is_known(name) => {
                return Err(format!("column {name:?} is not UTF-8"));
            }
            Err(_) => {}
        }
    }
    Ok(cells)
}

/// What parts the columns: the header says which it is.
const SEPARATORS: [u8; 4] = [b'|', b'\t', b';', b','];

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(rows: &[ManifestLine]) -> Vec<u64> {
        rows.iter().map(|row| row.number).collect()
    }

    fn rows_of(text: &str) -> Vec<ManifestLine> {
        let path = Path::new("rows.csv");
        let lines = read_text(path, std::io::Cursor::new(text.to_owned()), false, false).unwrap();
        lines.map(Result::unwrap).collect()
    }

    fn refusal(text: &str) -> String {
        let file = std::io::Cursor::new(text.to_owned());
        read_text(Path::new("rows.csv"), file, false, false).err().unwrap().to_string()
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
    fn a_row_that_is_longer_by_more_than_empty_cells_is_one_bad_row() {
        let rows = rows_of("template,image\na\nb,c,, ,\nd,e,f\n,,\n , \ng,h");
        assert_eq!(rows.iter().filter(|row| row.cells.is_ok()).count(), 3);
        assert_eq!(numbers(&rows), [2, 3, 4, 7]);
        let why = rows[2].cells.as_ref().unwrap_err();
        assert_eq!((rows[2].number, why.as_str()), (4, "it has 3 columns, and the header has 2"));
    }

    #[test]
    fn any_separator_and_any_case_will_do() {
        for (header, row) in [
            ("Template, IMAGE ,Width", "a,b c.jpg,1024.0"),
            ("template;image;width", "a;b c.jpg;1024,0"),
            ("template\timage\twidth", "a\tb c.jpg\t1024"),
            ("\"template\"|\"image\"|\"width\"", "a|\"b c.jpg\"|1024"),
            ("sep=;\ntemplate;image;width", "a;b c.jpg;1024"),
            ("SEP=:\ntemplate:image:width", "a:b c.jpg:1024"),
            ("\n\ntemplate,image,width,\"a;b;image;template\"", "a,b c.jpg,1024,"),
            ("\n \t\ntemplate,image,width", "a,b c.jpg,1024"),
            ("sep=;\n\n \ntemplate;image;width", "a;b c.jpg;1024"),
        ] {
            let rows = rows_of(&format!("{header}\n{row}\n"));
            let cells = rows[0].cells.as_ref().unwrap();
            assert_eq!(cells.image.as_deref(), Some("b c.jpg"), "{header:?}");
            assert_eq!(cells.width.as_deref(), Some("1024"), "{header:?}");
            assert_eq!(rows[0].number, 2 + header.matches('\n').count() as u64, "{header:?}");
        }
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
            ("tempalte,image\n", "no column \"template\" (is it \"tempalte\"?)"),
            ("sep=;\ntempalte;image\n", "line 2: it has no column \"template\""),
            ("\n\r\ntempalte,image\n", "line 3: it has no column \"template\""),
            ("sep=;\n\ntempalte;image\n", "line 3: it has no column \"template\""),
            (" \n\n", "it is empty"),
            ("Image,template,IMAGE \n", "column \"image\" is there twice"),
            ("template,url\n", "no column \"image\" (is it \"url\"?)"),
            ("template,image,image\n", "column \"image\" is there twice"),
        ] {
            assert!(refusal(text).contains(why), "{}", refusal(text));
        }
    }
}
