//! `Batch::watch`: a batch whose rows are the photos that come to a folder, each ordered once
//! [`FolderWatcher`] finds it whole, until a signal, its budget or an error ends it. `commands/watch.rs`
//! calls it. Names, the folder's manifest, journal and budget are those of `effects batch DIR`.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use effects_client::{Claim, Claims, Job};
use effects_core::journal::{JournalError, RowNumber};
use effects_core::{Error, ErrorKind};
use effects_jobs::{
    CountedRow, Filter, Identity, JournalStore, RowName, RowState, ScopeNumber, Which,
};

use super::counted::CountedRows;
use super::earlier_line::earlier_lines;
use super::interruptible::RowCount;
use super::manifest::Manifest;
use super::options::Batch;
use super::other_journal;
use super::output_paths::RESULTS;
use super::pictures_by_content::PicturesByContent;
use super::progress_line::ProgressLine;
use super::report::{RowReport, RowStatus};
use super::reporter::Reporter;
use super::rows::{
    BatchSettings, CheckedRow, Checker, InvalidRow, RowLabel, check_photo_file, lookup_in,
};
use super::run::{PreparedBatch, is_left_out, paid_before};
use super::session::{PassingFailure, RowStarter};
use super::summary::BatchSummary;
use super::watcher::{FolderChange, FolderWatcher};
use crate::command_result::CommandResult;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::journal;
use crate::problem::InputProblem;
use crate::rerun_line::quoted;

impl Batch<'_> {
    /// Does the photos that are in the folder and those that come, each once it has been as it is for so
    /// long. It ends at a signal, or as a batch does that cannot go on.
    pub(crate) fn watch(
        &self,
        store: Arc<dyn JournalStore>,
        gateway: &Gateway,
        settle: Duration,
    ) -> CommandResult {
        let progress = ProgressLine::new(self.output, self.options.progress_every);
        let mark = self.take_folder(Some(&*store))?;
        let reporter = Reporter::begin(self, Some(Arc::clone(&store)), mark)?;
        // After `take_folder`, which takes rows of the folder's manifest into the journal.
        let FolderRecords { paid_for, created, pictures } = self.records_of_folder(&*store)?;
        let journal_session = self.journal_session(
            &gateway.client,
            Some(Arc::clone(&store)),
            &paid_for,
            &created,
            &progress,
        )?;
        let budget =
            journal_session.as_ref().and_then(|journal_session| journal_session.budgets().first());
        // It has the batch's own files from the start, so that no photo's picture replaces them.
        let claims = Arc::new(Mutex::new(Checker::new(self.settings).into_claims()));
        let photos = WatchedPhotos {
            manifest: self.manifest.clone(),
            settings: self.settings.clone(),
            store,
            scope: budget.map(|budget| budget.scope),
            claims: Arc::clone(&claims),
            pictures,
            settle,
        };
        progress.note(&format!(
            "watching {} for photos; Ctrl-C ends it",
            self.manifest.folder().display()
        ));
        let rows = RowCount::Growing(self.manifest);
        let summary = BatchSummary::of_changing_rows();
        let prepared = PreparedBatch {
            gateway,
            journal_session,
            claims,
            rows,
            summary,
            reporter,
            progress: &progress,
        };
        self.process_rows(prepared, move |starter| photos.run(starter))
    }

    /// What the journal has of the rows whose pictures go to the folder, or went to it when it was elsewhere or
    /// had another name: its manifest tells of them.
    fn records_of_folder(&self, store: &dyn JournalStore) -> Result<FolderRecords, Failure> {
        let mut found = FolderRecords::default();
        let manifest = self.settings.out.join(RESULTS);
        let told = identities_told(&manifest)
            .map_err(|error| other_journal::unreadable(&manifest, &error))?;
        let origin = Some(self.settings.origin.clone());
        journal::each(
            store,
            Filter { which: Which::All, origin, ..Filter::default() },
            |record| {
                let target = record.row.target.as_ref();
                let is_here = target.is_some_and(|target| target.starts_with(&self.settings.out));
                if is_here || told.contains(&record.row.identity) {
                    found.paid_for.push(record.row.identity);
                    if !record.state.is_final() && record.state.task().is_some() {
                        found.created.push(record.number);
                    }
                    found.pictures.add(record);
                }
                Ok(true)
            },
        )?;
        if self.options.scope.is_some() {
            // All rows of that name share its budget, wherever they are.
            found.paid_for.clear();
        }
        Ok(found)
    }
}

