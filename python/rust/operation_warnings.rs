//! What is odd on the way to a result, for Python's `logging`.
//!
//! The runtime's thread never asks for the interpreter's lock, so a warning goes the way of the result: to
//! the thread or the loop that waits for it, which logs it as it comes.

use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use effects_core::Event;
use pyo3::prelude::*;
use tokio::sync::mpsc::UnboundedSender;

use crate::mailbox::Shared;
use crate::many::RowEnd;
use crate::operation::Word;

/// Where the warnings of an operation go.
#[derive(Clone)]
pub(crate) enum Warnings {
    Thread(Sender<Word>),
    Mailbox(Arc<Shared>),
    Rows(UnboundedSender<RowEnd>),
}

tokio::task_local! {
    static HERE: Warnings;
}

impl Warnings {
    /// Passes an event on. Once the waiting was given up, it is dropped.
    pub fn tell(&self, event: &Event) {
        // A warning is logged where it comes up.
        if let Event::Warning { .. } = event {
            return;
        }
        let text = event.to_string();
        match self {
            Self::Thread(tell) => drop(tell.send(Word::Warning(text))),
            Self::Mailbox(mailbox) => mailbox.warn(text),
            Self::Rows(tell) => drop(tell.send(RowEnd::Warning(text))),
        }
    }
}

/// Does the work; its warnings go there.
pub(crate) async fn telling<T>(warnings: Option<Warnings>, work: impl Future<Output = T>) -> T {
    match warnings {
        Some(warnings) => HERE.scope(warnings, work).await,
        None => work.await,
    }
}

/// Where the warnings of the work go that this is part of.
pub(crate) fn here() -> Option<Warnings> {
    HERE.try_with(Clone::clone).ok()
}

/// Logs a warning.
pub(crate) fn log(py: Python<'_>, text: &str) -> PyResult<()> {
    let logger = py.import("logging")?.call_method1("getLogger", ("spark_effects",))?;
    logger.call_method1("warning", ("%s", text)).map(drop)
}
