//! Gets a job of a [`JobContext`] ready before it is submitted. [`JobContext::open`] opens its row (one in
//! memory, if only a budget counts it), looks for pictures that it has already, and refuses it if its
//! picture could not be saved; [`JobContext::photo`] reads and checks its photo. The job drivers of both
//! clients call both on threads that may block.

use std::path::Path;
use std::sync::PoisonError;

use effects_core::journal::JournalError;
use effects_core::{Error, ErrorKind};
use effects_jobs::{
    Found, OpenRow, Photo, PrepareError, Record, Row, RowDraft, RowName, RowPhoto, RowState,
};
use sha2::{Digest, Sha256};

use super::JobContext;
use crate::atomic_file::read_photo;
use crate::caller_panic::{JOURNAL, guarded};
use crate::jobs::job::{JobInput, PhotoSource};
use crate::jobs::options::Save;
use crate::jobs::placement;
use crate::jobs::tracked::TrackedJob;
use crate::journal_session::JournalSession;
use crate::saved_picture::is_picture;

impl JobContext {
    /// Opens a job's row and looks for its pictures; `None` where nothing is journaled.
    ///
    /// # Errors
    ///
    /// Why it cannot be gone on with: nothing was sent.
    pub fn open(&self, job: &mut TrackedJob) -> Result<Option<Found>, PrepareError> {
        // The journal may be the program's own.
        guarded(JOURNAL, || self.find_work(job)).unwrap_or_else(|| {
            let why = format!("{JOURNAL} panicked");
            Err(PrepareError::Journal(JournalError::Unreadable(why)))
        })
    }

    fn find_work(&self, job: &mut TrackedJob) -> Result<Option<Found>, PrepareError> {
        if let Some(wrong) = job.wrong.take() {
            return Err(wrong);
        }
        let files = self.files();
        let found = match (&job.job.ask, &self.session, &self.memory) {
            (JobInput::Row { number, .. }, Some(session), _) => {
                let found = session.resume(*number).map_err(PrepareError::Journal)?;
                // Of a row that is resumed, the record alone knows the template and the file.
                if let Found::Watch(open) | Found::Settled(open) = &found
                    && let Some(record) = open.record()
                {
                    job.template = Some(record.row.template.clone());
                    job.target.clone_from(&record.row.target);
                }
                Some(found)
            }
            (JobInput::Row { .. }, None, _) => {
                let why = "a row is resumed by the journal that has it, and no journal is given: give that one";
                return Err(PrepareError::Refused(Error::new(ErrorKind::Misconfigured, why)));
            }
            (_, Some(session), _) if job.job.row.is_some() => {
                if let Some(files) = files {
                    placement::choose(files, session, job).map_err(PrepareError::Journal)?;
                }
                let row = job.job.row.as_deref();
                let found = row.map(|row| self.open_row(session, row)).transpose();
                found.map_err(PrepareError::Journal)?
            }
            // This store only counts money and finds nothing again. So its row needs no digest, key
            // or tag, but origin, template and size, by which prices are known.
            (JobInput::Picture(checked, _), None, Some(memory)) => {
                let row = RowDraft {
                    origin: self.origin.clone(),
                    template: checked.template.clone(),
                    size: checked.size,
                    params: checked.params.clone(),
                    photo: RowPhoto::Content { digest: [0; 32], shown: job.job.image() },
                    key: None,
                    tag: None,
                    target: None,
                };
                Some(Found::Submit(memory.begin(row).map_err(PrepareError::Journal)?))
            }
            _ => None,
        };
        let found = match found {
            Some(Found::Settled(open)) => Some(self.settled(job, open)?),
            None | Some(Found::Submit(_)) if job.job.work().submits() => self.placed(job, found)?,
            other => other,
        };
        let record = match &found {
            Some(Found::Watch(open)) => open.record(),
            None | Some(Found::Submit(_)) => None,
            // No picture is to be saved.
            Some(Found::Settled(_) | Found::Doubtful(_) | Found::Elsewhere(_)) => return Ok(found),
        };
        if let Some(files) = files {
            job.empty_files = placement::empty_files(files, job, record);
        }
        Ok(found)
    }

    fn open_row(&self, session: &JournalSession, row: &Row) -> Result<Found, JournalError> {
        let found = session.open(row)?;
        // A row of an earlier run counts in this budget with what it has paid; a new one joins
        // with its intent.
        if self.registers && !matches!(&found, Found::Submit(open) if open.record().is_none()) {
            for budget in session.budgets() {
                session.store().add_to_scope(budget.scope, &[row.identity])?;
            }
        }
        Ok(found)
    }

    /// A row with a verdict: there is nothing to do if its pictures are where they belong.
    fn settled(&self, job: &mut TrackedJob, open: OpenRow) -> Result<Found, PrepareError> {
        let Some(record) = open.record() else { return Ok(Found::Settled(open)) };
        if !matches!(record.state, RowState::Completed { .. }) {
            return Ok(Found::Settled(open));
        }
        let (Save::Files(files), Some(session)) = (&self.save, &self.session) else {
            // Nothing is to be saved, and the record has all that a poll would show.
            let is_enough = matches!(self.save, Save::Nothing) && record.state.effect().is_some();
            return Ok(if is_enough { Found::Settled(open) } else { Found::Watch(open) });
        };
        let kept = placement::kept(files, session, job, record).map_err(PrepareError::Journal)?;
        // A look at the task costs nothing and brings a fresh link to what is missing.
        let Some(kept) = kept else { return Ok(Found::Watch(open)) };
        for (index, picture) in kept.into_iter().enumerate() {
            self.keep(job, Some(&open), index, picture);
        }
        Ok(Found::Settled(open))
    }

