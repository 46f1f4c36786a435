//! [`Results`]: writes `manifest.jsonl` in the folder of `--out`. It appends a line as a row ends, and at
//! the end writes the whole file anew: the rows of this run in their manifest's order, then the lines of
//! earlier runs that stay. `Reporter` has one, for `effects batch` and `effects watch`.
//! [`remove_stale_parts`] removes what killed downloads left in the folder, for `Batch::take_folder`.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use effects_client::{AtomicFile, Sink, random_name};
use effects_core::journal::JournalError;
use effects_core::{Error, ErrorKind, Origin, TaskId};
use effects_jobs::{Identity, JournalStore, Record, RowName, RowState};

use super::earlier_line::{EarlierLine, ManifestText, earlier_lines};
use super::known_photos::KnownPhoto;
use super::manifest_line::{EndingOfRow, LineEnding, append, lock, with_task};
use super::output_paths::RESULTS;
use super::present_pictures::pictures_if_all_present;
use super::report::{ReportedMethod, RowReport, RowStatus};
use super::reports::Reports;
use super::request_hash::{RequestHash, earlier_identities};

/// Lines as they come, to be put in order at the end. They wait on the disk: rows may be many.
pub(crate) struct Results {
    target: PathBuf,
    scratch: BufWriter<File>,
    /// What is noted of each row, by the row's place.
    rows: Vec<Option<LastLine>>,
    end: u64,
    origin: String,
    journal: Option<String>,
    journal_id: Option<String>,
}

/// The last line of a row.
struct LastLine {
    /// Where the line is in the scratch file, and how long.
    start: u64,
    length: u32,
    request_hash: RequestHash,
    identity: Option<Identity>,
    task: Option<TaskId>,
    status: RowStatus,
    has_cost: bool,
    /// The task's id, where the file had it and the line does not.
    known_task: Option<String>,
    photo: Option<KnownPhoto>,
    /// Where the line of an earlier run is that knows more of the row than this one, which did not come
    /// to it, and how long.
    earlier_line: Option<(u64, u32)>,
}

