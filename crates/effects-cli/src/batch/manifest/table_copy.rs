//! [`TableCopy`]: a manifest's file as it was when the batch began, so that each look at it finds each row at
//! the same place, whatever is written to the file meanwhile. `Manifest::at` makes one; `text.rs` reads it
//! from the start as often as needed.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

/// A file as it was. Cloning it shares it.
#[derive(Clone, Debug)]
pub(super) enum TableCopy {
    Memory(Bytes),
    /// In a temporary file without a name, which goes with this value however the process ends.
    File(Arc<File>),
}

impl TableCopy {
    /// Copies a file, one larger than `in_memory` to a temporary file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or the copy not be written; also when the file changes meanwhile.
    pub(super) fn of(path: &Path, in_memory: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let before = file.metadata()?;
        let copy = if before.len() > in_memory {
            let mut copy = tempfile::tempfile().map_err(|error| without_room(&error))?;
            io::copy(&mut file, &mut copy).map_err(|error| without_room(&error))?;
            Self::File(Arc::new(copy))
        } else {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Self::Memory(bytes.into())
        };
        if version(&before) != version(&fs::metadata(path)?) {
            return Err(io::Error::other(
                "it is being written: give the line again once it is whole",
            ));
        }
        Ok(copy)
    }

    /// Reads it from its start.
    pub(super) fn reader(&self) -> TableReader {
        TableReader { copy: self.clone(), position: 0 }
    }
}

/// A [`TableCopy`] being read. Several read one copy, each at its own place.
pub(super) struct TableReader {
    copy: TableCopy,
    position: u64,
}

impl Read for TableReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &self.copy {
            TableCopy::Memory(bytes) => {
                let begin = usize::try_from(self.position).unwrap_or(usize::MAX);
                bytes.get(begin..).unwrap_or_default().read(buffer)?
            }
            TableCopy::File(file) => read_at(file, buffer, self.position)?,
        };
        self.position += count as u64;
        Ok(count)
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, position)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, position)
}

/// What another state of a file differs in: its length, and when it was changed last.
fn version(found: &Metadata) -> (u64, Option<std::time::SystemTime>) {
    (found.len(), found.modified().ok())
}

fn without_room(error: &io::Error) -> io::Error {
    let folder = std::env::temp_dir();
    io::Error::new(
        error.kind(),
        format!(
            "{} takes no copy of it: {error}; set TMPDIR to a folder that has room",
            folder.display()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_in_memory_or_in_a_file_stays_as_the_table_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        for in_memory in [0, 100] {
            fs::write(&path, "template,image\n").unwrap();
            let copy = TableCopy::of(&path, in_memory).unwrap();
            assert_eq!(matches!(copy, TableCopy::File(_)), in_memory == 0);
            fs::write(&path, "other").unwrap();
            // Two at once, each from the start.
            let (mut first, mut second) = (copy.reader(), copy.reader());
            let (mut start, mut text) = ([0; 8], String::new());
            first.read_exact(&mut start).unwrap();
            second.read_to_string(&mut text).unwrap();
            assert_eq!((&start, text.as_str()), (b"template", "template,image\n"));
            text.clear();
            first.read_to_string(&mut text).unwrap();
            assert_eq!(text, ",image\n");
        }
    }
}
