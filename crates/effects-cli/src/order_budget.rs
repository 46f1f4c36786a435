//! [`OrderBudget`]: the options `--budget`, `--scope` and `--price` of `effects reorder`, which mean what
//! they do for a batch. [`OrderBudget::journal_session`] opens the session over the journal, whose store
//! refuses submissions beyond the budget. [`highest_cost`] is the most that a picture has cost at a
//! gateway, for `batch/budget.rs` and `doctor/live.rs` too.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;
use effects_client::JournalSession;
use effects_core::journal::JournalError;
use effects_core::{Error, ErrorKind, Origin};
use effects_jobs::{Budget, Identity, JournalStore, ScopeNumber, SpendBy};
use rust_decimal::Decimal;

use crate::failure::Failure;
use crate::journal;
use crate::output::Output;
use crate::values::{order_name, usd};

/// What rows may cost that are bought once more.
#[derive(Args)]
pub(crate) struct OrderBudget {
    /// The most that these rows may cost, what was paid for them before included
    #[arg(long, value_name = "USD", value_parser = usd)]
    budget: Option<Decimal>,

    /// The order whose rows, all of that name, share the budget
    #[arg(long, value_name = "NAME", value_parser = order_name, requires = "budget")]
    scope: Option<String>,

    /// What one picture costs at most; else the highest cost the journal knows of this gateway
    #[arg(long, value_name = "USD", value_parser = usd, requires = "budget")]
    pub(crate) price: Option<Decimal>,
}

impl OrderBudget {
    /// The session over a journal, whose submissions have to fit into the budget, if there is one. Of orders
    /// with a name that these rows are of, and whose budget is not asked for, a line says what they have spent.
    ///
    /// # Errors
    ///
    /// When no row of the journal is of the order that `--scope` names, or one of these is of another; when
    /// the journal cannot be read or written.
    pub(crate) fn journal_session(
        &self,
        store: &Arc<dyn JournalStore>,
        origin: &Origin,
        rows: &[Identity],
        output: &Output,
    ) -> Result<JournalSession, Failure> {
        let failed = |error: JournalError| journal::failure(&error);
        let mut others = BTreeMap::new();
        let mut members = 0;
        for row in rows {
            for member in store.scopes_of(row).map_err(failed)? {
                match member.name {
                    // A name is one scope, so a row is counted once.
                    Some(name) if self.scope.as_ref() == Some(&name) => members += 1,
                    Some(name) => drop(others.insert(name, member.scope)),
                    None => {}
                }
            }
        }
        for (name, scope) in &others {
            output.note(&spent_by(&**store, name, *scope)?);
        }
        let journal_session = JournalSession::new(Arc::clone(store));
        let Some(limit) = self.budget else { return Ok(journal_session) };
        let scope = match &self.scope {
            // Before the scope is opened: a name with a slip would make a new one, with nothing spent in it.
            Some(name) if members < rows.len() => return Err(not_of(name, rows.len() - members)),
            name => store.open_scope(name.as_deref()).map_err(failed)?,
        };
        // Now and not with the first submission, so that what these rows have paid counts from the beginning.
        store.add_to_scope(scope, rows).map_err(failed)?;
        // Said and not refused: without a price one task runs alone until its cost is seen.
        if self.price.is_none() && highest_cost(&**store, origin).map_err(failed)?.is_none() {
            output.note_always(&price_unknown("the first of these tasks", limit));
        }
        Ok(journal_session.within(Budget { scope, limit, price: self.price }))
    }
}

/// The line about an order whose budget these submissions do not keep.
fn spent_by(store: &dyn JournalStore, name: &str, scope: ScopeNumber) -> Result<String, Failure> {
    let state = store.scope(scope).map_err(|error| journal::failure(&error))?;
    let reserved = match state.reserved {
        reserved if reserved.is_zero() => String::new(),
        reserved => format!(" and reserved {reserved} USD"),
    };
    Ok(format!(
        "the order {name:?} has spent {} USD{reserved}; what this costs counts there, without a limit: \
         --budget USD --scope {name:?} sets one",
        state.paid
    ))
}

fn not_of(name: &str, rows: usize) -> Failure {
    let rows = match rows {
        1 => "1 of these rows is".to_owned(),
        rows => format!("{rows} of these rows are"),
    };
    let message = format!(
        "--scope {name:?}: {rows} not of the order of this name, as far as the journal tells: name the order \
         that `effects cost --by scope` lists, or leave --scope out, and --budget counts these rows alone; \
         nothing was sent"
    );
    Error::new(ErrorKind::Misconfigured, message).into()
}

/// What is said before a task is made under a budget while no price is known.
pub(crate) fn price_unknown(what: &str, budget: Decimal) -> String {
    format!(
        "warning: what a picture costs here is not known yet, so {what} may cost more than --budget {budget}: \
         --price USD says what it costs at most"
    )
}

/// The highest cost of one picture that the journal knows of this gateway.
pub(crate) fn highest_cost(
    store: &dyn JournalStore,
    origin: &Origin,
) -> Result<Option<Decimal>, JournalError> {
    // Any grouping would do: the highest cost of one task is the same in all.
    let spend = store.spend(SpendBy::Template, Some(origin))?;
    Ok(spend.into_iter().filter_map(|spend| spend.highest).max())
}
