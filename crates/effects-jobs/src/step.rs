//! [`JobStep`]: what a [`JobMachine`](crate::JobMachine) tells its driver to do next, mostly for one job
//! ([`JobId`]): open its row, upload, send, settle, fetch. The job drivers of both clients and the
//! simulation in `effects-testkit` do it and reply, with a [`PrepareError`] where a job could not be opened
//! or its photo not read or uploaded, with a [`FetchError`] where a picture could not be downloaded or
//! saved. In the clients, a failed transfer's error is the driver's; `JobContext` makes all others.

use effects_core::batch::RunId;
use effects_core::gateway::Call;
use effects_core::journal::{Entry, JournalError, RowOutcome};
use effects_core::{Effect, Error, Event, Time};

use crate::end::JobEnd;

/// A job of a machine, by its place.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct JobId(pub(crate) u32);

/// What to do next. `K` is what the driver knows of a job: it comes along with a step that needs it, and
/// goes back with the reply.
#[derive(Debug)]
pub enum JobStep<K> {
    /// There is room for this many more jobs: [`add`](crate::JobMachine::add) some, or say that there are
    /// [`no more`](crate::JobMachine::close).
    WantJobs(u32),
    /// Open the job's row in the journal and look for its pictures, then call
    /// [`opened`](crate::JobMachine::opened).
    Open(JobId, K),
    /// Upload the job's photo, then call [`uploaded`](crate::JobMachine::uploaded).
    Upload(JobId, K),
    /// Draw a seed and call [`begin`](crate::JobMachine::begin) at once.
    Begin(JobId),
    /// Make this durable, then call [`recorded`](crate::JobMachine::recorded).
    Record(RunId, Entry),
    /// Make this exchange, then call [`reply`](crate::JobMachine::reply).
    Send(RunId, Call),
    /// Tell the journal how the job's run ended, then call [`settled`](crate::JobMachine::settled) at
    /// once.
    Settle(JobId, RowOutcome),
    /// Fetch the pictures, then call [`fetched`](crate::JobMachine::fetched).
    Fetch(JobId, K, Box<Effect>),
    /// Tell the caller, who watches.
    Notify(RunId, Event),
    /// Tell the caller: the job's task failed, and it is paid for anew.
    Renewing(JobId, Error),
    /// The job is over, and its handle with it.
    Done(K, JobEnd),
    /// Nothing to do before this time, unless a reply or a job comes.
    Sleep(Time),
    /// Every job is over, and no more are to come.
    Empty,
}

/// Why a job could not be made ready.
#[derive(Clone, Debug)]
pub enum PrepareError {
    /// The journal could not be read: nothing more is begun.
    Journal(JournalError),
    /// The job is refused for a reason of its own: nothing was sent.
    Refused(Error),
    /// Something failed that is not the job's fault.
    Failed(Error),
}

/// Why pictures could not be fetched.
#[derive(Clone, Debug)]
pub struct FetchError {
    /// What went wrong.
    pub error: Error,
    /// Whether this machine took no more, so that no exchange failed: what is paid for now could not be
    /// saved either.
    pub is_local: bool,
}
