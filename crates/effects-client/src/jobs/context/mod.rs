//! [`JobContext`]: does what jobs need on this machine beside HTTP. It numbers them, opens their budget,
//! refuses those that repeat the API key or would replace a photo or another job's file, opens their
//! journal rows, reads their photos, saves their pictures, reports to the caller and makes each
//! [`JobResult`](super::JobResult). The job drivers of both clients (`jobs.rs`; in the async one also
//! `driver.rs` and `transfer.rs`) have one for each `run`; the async one calls what may block on other
//! threads. The command's batches and Python's `Many` read their budget from theirs.
//!
//! This file makes one, and counts, names and refuses the jobs; `open.rs` has what a job needs before it is
//! submitted, `save.rs` what becomes of its pictures, `report.rs` what its caller is told.

mod open;
mod report;
mod save;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use effects_core::gateway::Endpoint;
use effects_core::journal::AsyncJournal;
use effects_core::{Error, ErrorKind, Origin};
use effects_jobs::{
    Budget, Identity, MemoryStore, Occurrences, PrepareError, RowDraft, RowError, RowName,
    RowPhoto, Work,
};
use rust_decimal::Decimal;

use crate::file_names;
use crate::jobs::claims::{Claim, Claims};
use crate::jobs::handle::JobsHandle;
use crate::jobs::job::{Job, JobInput};
use crate::jobs::notice::{JobJournals, JobNotice};
use crate::jobs::options::{JobOptions, PhotoCheck, Save, SaveFiles};
use crate::jobs::placement;
use crate::jobs::tracked::TrackedJob;
use crate::journal_session::JournalSession;
use crate::key_in_request::{key_refusal, refuse_key};
use crate::unreachable_photos::UnreachablePhotos;

/// What jobs share of this machine.
pub struct JobContext {
    endpoint: Endpoint,
    origin: Origin,
    /// Over the journal, where there is one.
    session: Option<JournalSession>,
    /// Over memory, for a budget where nothing is journaled.
    memory: Option<JournalSession>,
    /// Whether what earlier runs paid for a job counts in its budget: a caller with a session of its own
    /// has said which rows do.
    registers: bool,
    price: Option<Decimal>,
    save: Save,
    writable_folders: placement::WritableFolders,
    unreachable_photos: UnreachablePhotos,
    counted: Mutex<CountedJobs>,
    check_photo: Option<PhotoCheck>,
    /// The photos that it let pass, by the SHA-256 of their bytes.
    checked: Mutex<HashSet<[u8; 32]>>,
    on_notice: Option<Arc<dyn Fn(JobNotice) + Send + Sync>>,
    journals: Option<Arc<dyn JobJournals>>,
    handle: JobsHandle,
}

/// Jobs that came, counted in their order.
#[derive(Debug, Default)]
struct CountedJobs {
    jobs: usize,
    occurrences: Occurrences,
    /// How often equal jobs without a file of their own came, by what their pictures are named after.
    names: HashMap<u64, u32>,
}

impl JobContext {
    /// What jobs under these options share, of a client of this gateway.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`] for options that contradict each other, [`ErrorKind::InvalidRequest`]
    /// for a scope that repeats the API key, [`ErrorKind::Journal`] when the budget cannot be opened.
    pub fn new(options: &JobOptions, endpoint: &Endpoint) -> Result<Self, Error> {
        options.check()?;
        if options.scope.as_deref().is_some_and(|scope| endpoint.repeats_key(scope)) {
            return Err(key_refusal("the scope"));
        }
        let origin = endpoint.base().origin();
        let retry_failed = options.limits(origin).retry_failed;
        let journal = options.store.as_ref().map(|store| JournalSession::new(Arc::clone(store)));
        // A session of the caller's comes first: it has budgets and orders that a bare store knows
        // nothing of.
        let journal = options.session.clone().or(journal);
        let budgeted = |session: JournalSession| match options.budget {
            None => Ok::<_, Error>(session),
            Some(limit) => {
                let scope = session.store().open_scope(options.scope.as_deref());
                let scope =
                    scope.map_err(|error| Error::new(ErrorKind::Journal, error.to_string()))?;
                Ok(session.within(Budget { scope, limit, price: options.price }))
            }
        };
        let (session, memory) = match journal {
            Some(session) => (Some(budgeted(session.retrying_failed(retry_failed))?), None),
            // A budget without a journal is counted in memory: it holds for this process and no
            // longer.
            None if options.budget.is_some() => {
                (None, Some(budgeted(JournalSession::new(Arc::new(MemoryStore::new())))?))
            }
            None => (None, None),
        };
        Ok(Self {
            endpoint: endpoint.clone(),
            origin: origin.clone(),
            session,
            memory,
            price: options.price,
            registers: options.session.is_none(),
            save: options.save.clone().rooted(),
            writable_folders: placement::WritableFolders::default(),
            unreachable_photos: UnreachablePhotos::default(),
            counted: Mutex::new(CountedJobs {
                occurrences: Occurrences::within(options.scope.clone()),
                ..CountedJobs::default()
            }),
            check_photo: options.check_photo.clone(),
            checked: Mutex::default(),
            on_notice: options.on_notice.clone(),
            journals: options.journals.clone(),
            handle: JobsHandle::default(),
        })
    }

