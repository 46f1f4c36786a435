//! [`Store`]: the [`JournalStore`] of an open journal, in SQLite or Postgres. Each method hands the
//! journal's writer thread a command, through `WriterHandle`, and waits for its answer; a row that it opens
//! or takes is a `RowLease`. `SqliteJournal` and `PostgresStore` hold one each, and the macro
//! `journal_store!` gives them its methods. Jobs, the command and the Python package call these.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use effects_core::journal::{JournalError, RowNumber};
use effects_core::{Origin, TaskId};
use effects_jobs::{
    Filter, Identity, JournalStore, Opened, Record, Resolution, Row, RowJournal, RowName, RowState,
    ScopeMembership, ScopeNumber, ScopeState, Spend, SpendBy,
};
use rust_decimal::Decimal;

use crate::database::values;
use crate::row::RowLease;
use crate::row_snapshot::RowHold;
use crate::row_snapshot::RowStage;
use crate::transaction::Transaction;
use crate::writer_handle::WriterHandle;
use crate::writer_thread::Durability;
use crate::{budget, import, queries, rows, transitions};

/// The side of a journal that asks: every method hands a request to the thread that has the database.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) writer: Arc<WriterHandle>,
    next_hold: AtomicI64,
}

impl Store {
    pub(crate) fn new(writer: Arc<WriterHandle>) -> Self {
        // From 1: an import settles rows as run 0, which no run may be.
        Self { writer, next_hold: AtomicI64::new(1) }
    }

    fn new_hold(&self, row: &Row, renews: Option<(i64, RowStage)>) -> RowHold {
        let number = self.next_hold.fetch_add(1, Ordering::Relaxed);
        RowHold { row: row.clone(), number, renews }
    }

    fn lease(&self, hold: RowHold, holds: bool) -> Arc<dyn RowJournal> {
        Arc::new(RowLease::new(Arc::clone(&self.writer), hold, holds))
    }

    fn find(&self, name: RowName) -> Result<Option<Record>, JournalError> {
        self.writer.ask(Durability::Reading, move |tx| rows::find(tx, &name))
    }

    /// What a record says there is to do. Another process may be faster than the answer, so a row
    /// that could not be taken over is looked at once more.
    fn opened(&self, mut record: Record) -> Result<Opened, JournalError> {
        loop {
            let held = record.holder.is_some();
            match &record.state {
                RowState::Doubtful { .. } => return Ok(Opened::Doubtful(record)),
                // Its owner is there: without it the intent was read as doubtful.
                RowState::Intent { .. } => return Ok(Opened::Elsewhere(record)),
                RowState::Created { .. } | RowState::Released { .. } if held => {
                    return Ok(Opened::Elsewhere(record));
                }
                RowState::Released { .. } => {
                    let hold = self.new_hold(&record.row, None);
                    return Ok(Opened::Submit(self.lease(hold, false)));
                }
                RowState::Completed { .. } | RowState::Failed { .. } => {
                    let hold = self.new_hold(&record.row, None);
                    return Ok(Opened::Finished(record, self.lease(hold, false)));
                }
                RowState::Created { .. } => {
                    let hold = self.new_hold(&record.row, None);
                    if self.take_over(&record.row.identity, hold.number)? {
                        return Ok(Opened::Watch(record, self.lease(hold, true)));
                    }
                }
            }
            let number = record.number;
            record = self.writer.ask(Durability::Reading, move |tx| rows::get(tx, number))?;
        }
    }

    /// Takes a row in hand for a new task beside those it had.
    fn take_anew(
        &self,
        row: RowNumber,
        may_be_taken: fn(&RowState) -> bool,
        wanted: &'static str,
    ) -> Result<Arc<dyn RowJournal>, JournalError> {
        let find = move |tx: &Transaction<'_>| {
            let record = rows::get(tx, row)?;
            let task = transitions::current_task(tx, &record.row.identity)?;
            Ok((record, task))
        };
        // Nothing is written yet. The intent is, and checks that the row still has this verdict
        // (`may_intend`).
        let (record, task) = self.writer.ask(Durability::Reading, find)?;
        if !may_be_taken(&record.state) {
            return Err(wrong(&record, wanted));
        }
        let state = match record.state {
            RowState::Completed { .. } => RowStage::Completed,
            _ => RowStage::Failed,
        };
        let renews = task.map(|task| (task, state));
        Ok(self.lease(self.new_hold(&record.row, renews), false))
    }

    fn take_over(&self, identity: &Identity, hold: i64) -> Result<bool, JournalError> {
        let identity = *identity;
        self.writer.ask(Durability::Writing, move |tx| transitions::take_over(tx, &identity, hold))
    }
}

