//! `Batch::journal_session`: opens the journal's session of a batch, and with `--budget` puts the batch's
//! rows into a budget scope, whose costs and reservations of all runs count together, so that the journal
//! refuses a submission beyond it. Where no price is known it first follows unfinished tasks of earlier
//! runs to learn one. `Batch::run` and `Batch::watch` call it before the first submission,
//! `Batch::process_rows` reads with [`scope`] what was paid, and `Batch::plan` takes the price of a picture
//! from `Batch::price`.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use effects_client::JournalSession;
use effects_core::journal::{Journal, JournalError, OverBudget, RowNumber};
use effects_core::{Error, ErrorKind, Origin, Policy};
use effects_jobs::{Budget, Found, Identity, JournalStore, ScopeState};
use effects_ureq::Client;
use rust_decimal::Decimal;

use super::options::Batch;
use super::progress_line::ProgressLine;
use super::rows::BatchSettings;
use crate::failure::Failure;
use crate::journal;
use crate::order_budget;

impl Batch<'_> {
    /// The session over the journal, whose submissions have to fit into the budget, if there is one. What
    /// earlier runs paid for these rows counts.
    pub(super) fn journal_session(
        &self,
        client: &Client,
        store: Option<Arc<dyn JournalStore>>,
        rows: &[Identity],
        created: &[RowNumber],
        progress: &ProgressLine,
    ) -> Result<Option<JournalSession>, Failure> {
        let failed = |error: JournalError| journal::failure(&error);
        let Some(journal_session) = store.map(JournalSession::new) else { return Ok(None) };
        let Some(limit) = self.options.budget else { return Ok(Some(journal_session)) };
        // A submission is admitted at a price. A task of an earlier run may tell one for nothing; else
        // the first new task runs alone until its cost is seen.
        if self.options.price.is_none()
            && highest_cost(&**journal_session.store(), &self.settings.origin)?.is_none()
        {
            find_price(client, &journal_session, created, progress)?;
        }
        let scope =
            journal_session.store().open_scope(self.scope_name().as_deref()).map_err(failed)?;
        let journal_session =
            journal_session.within(Budget { scope, limit, price: self.options.price });
        for page in rows.chunks(ROWS_AT_ONCE) {
            journal_session
                .store()
                .add_to_scope(journal_session.budgets()[0].scope, page)
                .map_err(failed)?;
        }
        self.refuse_what_cannot_be_counted(&journal_session)?;
        Ok(Some(journal_session))
    }

    /// The name of the scope that the budget counts. A watched folder is one by itself, so that watches which
    /// save to it at the same time share what is left: each may be the only one to see some of its photos.
    /// It is one of its gateway: a rehearsal spends nothing of the budget of what it rehearses.
    fn scope_name(&self) -> Option<String> {
        let BatchSettings { out, origin, .. } = self.settings;
        let of_folder = || {
            let whole = fs::canonicalize(out).unwrap_or_else(|_| out.clone());
            format!("folder {} at {origin}", whole.display())
        };
        let scope = self.options.scope.clone();
        scope.or_else(|| self.manifest.is_watched().then(of_folder))
    }

    /// Refuses a budget that is lost before anything is sent: no price is known, and earlier runs left
    /// tasks whose cost may never be.
    fn refuse_what_cannot_be_counted(
        &self,
        journal_session: &JournalSession,
    ) -> Result<(), Failure> {
        let (None, Some(scope)) = (self.options.price, scope(Some(journal_session))?) else {
            return Ok(());
        };
        let why = match scope.unreadable {
            Some(row) => OverBudget::CostUnreadable { row },
            // A task that a live process follows may still tell its cost; an abandoned one may never.
            None if scope.abandoned > 0
                && highest_cost(&**journal_session.store(), &self.settings.origin)?.is_none() =>
            {
                OverBudget::PriceUnknown { open: scope.abandoned }
            }
            None => return Ok(()),
        };
        let message = format!("{why}; nothing was sent");
        Err(Error::new(ErrorKind::BudgetExceeded, message).into())
    }

    /// What a picture costs at most, as far as is known.
    pub(super) fn price(
        &self,
        store: Option<&dyn JournalStore>,
    ) -> Result<Option<Decimal>, Failure> {
        match (self.options.price, store) {
            (Some(price), _) => Ok(Some(price)),
            (None, Some(store)) => highest_cost(store, &self.settings.origin),
            (None, None) => Ok(None),
        }
    }
}

/// What the rows have paid, and what is reserved for them; none without a budget.
pub(super) fn scope(
    journal_session: Option<&JournalSession>,
) -> Result<Option<ScopeState>, Failure> {
    let Some(journal_session) = journal_session else { return Ok(None) };
    let Some(budget) = journal_session.budgets().first() else { return Ok(None) };
    journal_session.store().scope(budget.scope).map(Some).map_err(|error| journal::failure(&error))
}

/// Follows tasks of earlier runs until one of them tells what it cost, no longer than a wait for one task may
/// take. That costs nothing.
fn find_price(
    client: &Client,
    journal_session: &JournalSession,
    created: &[RowNumber],
    progress: &ProgressLine,
) -> Result<(), Failure> {
    let (begun, limit) = (Instant::now(), client.policy().wait_timeout);
    let mut is_told = false;
    for row in created {
        // A wait that ran into its end says little of the other tasks, and nothing is sent meanwhile.
        let wait_timeout = limit.saturating_sub(begun.elapsed());
        if wait_timeout.is_zero() {
            break;
        }
        let found = journal_session.resume(*row).map_err(|error| journal::failure(&error))?;
        // Another process follows it, or it has its verdict by now.
        let Found::Watch(open) = found else { continue };
        let task = open.record().and_then(|record| record.state.task().cloned());
        let (Some(task), Some(submitted)) = (task, open.submitted()) else { continue };
        if !std::mem::replace(&mut is_told, true) {
            progress.note(
                "what a picture costs is not known: waiting for a task of an earlier run to tell it; --price USD \
                 spares the wait",
            );
        }
        progress.show_step("waiting for a task of an earlier run, to know what one costs");
        let client = client
            .with_policy(Policy { wait_timeout, ..client.policy().clone() })
            .with_journal(open.journal::<Arc<dyn Journal>>());
        let result = client.task(task).submitted_at(submitted).wait();
        // The journal has its verdict and its cost from now on, as of any run.
        open.settle(&result).map_err(|error| journal::failure(&error))?;
        // What became of the row is reported when its turn comes.
        if result.is_ok_and(|effect| effect.usage.cost.is_some_and(|cost| !cost.is_zero())) {
            break;
        }
    }
    Ok(())
}

/// The highest cost of one picture that the journal knows of this gateway.
fn highest_cost(store: &dyn JournalStore, origin: &Origin) -> Result<Option<Decimal>, Failure> {
    order_budget::highest_cost(store, origin).map_err(|error| journal::failure(&error))
}

/// Rows that join the scope in one step.
const ROWS_AT_ONCE: usize = 1_000;