    /// What stops these jobs.
    pub fn handle(&self) -> &JobsHandle {
        &self.handle
    }

    /// The next job, counted: called in the order of the jobs, since equal ones are told apart by it. A
    /// photo in a file is read where the journal has to know it again.
    pub fn track(&self, job: Job) -> TrackedJob {
        if let Some(photo) = job.reference() {
            self.unreachable_photos.warn_of(photo, &self.origin);
        }
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        // Under one lock with the count of equal jobs: the order of the jobs decides which of
        // them is which row.
        let index = counted.jobs;
        counted.jobs += 1;
        let mut tracked = TrackedJob {
            index,
            template: job.template().cloned(),
            target: job.target.clone(),
            job,
            span: None,
            journal: None,
            files: Vec::new(),
            pictures: Vec::new(),
            warnings: Vec::new(),
            empty_files: Vec::new(),
            wrong: None,
        };
        // Before anything is looked up or kept under the job's own words.
        let refused = self.refuse_key(&tracked.job).map_err(PrepareError::Refused);
        if let Err(wrong) = refused.and_then(|()| self.identify(&mut tracked, &mut counted)) {
            tracked.wrong = Some(wrong);
        }
        tracked
    }

    /// Refuses a job that repeats the API key in what is sent of it, or kept.
    fn refuse_key(&self, job: &Job) -> Result<(), Error> {
        let row = job.row.as_deref();
        let name = job.reference().is_none().then(|| job.image());
        let of_row = row.and_then(|row| row.target.as_ref());
        let file = job.target.as_ref().or(of_row).map(|file| file_names::shown(file));
        let words = [
            ("key", "the row's own key", job.key.as_deref()),
            ("key", "the row's own key", row.and_then(|row| row.key.as_deref())),
            ("tag", "the tag", job.tag.as_deref()),
            ("tag", "the tag", row.and_then(|row| row.tag.as_deref())),
            ("image_input1", "the name of the photo", name.as_deref()),
            ("image_input1", "the name of the photo", row.map(|row| row.image.as_str())),
            ("out", "the name of the picture's file", file.as_deref()),
        ];
        refuse_key(&self.endpoint, &job.work(), &words)
    }

    /// The job's row and file, as far as they are known before it is opened.
    fn identify(
        &self,
        tracked: &mut TrackedJob,
        counted: &mut CountedJobs,
    ) -> Result<(), PrepareError> {
        let JobInput::Picture(checked, photo) = &tracked.job.ask else { return Ok(()) };
        // A caller who brings the row (`known_as`) has counted it already.
        if let (Some(session), None) = (&self.session, &tracked.job.row) {
            let photo = match (&checked.reference, photo) {
                (Some(url), _) => RowPhoto::Url(url.clone()),
                (None, Some(source)) => {
                    let shown = tracked.job.image();
                    RowPhoto::content(&source.read().map_err(PrepareError::Failed)?, shown)
                }
                (None, None) => return Ok(()),
            };
            let draft = RowDraft {
                origin: self.origin.clone(),
                template: checked.template.clone(),
                size: checked.size,
                params: checked.params.clone(),
                photo,
                key: tracked.job.key.clone(),
                tag: tracked.job.tag.clone(),
                target: None,
            };
            let store = session.store();
            let find = |identity: &Identity| store.find(&RowName::Identity(*identity));
            // The row's file is set below, once its name is chosen.
            let counted = counted.occurrences.row(draft, find).map_err(|error| match error {
                RowError::Signed(signed) => {
                    let error = Error::new(ErrorKind::InvalidRequest, signed.to_string());
                    PrepareError::Refused(error)
                }
                RowError::Journal(error) => PrepareError::Journal(error),
            })?;
            tracked.job.row = Some(Box::new(counted.row));
        }
        let Save::Files(files) = &self.save else { return Ok(()) };
        if tracked.job.claim.is_none() {
            let name = tracked.target.take().unwrap_or_else(|| match &tracked.job.key {
                Some(key) => file_names::of_key(key),
                None => {
                    let (image, template, size) =
                        (tracked.job.image(), &checked.template, checked.size);
                    let params = &checked.params;
                    let asked = file_names::hash_of_ask(&image, template, size, params);
                    // Equal jobs are numbered as they come, so that the same list names its
                    // pictures alike at each run.
                    let before = counted.names.entry(asked).or_default();
                    *before += 1;
                    file_names::of_row(&image, template, size, params, *before - 1)
                }
            });
            let folder = files.folder.clone().unwrap_or_default();
            tracked.target = Some(folder.join(name));
            self.claim(files, tracked)?;
        }
        if let Some(row) = &mut tracked.job.row {
            row.target.clone_from(&tracked.target);
        }
        Ok(())
    }

