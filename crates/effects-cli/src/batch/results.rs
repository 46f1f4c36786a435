//! The folder's own manifest: a line for each row with what became of it, in the manifest's order.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use effects_client::{Landing, Sink, random_name};
use effects_core::{Error, ErrorKind, Identity, Origin, Size};
use serde::Deserialize;

use super::names::RESULTS;
use super::report::{Report, Status};
use super::rows::Told;
use crate::naming;

/// Lines as they come, to be put in order at the end. They wait on the disk: rows may be many.
pub(crate) struct Results {
    target: PathBuf,
    scratch: BufWriter<File>,
    /// Where each row's line is, by the row's place, and how long it is; 0 if there is none.
    places: Vec<(u64, u32)>,
    end: u64,
    /// Rows whose line has no task, by their places: what they ask for.
    without_task: HashMap<usize, Asked>,
    /// What every line ends with: the gateway, and the journal.
    ending: String,
}

/// What a row asks for, hashed, and how many equal rows came before it: by this it is known again in
/// the manifest that an earlier run left.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Asked(u64, u32);

/// A line of the manifest that an earlier run left.
#[derive(Debug, Deserialize)]
pub(crate) struct EarlierLine {
    template: Option<String>,
    image: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    key: Option<String>,
    identity: Option<String>,
    task_id: Option<String>,
    status: Status,
    /// The gateway, and the journal that was used.
    pub(crate) origin: Option<String>,
    pub(crate) journal: Option<String>,
}

impl EarlierLine {
    /// Whether it has a task, or may have one.
    pub(crate) fn may_be_paid(&self) -> bool {
        self.task_id.is_some() || self.status == Status::Doubtful
    }

    /// By what the journal knew the row.
    pub(crate) fn identity(&self) -> Option<Identity> {
        let digits = self.identity.as_deref()?.as_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes = digits.chunks(2).map(byte).collect::<Option<Vec<u8>>>()?;
        Some(Identity::from_bytes(bytes.try_into().ok()?))
    }

    /// What is told of the row.
    pub(crate) fn told(&self) -> Told {
        let (template, image, key) = (self.template.clone(), self.image.clone(), self.key.clone());
        let size = Size { width: self.width, height: self.height };
        Told { template, image, key, size, ..Told::default() }
    }
}

impl Results {
    /// The manifest of this folder, which must be there.
    pub(crate) fn begin(
        folder: &Path,
        origin: &Origin,
        journal: Option<&Path>,
    ) -> Result<Self, Error> {
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
        let journal = journal.map(|path| path.to_string_lossy());
        let ending = serde_json::json!({"origin": origin.to_string(), "journal": journal});
        let ending = ending.to_string().replacen('{', ",", 1);
        let (places, end, without_task) = (Vec::new(), 0, HashMap::new());
        Ok(Self { target, scratch, places, end, without_task, ending })
    }

    /// Notes what became of a row; a later word on the same row counts.
    pub(crate) fn add(&mut self, report: &Report, line: &str) -> Result<(), Error> {
        let index = report.told.index;
        if report.task.is_none() && report.status != Status::Invalid {
            self.without_task.insert(index, Asked::of(&report.told));
        } else {
            self.without_task.remove(&index);
        }
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

    /// Puts the manifest in its place, whole. An id that it had of a row before is not lost with it.
    pub(crate) fn finish(self) -> Result<PathBuf, Error> {
        let fail = |error: &io::Error| unwritable(&self.target, error);
        let known = earlier_ids(&self.target, self.without_task.values());
        let mut file = self.scratch.into_inner().map_err(|error| fail(error.error()))?;
        let mut landing = Landing::begin(&self.target)?;
        let mut line = Vec::new();
        for (index, (start, length)) in self.places.iter().enumerate() {
            if *length == 0 {
                continue;
            }
            line.resize(*length as usize, 0);
            file.seek(SeekFrom::Start(*start))
                .and_then(|_| file.read_exact(&mut line))
                .map_err(|error| fail(&error))?;
            if let Some(id) = self.without_task.get(&index).and_then(|asked| known.get(asked)) {
                line = with_task(&line, id);
            }
            if line.pop_if(|last| *last == b'}').is_some() {
                line.extend_from_slice(self.ending.as_bytes());
            }
            line.push(b'\n');
            landing.write(&line)?;
        }
        landing.finish()
    }
}

impl Asked {
    /// What it asks for alone.
    pub(crate) fn hash(self) -> u64 {
        self.0
    }

