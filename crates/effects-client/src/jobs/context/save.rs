//! Puts the pictures of a job of a [`JobContext`] where they belong: [`JobContext::has_picture`] looks
//! whether one is there already, and [`JobContext::save`] saves a downloaded one or keeps its bytes. Both
//! tell the journal where the file is and note a warning if it is not the expected one. The async client
//! (`transfer.rs`) and the blocking one (`jobs.rs`) call the first for each picture and the second for each
//! that they download; `open.rs` takes over pictures of earlier runs by `keep`.

use bytes::Bytes;
use effects_core::{Picture, TaskId};
use effects_jobs::{FetchError, OpenRow};

use super::JobContext;
use crate::jobs::notice::JobNotice;
use crate::jobs::options::Save;
use crate::jobs::placement;
use crate::jobs::tracked::TrackedJob;
use crate::saved_picture::{record_picture, record_saved};

impl JobContext {
    /// Whether a picture of a finished task is where it belongs already; `index` is its place.
    pub fn has_picture(
        &self,
        job: &mut TrackedJob,
        row: Option<&OpenRow>,
        task: &TaskId,
        index: usize,
    ) -> bool {
        let (Some(files), Some(session)) = (self.files(), &self.session) else { return false };
        let Some(record) = row.and_then(OpenRow::record) else { return false };
        // The record is of the task before, whose pictures are others.
        if record.state.task() != Some(task) {
            return false;
        }
        // A journal that cannot be read costs no more than a download.
        let kept = placement::kept_at(files, session, job, record, index).ok().flatten();
        let has = kept.is_some();
        if let Some(picture) = kept {
            self.keep(job, row, index, picture);
        }
        has
    }

    /// Saves a picture that was fetched; `index` is its place among its task's.
    ///
    /// # Errors
    ///
    /// When this machine does not take it.
    pub fn save(
        &self,
        job: &mut TrackedJob,
        row: Option<&OpenRow>,
        index: usize,
        picture: &Picture,
        bytes: Bytes,
    ) -> Result<(), FetchError> {
        let Save::Files(files) = &self.save else {
            job.pictures.push(bytes);
            return Ok(());
        };
        let path = placement::save(files, job, index, &picture.task_id, &bytes)
            .map_err(|error| FetchError { error, is_local: true })?;
        if let Some(row) = row {
            // Not lost where that fails: the journal's next flush tells, and the picture is found again.
            // After the file is in its place: the journal names none that is not there.
            let _ = record_saved(row, index, &path, &bytes);
        }
        let wanted = placement::place(files, job, index, &picture.task_id);
        if path != wanted {
            let (path, wanted) = (path.display(), wanted.display());
            job.warnings.push(format!("saved as {path}, since {wanted} is another file"));
        }
        job.files.push(path);
        Ok(())
    }

    pub(super) fn keep(
        &self,
        job: &mut TrackedJob,
        row: Option<&OpenRow>,
        index: usize,
        picture: placement::KeptPicture,
    ) {
        if let Some(row) = row
            && picture.is_unrecorded()
        {
            // Not lost where that fails: it is found again the same way.
            let _ = record_picture(row, index, &picture.path);
        }
        let overwrite = self.files().map_or("", |files| files.words.overwrite);
        if let Some(warning) = picture.warning(overwrite) {
            self.report(JobNotice::Kept { index: job.index, warning: warning.clone() });
            job.warnings.push(warning);
        }
        job.files.push(picture.path);
    }
}