    fn claim(&self, files: &SaveFiles, tracked: &mut TrackedJob) -> Result<(), PrepareError> {
        let (index, line) = (tracked.index, tracked.index as u64 + 1);
        let claim = Claim { index, line };
        // Claimed in order, before anything is paid for: of two jobs with one file, the later is
        // refused.
        let mut claims = files.claims();
        // The photo first: the job's own picture must not replace it either.
        if let Some(photo) = tracked.job.photo_path() {
            claims.photo(photo, line);
        }
        let Some(target) = &tracked.target else { return Ok(()) };
        let refused =
            |why: String| Err(PrepareError::Refused(Error::new(ErrorKind::Misconfigured, why)));
        if let Err(other) = claims.picture(target, claim) {
            return refused(format!(
                "its picture \"{}\" is that of the job with index {} too: give one a file of its own; \
                 nothing was sent",
                target.display(),
                other.index
            ));
        }
        if claims.is_photo(target) {
            return refused(format!(
                "its picture would replace the photo \"{}\": give it another file; nothing was sent",
                target.display()
            ));
        }
        tracked.job.claim = Some(claim);
        Ok(())
    }

    /// What a machine is given of a job: its work, and whether it is opened first.
    pub fn plan(&self, tracked: &TrackedJob) -> (Work, bool) {
        let work = tracked.job.work();
        let has_row = tracked.job.row.is_some() && self.session.is_some();
        let counts = self.memory.is_some() && work.submits();
        let is_placed = matches!(self.save, Save::Files(_)) && work.submits();
        // A job that is wrong is opened, too: that is where its error is told.
        let opens =
            has_row || counts || is_placed || tracked.wrong.is_some() || work == Work::Resume;
        (work, opens)
    }

    /// Whether the pictures of jobs are fetched.
    pub fn fetches(&self) -> bool {
        !matches!(self.save, Save::Nothing)
    }

    /// The session over the journal, where there is one.
    pub fn journal_session(&self) -> Option<&JournalSession> {
        self.session.as_ref()
    }

    /// The session whose budgets jobs have to fit into, if any do.
    pub fn budgeted(&self) -> Option<&JournalSession> {
        self.session
            .as_ref()
            .or(self.memory.as_ref())
            .filter(|session| !session.budgets().is_empty())
    }

    /// Whether pictures are saved to files.
    pub fn saves_files(&self) -> bool {
        self.files().is_some()
    }

    /// The journal of a job's run, where the caller hears of its entries; `row` is its row's.
    pub fn journal_of(
        &self,
        job: &TrackedJob,
        row: Option<Arc<dyn AsyncJournal>>,
    ) -> Option<Arc<dyn AsyncJournal>> {
        match &self.journals {
            Some(journals) => Some(journals.journal(job.index, row)),
            None => row,
        }
    }

    /// Makes sure that the journal has everything.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Journal`] when it has not.
    pub fn flush(&self) -> Result<(), Error> {
        let flushed = self.session.as_ref().map_or(Ok(()), |session| session.store().flush());
        flushed.map_err(|error| Error::new(ErrorKind::Journal, error.to_string()))
    }

    fn files(&self) -> Option<&SaveFiles> {
        match &self.save {
            Save::Files(files) => Some(files),
            Save::Nothing | Save::Bytes => None,
        }
    }
}

