//! Decides where a job's picture is saved. [`choose`] picks the file; [`check`] refuses one that cannot be
//! written before the job is paid for; [`save`] writes the picture, beside a file that is in its way;
//! [`kept`] finds the pictures of an earlier run by the journal, also in a folder that was moved.
//! `JobContext` calls them. The command and the Python package use [`is_special`] alone, to tell devices
//! and pipes from files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, iter};

use effects_core::journal::JournalError;
use effects_core::{Error, ErrorKind, TaskId};
use effects_jobs::{PictureRecord, Record, RowName, RowState};

use super::job::JobInput;
use super::options::{SaveFiles, SaveWords};
use super::tracked::TrackedJob;
use crate::atomic_file::{AtomicFile, Sink};
use crate::file_id::FileId;
use crate::file_names::{self, Names};
use crate::journal_session::JournalSession;
use crate::saved_picture::{PictureState, is_picture};

/// A picture that is where the job wants it.
#[derive(Debug)]
pub(super) struct KeptPicture {
    pub(super) path: PathBuf,
    state: PictureState,
}

impl KeptPicture {
    /// What to say of a picture that is not the one that was saved.
    pub(super) fn warning(&self, overwrite: &str) -> Option<String> {
        (self.state == PictureState::Changed).then(|| {
            format!(
                "{} was changed since it was saved: it is kept as it is; {overwrite} fetches it again",
                self.path.display()
            )
        })
    }

    /// Whether the journal does not know its file yet.
    pub(super) fn is_unrecorded(&self) -> bool {
        self.state == PictureState::Unrecorded
    }
}

/// Chooses where the picture of a job goes whose name the caller left open: where an earlier run wanted
/// it, else at the name that is made of its photo or key; with a piece of the row's identity where that
/// is the picture of another row.
pub(super) fn choose(
    files: &SaveFiles,
    session: &JournalSession,
    job: &mut TrackedJob,
) -> Result<(), JournalError> {
    let (false, Some(target), Some(row)) = (job.job.is_named, &mut job.target, &mut job.job.row)
    else {
        return Ok(());
    };
    let store = &**session.store();
    let record = store.find(&RowName::Identity(row.identity))?;
    let folder = target.parent().unwrap_or(Path::new(""));
    let before = record.and_then(|record| record.row.target);
    // In another folder it has the same name.
    let before = before.and_then(|before| match before.starts_with(folder) {
        true => Some(before),
        false => Some(folder.join(before.file_name()?)),
    });
    let claim = job.job.claim;
    // Another job of this run may have claimed that name.
    let is_free = |path: &PathBuf| {
        claim.is_none_or(|claim| !files.claims().has_for_another(path, claim.index))
    };
    if let Some(before) = before.filter(is_free) {
        *target = before;
    }
    // Names are made of photos and keys, so rows of two batches may come to the same one.
    if !files.overwrite && is_picture(target) {
        let owner = store.find(&RowName::Picture(target.clone()))?;
        if owner.is_some_and(|owner| owner.row.identity != row.identity) {
            *target = file_names::of_identity(target, &row.identity);
        }
    }
    row.target = Some(target.clone());
    Ok(())
}

/// Folders in which a file could be created a moment ago, with when that was and the length of its path. A
/// batch then creates and deletes no file for each of its rows: on a network drive each takes round trips,
/// and ext4 without a journal searches past all that was deleted in the last five seconds.
#[derive(Debug, Default)]
pub(super) struct WritableFolders(Mutex<HashMap<PathBuf, (Instant, usize)>>);

impl WritableFolders {
    /// Whether a file can be created here, by what is known of its folder, and nothing stands there yet.
    fn is_writable(&self, target: &Path, now: Instant) -> bool {
        let known = target.parent().and_then(|folder| self.lock().get(folder).copied());
        known.is_some_and(|(when, longest)| {
            now.saturating_duration_since(when) < BELIEVED_FOR
                && target.as_os_str().len() <= longest
                && target.symlink_metadata().is_err()
        })
    }