impl Results {
    /// The manifest of this folder, which must be there.
    pub(crate) fn begin(
        folder: &Path,
        origin: &Origin,
        journal: Option<&Path>,
        journal_id: Option<String>,
    ) -> Result<Self, Error> {
        let target = folder.join(RESULTS);
        let fail = |error: &io::Error| {
            let why =
                format!("{} cannot be written, so nothing was sent: {error}", target.display());
            Error::new(ErrorKind::Download, why)
        };
        let unique = random_name().map_err(|error| fail(&error))?;
        let path = folder.join(format!(".{RESULTS}.{unique}.part"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| fail(&error))?;
        // No other process opens it, so it needs no name, and is gone with this process at any
        // end. (Where a file in use keeps its name, it goes at the end.)
        let _ = fs::remove_file(&path);
        let (scratch, origin) = (BufWriter::new(file), origin.to_string());
        let journal = journal.map(|path| path.to_string_lossy().into_owned());
        Ok(Self { target, scratch, rows: Vec::new(), end: 0, origin, journal, journal_id })
    }

    /// Notes what became of a row; a later word on the same row counts.
    pub(crate) fn add(&mut self, report: &RowReport, line: &str) -> Result<(), Error> {
        let index = report.label.index;
        // Rows end in any order: those before this one may have no line yet.
        if self.rows.len() <= index {
            self.rows.resize_with(index + 1, || None);
        }
        let length = u32::try_from(line.len()).unwrap_or(u32::MAX);
        self.rows[index] = Some(LastLine {
            start: self.end,
            length,
            request_hash: RequestHash::of(&report.label),
            identity: report.label.identity,
            task: report.task.clone(),
            status: report.status,
            has_cost: report.paid().is_some(),
            known_task: None,
            photo: report.label.photo,
            earlier_line: None,
        });
        self.write(line.as_bytes())
    }

    /// Forgets what was noted of the row at this place.
    pub(crate) fn forget(&mut self, index: usize) {
        if let Some(noted) = self.rows.get_mut(index) {
            *noted = None;
        }
    }

    /// Puts the last line of a row at the end of the file at once, so that the file tells of a run that
    /// goes on, or was killed. What is there of the row stays till the run's end, and the later line
    /// counts.
    pub(crate) fn append_line(
        &self,
        report: &RowReport,
        line: &str,
        store: Option<&dyn JournalStore>,
    ) {
        // Of other rows the file tells already, or there is nothing to tell before the end.
        let is_news = matches!(report.method, Some(ReportedMethod::Submitted | ReportedMethod::Resumed))
                || matches!(
                    report.status,
                    RowStatus::Failed | RowStatus::Doubtful | RowStatus::Running
                )
                // A task that failed before, maybe in this run.
                || report.is_unsent() && report.task.is_some();
        let Some(noted) = self.rows.get(report.label.index).and_then(Option::as_ref) else {
            return;
        };
        if is_news {
            // Where that fails, the end tells, which writes the file whole.
            let record = noted.record(store).ok().flatten();
            let _ = append(
                &self.target,
                self.with_ending(
                    line.as_bytes().to_vec(),
                    noted.status,
                    noted.photo,
                    record.as_ref(),
                ),
            );
        }
    }

    /// The line of a row whose task goes on, as the file would have it.
    pub(crate) fn running_line(
        &self,
        report: RowReport,
        store: Option<&dyn JournalStore>,
    ) -> Vec<u8> {
        let name = report.label.identity.map(RowName::Identity);
        let record = store.zip(name).and_then(|(store, name)| store.find(&name).ok().flatten());
        let report = report.numbered(record.as_ref().map(|record| record.number));
        let line = report.json().into_bytes();
        self.with_ending(line, report.status, report.label.photo, record.as_ref())
    }

    /// A line with what every line has beside the row's object, as far as its record tells.
    fn with_ending(
        &self,
        mut line: Vec<u8>,
        status: RowStatus,
        photo: Option<KnownPhoto>,
        record: Option<&Record>,
    ) -> Vec<u8> {
        let of_row = record.map(|record| EndingOfRow::of(record, status, photo));
        let (journal, journal_id) = (self.journal.as_deref(), self.journal_id.as_deref());
        LineEnding { origin: &self.origin, journal, journal_id, of_row }.end(&mut line);
        line
    }

    /// The identities of the rows that something was noted of.
    pub(crate) fn identities(&self) -> HashSet<Identity> {
        self.rows.iter().flatten().filter_map(|noted| noted.identity).collect()
    }

    /// Whether something was noted of a row.
    pub(crate) fn has(&self, index: usize) -> bool {
        self.rows.get(index).is_some_and(Option::is_some)
    }

    /// By what the journal knew the rows that the file tells of, by what they ask for: this tells
    /// which row it is without its photo being read.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(crate) fn earlier_identities(&self) -> Result<HashMap<RequestHash, Identity>, Error> {
        earlier_identities(&self.target, &self.origin).map_err(|error| {
            let (path, kind) = (self.target.display(), ErrorKind::Download);
            Error::new(kind, format!("{path} cannot be read: {error}"))
        })
    }

    /// Puts the manifest in its place, whole: the lines of this run, completed by what the journal
    /// knows, and then those of other rows that were there. Those of the manifest's rows go to the reports
    /// too.
    ///
    /// # Errors
    ///
    /// When it cannot be read or written; what was there stays then. When the journal cannot be read;
    /// then it is in its place all the same.
    pub(super) fn finish(
        mut self,
        store: Option<&dyn JournalStore>,
        reports: &mut Reports,
    ) -> Result<PathBuf, Error> {
        // `resume` and `reorder` append to the file too, and a line of theirs must not fall
        // between reading and replacing it.
        let _lock = lock(&self.target);
        // The lines of earlier runs come after it in the scratch file.
        let own_end = self.end;
        self.merge(store)?;
        let target = self.target.clone();
        let fail = |error: io::Error| unwritable(&target, &error);
        self.scratch.flush().map_err(fail)?;
        let mut scratch = self.scratch.get_ref().try_clone().map_err(fail)?;
        // It replaces the earlier file whole: until then that one tells what is paid for.
        let mut file = AtomicFile::begin(&target)?;
        let (mut line, mut unread) = (Vec::new(), None);
        for noted in self.rows.iter().flatten() {
            let (start, length) = noted.earlier_line.unwrap_or((noted.start, noted.length));
            line.resize(length as usize, 0);
            scratch
                .seek(SeekFrom::Start(start))
                .and_then(|_| scratch.read_exact(&mut line))
                .map_err(fail)?;
            if let Some(id) = &noted.known_task {
                line = with_task(&line, id);
            }
            let record = match noted.earlier_line {
                Some(_) => Ok(None),
                None => noted.record(store),
            };
            let record = record.unwrap_or_else(|error| {
                // The file is still written: it may be all that tells of the tasks.
                unread.get_or_insert(error);
                None
            });
            let mut status = noted.status;
            if let (Some(store), Some(record)) = (store, &record)
                && noted.is_outdated_by(record, store)
                && let Some((present, changed)) = present_line(&line, record, store)
            {
                (line, status) = (changed, present);
            }
            reports.add(&line, record.as_ref());
            // The earlier run's line is copied below with those that stay, its ending included.
            if noted.earlier_line.is_none() {
                let line = std::mem::take(&mut line);
                file.write(&self.with_ending(line, status, noted.photo, record.as_ref()))?;
            }
        }
        scratch.seek(SeekFrom::Start(own_end)).map_err(fail)?;
        let mut page = vec![0; COPIED_AT_ONCE];
        loop {
            match scratch.read(&mut page).map_err(fail)? {
                0 => break,
                read => file.write(&page[..read])?,
            }
        }
        let written = file.finish()?;
        unread.map_or(Ok(written), |error| Err(Error::new(ErrorKind::Journal, error.to_string())))
    }