impl JournalStore for Store {
    fn open(&self, row: &Row) -> Result<Opened, JournalError> {
        let Some(mut record) = self.find(RowName::Identity(row.identity))? else {
            return Ok(Opened::Submit(self.lease(self.new_hold(row, None), false)));
        };
        if let (Some(key), Some(differs)) = (&row.key, row.differs_from(&record.row)) {
            // Nothing was made under the key yet: it may be for another picture now.
            let (row, key) = (row.clone(), key.clone());
            if !self.writer.ask(Durability::Writing, move |tx| transitions::replace(tx, &row))? {
                return Err(JournalError::KeyReused { key, row: record.number, differs });
            }
        }
        // The latest run says where the picture is wanted.
        if let Some(target) = row.target.clone()
            && record.row.target.as_ref() != Some(&target)
        {
            let (identity, wanted) = (row.identity, target.clone());
            self.writer.ask(Durability::Writing, move |tx| {
                transitions::set_target(tx, &identity, &wanted)
            })?;
            record.row.target = Some(target);
        }
        self.opened(record)
    }

    fn take(&self, row: RowNumber) -> Result<Opened, JournalError> {
        let record = self.writer.ask(Durability::Reading, move |tx| rows::get(tx, row))?;
        match record.state {
            RowState::Released { .. } => Err(wrong(&record, "one with a task")),
            _ => self.opened(record),
        }
    }

    fn renew(&self, row: RowNumber) -> Result<Arc<dyn RowJournal>, JournalError> {
        let wanted = "one that failed in a way a new task may mend";
        self.take_anew(row, RowState::may_be_renewed, wanted)
    }

    fn reorder(&self, row: RowNumber) -> Result<Arc<dyn RowJournal>, JournalError> {
        self.take_anew(row, RowState::is_final, "one that is completed or failed")
    }

    fn resolve(&self, row: RowNumber, found: &Resolution) -> Result<(), JournalError> {
        let found = found.clone();
        // Not before it has every id there is: a person may know less.
        self.writer.take_spilled()?;
        self.writer.ask(Durability::Safety, move |tx| {
            let record = rows::get(tx, row)?;
            match record.state {
                RowState::Doubtful { .. } => transitions::resolve(tx, &record.row, row, &found),
                _ => Err(wrong(&record, "doubtful").into()),
            }
        })
    }

    fn import(&self, row: &Row, state: &RowState, earlier: Decimal) -> Result<bool, JournalError> {
        let (row, state) = (row.clone(), state.clone());
        // Not synced by itself: the caller can tell of it once more, and the next flush makes sure.
        self.writer.ask(Durability::Writing, move |tx| import::import(tx, &row, &state, earlier))
    }

    fn import_order(
        &self,
        row: &Identity,
        paid: &TaskId,
        order: &RowState,
    ) -> Result<bool, JournalError> {
        let (row, paid, order) = (*row, paid.clone(), order.clone());
        self.writer
            .ask(Durability::Writing, move |tx| import::import_order(tx, &row, &paid, &order))
    }

    fn id(&self) -> Result<Option<String>, JournalError> {
        self.writer.ask(Durability::Reading, |tx| {
            let found = tx.database.find("SELECT id FROM journal", values![])?;
            Ok(found.map(|row| row.get(0)).transpose()?)
        })
    }

    fn find(&self, row: &RowName) -> Result<Option<Record>, JournalError> {
        self.find(row.clone())
    }

    fn list(&self, filter: &Filter) -> Result<Vec<Record>, JournalError> {
        let filter = filter.clone();
        self.writer.ask(Durability::Reading, move |tx| queries::list(tx, &filter))
    }

    fn spend(&self, by: SpendBy, origin: Option<&Origin>) -> Result<Vec<Spend>, JournalError> {
        let origin = origin.cloned();
        self.writer.ask(Durability::Reading, move |tx| queries::spend(tx, by, origin.as_ref()))
    }

    fn forgotten_costs(&self) -> Result<Vec<(String, Decimal)>, JournalError> {
        self.writer.ask(Durability::Reading, queries::forgotten_costs)
    }

    fn open_scope(&self, name: Option<&str>) -> Result<ScopeNumber, JournalError> {
        let name = name.map(str::to_owned);
        self.writer.ask(Durability::Writing, move |tx| budget::open_scope(tx, name.as_deref()))
    }

