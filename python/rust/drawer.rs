//! Rows out of a Python iterator, drawn a few ahead of the batch, so that the photos of several are
//! uploaded side by side; and begun in their order.
//!
//! The thread that draws alone asks for the interpreter's lock. A row that waits for its upload is
//! waited for where its job is asked for, so that a row which is long in coming holds up none before
//! it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use effects_client::{Found, Job, Ledger, OpenRow, Work};
use effects_core::{
    AsyncJournal, BaseUrl, Cause, Detached, EffectRequest, Error, ErrorKind, Occurrences, Row,
    Template,
};
use effects_reqwest::Client;
use pyo3::prelude::*;
use pyo3::types::PyIterator;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::journal;
use crate::many::{JobEnd, Open, Shared, attend, made, no_task};
use crate::note::Note;
use crate::operation::given_up;
use crate::result_queue::ResultSender;
use crate::stake::JobAttempts;
use crate::submission::{Loaded, Wish};
use crate::value::{Made, task_id};

/// A client's kind of journal.
pub type Journal = Arc<dyn AsyncJournal>;

/// A row as Python says it: something to ask for, or a task to follow.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct PlainRow {
    /// What Python gave, to be given back with its end.
    job: Py<PyAny>,
    wish: Option<Wish>,
    task: Option<String>,
    key: Option<String>,
    tag: Option<String>,
    /// What keeps it from being asked for.
    trouble: Option<String>,
}

/// Draws rows, and makes them ready but for the uploads of their photos.
pub struct Drawer {
    pub shared: Arc<Shared>,
    pub runtime: Handle,
    pub client: Client,
    /// Over the journal, where there is one.
    pub ledger: Option<Ledger>,
    /// Over memory, for a budget without a journal.
    pub memory: Option<Ledger>,
    /// Whether the attempts of submissions are counted, for the client's budget.
    pub counts: bool,
    pub rows: Py<PyIterator>,
    pub fetch: bool,
    pub results: ResultSender,
    /// Uploads under way at once.
    pub uploads: Arc<Semaphore>,
    pub occurrences: Occurrences,
    pub drawn: usize,
    /// Rows it may draw before it waits for permits again.
    pub permitted: u32,
}

/// A row's number, and what Python gave for it.
struct Given {
    row: usize,
    job: Py<PyAny>,
}

/// A row that is ready, but perhaps for the upload of its photo.
struct Drawn {
    given: Given,
    work: Ready,
    known: Option<Box<(OpenRow, Row)>>,
    template: Option<Template>,
    begun: Instant,
}

/// The job of a row.
enum Ready {
    Now(Box<Job<Journal>>),
    /// Once its photo is uploaded.
    After(Upload),
}

