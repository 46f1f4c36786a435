//! Which jobs are refused because of another job's error. [`ends_all`] tells whether an error, such as
//! a refused key, would meet every other job too, so that nothing more is begun; [`Refusals`] remembers
//! that a budget does not reach the price of a template and size, or that tasks bring no picture, and
//! refuses jobs like that before anything is sent. [`JobMachine`](crate::JobMachine) uses both.

use effects_core::run::Refused;
use effects_core::wire::ExchangeError;
use effects_core::{Cause, Error, ErrorKind, Size, Template};

use crate::work::Work;

/// Whether an error would be every other job's too: then the rest is not even tried.
///
/// A 401 or 403 that is not the gateway's own is the page of something in between, such as a
/// firewall's challenge: it says nothing of the key, and the next job may not meet it.
pub fn ends_all(error: &Error) -> bool {
    let rejection = error.exchange_error().and_then(ExchangeError::rejection);
    if rejection.is_some_and(|it| matches!(it.status, 401 | 403) && !it.is_json) {
        return false;
    }
    // The next job meets the same certificate, and the same recording.
    if let Some(ExchangeError::Untrusted { .. } | ExchangeError::NotRecorded { .. }) =
        error.exchange_error()
    {
        return true;
    }
    matches!(
        error.kind(),
        ErrorKind::MissingKey
            | ErrorKind::KeyRefused
            | ErrorKind::Forbidden
            | ErrorKind::OutOfCredit
            | ErrorKind::DeadlineExceeded
            | ErrorKind::NoSuchEndpoint
            | ErrorKind::Redirected
            | ErrorKind::Journal
    )
}

/// Which jobs are refused unsent, since one like them was: of one template and size where the budget does
/// not reach that price, all where no picture comes.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Vec<(Option<(Template, Size)>, Error)>);

impl Refusals {
    /// Takes note of how a job ended.
    pub(crate) fn note(&mut self, priced_by: Option<(Template, Size)>, error: &Error) {
        let kind = match error.cause() {
            // Tasks are billed and show no picture, whatever their template and size.
            Cause::Refused(Refused { kind: ErrorKind::NoPicture, .. }) => None,
            // Nothing comes back of a budget that is used up.
            _ if error.kind() == ErrorKind::BudgetExceeded && priced_by.is_some() => priced_by,
            _ => return,
        };
        // The first of a kind is enough: a batch may have a million rows of it.
        if self.0.iter().all(|(known, _)| *known != kind) {
            self.0.push((kind, error.clone()));
        }
    }

    /// What a job is told that is not submitted for this reason.
    pub(crate) fn of(&self, work: &Work) -> Option<&Error> {
        if self.0.is_empty() {
            return None;
        }
        let of = work.priced_by();
        self.0.iter().find(|(kind, _)| kind.is_none() || *kind == of).map(|(_, error)| error)
    }
}
