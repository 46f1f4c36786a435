//! [`read`]: reads the rows of a JSON Lines manifest: one JSON object for each row, on one line or over
//! several. `Manifest::lines` calls it, and gets the rows one by one from [`ManifestLines`].

use std::collections::VecDeque;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use effects_core::Error;
use serde_json::{Map, Value};

use super::columns::{self, Cells};
use super::table_copy::TableCopy;
use super::{ManifestLine, ManifestLines, text, unreadable, unusable};

pub(super) fn read(path: &Path, table: &TableCopy, strict: bool) -> Result<ManifestLines, Error> {
    let (file, warning) = text::open(path, table)?;
    let mut rows = JsonRows::new(path, file, strict);
    let first = rows.line().transpose()?;
    // Read as lines it would be one bad row for each of them.
    if first.as_ref().is_some_and(|first| first.text.starts_with('[')) {
        return Err(unusable(
            path,
            "it is a JSON array: give each row as a JSON object on a line of its own, without [ ] and commas between them",
        ));
    }
    rows.unread.extend(first);
    let warning = warning.map(|warning| format!("manifest {}: {warning}", path.display()));
    Ok(ManifestLines::new(rows).with_warnings(warning.into_iter().collect()))
}

struct JsonRows<R> {
    file: R,
    path: PathBuf,
    strict: bool,
    /// Lines that were read and belong to no row yet.
    unread: VecDeque<TextLine>,
    number: u64,
    is_over: bool,
}

/// A line that is not blank.
struct TextLine {
    number: u64,
    text: String,
}

impl<R: BufRead> JsonRows<R> {
    fn new(path: &Path, file: R, strict: bool) -> Self {
        let path = path.to_owned();
        Self { file, path, strict, unread: VecDeque::new(), number: 0, is_over: false }
    }

    /// The next line.
    fn line(&mut self) -> Option<Result<TextLine, Error>> {
        if let Some(line) = self.unread.pop_front() {
            return Some(Ok(line));
        }
        let mut line = Vec::new();
        while !self.is_over {
            line.clear();
            self.number += 1;
            match self.file.read_until(b'\n', &mut line) {
                Ok(0) => self.is_over = true,
                Ok(_) if line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(_) => {
                    let text = String::from_utf8_lossy(&line).trim().to_owned();
                    return Some(Ok(TextLine { number: self.number, text }));
                }
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(unreadable(&self.path, &error)));
                }
            }
        }
        None
    }

    /// The object that begins with this line and goes on over the next ones, if it does; otherwise those
    /// lines are read again.
    fn object_of_lines(&mut self, first: &str) -> Result<Option<String>, Error> {
        let (mut text, mut taken) = (first.to_owned(), VecDeque::new());
        // The line may also be cut for good, so that lines are taken only where they make a whole object.
        while taken.len() < MAX_LINES && is_cut(&text) {
            let Some(line) = self.line().transpose()? else { break };
            text.push('\n');
            text.push_str(&line.text);
            taken.push_back(line);
        }
        if serde_json::from_str::<Map<String, Value>>(&text).is_ok() {
            return Ok(Some(text));
        }
        // They come before what was read ahead already.
        taken.append(&mut self.unread);
        self.unread = taken;
        Ok(None)
    }

    fn row(&mut self, line: &TextLine) -> Result<ManifestLine, Error> {
        let TextLine { number, text } = line;
        let number = *number;
        if !is_cut(text) {
            return Ok(ManifestLine { number, cells: cells(text, self.strict) });
        }
        if let Some(object) = self.object_of_lines(text)? {
            return Ok(ManifestLine { number, cells: cells(&object, self.strict) });
        }
        // One error for the whole object, not one for each of its lines.
        if text == "{" {
            self.is_over = true;
            self.unread.clear();
            let why = format!(
                "line {number}: the object that begins here cannot be read: give one object a line, or \
                 objects over several lines without commas between them"
            );
            return Err(unusable(&self.path, &why));
        }
        Ok(ManifestLine { number, cells: cells(text, self.strict) })
    }
}

/// Whether a text is the beginning of JSON.
fn is_cut(text: &str) -> bool {
    serde_json::from_str::<Map<String, Value>>(text).is_err_and(|error| error.is_eof())
}

impl<R: BufRead> Iterator for JsonRows<R> {
    type Item = Result<ManifestLine, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.line()?;
        Some(line.and_then(|line| self.row(&line)))
    }
}