/// An upload under way. Dropped, it is given up: it costs nothing.
struct Upload(JoinHandle<Result<EffectRequest, Error>>);

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drawer {
    /// Draws on a thread of its own, `ahead` rows before their turn at most; what it gives are the jobs.
    pub fn start(self, ahead: usize) -> Jobs {
        let (shared, runtime, results) =
            (Arc::clone(&self.shared), self.runtime.clone(), self.results.clone());
        let (memory, counts) = (self.memory.clone(), self.counts);
        let (hand, rows) = sync_channel(ahead);
        thread::spawn(move || self.draw_all(&hand));
        Jobs { shared, runtime, memory, counts, results, rows, begun: 0 }
    }

    /// Draws until there are no more rows, or nobody wants more.
    fn draw_all(mut self, hand: &SyncSender<PyResult<Drawn>>) {
        while let Some(row) = self.next_row() {
            let drawn = match row {
                Ok(row) => self.drawn(row),
                Err(broken) => {
                    // The rows before it have their turn first; where nobody wants those, nobody asks.
                    let _ = hand.send(Err(broken));
                    return;
                }
            };
            if let Some(drawn) = drawn
                && hand.send(Ok(drawn)).is_err()
            {
                return;
            }
        }
    }

    /// The next row; what the iterator raises, if it does.
    fn next_row(&mut self) -> Option<PyResult<PlainRow>> {
        // A permit comes back when its row's end is taken. They are waited for by the group, so that
        // this thread does not wake for each row.
        if self.permitted == 0 {
            self.runtime.block_on(self.shared.permits.acquire_many(GROUP)).ok()?.forget();
            self.permitted = GROUP;
        }
        self.permitted -= 1;
        let drawn = Python::try_attach(|py| {
            let next = self.rows.bind(py).clone().next();
            next.map(|row| row.and_then(|row| row.extract::<PlainRow>()))
        });
        drawn.flatten().filter(|row| row.is_err() || !self.shared.stopped.load(Ordering::SeqCst))
    }

    /// A row made ready; `None` where its end is told without a job.
    fn drawn(&mut self, row: PlainRow) -> Option<Drawn> {
        let PlainRow { job, wish, task, key, tag, trouble } = row;
        let mut given = Some(Given { row: self.drawn, job });
        self.drawn += 1;
        if let Some(trouble) = trouble {
            end(&self.results, given?, Err(Error::new(ErrorKind::InvalidRequest, trouble)));
            return None;
        }
        let begun = Instant::now();
        match self.prepare(&mut given, wish, task, key, tag) {
            Ok(Some((work, known, template))) => {
                Some(Drawn { given: given?, work, known: known.map(Box::new), template, begun })
            }
            Ok(None) => None,
            Err(error) => {
                end(&self.results, given?, Err(error));
                None
            }
        }
    }

    /// What there is to do for a row; `None` where somebody else does it, or nothing is left to do: what
    /// is given is taken then, and its end told.
    fn prepare(
        &mut self,
        given: &mut Option<Given>,
        wish: Option<Wish>,
        task: Option<String>,
        key: Option<String>,
        tag: Option<String>,
    ) -> Result<Option<Prepared>, Error> {
        if let Some(task) = task {
            let job = Job::from(task_id(&task)?);
            return Ok(Some((Ready::Now(Box::new(job)), None, None)));
        }
        let Some(wish) = wish else {
            return Err(Error::new(ErrorKind::InvalidRequest, "the row asks for nothing"));
        };
        let order = wish.check()?;
        let template = Some(order.template().clone());
        let loaded = order.load()?;
        let Some(ledger) = self.ledger.clone() else {
            return Ok(Some((self.submission(loaded, None)?, None, template)));
        };
        let row = self.row(&loaded, key, tag)?;
        match ledger.open(&row).map_err(|error| journal::failed(&error))? {
            Found::Submit(open) => {
                let work = self.submission(loaded, Some(&open))?;
                Ok(Some((work, Some((open, row)), template)))
            }
            Found::Watch(open) | Found::Settled(open) => {
                if let Some(error) = open.record().and_then(journal::verdict) {
                    return Err(error);
                }
                if !self.fetch
                    && let Some(made) = open.record().and_then(journal::made)
                {
                    if let Some(given) = given.take() {
                        end(&self.results, given, Ok(Box::new(made)));
                    }
                    return Ok(None);
                }
                let Some(job) = open.watch() else { return Err(no_task()) };
                Ok(Some((Ready::Now(Box::new(job)), Some((open, row)), template)))
            }
            Found::Doubtful(record) => Err(journal::doubtful(&record)),
            Found::Elsewhere(_) => {
                let Some(given) = given.take() else { return Ok(None) };
                let (client, results, fetch) =
                    (self.client.clone(), self.results.clone(), self.fetch);
                self.runtime.spawn(async move {
                    let begun = Instant::now();
                    let result = attend(&client, &ledger, &row).await;
                    end(&results, given, made(&client, result, fetch, template, begun).await);
                });
                Ok(None)
            }
        }
    }

    fn row(
        &mut self,
        loaded: &Loaded,
        key: Option<String>,
        tag: Option<String>,
    ) -> Result<Row, Error> {
        let draft = loaded.row(self.shared.base.origin(), key, tag)?;
        let occurrence = self.occurrences.count(&draft);
        let invalid = |error: effects_core::SignedUrl| {
            Error::new(ErrorKind::InvalidRequest, error.to_string())
        };
        draft.row(occurrence).map_err(invalid)
    }

    /// The job of submitting a row; a local photo begins its upload, in its turn.
    fn submission(&self, loaded: Loaded, open: Option<&OpenRow>) -> Result<Ready, Error> {
        if !loaded.is_local() {
            let request = self.runtime.block_on(loaded.request(&self.client))?;
            let (memory, base) = (self.memory.as_ref(), &self.shared.base);
            return Ok(Ready::Now(Box::new(submit(request, open, memory, base)?)));
        }
        let (client, uploads) = (self.client.clone(), Arc::clone(&self.uploads));
        Ok(Ready::After(Upload(self.runtime.spawn(async move {
            // Never closed; turns come in the order of the rows.
            let _turn = uploads.acquire().await;
            loaded.request(&client).await
        }))))
    }
}