    /// A file could be created here.
    fn note(&self, target: &Path, now: Instant) {
        if let Some(folder) = target.parent() {
            self.lock().insert(folder.to_owned(), (now, target.as_os_str().len()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, (Instant, usize)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a picture could be saved to this file or beside it, found out before it is paid for; `is_own` says
/// that the file is a picture of the same row. A name that the caller chose is always tried: it may hold
/// letters that the file system does not take.
pub(super) fn check(
    files: &SaveFiles,
    writable: &WritableFolders,
    target: &Path,
    is_named: bool,
    is_own: bool,
) -> Result<(), Error> {
    let now = Instant::now();
    if !is_named && writable.is_writable(target, now) {
        return Ok(());
    }
    let name = target.display();
    let SaveWords { thing, another_file, overwrite } = files.words;
    let refused = |why: String| Err(Error::new(ErrorKind::Misconfigured, why));
    if !files.overwrite && !is_own && is_picture(target) {
        return refused(format!(
            "{name} is there already and is no picture of this {thing}: move it, {another_file}, or \
             replace it with {overwrite}; nothing was sent"
        ));
    }
    // In a folder a picture is named after its task, which no file there is yet.
    if target.is_dir() {
        return Ok(());
    }
    if is_special(target) {
        return refused(format!(
            "{name} is no regular file, so it keeps no picture: move it, or {another_file}; nothing was \
             sent"
        ));
    }
    // A picture would be written over what the program prints, or into the middle of it.
    let stdout = FileId::of_stdout();
    if stdout.is_some() && FileId::of(target) == stdout {
        return refused(format!(
            "{name} is what stdout is written to: give the picture another file"
        ));
    }
    make_folder(target)
        // Begun and dropped: a folder that takes no file is found out before the job is paid for.
        .and_then(|()| AtomicFile::begin(target))
        .map(|_| writable.note(target, now))
        .or_else(|error| refused(format!("{error}; nothing was sent")))
}

/// Whether something stands there that is neither a file nor a folder: a device or a pipe, say, which
/// keeps no picture and may never be opened.
pub fn is_special(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// The pictures of a completed row, if all of them are where the job wants them, or the folder they were
/// saved to was moved there.
pub(super) fn kept(
    files: &SaveFiles,
    session: &JournalSession,
    job: &TrackedJob,
    record: &Record,
) -> Result<Option<Vec<KeptPicture>>, JournalError> {
    let RowState::Completed { task, pictures, .. } = &record.state else { return Ok(None) };
    let mut kept = Vec::new();
    for index in 0..pictures.len() {
        // One that is missing leaves two cases: the whole folder was moved, or some pictures have
        // to be fetched. For those `has_picture` asks for each by itself.
        match kept_at(files, session, job, record, index)? {
            Some(picture) => kept.push(picture),
            None => return moved(files, session, job, record, task, pictures),
        }
    }
    Ok(Some(kept))
}

/// A picture of a completed row, if it is where the job wants it: kept, unless a changed one is to be
/// replaced.
pub(super) fn kept_at(
    files: &SaveFiles,
    session: &JournalSession,
    job: &TrackedJob,
    record: &Record,
    index: usize,
) -> Result<Option<KeptPicture>, JournalError> {
    let RowState::Completed { task, pictures, .. } = &record.state else { return Ok(None) };
    let Some(picture) = pictures.get(index) else { return Ok(None) };
    let place = place(files, job, index, task);
    let Some(path) = picture.path.clone().filter(|path| is_in_place(job, path, &place, task))
    else {
        return Ok(None);
    };
    let state = PictureState::of(&**session.store(), record.number, picture)?;
    let is_kept = match state {
        PictureState::Gone => false,
        PictureState::Changed => !files.overwrite,
        PictureState::Kept | PictureState::Unrecorded => true,
    };
    Ok(is_kept.then_some(KeptPicture { path, state }))
}

/// The pictures of a completed row, if the folder they were saved to was moved to where they belong
/// now: `None` unless all of them were.
fn moved(
    files: &SaveFiles,
    session: &JournalSession,
    job: &TrackedJob,
    record: &Record,
    task: &TaskId,
    pictures: &[PictureRecord],
) -> Result<Option<Vec<KeptPicture>>, JournalError> {
    let is_gone = |picture: &PictureRecord| picture.path.as_ref().is_some_and(|it| !it.exists());
    // A folder that was copied is not one that was moved: its pictures are still where they were
    // saved.
    if !pictures.iter().all(is_gone) {
        return Ok(None);
    }
    let mut moved = Vec::new();
    for (index, picture) in pictures.iter().enumerate() {
        let place = place(files, job, index, task);
        // The name it was saved under, else the one it would have now.
        let name = picture.path.as_ref().and_then(|path| path.file_name());
        let named = name.map(|name| place.with_file_name(name));
        let named = named.filter(|path| is_in_place(job, path, &place, task));
        let found = named.into_iter().chain([place]).find(|path| is_picture(path));
        let Some(path) = found else { return Ok(None) };
        let there = PictureRecord { path: Some(path.clone()), ..picture.clone() };
        match PictureState::of(&**session.store(), record.number, &there)? {
            // Nothing says that it is the picture of this row.
            PictureState::Gone | PictureState::Changed => return Ok(None),
            PictureState::Kept | PictureState::Unrecorded => {
                moved.push(KeptPicture { path, state: PictureState::Unrecorded });
            }
        }
    }
    Ok(Some(moved))
}

/// Whether a picture that was saved at `path` is where the job wants the one that goes to `place`.
fn is_in_place(job: &TrackedJob, path: &Path, place: &Path, task: &TaskId) -> bool {
    // The name that an earlier run made stays, also where another would be made today.
    let is_open = !job.job.is_named && matches!(job.job.ask, JobInput::Picture(..));
    match is_open {
        true => path.parent() == place.parent(),
        false => file_names::is_at_or_beside(path, place, task),
    }
}

/// The files that the pictures of a job may go to, as far as its record tells, and that are empty.
pub(super) fn empty_files(
    files: &SaveFiles,
    job: &TrackedJob,
    record: Option<&Record>,
) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = job.target.clone().into_iter().collect();
    if let Some(RowState::Completed { task, pictures, .. }) = record.map(|record| &record.state) {
        for (index, picture) in pictures.iter().enumerate() {
            places.push(place(files, job, index, task));
            places.extend(picture.path.clone());
        }
    }
    let is_empty =
        |path: &PathBuf| path.metadata().is_ok_and(|found| found.is_file() && found.len() == 0);
    places.retain(is_empty);
    places
}

/// Where the picture of this index goes; `task` names it where the job does not.
pub(super) fn place(files: &SaveFiles, job: &TrackedJob, index: usize, task: &TaskId) -> PathBuf {
    let names = Names::default_for(job.template.as_ref(), task);
    let path = match &job.target {
        Some(folder) if folder.is_dir() => folder.join(names.path(index)),
        Some(file) => Names::chosen(file.clone()).path(index),
        None => files.folder.clone().unwrap_or_default().join(names.path(index)),
    };
    let is_taken = match job.job.claim {
        // A second picture whose usual name is another job's; a first one's own was claimed.
        Some(_) => index > 0 && files.claims().has(&path),
        None => {
            // A task or a row that is followed claims no file; its own photo must not be replaced
            // all the same.
            let photo = job.job.photo_path().and_then(FileId::of);
            photo.is_some() && FileId::of(&path) == photo
        }
    };
    if is_taken {
        // By the path's hash, so that the next run comes to the same name.
        let hash = file_names::hash(&file_names::shown(&path));
        return path.with_extension(format!("{hash:016x}.png"));
    }
    path
}

/// Saves a picture to where it belongs. A file in its way stays, unless the caller said otherwise: the
/// picture is paid for, so it is saved beside it, unless it is that very file.
pub(super) fn save(
    files: &SaveFiles,
    job: &TrackedJob,
    index: usize,
    task: &TaskId,
    bytes: &[u8],
) -> Result<PathBuf, Error> {
    let path = place(files, job, index, task);
    make_folder(&path)?;
    let beside = Names::chosen(file_names::beside(&path, task));
    let places = iter::once(path).chain((0..).map(|number| beside.path(number)));
    for place in places {
        // `overwrite` means files that stood there before, not the picture of another job of this
        // run.
        let is_anothers =
            job.job.claim.is_some_and(|claim| files.claims().has_for_another(&place, claim.index));
        let was_empty = job.empty_files.contains(&place);
        if place_at(&place, bytes, files.overwrite && !is_anothers, was_empty)? {
            return Ok(place);
        }
    }
    let why = format!(
        "the picture of task {task} is paid for, and every name for it is taken: move what is there"
    );
    Err(Error::new(ErrorKind::Download, why))
}

/// Whether these bytes are in this file now: it had them before, or it is written. A picture that is
/// there is replaced only if it may be, and an empty file if it was one already when the job was opened.
fn place_at(place: &Path, bytes: &[u8], may_replace: bool, was_empty: bool) -> Result<bool, Error> {
    // A crash between saving and recording leaves the picture there without its record.
    let has_them = || fs::read(place).is_ok_and(|there| there == bytes);
    if is_picture(place) {
        let has_them = has_them();
        if has_them || !may_replace {
            return Ok(has_them);
        }
    }
    if is_special(place) {
        return Ok(false);
    }
    let is_new = fs::metadata(place).is_err();
    // `AtomicFile::finish_new` may take a name by an empty file just before it moves a picture there: another
    // process may be about to.
    if !is_new && !may_replace && !was_empty {
        return Ok(false);
    }
    let mut file = AtomicFile::begin(place)?;
    file.write(bytes)?;
    // What is there is empty, or may be replaced.
    if !is_new {
        return file.finish().map(|_| true);
    }
    // What another process puts there meanwhile is not replaced, and may be this very picture.
    Ok(file.finish_new()?.is_some() || has_them())
}

/// Makes the folder of a file.
fn make_folder(path: &Path) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new(""));
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(|error| {
        Error::new(ErrorKind::Download, format!("{} cannot be made: {error}", folder.display()))
    })
}

/// Pictures are saved many seconds after their folder was looked at, so that a second more tells no less.
const BELIEVED_FOR: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_took_a_file_is_believed_for_a_moment_and_for_plain_names_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (writable, now) = (WritableFolders::default(), Instant::now());
        let cat = folder.path().join("cat.png");
        assert!(!writable.is_writable(&cat, now));
        writable.note(&cat, now);
        assert!(writable.is_writable(&folder.path().join("dog.png"), now));
        assert!(
            !writable.is_writable(&folder.path().join("horse.png"), now),
            "a longer name may be too long"
        );
        assert!(!writable.is_writable(&folder.path().join("a/b.png"), now), "another folder");
        assert!(!writable.is_writable(&cat, now + BELIEVED_FOR));
        fs::write(&cat, "cat").unwrap();
        assert!(!writable.is_writable(&cat, now), "what stands there is looked at");
    }
}
