//! [`Address`]: where a result for Python is delivered: to a blocked thread or to a future of an event
//! loop. `Operation` makes one when it starts, and what does its work delivers the result there: a Rust
//! future, a run's `EffectReceiver` or `SubmissionReceiver` (`run_operation.rs`), or a [`ValueSource`] of
//! many values (`ResultQueue`, or the `EventStream` of `watch.rs`).

use std::sync::Arc;
use std::sync::mpsc::Sender;

use effects_core::{Error, ErrorKind};
use pyo3::prelude::*;
use tokio::runtime::Handle;

use crate::completion_queue::CompletionSender;
use crate::value::OperationValue;

/// Where operations read values from, one each.
pub(crate) trait ValueSource: Send + Sync {
    /// The next value: what is returned, or else it goes to `address` once it is there.
    fn read(&self, runtime: &Handle, address: Address) -> ReadStart;
    /// This reader waits no more; a value that comes now is the next reader's.
    fn leave(&self, reader: ReaderId);
}

/// How a read begins: with a value that is there, or with a wait for one.
pub(crate) enum ReadStart {
    /// What it comes to, which was there.
    Known(Box<Result<OperationValue, Error>>),
    /// The reader waits for it.
    Waits(ReaderId),
}

/// Names a reader within its source.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ReaderId(pub u64);

/// Where a result goes. Dropped without one, it leaves its reader an error ([`given_up`]).
pub(crate) enum Address {
    Thread(Option<Sender<Result<OperationValue, Error>>>),
    EventLoop(Option<(Arc<CompletionSender>, Py<PyAny>)>),
}

impl Address {
    pub fn deliver(&mut self, result: Result<OperationValue, Error>) {
        self.deliver_one(result, false);
    }

    /// Delivers a result of a source that has more of them to come, or not.
    pub(crate) fn deliver_one(&mut self, result: Result<OperationValue, Error>, more: bool) {
        match self {
            Self::Thread(sender) => {
                if let Some(sender) = sender.take() {
                    // A reader that left wants none.
                    let _ = sender.send(result);
                }
            }
            Self::EventLoop(reader) => {
                if let Some((sender, future)) = reader.take() {
                    sender.send(future, result, more);
                }
            }
        }
    }

    /// Nothing is to be delivered.
    pub(crate) fn forget(&mut self) {
        // Emptied, not replaced: dropping what is replaced would deliver an error.
        match self {
            Self::Thread(sender) => drop(sender.take()),
            Self::EventLoop(reader) => drop(reader.take()),
        }
    }
}

/// Work that was aborted or panicked must not leave its reader waiting for ever.
impl Drop for Address {
    fn drop(&mut self) {
        // A blocked thread needs no error: its receiver sees that the sender is gone.
        if matches!(self, Self::EventLoop(Some(_))) {
            self.deliver(Err(given_up()));
        }
    }
}

/// The error for a caller that waits for work that was aborted or panicked.
pub fn given_up() -> Error {
    let message = "the operation was given up half-way: this is a bug of the package, or the \
        operation was cancelled; a submission may exist";
    Error::new(ErrorKind::OutcomeUnknown, message)
}
