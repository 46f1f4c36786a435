//! [`drive`], [`drive_on`] and [`drive_on_async`]: the loops that carry out what a [`Run`] asks for: write
//! to the journal, make an exchange, sleep. [`drive`] goes to the end; the others return at each event
//! ([`Driven`]). The blocking client's `Watch` calls [`drive_on`], `effects doctor --live` [`drive`];
//! programs and tests that embed the core call any of them. The async client and jobs have drivers of their
//! own. The loops' clocks are in `clock.rs`.

mod clock;

use crate::gateway::exchange::{AsyncExchange, Exchange, Gateway};
use crate::journal::{AsyncJournal, Journal, JournalError, RowOutcome};
use crate::run::event::Event;
use crate::run::outcome::Outcome;
use crate::run::{Run, Step};

pub use clock::{AsyncClock, Clock};

/// What a driver returns with: an event, or the end.
#[derive(Clone, Debug, PartialEq)]
pub enum Driven {
    /// An event of the run; drive on.
    Event(Event),
    /// The run is over.
    Done(Outcome),
}

/// Drives a run to its end, blocking the thread.
///
/// `on_event` is called with every event.
///
/// # Errors
///
/// [`JournalError`] when an entry could not be made durable; nothing more was sent then, and the
/// run may be driven on once it can.
pub fn drive(
    run: &mut Run,
    gateway: &Gateway<impl Exchange>,
    clock: &dyn Clock,
    journal: &dyn Journal,
    mut on_event: impl FnMut(Event),
) -> Result<Outcome, JournalError> {
    loop {
        match drive_on(run, gateway, clock, journal, || false)? {
            Driven::Event(event) => on_event(event),
            Driven::Done(outcome) => return Ok(outcome),
        }
    }
}

/// Drives a run up to its next event, blocking the thread.
///
/// `stop` is asked before each step, and its yes detaches the run. A clock whose sleep ends early
/// makes that prompt.
///
/// # Errors
///
/// [`JournalError`] when an entry could not be made durable; nothing more was sent then, and the
/// run may be driven on once it can.
pub fn drive_on(
    run: &mut Run,
    gateway: &Gateway<impl Exchange>,
    clock: &dyn Clock,
    journal: &dyn Journal,
    stop: impl Fn() -> bool,
) -> Result<Driven, JournalError> {
    // The call before may have ended while an entry was being written.
    run.record_again();
    // Only what waits takes time, and reading a clock does.
    let mut now = clock.now();
    loop {
        if stop() {
            run.detach(now);
        }
        match run.step(now) {
            Step::Record(entry) => {
                let admission = journal.write(&entry)?;
                now = clock.now();
                run.admission(now, entry.id, &admission);
            }
            Step::Send(call) => {
                let result = gateway.call(&call);
                now = clock.now();
                run.reply(now, call.id, &result);
            }
            Step::Sleep { until, .. } => {
                clock.sleep_until(until);
                now = clock.now();
            }
            Step::Notify(event) => return Ok(Driven::Event(event)),
            Step::Done(outcome) => {
                // Before the caller learns of the end, since it may end the process next.
                journal.ended(&RowOutcome::of_outcome(&outcome))?;
                return Ok(Driven::Done(outcome));
            }
        }
    }
}

/// Drives a run up to its next event, without blocking.
///
/// Dropping the future is safe while an entry is written, which is then written again, and while a
/// poll is out, which is then made again once its time is over; while a submission
/// is out it would lose the answer, so a caller that may be dropped lets the submission run in a task
/// of its own.
///
/// # Errors
///
/// [`JournalError`] when an entry could not be made durable; nothing more was sent then, and the
/// run may be driven on once it can.
pub async fn drive_on_async(
    run: &mut Run,
    gateway: &Gateway<impl AsyncExchange>,
    clock: &impl AsyncClock,
    journal: &dyn AsyncJournal,
) -> Result<Driven, JournalError> {
    run.record_again();
    // Only what waits takes time, and reading a clock does.
    let mut now = clock.now();
    loop {
        match run.step(now) {
            Step::Record(entry) => {
                let admission = journal.write(&entry).await?;
                now = clock.now();
                run.admission(now, entry.id, &admission);
            }
            Step::Send(call) => {
                let result = gateway.call_async(&call).await;
                now = clock.now();
                run.reply(now, call.id, &result);
            }
            Step::Sleep { until, .. } => {
                clock.sleep_until(until).await;
                now = clock.now();
            }
            Step::Notify(event) => return Ok(Driven::Event(event)),
            Step::Done(outcome) => {
                journal.ended(&RowOutcome::of_outcome(&outcome))?;
                return Ok(Driven::Done(outcome));
            }
        }
    }
}