    /// A job to be submitted: its picture has a place, or it is refused before it is paid for.
    fn placed(
        &self,
        job: &TrackedJob,
        found: Option<Found>,
    ) -> Result<Option<Found>, PrepareError> {
        let (Some(files), Some(target)) = (self.files(), &job.target) else { return Ok(found) };
        // A picture of its own, of a task before, stays beside the new one.
        let is_own = self.has_own_picture(job, target).map_err(PrepareError::Journal)?;
        // Before it is paid for: a picture without a place would have to be fetched by hand.
        let checked =
            placement::check(files, &self.writable_folders, target, job.job.is_named, is_own);
        let Err(error) = checked else { return Ok(found) };
        match self.begun_by_another(job).map_err(PrepareError::Journal)? {
            // Another process was faster, and what is in the way is its picture of this job.
            Some(record) => Ok(Some(Found::Elsewhere(record))),
            None => Err(PrepareError::Refused(error)),
        }
    }

    /// Whether a file was last saved as a picture of the job's own row.
    fn has_own_picture(&self, job: &TrackedJob, file: &Path) -> Result<bool, JournalError> {
        let (Some(session), Some(row)) = (&self.session, &job.job.row) else { return Ok(false) };
        // Any other file is the caller's own, whatever the journal says of its path.
        if !is_picture(file) {
            return Ok(false);
        }
        let owner = session.store().find(&RowName::Picture(file.to_owned()))?;
        Ok(owner.is_some_and(|owner| owner.row.identity == row.identity))
    }

    /// The job's record, if by now the journal has a submission or a task of it.
    fn begun_by_another(&self, job: &TrackedJob) -> Result<Option<Record>, JournalError> {
        let (Some(session), Some(row)) = (&self.session, &job.job.row) else { return Ok(None) };
        let known = session.store().find(&RowName::Identity(row.identity))?;
        Ok(known.filter(|record| {
            // Of these, nothing can lie in the way.
            !matches!(record.state, RowState::Released { .. } | RowState::Failed { .. })
        }))
    }

    /// Reads the photo of a job, once: bytes in memory are handed over, since a task runs long after its
    /// photo is uploaded.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is not the one that the job's row is known by.
    pub fn photo(&self, job: &mut TrackedJob) -> Result<Photo, PrepareError> {
        let JobInput::Picture(_, Some(source)) = &mut job.job.ask else {
            let why = "the job has neither a URL nor a photo";
            return Err(PrepareError::Failed(Error::new(ErrorKind::InvalidRequest, why)));
        };
        let photo = source.read().map_err(PrepareError::Failed)?;
        if let PhotoSource::Photo(_) = source {
            *source = PhotoSource::Uploaded(photo.shown().to_owned());
        }
        let digest = Sha256::digest(photo.bytes()).into();
        let is_of = |row: &Row| row.likeness == Row::likeness_of_content(digest);
        // Its row is the photo's content: another photo in it would be found as paid for by a
        // later run.
        let is_changed = job.job.row.as_ref().is_some_and(|row| !is_of(row));
        if is_changed {
            let why = format!(
                "photo {} changed since the row was read: nothing was sent; run the same line again, \
                 and the row is the one of the new photo",
                job.job.image()
            );
            return Err(PrepareError::Refused(Error::new(ErrorKind::UnusablePhoto, why)));
        }
        // Locked for the look alone, not while the check decodes a photo: at worst two threads
        // check the same one.
        let checked = || self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(check) = self.check_photo.as_ref().filter(|_| !checked().contains(&digest)) {
            let looked = guarded(CHECK, || check(&photo));
            looked.unwrap_or_else(|| Err(format!("{CHECK} panicked"))).map_err(|why| {
                let why = format!("photo {}: {why}; nothing was sent", job.job.image());
                PrepareError::Refused(Error::new(ErrorKind::UnusablePhoto, why))
            })?;
            // One photo through thirty templates is decoded once.
            checked().insert(digest);
        }
        Ok(photo)
    }
}

/// The function that a program gave to look through photos.
const CHECK: &str = "the function of check_photos";

impl PhotoSource {
    pub(super) fn read(&self) -> Result<Photo, Error> {
        match self {
            Self::File(path) if placement::is_special(path) => {
                let why = format!(
                    "photo {} is no regular file, and a job reads its photo more than once: save it as a \
                     file",
                    path.display()
                );
                Err(Error::new(ErrorKind::UnusablePhoto, why))
            }
            Self::File(path) => read_photo(path),
            Self::Photo(photo) => Ok(photo.clone()),
            Self::Uploaded(name) => {
                let why = format!("photo {name} was uploaded, and its bytes are not kept");
                Err(Error::new(ErrorKind::UnusablePhoto, why))
            }
        }
    }
}
