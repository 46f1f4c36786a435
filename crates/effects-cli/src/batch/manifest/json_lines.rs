//! A manifest as JSON Lines: an object a line.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use effects_core::Error;
use serde_json::{Map, Value};

use super::columns::Cells;
use super::{Line, Lines, open, unreadable, unusable};

pub(super) fn read(path: &Path, file: impl BufRead + Send + 'static) -> Result<Lines, Error> {
    let mut beginning = Rows { file: open(path)?, path: path.to_owned(), number: 0, over: false };
    if beginning.text().transpose()?.is_some_and(|text| text.starts_with('[')) {
        return Err(unusable(path, "it is a JSON array: give one object a line, without it"));
    }
    Ok(Lines::new(Rows { file, path: path.to_owned(), number: 0, over: false }))
}

struct Rows<R> {
    file: R,
    path: PathBuf,
    number: u64,
    over: bool,
}

impl<R: BufRead> Rows<R> {
    /// The next line that is not blank.
    fn text(&mut self) -> Option<Result<String, Error>> {
        let mut line = Vec::new();
        while !self.over {
            line.clear();
            self.number += 1;
            match self.file.read_until(b'\n', &mut line) {
                Ok(0) => self.over = true,
                Ok(_) if line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(_) => return Some(Ok(String::from_utf8_lossy(&line).trim().to_owned())),
                Err(error) => {
                    self.over = true;
                    return Some(Err(unreadable(&self.path, &error)));
                }
            }
        }
        None
    }
}

impl<R: BufRead> Iterator for Rows<R> {
    type Item = Result<Line, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.text()?;
        let number = self.number;
        Some(text.map(|text| Line { number, cells: cells(&text) }))
    }
}

fn cells(text: &str) -> Result<Cells, String> {
    let object: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| format!("it is not a JSON object: {}", plain(&error)))?;
    let mut cells = Cells::default();
    for (name, value) in object {
        let Some(cell) = cells.named(&name) else {
            cells.strange.push(name);
            continue;
        };
        *cell = match value {
            Value::Null => None,
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            _ => return Err(format!("field {name:?} is neither a text nor a number")),
        };
    }
    Ok(cells)
}

/// The parser counts lines within the one line it got; the column alone means something.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    format!("{what}, at column {}", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_with_their_lines_and_bad_ones_say_why() {
        let text = "{\"template\":\"my_world\",\"image\":\"a.jpg\",\"width\":640,\"x\":[]}\r\n\n\
                    {\"template\":\"my_world\",\"image\":[1]}\n{\"image\":\nnull\n{\"image\":null}";
        let rows = Rows { file: text.as_bytes(), path: "x".into(), number: 0, over: false };
        let rows: Vec<Line> = rows.map(Result::unwrap).collect();
        let numbers: Vec<u64> = rows.iter().map(|row| row.number).collect();
        assert_eq!(numbers, [1, 3, 4, 5, 6]);
        assert_eq!(rows[0].cells.as_ref().unwrap().width.as_deref(), Some("640"));
        assert_eq!(rows[0].cells.as_ref().unwrap().strange, ["x"]);
        assert!(rows[1].cells.as_ref().unwrap_err().contains("\"image\" is neither"));
        assert!(rows[2].cells.as_ref().unwrap_err().contains("not a JSON object: EOF"));
        assert!(rows[3].cells.is_err());
        assert_eq!(rows[4].cells, Ok(Cells::default()));
    }
}