fn cells(text: &str, strict: bool) -> Result<Cells, String> {
    let object: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| format!("it is not a JSON object: {}", plain(&error)))?;
    let mut cells = Cells::default();
    let mut names: Vec<String> = Vec::new();
    for (given, value) in object {
        let name = columns::normalised_name(&given);
        if let ("params", Value::Object(params)) = (name.as_str(), &value) {
            params.iter().for_each(|(name, value)| cells.param(name, value.clone()));
            names.push(name);
            continue;
        }
        if name == "params" && !value.is_null() {
            return Err("field \"params\" is no object of names and values".to_owned());
        }
        if name != "params" && !columns::is_known(&name) {
            cells.unknown_columns.push(given);
            names.push(name);
            continue;
        }
        // Of names that are equal to the letter the parser has kept the last; these differ in case or
        // blanks.
        if names.contains(&name) {
            return Err(format!("field {name:?} is there twice"));
        }
        match value {
            Value::Null => {}
            Value::String(text) => drop(cells.put(&name, &text)),
            Value::Number(number) => drop(cells.put(&name, &number.to_string())),
            _ => return Err(format!("field {given:?} is neither a text nor a number")),
        }
        names.push(name);
    }
    // `params` has a meaning in JSON Lines; as a column's name it looks like a slip for `param:NAME`.
    names.retain(|name| name != "params");
    if strict && let Some((name, meant)) = columns::lookalike(&names) {
        return Err(format!(
            "field {name:?} is not known and looks like {meant:?}: under --strict, give it that name, or \
             another"
        ));
    }
    Ok(cells)
}

/// Enough for any object, so that one that is never closed does not take in all that follows.
const MAX_LINES: usize = 200;

/// The parser counts lines within the one line it got; the column alone means something.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    format!("{what}, at column {}", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_of(text: &str) -> JsonRows<&[u8]> {
        JsonRows::new(Path::new("x"), text.as_bytes(), false)
    }

    #[test]
    fn objects_may_go_over_several_lines() {
        let text = "{\n  \"Template\": \"my_world\",\n  \"image\": \"a.jpg\",\n  \"width\": 640.0\n}\n\
                    {\"template\":\"my_world\",\n\"image\":\"b.jpg\"}\n{\"image\":\"c.jpg\"}";
        let rows: Vec<ManifestLine> = rows_of(text).map(Result::unwrap).collect();
        let numbers: Vec<u64> = rows.iter().map(|row| row.number).collect();
        assert_eq!(numbers, [1, 6, 8]);
        assert_eq!(rows[0].cells.as_ref().unwrap().width.as_deref(), Some("640"));
        assert_eq!(rows[2].cells.as_ref().unwrap().image.as_deref(), Some("c.jpg"));
    }

    #[test]
    fn an_object_over_several_lines_that_cannot_be_read_is_told_once() {
        let text = "{\n  \"image\": \"a.jpg\",\n},\n{\n  \"image\": \"b.jpg\"\n}\n";
        let lines: Vec<_> = rows_of(text).collect();
        let [Err(error)] = &lines[..] else { panic!("{lines:?}") };
        assert!(error.to_string().contains("line 1: the object that begins here"), "{error}");
    }

    #[test]
    fn rows_are_read_with_their_lines_and_bad_ones_say_why() {
        let text = "{\"template\":\"my_world\",\"image\":\"a.jpg\",\"width\":640,\"x\":[]}\r\n\n\
                    {\"template\":\"my_world\",\"image\":[1]}\n{\"image\":\nnull\n{\"image\":null}";
        let rows: Vec<ManifestLine> = rows_of(text).map(Result::unwrap).collect();
        let numbers: Vec<u64> = rows.iter().map(|row| row.number).collect();
        assert_eq!(numbers, [1, 3, 4, 5, 6]);
        assert_eq!(rows[0].cells.as_ref().unwrap().width.as_deref(), Some("640"));
        assert_eq!(rows[0].cells.as_ref().unwrap().unknown_columns, ["x"]);
        assert!(rows[1].cells.as_ref().unwrap_err().contains("\"image\" is neither"));
        assert!(rows[2].cells.as_ref().unwrap_err().contains("not a JSON object: EOF"));
        assert!(rows[3].cells.is_err());
        assert_eq!(rows[4].cells, Ok(Cells::default()));
    }
}