/// What there is to do for a row, what the journal has of it, and its template.
type Prepared = (Ready, Option<(OpenRow, Row)>, Option<Template>);

/// Tells a row's end that has no job.
fn end(results: &ResultSender, given: Given, result: Result<Box<Made>, Error>) {
    results.send(JobEnd::Ended(given.row, given.job, result));
}

fn submit(
    request: EffectRequest,
    open: Option<&OpenRow>,
    memory: Option<&Ledger>,
    base: &BaseUrl,
) -> Result<Job<Journal>, Error> {
    match (open, memory) {
        (Some(open), _) => Ok(open.submit(request)),
        (None, Some(memory)) => {
            let open = memory.begin_request(base.origin(), &request);
            open.map(|open| open.submit(request)).map_err(|error| journal::failed(&error))
        }
        (None, None) => Ok(request.into()),
    }
}

/// The jobs of the rows that were drawn, in their order.
pub struct Jobs {
    shared: Arc<Shared>,
    runtime: Handle,
    memory: Option<Ledger>,
    counts: bool,
    results: ResultSender,
    rows: Receiver<PyResult<Drawn>>,
    begun: usize,
}

impl Iterator for Jobs {
    type Item = Job<Journal>;

    fn next(&mut self) -> Option<Job<Journal>> {
        loop {
            let drawn = match self.rows.recv().ok()? {
                Ok(drawn) => drawn,
                Err(broken) => {
                    self.results.send(JobEnd::Broken(broken));
                    return None;
                }
            };
            if let Some(job) = self.begin(drawn) {
                return Some(job);
            }
        }
    }
}

impl Jobs {
    /// Waits for room and for a row's upload, and notes what is known of its job from here on; `None`
    /// where it was stopped or the upload failed, and that is told.
    fn begin(&mut self, drawn: Drawn) -> Option<Job<Journal>> {
        let Drawn { given, work, known, template, begun } = drawn;
        // The permit comes back when the row's result is taken. Where all of it was stopped, it begins no
        // more.
        let begins = &self.shared.begins;
        let permit = begins.try_acquire();
        let permit = permit.or_else(|_| self.runtime.block_on(begins.acquire()));
        let Ok(permit) = permit else {
            let task_id = match &work {
                Ready::Now(job) => job.work.task_id().cloned(),
                Ready::After(_) => None,
            };
            let stopped = Error::from(Cause::Detached(Detached { task_id }));
            let base = &self.shared.base;
            let stopped = stopped.with_resume_line(|task| base.resume_line(task));
            end(&self.results, given, Err(stopped));
            return None;
        };
        let job = match work {
            Ready::Now(job) => *job,
            Ready::After(mut upload) => {
                let uploaded = self.runtime.block_on(&mut upload.0);
                let open = known.as_deref().map(|(open, _)| open);
                let (memory, base) = (self.memory.as_ref(), &self.shared.base);
                let job = uploaded
                    .unwrap_or_else(|_| Err(given_up()))
                    .and_then(|request| submit(request, open, memory, base));
                match job {
                    Ok(job) => job,
                    Err(error) => {
                        end(&self.results, given, Err(error));
                        return None;
                    }
                }
            }
        };
        let base = Arc::clone(&self.shared.base);
        let note = match &job.work {
            Work::Submit(_) => Note::new(base),
            // One that was given as a task: the caller has its id.
            Work::Watch { task, .. } if known.is_none() => Note::silent(base, task.clone()),
            Work::Watch { task, .. } => Note::about(base, task.clone(), Arc::default()),
        };
        let is_submitted = matches!(job.work, Work::Submit(_));
        let counted = (is_submitted && self.counts).then(Arc::<JobAttempts>::default);
        let journal = match &counted {
            Some(counted) => Some(counted.journal(job.journal)),
            None => job.journal,
        };
        let journal = note.journal(journal);
        permit.forget();
        self.shared.begin(given.row, &note);
        let Given { row, job: object } = given;
        let open = Open { row, job: object, note, known, is_submitted, counted, template, begun };
        self.shared.open().insert(self.begun, open);
        self.begun += 1;
        Some(Job { work: job.work, journal: Some(journal) })
    }
}

/// Rows for which the thread that draws waits together.
pub const GROUP: u32 = 16;