/// The rows that a folder's manifest tells of.
fn identities_told(manifest: &Path) -> io::Result<HashSet<Identity>> {
    let mut identities = HashSet::new();
    for text in earlier_lines(manifest)? {
        identities.extend(text?.line.and_then(|line| line.identity()));
    }
    Ok(identities)
}

/// What the journal has of the rows whose pictures go to the folder.
#[derive(Default)]
struct FolderRecords {
    /// Those that a budget without a name counts: photos may have been taken away since.
    paid_for: Vec<Identity>,
    /// Those whose task goes on.
    created: Vec<RowNumber>,
    pictures: PicturesByContent,
}

/// What begins the rows, on a thread of its own.
struct WatchedPhotos {
    manifest: Manifest,
    settings: BatchSettings,
    store: Arc<dyn JournalStore>,
    /// The scope of the budget that counts the rows.
    scope: Option<ScopeNumber>,
    claims: Arc<Mutex<Claims>>,
    /// The pictures of earlier runs.
    pictures: PicturesByContent,
    settle: Duration,
}

/// The rows so far.
struct ArrivedRows<'a> {
    photos: &'a WatchedPhotos,
    checker: Checker<'a>,
    counted: CountedRows,
    /// The place among the rows of the photo that is at a path now.
    indexes: HashMap<PathBuf, usize>,
    /// The lines of the rows that were begun or left out.
    begun: HashMap<Identity, u64>,
    /// The pictures of the folder's rows.
    pictures: PicturesByContent,
    /// Rows that were begun and whose picture is not among these yet.
    unsaved_rows: Vec<Identity>,
    /// The places of rows whose photo arrived once more, under another name, say, by the path of that arrival.
    found_again: HashMap<PathBuf, usize>,
    /// The places of the first of equal rows, by the paths of their copies that `--skip-duplicates` left out.
    left_out_copies: HashMap<PathBuf, usize>,
    /// The places of rows whose photo arrived once more or returned: one for which nothing was sent is begun again
    /// at once.
    returned: HashSet<usize>,
    /// When files that could not be used as photos were looked at last, by their paths. One that cannot be read for
    /// a while may be a photo.
    unusable: HashMap<PathBuf, Instant>,
    /// How often rows for which nothing was sent were begun again, or their files looked at again, by their places.
    repeats: HashMap<usize, u32>,
    /// The notes on what is done again, each made once.
    noted: HashSet<&'static str>,
}

impl WatchedPhotos {
    fn run(mut self, starter: &RowStarter<'_>) -> Result<(), Error> {
        let pictures = std::mem::take(&mut self.pictures);
        let mut watcher = FolderWatcher::new(self.manifest.clone(), self.settle);
        let folder = self.manifest.folder().display();
        let mut arrivals = ArrivedRows {
            photos: &self,
            checker: Checker::new(&self.settings),
            counted: CountedRows::of_a_changing_folder(&self.settings),
            indexes: HashMap::new(),
            begun: HashMap::new(),
            pictures,
            unsaved_rows: Vec::new(),
            found_again: HashMap::new(),
            left_out_copies: HashMap::new(),
            returned: HashSet::new(),
            unusable: HashMap::new(),
            repeats: HashMap::new(),
            noted: HashSet::new(),
        };
        let mut last_error = None;
        while !starter.is_over() {
            let began = Instant::now();
            match watcher.poll() {
                Ok(changes) => {
                    if last_error.take().is_some() {
                        starter.note_always(format!("{folder} can be read again"));
                    }
                    arrivals.take(changes, &mut watcher, starter)?;
                    // After the photos that came, which may be new ones in the places of these.
                    arrivals.look_again(&mut watcher);
                    arrivals.begin_again(&watcher, starter);
                }
                Err(error) => {
                    let why = error.to_string();
                    // Printed once for each reason, and not at every poll.
                    if last_error.as_ref() != Some(&why) {
                        starter.note_always(format!(
                            "warning: {folder} cannot be read ({why}): no photo that comes is ordered \
                             until it can; it is looked at again and again"
                        ));
                    }
                    last_error = Some(why);
                }
            }
            // A folder that takes long to be read is not read all the time.
            thread::sleep(watcher.interval().max(began.elapsed()));
        }
        Ok(())
    }
}