    /// Decides what becomes of each line that the file has: it is kept, after those of this run, or
    /// replaced by one of them. What is no line of a row is kept.
    fn merge(&mut self, store: Option<&dyn JournalStore>) -> Result<(), Error> {
        let target = self.target.clone();
        let fail = |error: io::Error| unwritable(&target, &error);
        let (row_index, mut before) = (RowIndex::of(&self.rows), LinesBefore::default());
        for text in earlier_lines(&target).map_err(fail)? {
            let ManifestText { mut text, line, .. } = text.map_err(fail)?;
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            if line.is_none_or(|line| self.keeps(&line, length, &row_index, &mut before, store)) {
                text.push(b'\n');
                self.write(&text)?;
            }
        }
        Ok(())
    }

    /// Whether a line that the file has is kept. A task's id that only it knows goes to the line of
    /// this run that replaces it. The line has this length, and would come next; `before` counts equal
    /// rows.
    fn keeps(
        &mut self,
        line: &EarlierLine,
        length: u32,
        row_index: &RowIndex,
        before: &mut LinesBefore,
        store: Option<&dyn JournalStore>,
    ) -> bool {
        let (identity, is_first_edition) = (line.identity(), line.origin.is_none());
        if !is_first_edition && line.origin.as_ref() != Some(&self.origin) {
            // Without a journal the gateway ended with its command, and its tasks with it.
            return identity.is_some() || line.task_id.is_some() && line.journal.is_some();
        }
        if identity.is_none() && !is_first_edition && row_index.has_task_of(line) {
            // This run wrote it as the row came to its end.
            return false;
        }
        let request_hash = RequestHash::of(&line.label());
        if line.status == RowStatus::Invalid {
            // Nothing was sent for it, and it may be corrected since.
            return is_first_edition && !row_index.invalid.contains(&request_hash.0);
        }
        let hash_alone = request_hash.0;
        // Two tasks of one row are no two rows.
        let is_counted = identity.is_some_and(|identity| !before.identities.insert(identity));
        let request_hash = (!is_counted).then(|| request_hash.counted(&mut before.equal));
        let named = identity.and_then(|identity| row_index.identities.get(&identity));
        let equal = || request_hash.and_then(|hash| row_index.request_hashes.get(&hash));
        let index = named.or_else(equal).copied();
        let noted = index.and_then(|index| self.rows[index].as_mut());
        match noted {
            None => !is_first_edition || !row_index.has_task_of(line),
            // A row of the same key in another order: its task is not this row's.
            Some(noted)
                if named.is_some()
                    && noted.request_hash.0 != hash_alone
                    && line.task_id.is_some()
                    && !row_index.has_task_of(line) =>
            {
                true
            }
            // Another row, which asks for the same: its photo has another content, say.
            Some(noted) if named.is_none() && identity.is_some() && noted.identity.is_some() => {
                true
            }
            // This run did not come to the row, nor to reading its photo; or it sent nothing for it.
            Some(noted) if identity.is_some() && (named.is_none() || noted.is_unsent()) => {
                let tells_more = line.may_be_paid() && noted.task.is_none();
                if tells_more {
                    noted.earlier_line = Some((self.end, length));
                }
                tells_more
            }
            // What another journal paid for the row, or may have, and this one does not know.
            Some(noted) if line.may_be_paid() && noted.is_news(line, store) => true,
            Some(noted) if noted.task.is_none() => {
                noted.known_task = line.task_id.clone().or(noted.known_task.take());
                false
            }
            // The first edition did not tell equal rows from each other: no task of it is lost.
            Some(_) => is_first_edition && line.task_id.is_some() && !row_index.has_task_of(line),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.end += bytes.len() as u64;
        self.scratch.write_all(bytes).map_err(|error| unwritable(&self.target, &error))
    }
}

impl LastLine {
    /// Whether this run submitted nothing for the row and knows no task of it.
    fn is_unsent(&self) -> bool {
        self.task.is_none()
            && matches!(
                self.status,
                RowStatus::Refused | RowStatus::NotSubmitted | RowStatus::Skipped
            )
    }

