//! The folder's own manifest: a line for each row with what became of it, in the manifest's order.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use effects_client::{Landing, Sink, random_name};
use effects_core::{Error, ErrorKind};

use super::names::RESULTS;

/// Lines as they come, to be put in order at the end. They wait on the disk: rows may be many.
pub(crate) struct Results {
    target: PathBuf,
    scratch: BufWriter<File>,
    /// Where each row's line is, by the row's place, and how long it is; 0 if there is none.
    places: Vec<(u64, u32)>,
    end: u64,
}

impl Results {
    /// The manifest of this folder, which must be there.
    pub(crate) fn begin(folder: &Path) -> Result<Self, Error> {
        let target = folder.join(RESULTS);
        let fail = |error: &io::Error| unwritable(&target, error);
        let unique = random_name().map_err(|error| fail(&error))?;
        let path = folder.join(format!(".{RESULTS}.{unique}.part"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| fail(&error))?;
        // Nobody else opens it, so it needs no name, and is gone with this process whatever
        // happens. (Where a file in use keeps its name, it goes at the end.)
        let _ = fs::remove_file(&path);
        let scratch = BufWriter::new(file);
        Ok(Self { target, scratch, places: Vec::new(), end: 0 })
    }

    /// Notes what became of a row; a later word on the same row counts.
    pub(crate) fn add(&mut self, index: usize, line: &str) -> Result<(), Error> {
        if self.places.len() <= index {
            self.places.resize(index + 1, (0, 0));
        }
        let length = u32::try_from(line.len()).unwrap_or(u32::MAX);
        self.places[index] = (self.end, length);
        self.end += u64::from(length);
        let written = self.scratch.write_all(line.as_bytes());
        written.map_err(|error| unwritable(&self.target, &error))
    }

    /// Whether something was noted of a row.
    pub(crate) fn has(&self, index: usize) -> bool {
        self.places.get(index).is_some_and(|(_, length)| *length > 0)
    }

    /// Puts the manifest in its place, whole.
    pub(crate) fn finish(self) -> Result<PathBuf, Error> {
        let fail = |error: &io::Error| unwritable(&self.target, error);
        let mut file = self.scratch.into_inner().map_err(|error| fail(error.error()))?;
        let mut landing = Landing::begin(&self.target)?;
        let mut line = Vec::new();
        for (start, length) in self.places.iter().filter(|(_, length)| *length > 0) {
            line.resize(*length as usize, 0);
            file.seek(SeekFrom::Start(*start))
                .and_then(|_| file.read_exact(&mut line))
                .map_err(|error| fail(&error))?;
            line.push(b'\n');
            landing.write(&line)?;
        }
        landing.finish()
    }
}

/// Takes away what downloads left behind that were killed in the middle: files under way, an hour
/// old, in the folder itself.
pub(crate) fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let old = entry.metadata().and_then(|found| found.modified()).ok().and_then(age);
        if is_under_way(&entry.file_name().to_string_lossy()) && old.is_some_and(|age| age > STALE)
        {
            // Somebody else swept it, or it stays: it does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn age(modified: SystemTime) -> Option<Duration> {
    SystemTime::now().duration_since(modified).ok()
}

/// `.NAME.0123456789abcdef.part`, as [`Landing`] has it.
fn is_under_way(name: &str) -> bool {
    let parts = name.strip_prefix('.').and_then(|name| name.strip_suffix(".part"));
    let mark = parts.and_then(|name| name.rsplit_once('.')).map(|(_, mark)| mark);
    mark.is_some_and(|mark| mark.len() == 16 && mark.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn unwritable(target: &Path, error: &io::Error) -> Error {
    Error::new(ErrorKind::Download, format!("{} cannot be written: {error}", target.display()))
}

const STALE: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_leftovers_of_downloads_are_swept_away() {
        let folder = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - 2 * STALE;
        let mark = "0123456789abcdef";
        let names = [
            (format!(".cat.png.{mark}.part"), old, false),
            (format!(".cat.png.{mark}.part2"), old, true),
            (".cat.png.part".to_owned(), old, true),
            ("cat.png".to_owned(), old, true),
            (format!(".dog.png.{mark}.part"), SystemTime::now(), true),
        ];
        for (name, modified, _) in &names {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(*modified).unwrap();
        }
        sweep(folder.path());
        for (name, _, stays) in &names {
            assert_eq!(folder.path().join(name).exists(), *stays, "{name}");
        }
    }

    #[test]
    fn lines_stand_in_the_order_of_the_rows_and_the_last_word_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut results = Results::begin(folder.path()).unwrap();
        for (index, line) in [(2, "third"), (0, "first"), (2, "third, later")] {
            results.add(index, line).unwrap();
        }
        assert!(results.has(0) && !results.has(1) && !results.has(9));
        let path = results.finish().unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "first\nthird, later\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }
}
