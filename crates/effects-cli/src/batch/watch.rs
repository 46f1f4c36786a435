//! `Batch::watch`: a batch whose rows are the photos that come to a folder ([`FolderWatcher`]), until a
//! signal, its budget or an error ends it. `commands/watch.rs` calls it. Names, the folder's manifest,
//! journal and budget are those of `effects batch DIR`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use effects_client::{Claim, Claims, Job};
use effects_core::journal::{JournalError, RowNumber};
use effects_core::{Error, ErrorKind};
use effects_jobs::{Filter, Identity, JournalStore, RowName, RowState, ScopeNumber, Which};

use super::counted::CountedRows;
use super::interruptible::RowCount;
use super::made_pictures::MadePictures;
use super::manifest::Manifest;
use super::options::Batch;
use super::progress_line::ProgressLine;
use super::report::{RowReport, RowStatus};
use super::reporter::Reporter;
use super::rows::{Bad, Checker, Common, RowLabel, Wanted, looking_in};
use super::run::{PreparedBatch, is_left_out};
use super::session::Beginner;
use super::summary::BatchSummary;
use super::watcher::{FolderChange, FolderWatcher};
use crate::done::CommandResult;
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
        let live = ProgressLine::new(self.output, self.options.progress_every);
        // A name of its own keeps it to the end of the watch: `_` alone would drop the mark at once.
        let _mark = self.take_folder(Some(&*store))?;
        let books = Reporter::begin(self, Some(Arc::clone(&store)))?;
        // After `take_folder`, which takes rows of the folder's manifest into the journal.
        let FolderRecords { paid_for, created, made } = self.records_of_folder(&*store)?;
        let journal_session = self.journal_session(
            &gateway.client,
            Some(Arc::clone(&store)),
            &paid_for,
            &created,
            &live,
        )?;
        let budget =
            journal_session.as_ref().and_then(|journal_session| journal_session.budgets().first());
        // It has the batch's own files from the start, so that no photo's picture replaces them.
        let claims = Arc::new(Mutex::new(Checker::new(self.common).into_claims()));
        let photos = WatchedPhotos {
            manifest: self.manifest.clone(),
            common: self.common.clone(),
            store,
            scope: budget.map(|budget| budget.scope),
            claims: Arc::clone(&claims),
            made,
            settle,
        };
        live.note(&format!(
            "watching {} for photos; Ctrl-C ends it",
            self.manifest.folder().display()
        ));
        let rows = RowCount::Growing(self.manifest);
        let tally = BatchSummary::of_changing_rows();
        let prepared =
            PreparedBatch { gateway, journal_session, claims, rows, tally, books, live: &live };
        self.carry_out(prepared, move |beginner| photos.run(beginner))
    }

    /// What the journal has of the rows whose pictures go to the folder.
    fn records_of_folder(&self, store: &dyn JournalStore) -> Result<FolderRecords, Failure> {
        let mut found = FolderRecords::default();
        let origin = Some(self.common.origin.clone());
        journal::each(
            store,
            Filter { which: Which::All, origin, ..Filter::default() },
            |record| {
                let target = record.row.target.as_ref();
                if target.is_some_and(|target| target.starts_with(&self.common.out)) {
                    found.paid_for.push(record.row.identity);
                    if !record.state.is_final() && record.state.task().is_some() {
                        found.created.push(record.number);
                    }
                    found.made.add(record);
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

/// What the journal has of the rows whose pictures go to the folder.
#[derive(Default)]
struct FolderRecords {
    /// Those that a budget without a name counts: photos may have been taken away since.
    paid_for: Vec<Identity>,
    /// Those whose task goes on.
    created: Vec<RowNumber>,
    made: MadePictures,
}

/// What begins the rows, on a thread of its own.
struct WatchedPhotos {
    manifest: Manifest,
    common: Common,
    store: Arc<dyn JournalStore>,
    /// The scope of the budget that counts the rows.
    scope: Option<ScopeNumber>,
    claims: Arc<Mutex<Claims>>,
    /// The pictures of earlier runs.
    made: MadePictures,
    settle: Duration,
}

/// The rows so far.
struct ArrivedRows<'a> {
    photos: &'a WatchedPhotos,
    checker: Checker<'a>,
    counted: CountedRows,
    /// The place among the rows of the photo that is at a path now.
    places: HashMap<PathBuf, usize>,
    /// The lines of the rows that were begun.
    begun: HashMap<Identity, u64>,
    /// The pictures of the folder's rows.
    made: MadePictures,
    /// Rows that were begun and whose picture is not among these yet.
    unmade: Vec<Identity>,
}

impl WatchedPhotos {
    fn run(mut self, beginner: &Beginner<'_>) -> Result<(), Error> {
        let made = std::mem::take(&mut self.made);
        let mut watcher = FolderWatcher::new(self.manifest.clone(), self.settle);
        let folder = self.manifest.folder().display();
        let mut arrivals = ArrivedRows {
            photos: &self,
            checker: Checker::new(&self.common),
            counted: CountedRows::of_a_changing_folder(&self.common),
            places: HashMap::new(),
            begun: HashMap::new(),
            made,
            unmade: Vec::new(),
        };
        let mut trouble = None;
        while !beginner.is_over() {
            let began = Instant::now();
            match watcher.look() {
                Ok(changes) => {
                    if trouble.take().is_some() {
                        beginner.urge(format!("{folder} can be read again"));
                    }
                    arrivals.take(changes, beginner)?;
                }
                Err(error) => {
                    let why = error.to_string();
                    // Told once for each reason, and not at every look.
                    if trouble.as_ref() != Some(&why) {
                        beginner.urge(format!(
                            "warning: {folder} cannot be read ({why}): no photo that comes is ordered \
                             until it can; it is looked at again and again"
                        ));
                    }
                    trouble = Some(why);
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
    fn take(&mut self, changes: Vec<FolderChange>, beginner: &Beginner<'_>) -> Result<(), Error> {
        let WatchedPhotos { manifest, store, scope, .. } = self.photos;
        let (mut jobs, mut identities) = (Vec::new(), Vec::new());
        for change in changes {
            // The jobs made of these changes are dropped with nothing sent: nothing more is begun.
            if beginner.is_over() {
                return Ok(());
            }
            match change {
                FolderChange::Gone(path) => {
                    // A photo that is gone counts no more among equal ones, so that it is the same row
                    // when it comes back under another name.
                    if let Some(place) = self.places.get(&path) {
                        self.counted.went(*place);
                    }
                }
                FolderChange::Returned(path) => {
                    if let Some(place) = self.places.get(&path) {
                        self.counted.came_back(*place);
                    }
                }
                FolderChange::Other(path) => {
                    beginner.say(format!("warning: {}", manifest.why_left_out(&path)));
                }
                FolderChange::Arrived(path) => {
                    if let Some((told, job)) = self.arrived(path, beginner)? {
                        identities.extend(told.identity);
                        jobs.push((told, job));
                    }
                }
            }
        }
        if let Some(scope) = scope {
            store.add_to_scope(*scope, &identities).map_err(|error| unreadable(&error))?;
        }
        for (told, job) in jobs {
            if !beginner.begin(told, None, job) {
                break;
            }
        }
        Ok(())
    }

    /// The job of a photo that arrived; `None` where there is none, which is told.
    fn arrived(
        &mut self,
        path: PathBuf,
        beginner: &Beginner<'_>,
    ) -> Result<Option<(RowLabel, Job)>, Error> {
        let WatchedPhotos { manifest, common, store, .. } = self.photos;
        // By the path first, which reads no bytes.
        if let Some(row) = self.row_of_picture(&path)? {
            beginner.say(format!(
                "{} is left out, and nothing is paid for it: it is the picture of row {row}",
                path.display()
            ));
            self.leave_out(path, beginner);
            return Ok(None);
        }
        if let Some(row) = self.row_of_copy(&path)? {
            let shown = manifest.folder().join(&path);
            beginner.urge(format!(
                "{} is left out, and nothing is paid for it: it is a copy of the picture of row {row}; {}, with the \
                 other options of this line, orders it all the same",
                shown.display(),
                self.batch_line()
            ));
            self.leave_out(path, beginner);
            return Ok(None);
        }
        // A photo that nothing was sent for, and that is another now, is the same row.
        let earlier = self.places.get(&path).copied().filter(|it| beginner.begins_anew(*it));
        let checked = match earlier {
            Some(index) => {
                // That identity was of the earlier content.
                self.begun.retain(|_, line| *line != index as u64 + 1);
                self.checker.check_anew(index, Manifest::arrive_again(index, path.clone()))
            }
            None => self.checker.check(manifest.arrive(path.clone())),
        };
        let index = match &checked {
            Ok(wanted) => wanted.told.index,
            Err(bad) => bad.told.index,
        };
        self.places.insert(path, index);
        let wanted = checked.and_then(|mut wanted| {
            let counted = self
                .claim(&wanted)
                .and_then(|()| self.counted.row(common, &mut wanted, &looking_in(Some(&**store))));
            match counted {
                Ok(counted) => Ok((wanted, counted.row)),
                Err(problem) => Err(Bad { told: wanted.told.into(), problems: vec![problem] }),
            }
        });
        let (mut wanted, row) = match wanted {
            Ok(wanted) => wanted,
            Err(bad) => {
                beginner.tell_of(RowReport::of_bad(bad));
                return Ok(None);
            }
        };
        let line = wanted.told.line.unwrap_or_default();
        if let Some(first) = self.begun.get(&row.identity) {
            // The same photo under another name, or copied there once more.
            // The first of equal ones stays the first when a later copy takes its place in the journal.
            let first = wanted.told.duplicate_of.unwrap_or(*first);
            wanted.told.duplicate_of = Some(first);
            beginner.tell_of(RowReport::new(wanted.told, RowStatus::Skipped));
            return Ok(None);
        }
        if is_left_out(&wanted.told, false, common, beginner) {
            return Ok(None);
        }
        self.begun.insert(row.identity, line);
        self.unmade.push(row.identity);
        Ok(Some(wanted.into_job(Some(row))))
    }

    /// A file is no photo to be ordered: if it was refused before, when it was not whole, it is skipped now.
    fn leave_out(&mut self, path: PathBuf, beginner: &Beginner<'_>) {
        let Some(index) = self.places.get(&path).copied().filter(|it| beginner.begins_anew(*it))
        else {
            return;
        };
        self.begun.retain(|_, line| *line != index as u64 + 1);
        // Checked for its label alone: it is skipped whether it is a photo or not.
        let told = match self.checker.check_anew(index, Manifest::arrive_again(index, path)) {
            Ok(wanted) => wanted.told,
            Err(bad) => *bad.told,
        };
        beginner.tell_of(RowReport::new(told, RowStatus::Skipped));
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
        let (store, made) = (&self.photos.store, &mut self.made);
        let mut unread = None;
        // A row leaves the list once its pictures are all saved, or it failed: an arrival costs a lookup
        // for each row under way, and not for each row of the folder.
        self.unmade.retain(|row| match store.find(&RowName::Identity(*row)) {
            Ok(None) => true,
            Ok(Some(record)) => {
                !(made.add(&record) || matches!(record.state, RowState::Failed { .. }))
            }
            Err(error) => {
                unread = Some(error);
                true
            }
        });
        match unread {
            Some(error) => Err(unreadable(&error)),
            None => Ok(made.row_of(&self.photos.manifest.folder().join(photo))),
        }
    }

    /// The line by which `effects batch` orders all photos of the folder.
    fn batch_line(&self) -> String {
        let WatchedPhotos { manifest, common, .. } = self.photos;
        let (folder, out) = (manifest.folder().display(), common.out.display());
        let template = common.template.as_deref().unwrap_or_default();
        let [folder, out] = [folder, out].map(|path| quoted(&path.to_string()));
        format!("`effects batch {folder} --template {template} --out {out}`")
    }

    /// Keeps the row's files from other rows.
    fn claim(&self, wanted: &Wanted) -> Result<(), InputProblem> {
        let mut claims = self.photos.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let (index, line) = (wanted.told.index, wanted.told.line.unwrap_or_default());
        if let Some(photo) = &wanted.photo {
            claims.photo(photo, line);
        }
        // A manifest is surveyed to its end for this. A folder has no end, so that each row is checked as
        // it comes.
        if claims.is_photo(&wanted.target) {
            let why = format!(
                "its picture {} would replace a photo: give another folder with --out",
                wanted.target.display()
            );
            return Err(InputProblem::row(Some("out"), why));
        }
        // The rows before it are told by the checker.
        let _ = claims.picture(&wanted.target, Claim { index, line });
        Ok(())
    }
}

fn unreadable(error: &JournalError) -> Error {
    Error::new(ErrorKind::Journal, error.to_string())
}