    /// Whether this run's journal does not know what a line tells of this row.
    fn is_news(&self, line: &EarlierLine, store: Option<&dyn JournalStore>) -> bool {
        // The first edition did not write which row it is of.
        let (Some(identity), Some(origin)) = (line.identity(), line.origin.clone()) else {
            return false;
        };
        let this = self.task.as_ref().map(TaskId::as_str);
        if this.is_some() && line.task_id.as_deref() == this && !line.is_doubt() {
            return false;
        }
        match (store, Origin::try_from(origin)) {
            // Where it cannot be read, no task is lost for that.
            (Some(store), Ok(origin)) => {
                !line.is_known_to(store, identity, &origin).unwrap_or_default()
            }
            // Without a journal each run pays anew.
            _ => line.task_id.is_some(),
        }
    }

    /// Whether another command has gone on with the row since this run noted it: the journal has another
    /// task of it, or an end.
    fn is_outdated_by(&self, record: &Record, store: &dyn JournalStore) -> bool {
        let state = &record.state;
        // A task that the journal could not take is told by this run alone.
        let is_known = |task: &TaskId| {
            let name = RowName::Task(record.row.origin.clone(), task.clone());
            store.find(&name).is_ok_and(|known| known.is_some())
        };
        let is_left_out = matches!(self.status, RowStatus::Invalid | RowStatus::Skipped);
        let is_settled = match self.status {
            RowStatus::Doubtful => matches!(state, RowState::Released { .. }),
            RowStatus::Running => state.is_final(),
            _ => false,
        };
        let has_another =
            || state.task() != self.task.as_ref() && self.task.as_ref().is_none_or(is_known);
        !is_left_out && (is_settled || has_another())
    }

    /// What the journal knows of the row, where it may be paid for.
    fn record(&self, store: Option<&dyn JournalStore>) -> Result<Option<Record>, JournalError> {
        let has_task = self.task.is_some() || self.known_task.is_some();
        let may_be_paid = has_task || self.has_cost || self.status == RowStatus::Doubtful;
        let (Some(store), Some(identity), true) = (store, self.identity, may_be_paid) else {
            return Ok(None);
        };
        store.find(&RowName::Identity(identity))
    }
}

/// The places of this run's rows, by what a line of the file may name a row by.
struct RowIndex {
    identities: HashMap<Identity, usize>,
    request_hashes: HashMap<RequestHash, usize>,
    tasks: HashSet<String>,
    /// What the rows ask for that cannot be sent.
    invalid: HashSet<u64>,
}

/// The rows that lines of the file before one are of.
#[derive(Default)]
struct LinesBefore {
    /// How many ask for the same.
    equal: HashMap<u64, u32>,
    identities: HashSet<Identity>,
}

impl RowIndex {
    fn of(rows: &[Option<LastLine>]) -> Self {
        let (identities, request_hashes) = (HashMap::new(), HashMap::new());
        let (tasks, invalid) = (HashSet::new(), HashSet::new());
        let mut row_index = Self { identities, request_hashes, tasks, invalid };
        for (index, noted) in rows.iter().enumerate() {
            let Some(noted) = noted else { continue };
            row_index.tasks.extend(noted.task.as_ref().map(ToString::to_string));
            // It replaces no line of the file: what an earlier run paid for the row stays in it.
            if noted.status == RowStatus::Invalid {
                row_index.invalid.insert(noted.request_hash.0);
                continue;
            }
            row_index.request_hashes.insert(noted.request_hash, index);
            row_index.identities.extend(noted.identity.map(|identity| (identity, index)));
        }
        row_index
    }

