//! Which file a row's picture is saved to ([`choose`]), and whether it is there already, by what the
//! journal recorded ([`saved`], [`all_there`]), perhaps in a folder that was moved ([`moved`]). Two input manifests may use one folder, and no file of one is
//! taken for a picture of the other.

use std::path::{Path, PathBuf};

use effects_client::{OpenRow, PictureState, is_picture};
use effects_core::{JournalError, JournalStore, PictureRecord, Record, RowName, Standing, TaskId};

use super::course::Course;
use super::item::{Item, Source};
use crate::naming;

/// A picture of a row that is where the row wants it.
#[derive(Debug)]
pub(crate) struct SavedPicture {
    pub(crate) path: PathBuf,
    state: PictureState,
}

impl SavedPicture {
    /// What to say of a picture that is not the one that was saved.
    pub(crate) fn warning(&self) -> Option<String> {
        (self.state == PictureState::Changed).then(|| {
            format!(
                "{} was changed since it was saved: it is kept as it is; --overwrite fetches it again",
                self.path.display()
            )
        })
    }

    /// Tells the journal what it does not know of the file yet. Nothing is lost where that fails: it
    /// is found again the same way.
    pub(crate) fn record(&self, open: &OpenRow, index: usize) {
        if self.state == PictureState::Unrecorded {
            let _ = open.landed(index, &self.path);
        }
    }
}

/// Chooses where the picture of a row goes whose name the user left to the batch: where an earlier run
/// wanted it, else at the name that is made of its photo or key; with a piece of the row's identity
/// where that is the picture of another row.
pub(super) fn choose(course: &Course, item: &mut Item) -> Result<(), JournalError> {
    let (Source::Manifest(wanted, Some(row)), Some(ledger)) = (&mut item.source, &course.ledger)
    else {
        return Ok(());
    };
    if wanted.is_named {
        return Ok(());
    }
    let store = &**ledger.store();
    let record = store.look(&RowName::Identity(row.identity))?;
    let folder = wanted.target.parent().unwrap_or(Path::new(""));
    let before = record.and_then(|record| record.row.target);
    // In another folder it has the same name.
    let before = before.and_then(|before| match before.starts_with(folder) {
        true => Some(before),
        false => Some(folder.join(before.file_name()?)),
    });
    let is_free = |path: &PathBuf| !course.claims.has_for_another(path, item.told.index);
    if let Some(before) = before.filter(is_free) {
        wanted.target = before;
    }
    if !course.overwrite && is_picture(&wanted.target) {
        let owner = store.look(&RowName::Picture(wanted.target.clone()))?;
        if owner.is_some_and(|owner| owner.row.identity != row.identity) {
            wanted.target = naming::of_identity(&wanted.target, &row.identity);
        }
    }
    row.target = Some(wanted.target.clone());
    Ok(())
}

/// Whether something stands there that is neither a file nor a folder: a device or a pipe, say, which
/// keeps no picture and may never be opened.
pub(super) fn is_special(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// The pictures of a completed row, each if it is where the row wants it: kept, unless a changed one
/// is to be replaced.
pub(super) fn saved(
    course: &Course,
    item: &Item,
    record: &Record,
) -> Result<Vec<Option<SavedPicture>>, JournalError> {
    let (Standing::Completed { task, pictures, .. }, Some(ledger)) =
        (&record.standing, &course.ledger)
    else {
        return Ok(Vec::new());
    };
    let saved = |(index, picture): (usize, &PictureRecord)| {
        let place = item.path(index, task, &course.claims);
        let Some(path) = picture.path.clone().filter(|path| item.is_in_place(path, &place, task))
        else {
            return Ok(None);
        };
        let state = PictureState::of(&**ledger.store(), record.number, picture)?;
        let is_kept = match state {
            PictureState::Gone => false,
            PictureState::Changed => !course.overwrite,
            PictureState::Kept | PictureState::Unrecorded => true,
        };
        Ok(is_kept.then_some(SavedPicture { path, state }))
    };
    pictures.iter().enumerate().map(saved).collect()
}

/// The pictures of a completed row, if the folder they were saved to was moved to where they belong
/// now: `None` unless all of them were.
pub(super) fn moved(
    course: &Course,
    item: &Item,
    record: &Record,
) -> Result<Option<Vec<SavedPicture>>, JournalError> {
    let (Standing::Completed { task, pictures, .. }, Some(ledger)) =
        (&record.standing, &course.ledger)
    else {
        return Ok(None);
    };
    let is_gone = |picture: &PictureRecord| picture.path.as_ref().is_some_and(|it| !it.exists());
    if !pictures.iter().all(is_gone) {
        return Ok(None);
    }
    let mut moved = Vec::new();
    for (index, picture) in pictures.iter().enumerate() {
        let Some(path) = moved_to(course, item, index, task, picture) else { return Ok(None) };
        let there = PictureRecord { path: Some(path.clone()), ..picture.clone() };
        match PictureState::of(&**ledger.store(), record.number, &there)? {
            // Nothing says that it is the picture of this row.
            PictureState::Gone | PictureState::Changed => return Ok(None),
            PictureState::Kept | PictureState::Unrecorded => {
                moved.push(SavedPicture { path, state: PictureState::Unrecorded });
            }
        }
    }
    Ok(Some(moved))
}

/// The file in the row's folder that has the name a picture was saved under, else the name it would
/// have now.
fn moved_to(
    course: &Course,
    item: &Item,
    index: usize,
    task: &TaskId,
    picture: &PictureRecord,
) -> Option<PathBuf> {
    let place = item.path(index, task, &course.claims);
    let name = picture.path.as_ref().and_then(|path| path.file_name());
    let named = name.map(|name| place.with_file_name(name));
    let named = named.filter(|path| item.is_in_place(path, &place, task));
    named.into_iter().chain([place]).find(|path| is_picture(path))
}

/// The pictures of a row that the journal has as completed, if all of them are still where they were
/// saved.
pub(super) fn all_there(
    store: &dyn JournalStore,
    record: &Record,
) -> Result<Option<Vec<PathBuf>>, JournalError> {
    let Standing::Completed { pictures, .. } = &record.standing else { return Ok(None) };
    let mut paths = Vec::new();
    for picture in pictures {
        match (&picture.path, PictureState::of(store, record.number, picture)?) {
            (Some(path), state) if state != PictureState::Gone => paths.push(path.clone()),
            _ => return Ok(None),
        }
    }
    Ok((!paths.is_empty()).then_some(paths))
}