impl SaveFiles {
    pub(super) fn claims(&self) -> std::sync::MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for JobContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobContext")
            .field("session", &self.session)
            .field("save", &self.save)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use bytes::Bytes;
    use effects_core::{ApiKey, BaseUrl, Effect, Template};
    use effects_jobs::{JobEnd, JobOutcome, Method};

    use super::*;

    const KEY: &str = "sk-context-5d20c1";

    #[test]
    fn the_error_of_a_picture_that_could_not_be_fetched_tells_its_cost() {
        let cost = Decimal::new(3, 2);
        let base = BaseUrl::parse("http://127.0.0.1:9", false).unwrap();
        let endpoint = Endpoint::new(base, ApiKey::new(KEY).unwrap());
        let context = JobContext::new(&JobOptions::default(), &endpoint).unwrap();
        let effect = Effect::kept(&"task-1".parse().unwrap(), [], Some(cost));
        let error = Error::new(ErrorKind::Download, "the disk is full");
        let end = JobEnd {
            outcome: JobOutcome::NotFetched(Box::new(effect), error),
            method: Some(Method::Submitted),
            earlier_cost: Decimal::ZERO,
            row: None,
        };
        let job = context.track(Job::photo(Template::GlassBall, "cat.png"));
        let result = context.result(job, end);
        let told = |error: &Error| error.usage().and_then(|usage| usage.cost);
        assert_eq!(result.error().map(told), Some(Some(cost)));
        assert_eq!(told(&result.into_result().unwrap_err()), Some(cost));
    }

    #[test]
    fn an_empty_file_is_replaced_unless_it_came_after_the_look() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("cat.png");
        let base = BaseUrl::parse("http://127.0.0.1:9", false).unwrap();
        let endpoint = Endpoint::new(base, ApiKey::new(KEY).unwrap());
        let task = "task-1".parse().unwrap();
        let effect = Effect::kept(&task, ["https://example.com/ball.png"], None);
        for is_early in [true, false] {
            let save = Save::Files(SaveFiles::default());
            let options = JobOptions { save, ..JobOptions::default() };
            let context = JobContext::new(&options, &endpoint).unwrap();
            let job = Job::url(Template::GlassBall, "https://example.com/cat.jpg").unwrap();
            let mut job = context.track(job.saved_to(&target));
            if is_early {
                fs::write(&target, "").unwrap();
            }
            assert!(context.open(&mut job).unwrap().is_none());
            // As another process takes the name before it moves its own picture there.
            fs::write(&target, "").unwrap();
            context
                .save(&mut job, None, 0, &effect.pictures[0], Bytes::from_static(b"ball"))
                .unwrap();
            let saved = if is_early { "cat.png" } else { "cat-task-1.png" };
            assert_eq!(job.files, [folder.path().join(saved)]);
            assert_eq!(fs::read(&job.files[0]).unwrap(), b"ball");
            fs::remove_file(&target).unwrap();
        }
    }

    #[test]
    fn a_job_and_a_scope_that_repeat_the_key_are_refused_by_name() {
        let base = BaseUrl::parse("http://127.0.0.1:9", false).unwrap();
        let endpoint = Endpoint::new(base, ApiKey::new(KEY).unwrap());
        let context = JobContext::new(&JobOptions::default(), &endpoint).unwrap();
        let job = || Job::photo(Template::GlassBall, "cat.png");
        let unlisted = Template::unlisted(KEY).unwrap();
        for (job, part) in [
            (job().with_key(KEY), "the row's own key"),
            (job().with_tag(format!("for {KEY}")), "the tag"),
            (job().saved_to(format!("{KEY}.png")), "the name of the picture's file"),
            (Job::photo(Template::GlassBall, format!("{KEY}.png")), "the name of the photo"),
            (Job::photo(unlisted, "cat.png"), "the template"),
        ] {
            let Some(PrepareError::Refused(error)) = context.track(job).wrong else {
                panic!("{part}");
            };
            let error = error.to_string();
            assert!(error.starts_with(&format!("{part} holds the API key")), "{error}");
            assert!(!error.contains(KEY), "{error}");
        }
        assert!(context.track(job().with_key("cat").with_tag("spring")).wrong.is_none());
        let (store, budget) = (Some(Arc::new(MemoryStore::new()) as Arc<_>), Some(Decimal::ONE));
        let scope = Some(KEY.to_owned());
        let options = JobOptions { store, budget, scope, ..JobOptions::default() };
        let error = JobContext::new(&options, &endpoint).unwrap_err();
        assert!(error.to_string().starts_with("the scope holds the API key"), "{error}");
    }
}