    /// Whether the task of a line is one of this run.
    fn has_task_of(&self, line: &EarlierLine) -> bool {
        line.task_id.as_ref().is_some_and(|id| self.tasks.contains(id))
    }
}

/// Takes away what downloads left behind that were killed in the middle: files under way, an hour
/// old, in the folder itself.
pub(crate) fn remove_stale_parts(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let old = entry.metadata().and_then(|found| found.modified()).ok().and_then(age);
        // Younger ones may be another process's downloads.
        if is_under_way(&entry.file_name().to_string_lossy()) && old.is_some_and(|age| age > STALE)
        {
            // Another process swept it, or it stays: it does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn age(modified: SystemTime) -> Option<Duration> {
    SystemTime::now().duration_since(modified).ok()
}

/// `.NAME.0123456789abcdef.part`, as [`AtomicFile`] has it.
fn is_under_way(name: &str) -> bool {
    let parts = name.strip_prefix('.').and_then(|name| name.strip_suffix(".part"));
    let mark = parts.and_then(|name| name.rsplit_once('.')).map(|(_, mark)| mark);
    mark.is_some_and(|mark| mark.len() == 16 && mark.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The line of a row as the journal has it by now, and its status; `None` where that cannot be told.
fn present_line(
    line: &[u8],
    record: &Record,
    store: &dyn JournalStore,
) -> Option<(RowStatus, Vec<u8>)> {
    let label = serde_json::from_slice::<EarlierLine>(line).ok()?.label();
    let mut record = record.clone();
    if let RowState::Intent { attempts } = record.state {
        // Its answer comes to another process, and may never come.
        let reason = "its answer is not known here".to_owned();
        record.state = RowState::Doubtful { attempts, reason };
    }
    let pictures = pictures_if_all_present(store, &record).ok()?;
    let report = RowReport::left(label, &record, pictures);
    let line = report.json().into_bytes();
    // Without a task of a new order, it names the one whose picture is paid for.
    let paid = record.paid_picture.as_deref().and_then(RowState::task);
    let line = match paid {
        Some(task) => with_task(&line, task.as_str()),
        None => line,
    };
    Some((report.status, line))
}

fn unwritable(target: &Path, error: &io::Error) -> Error {
    let why = format!(
        "{} cannot be written: {error}; what the rows cost is in the journal, where there is one, and the same \
         line run again writes the file",
        target.display()
    );
    Error::new(ErrorKind::Download, why)
}

const STALE: Duration = Duration::from_secs(3600);
const COPIED_AT_ONCE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::super::rows::RowLabel;
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
        remove_stale_parts(folder.path());
        for (name, _, stays) in &names {
            assert_eq!(folder.path().join(name).exists(), *stays, "{name}");
        }
    }

    fn begin(folder: &Path) -> Results {
        let origin = "http://127.0.0.1:9".to_owned().try_into().unwrap();
        Results::begin(folder, &origin, Some(Path::new("journal.db")), Some("id".into())).unwrap()
    }

    #[test]
    fn lines_stand_in_the_order_of_the_rows_and_the_last_word_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut results = begin(folder.path());
        for (index, line) in [(2, "third"), (0, "first"), (2, "third, later")] {
            let label = RowLabel { index, ..RowLabel::default() };
            results.add(&RowReport::new(label, RowStatus::NotSubmitted), line).unwrap();
        }
        assert!(results.has(0) && !results.has(1) && !results.has(9));
        let path = results.finish(None, &mut Reports::default()).unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "first\nthird, later\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn an_id_stays_that_of_its_row_among_equal_ones() {
        let folder = tempfile::tempdir().unwrap();
        let label = |index, before| RowLabel {
            index,
            before,
            // A text that looks like the field: `with_task` must not take it for that.
            image: Some("a \"task_id\":null.png".to_owned()),
            ..RowLabel::default()
        };
        let write = |tasks: [Option<&str>; 2]| {
            let mut results = begin(folder.path());
            for (index, task) in tasks.into_iter().enumerate() {
                let mut report = RowReport::new(label(index, index as u32), RowStatus::Running);
                report.task = task.map(|id| id.parse().unwrap());
                results.add(&report, &report.json()).unwrap();
            }
            let text =
                fs::read_to_string(results.finish(None, &mut Reports::default()).unwrap()).unwrap();
            text.lines()
                .map(|line| {
                    let line: serde_json::Value = serde_json::from_str(line).unwrap();
                    assert_eq!(line["image"], "a \"task_id\":null.png");
                    assert_eq!(
                        (&line["origin"], &line["journal"], &line["journal_id"]),
                        (&"http://127.0.0.1:9".into(), &"journal.db".into(), &"id".into())
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