impl ArrivedRows<'_> {
    /// Takes what has changed. Of photos that came together each is in the budget's scope before one of
    /// them is begun, so that what was paid for any of them counts.
    fn take(
        &mut self,
        changes: Vec<FolderChange>,
        watcher: &mut FolderWatcher,
        starter: &RowStarter<'_>,
    ) -> Result<(), Error> {
        let mut jobs = Vec::new();
        for change in changes {
            // The jobs made of these changes are dropped with nothing sent: nothing more is begun.
            if starter.is_over() {
                return Ok(());
            }
            match change {
                FolderChange::Gone(path) => {
                    // A photo that is gone counts no more among equal ones, so that it is the same row
                    // when it comes back under another name.
                    if let Some(index) = self.indexes.get(&path) {
                        self.counted.uncount(*index);
                        // Its pauses had grown for this photo; the next one there is another, or was put back.
                        self.repeats.remove(index);
                    }
                }
                FolderChange::Returned(path) => {
                    if let Some(index) = self.indexes.get(&path) {
                        self.counted.recount(*index);
                        self.returned.insert(*index);
                    }
                    self.returned.extend(self.found_again.get(&path));
                }
                FolderChange::Other(path) => {
                    let why = self.photos.manifest.why_left_out(&path);
                    starter.note(format!("warning: {why}"));
                }
                FolderChange::Arrived(path) => jobs.extend(self.arrived(path, watcher, starter)?),
            }
        }
        self.begin(jobs, starter)
    }

    /// Begins rows, once all of them are in the budget's scope.
    fn begin(&self, jobs: Vec<(RowLabel, Job)>, starter: &RowStarter<'_>) -> Result<(), Error> {
        if jobs.is_empty() {
            return Ok(());
        }
        let WatchedPhotos { store, scope, .. } = self.photos;
        let identities: Vec<_> = jobs.iter().filter_map(|(label, _)| label.identity).collect();
        if let Some(scope) = scope {
            store.add_to_scope(*scope, &identities).map_err(|error| unreadable(&error))?;
        }
        for (label, job) in jobs {
            if !starter.begin_repeatable(label, job) {
                break;
            }
        }
        Ok(())
    }

    /// Looks again, after pauses that grow, at photos that were unusable when they arrived. One that can be read by
    /// now arrives anew, once it has settled: its writer may have made it readable before it wrote all of it.
    fn look_again(&mut self, watcher: &mut FolderWatcher) {
        for (path, since) in &mut self.unusable {
            let repeats = self.repeats.entry(self.indexes[path]).or_default();
            if since.elapsed() < pause(*repeats) || !watcher.is_there(path) {
                continue;
            }
            *repeats += 1;
            *since = Instant::now();
            if check_photo_file(&self.photos.manifest.folder().join(path)).is_ok() {
                watcher.forget(path);
            }
        }
    }

    /// Begins rows again for which nothing was sent and whose photo, or a copy, is there: at once where it has
    /// returned, or was found under another name, and after pauses that grow where the upload failed, or the
    /// photo could not be read when its turn came. A program of `--uploads` makes one try, and no change of the
    /// photo may ever come.
    fn begin_again(&mut self, watcher: &FolderWatcher, starter: &RowStarter<'_>) {
        let mut unsent = starter.unsent_jobs();
        if unsent.is_empty() || starter.is_over() {
            return;
        }
        let photos = self.indexes.iter().chain(&self.found_again);
        for (path, index) in photos.chain(&self.left_out_copies) {
            let Some(failure) = unsent.get(index).filter(|_| watcher.is_there(path)).copied()
            else {
                continue;
            };
            let repeats = self.repeats.entry(*index).or_default();
            let has_passed = failure.is_some_and(|it| it.since.elapsed() >= pause(*repeats));
            if !has_passed && !self.returned.contains(index) {
                continue;
            }
            if let Some(again) = failure.map(PassingFailure::what_is_done_again)
                && self.noted.insert(again)
            {
                let longest = LONGEST_PAUSE.as_secs();
                starter.note_always(format!("{again}, after pauses that grow to {longest} s"));
            }
            *repeats += 1;
            self.returned.remove(index);
            // It may be there under several names, and is begun with one.
            unsent.remove(index);
            starter.begin_again(*index, &self.photos.manifest.folder().join(path));
        }
    }

    /// The job of a photo that arrived; `None` where there is none, which is reported.
    fn arrived(
        &mut self,
        path: PathBuf,
        watcher: &mut FolderWatcher,
        starter: &RowStarter<'_>,
    ) -> Result<Option<(RowLabel, Job)>, Error> {
        let WatchedPhotos { manifest, settings, store, .. } = self.photos;
        self.found_again.remove(&path);
        self.left_out_copies.remove(&path);
        self.unusable.remove(&path);
        // By the path first, which reads no bytes.
        if let Some(row) = self.row_of_picture(&path)? {
            starter.note(format!(
                "{} is left out, and nothing is paid for it: it is the picture of row {row}",
                path.display()
            ));
            self.leave_out(path, watcher, starter);
            return Ok(None);
        }
        if let Some(row) = self.row_of_copy(&path)? {
            let shown = manifest.folder().join(&path);
            starter.note_always(format!(
                "{} is left out, and nothing is paid for it: it is a copy of the picture of row {row}; {}, with the \
                 other options of this line, orders it all the same",
                shown.display(),
                self.batch_line()
            ));
            self.leave_out(path, watcher, starter);
            return Ok(None);
        }
        // A photo that nothing was sent for, and that is another now, is the same row.
        let earlier = self.begins_anew(&path, watcher, starter);
        let checked = match earlier {
            Some(index) => {
                self.checker.check_anew(index, Manifest::arrive_again(index, path.clone()))
            }
            None => self.checker.check(manifest.arrive(path.clone())),
        };
        let index = match &checked {
            Ok(checked_row) => checked_row.label.index,
            Err(bad) => bad.label.index,
        };
        self.indexes.insert(path.clone(), index);
        let checked_row = checked.and_then(|mut checked_row| {
            let counted = self.claim(&checked_row).and_then(|()| {
                self.counted.row(settings, &mut checked_row, &lookup_in(Some(&**store)))
            });
            match counted {
                Ok(counted) => Ok((checked_row, counted)),
                Err(problem) => {
                    Err(InvalidRow { label: checked_row.label.into(), problems: vec![problem] })
                }
            }
        });
        let (mut checked_row, CountedRow { row, before, .. }) = match checked_row {
            Ok(counted) => counted,
            Err(bad) => {
                if bad.problems.iter().any(|it| it.kind == ErrorKind::UnusablePhoto) {
                    self.unusable.insert(path, Instant::now());
                }
                starter.send_report(RowReport::of_invalid(bad));
                return Ok(None);
            }
        };
        let line = checked_row.label.line.unwrap_or_default();
        if let Some(first) = self.begun.get(&row.identity).copied() {
            // The same photo under another name, or copied there once more. Its row may be one for which nothing
            // is sent, since its photo is not at its own path by then. By its number it may be the row of a copy,
            // which is there.
            let place = self.counted.equal_rows(index, before + 1).find_map(|identity| {
                let place = (*self.begun.get(&identity)? - 1) as usize;
                let mut paths = self.indexes.iter().chain(&self.found_again);
                let is_there = paths.any(|(path, it)| *it == place && watcher.is_there(path));
                (!is_there).then_some(place)
            });
            let place = place.unwrap_or((first - 1) as usize);
            if settings.skips_duplicates {
                let first = checked_row.label.duplicate_of;
                self.left_out_copies
                    .extend(first.map(|first| (path.clone(), (first - 1) as usize)));
            }
            self.found_again.insert(path, place);
            self.returned.insert(place);
            // The first of equal ones stays the first when a later copy takes its place in the journal.
            let first = checked_row.label.duplicate_of.unwrap_or(first);
            checked_row.label.duplicate_of = Some(first);
            starter.send_report(RowReport::new(checked_row.label, RowStatus::Skipped));
            return Ok(None);
        }
        // Before it may be left out, since what was paid for it counts once, under each name that it gets.
        self.begun.insert(row.identity, line);
        let paid = || paid_before(Some(&*self.photos.store), Some(&row));
        if is_left_out(&checked_row.label, false, settings, starter, paid)? {
            let first = checked_row.label.duplicate_of;
            self.left_out_copies.extend(first.map(|first| (path, (first - 1) as usize)));
            return Ok(None);
        }
        self.unsaved_rows.push(row.identity);
        Ok(Some(checked_row.into_job(Some(row))))
    }

    /// The place of the row of an earlier photo at a path, if nothing was sent for it: then the row is begun anew.
    fn begins_anew(
        &mut self,
        path: &Path,
        watcher: &mut FolderWatcher,
        starter: &RowStarter<'_>,
    ) -> Option<usize> {
        let place = *self.indexes.get(path)?;
        // Where that photo has another name by now, the row is begun again with it.
        let is_here = |(path, it): (&PathBuf, &usize)| *it == place && watcher.is_there(path);
        if self.found_again.iter().any(is_here) || !starter.begins_anew(place) {
            return None;
        }
        // The photo that had another name meanwhile, and is gone, is no photo of this row when it returns.
        for (path, _) in self.found_again.extract_if(|_, it| *it == place) {
            watcher.forget(&path);
        }
        // A copy that was left out is none of this row's photo: it arrives anew, as a photo to be ordered.
        for (path, _) in self.left_out_copies.extract_if(|_, it| *it == place) {
            if watcher.is_there(&path) {
                self.counted.uncount(self.indexes[&path]);
            }
            watcher.forget(&path);
        }
        // What was remembered of it is of the earlier content.
        self.begun.retain(|_, line| *line != place as u64 + 1);
        self.counted.forget(place);
        Some(place)
    }

    /// A file is no photo to be ordered: if it was refused before, when it was not whole, it is skipped now.
    fn leave_out(&mut self, path: PathBuf, watcher: &mut FolderWatcher, starter: &RowStarter<'_>) {
        let Some(index) = self.begins_anew(&path, watcher, starter) else {
            // The photo that was at the path counts no more since it is gone from there.
            self.indexes.remove(&path);
            return;
        };
        // Checked for its label alone: it is skipped whether it is a photo or not.
        let label = match self.checker.check_anew(index, Manifest::arrive_again(index, path)) {
            Ok(checked_row) => checked_row.label,
            Err(bad) => *bad.label,
        };
        starter.send_report(RowReport::new(label, RowStatus::Skipped));
    }

    /// The row whose picture a file is, as the journal has it: a link may lead to the folder of pictures.
    fn row_of_picture(&self, photo: &Path) -> Result<Option<RowNumber>, Error> {
        let path = self.photos.manifest.folder().join(photo);
        // The journal has pictures by their absolute paths.
        let path = std::path::absolute(&path).unwrap_or(path);
        let found = self.photos.store.find(&RowName::Picture(path));
        Ok(found.map_err(|error| unreadable(&error))?.map(|record| record.number))
    }

    /// The row of this folder whose picture a photo is a copy of, by its bytes.
    fn row_of_copy(&mut self, photo: &Path) -> Result<Option<RowNumber>, Error> {
        let (store, pictures) = (&self.photos.store, &mut self.pictures);
        let mut unread = None;
        // A row leaves the list once its pictures are all saved, or it failed: an arrival costs a lookup
        // for each row under way, and not for each row of the folder.
        self.unsaved_rows.retain(|row| match store.find(&RowName::Identity(*row)) {
            Ok(None) => true,
            Ok(Some(record)) => {
                !(pictures.add(&record) || matches!(record.state, RowState::Failed { .. }))
            }
            Err(error) => {
                unread = Some(error);
                true
            }
        });
        match unread {
            Some(error) => Err(unreadable(&error)),
            None => Ok(pictures.row_of(&self.photos.manifest.folder().join(photo))),
        }
    }

    /// The line by which `effects batch` orders all photos of the folder.
    fn batch_line(&self) -> String {
        let WatchedPhotos { manifest, settings, .. } = self.photos;
        let (folder, out) = (manifest.folder().display(), settings.out.display());
        let template = settings.template.as_deref().unwrap_or_default();
        let [folder, out] = [folder, out].map(|path| quoted(&path.to_string()));
        format!("`effects batch {folder} --template {template} --out {out}`")
    }

    /// Keeps the row's files from other rows.
    fn claim(&self, checked_row: &CheckedRow) -> Result<(), InputProblem> {
        let mut claims = self.photos.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let (index, line) = (checked_row.label.index, checked_row.label.line.unwrap_or_default());
        if let Some(photo) = &checked_row.photo {
            claims.photo(photo, line);
        }
        // The preflight reads a manifest to its end for this. A folder has no end, so that each row is
        // checked as it comes.
        if claims.is_photo(&checked_row.target) {
            let why = format!(
                "its picture {} would replace a photo: give another folder with --out",
                checked_row.target.display()
            );
            return Err(InputProblem::row(Some("out"), why));
        }
        // The checker has reported a conflict with the rows before it.
        let _ = claims.picture(&checked_row.target, Claim { index, line });
        Ok(())
    }
}

/// How long to wait before an upload is repeated that was repeated so often.
fn pause(repeated: u32) -> Duration {
    // Ten doublings are more than the longest pause; a shift by as many bits as there were repeats overflows.
    SHORTEST_PAUSE.saturating_mul(1 << repeated.min(10)).min(LONGEST_PAUSE)
}

const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

fn unreadable(error: &JournalError) -> Error {
    Error::new(ErrorKind::Journal, error.to_string())
}