    pub(crate) fn of(told: &Told) -> Self {
        let (key, template, image) = (&told.key, &told.template, &told.image);
        let Size { width, height } = told.size;
        Self(naming::hash(&format!("{:?}", (key, template, image, width, height))), told.before)
    }
}

/// The ids of tasks that the manifest of an earlier run has of these rows.
fn earlier_ids<'a>(
    manifest: &Path,
    wanted: impl Iterator<Item = &'a Asked>,
) -> HashMap<Asked, String> {
    // Equal rows before one that is wanted are counted as well.
    let wanted: HashSet<u64> = wanted.map(|Asked(hash, _)| *hash).collect();
    let mut known = HashMap::new();
    let file = File::open(manifest).ok().filter(|_| !wanted.is_empty());
    let Some(file) = file else { return known };
    let mut before = HashMap::<u64, u32>::new();
    for line in BufReader::new(file).lines().map_while(Result::ok) {
        // Whatever else is in the file, this is looked for alone.
        let Ok(line) = serde_json::from_str::<EarlierLine>(&line) else { continue };
        let mut asked = Asked::of(&line.told());
        if line.status == Status::Invalid || !wanted.contains(&asked.0) {
            continue;
        }
        let count = before.entry(asked.0).or_default();
        asked.1 = *count;
        *count += 1;
        if let Some(id) = line.task_id {
            known.insert(asked, id);
        }
    }
    known
}

/// A line that names no task, naming this one.
fn with_task(line: &[u8], id: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(line);
    let id = serde_json::Value::from(id);
    // Within a text a quote is escaped, so this is the field.
    text.replacen(r#""task_id":null"#, &format!(r#""task_id":{id}"#), 1).into_bytes()
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

    fn begin(folder: &Path) -> Results {
        let origin = "http://127.0.0.1:9".to_owned().try_into().unwrap();
        Results::begin(folder, &origin, Some(Path::new("journal.db"))).unwrap()
    }

    #[test]
    fn lines_stand_in_the_order_of_the_rows_and_the_last_word_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut results = begin(folder.path());
        for (index, line) in [(2, "third"), (0, "first"), (2, "third, later")] {
            let told = Told { index, ..Told::default() };
            results.add(&Report::new(told, Status::NotSubmitted), line).unwrap();
        }
        assert!(results.has(0) && !results.has(1) && !results.has(9));
        let path = results.finish().unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "first\nthird, later\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn an_id_stays_that_of_its_row_among_equal_ones() {
        let folder = tempfile::tempdir().unwrap();
        let told = |index, before| Told {
            index,
            before,
            image: Some("a \"task_id\":null.png".to_owned()),
            ..Told::default()
        };
        let write = |tasks: [Option<&str>; 2]| {
            let mut results = begin(folder.path());
            for (index, task) in tasks.into_iter().enumerate() {
                let mut report = Report::new(told(index, index as u32), Status::Running);
                report.task = task.map(|id| id.parse().unwrap());
                results.add(&report, &report.json()).unwrap();
            }
            let text = fs::read_to_string(results.finish().unwrap()).unwrap();
            text.lines()
                .map(|line| {
                    let line: serde_json::Value = serde_json::from_str(line).unwrap();
                    assert_eq!(line["image"], "a \"task_id\":null.png");
                    assert_eq!(
                        (&line["origin"], &line["journal"]),
                        (&"http://127.0.0.1:9".into(), &"journal.db".into())
                    );
                    line["task_id"].as_str().map(str::to_owned)
                })
                .collect::<Vec<_>>()
        };
        write([None, Some("second")]);
        assert_eq!(write([None, None]), [None, Some("second".to_owned())]);
        assert_eq!(write([Some("first"), None]), ["first", "second"].map(|id| Some(id.to_owned())));
        assert_eq!(write([None, Some("new")]), ["first", "new"].map(|id| Some(id.to_owned())));
    }
}