    fn add_to_scope(&self, scope: ScopeNumber, rows: &[Identity]) -> Result<(), JournalError> {
        let rows = rows.to_vec();
        self.writer.ask(Durability::Writing, move |tx| {
            rows.iter().try_for_each(|row| budget::add_to_scope(tx, scope, row))
        })
    }

    fn find_scope(&self, name: &str) -> Result<Option<ScopeNumber>, JournalError> {
        let name = name.to_owned();
        self.writer.ask(Durability::Reading, move |tx| budget::find_scope(tx, &name))
    }

    fn scopes_of(&self, row: &Identity) -> Result<Vec<ScopeMembership>, JournalError> {
        let row = *row;
        self.writer.ask(Durability::Reading, move |tx| budget::memberships(tx, &row))
    }

    fn scope(&self, scope: ScopeNumber) -> Result<ScopeState, JournalError> {
        self.writer.ask(Durability::Reading, move |tx| budget::scope_state(tx, scope, None))
    }

    fn flush(&self) -> Result<(), JournalError> {
        // Synced, so that everything before it is.
        self.writer.ask(Durability::Safety, |tx| Ok(tx.renew_lease()?))?;
        self.writer.lost()
    }
}

fn wrong(record: &Record, wanted: &'static str) -> JournalError {
    let (row, state) = (record.number, record.state.name());
    JournalError::WrongRowState { row, state, wanted }
}

/// Gives a type with a field `store` the methods of its [`Store`].
macro_rules! journal_store {
    ($journal:ty) => {
        const _: () = {
            use std::sync::Arc;

            use effects_core::journal::{JournalError, RowNumber};
            use effects_core::{Origin, TaskId};
            use effects_jobs::{
                Filter, Identity, JournalStore, Opened, Record, Resolution, Row, RowJournal,
                RowName, RowState, ScopeMembership, ScopeNumber, ScopeState, Spend, SpendBy,
            };
            use rust_decimal::Decimal;

            impl JournalStore for $journal {
                fn open(&self, row: &Row) -> Result<Opened, JournalError> {
                    self.store.open(row)
                }
                fn take(&self, row: RowNumber) -> Result<Opened, JournalError> {
                    self.store.take(row)
                }
                fn renew(&self, row: RowNumber) -> Result<Arc<dyn RowJournal>, JournalError> {
                    self.store.renew(row)
                }
                fn reorder(&self, row: RowNumber) -> Result<Arc<dyn RowJournal>, JournalError> {
                    self.store.reorder(row)
                }
                fn resolve(&self, row: RowNumber, found: &Resolution) -> Result<(), JournalError> {
                    self.store.resolve(row, found)
                }
                fn import(
                    &self,
                    row: &Row,
                    state: &RowState,
                    earlier: Decimal,
                ) -> Result<bool, JournalError> {
                    self.store.import(row, state, earlier)
                }
                fn import_order(
                    &self,
                    row: &Identity,
                    paid: &TaskId,
                    order: &RowState,
                ) -> Result<bool, JournalError> {
                    self.store.import_order(row, paid, order)
                }
                fn id(&self) -> Result<Option<String>, JournalError> {
                    self.store.id()
                }
                fn find(&self, row: &RowName) -> Result<Option<Record>, JournalError> {
                    self.store.find(row)
                }
                fn list(&self, filter: &Filter) -> Result<Vec<Record>, JournalError> {
                    self.store.list(filter)
                }
                fn spend(
                    &self,
                    by: SpendBy,
                    origin: Option<&Origin>,
                ) -> Result<Vec<Spend>, JournalError> {
                    self.store.spend(by, origin)
                }
                fn forgotten_costs(&self) -> Result<Vec<(String, Decimal)>, JournalError> {
                    self.store.forgotten_costs()
                }
                fn open_scope(&self, name: Option<&str>) -> Result<ScopeNumber, JournalError> {
                    self.store.open_scope(name)
                }
                fn add_to_scope(
                    &self,
                    scope: ScopeNumber,
                    rows: &[Identity],
                ) -> Result<(), JournalError> {
                    self.store.add_to_scope(scope, rows)
                }
                fn find_scope(&self, name: &str) -> Result<Option<ScopeNumber>, JournalError> {
                    self.store.find_scope(name)
                }
                fn scopes_of(&self, row: &Identity) -> Result<Vec<ScopeMembership>, JournalError> {
                    self.store.scopes_of(row)
                }
                fn scope(&self, scope: ScopeNumber) -> Result<ScopeState, JournalError> {
                    self.store.scope(scope)
                }
                fn flush(&self) -> Result<(), JournalError> {
                    self.store.flush()
                }
            }
        };
    };
}
pub(crate) use journal_store;
