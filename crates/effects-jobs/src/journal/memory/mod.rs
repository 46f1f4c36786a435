//! [`MemoryStore`]: a [`JournalStore`] in memory, gone with its process (rows in `table.rs`), used where
//! there is no journal: jobs of the clients count their budget in it then, and so does `effects doctor
//! --live`; `effects watch` has its rows in it in a replay. `effects batch --plan` puts in the rows that
//! a run would import, beside the journal. The simulation of `effects-testkit` and tests use it too.
//!
//! It keeps the contract of [`JournalStore`] without a disk: for a budget without a journal file, for
//! tests, and as the model that other stores are compared with.

mod lease;
mod stored_row;
mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rust_decimal::Decimal;

use self::lease::{LeaseState, RowLease};
use self::stored_row::{RowHold, RowStage, StoredRow};
use self::table::{MemoryTable, Scope};
use crate::journal::budget::{ScopeMembership, ScopeNumber, ScopeState};
use crate::journal::identity::Identity;
use crate::journal::record::{Record, RowState};
use crate::journal::row::Row;
use crate::journal::store::{
    Filter, JournalStore, Opened, Resolution, RowJournal, RowName, Spend, SpendBy, Which,
};
use effects_core::journal::{JournalError, RowNumber};
use effects_core::{Origin, TaskId};

/// Keeps rows in memory. Clones are the same store.
///
/// ```
/// use effects_jobs::{JournalStore, MemoryStore};
///
/// let store = MemoryStore::new();
/// let scope = store.open_scope(None)?;
/// assert!(store.scope(scope)?.paid.is_zero());
/// # Ok::<(), effects_core::journal::JournalError>(())
/// ```
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<MemoryTable>>);

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn table(&self) -> MutexGuard<'_, MemoryTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run's hold on a row; one that `holds` it from the start lets go of it when it is dropped.
    fn lease(
        &self,
        table: &mut MemoryTable,
        row: &Row,
        renews: Option<(usize, RowStage)>,
        holds: bool,
    ) -> Arc<dyn RowJournal> {
        table.last_hold += 1;
        let hold = RowHold { number: table.last_hold, row: row.clone(), renews };
        let state = Mutex::new(LeaseState { budgets: Vec::new(), taken: false, holds });
        Arc::new(RowLease { store: self.clone(), hold, state })
    }

    /// Takes a row in hand for a new task beside those it had.
    fn take_anew(
        &self,
        row: RowNumber,
        may_be_taken: fn(&RowState) -> bool,
        wanted: &'static str,
    ) -> Result<Arc<dyn RowJournal>, JournalError> {
        let mut table = self.table();
        let index = table.index(row)?;
        if !may_be_taken(&table.record(index).state) {
            return Err(table.wrong(index, wanted));
        }
        let StoredRow { row, task, state, .. } = &table.rows[index];
        let (row, renews) = (row.clone(), task.map(|task| (task, *state)));
        Ok(self.lease(&mut table, &row, renews, false))
    }

    /// What a row is to be opened as.
    fn opened(&self, table: &mut MemoryTable, index: usize) -> Opened {
        let (record, held) = (table.record(index), table.rows[index].hold.is_some());
        match &record.state {
            RowState::Doubtful { .. } => Opened::Doubtful(record),
            // Its run is in this very process, so it is alive: an intent that is let go of becomes
            // doubtful.
            RowState::Intent { .. } => Opened::Elsewhere(record),
            RowState::Created { .. } | RowState::Released { .. } if held => {
                Opened::Elsewhere(record)
            }
            RowState::Released { .. } => {
                Opened::Submit(self.lease(table, &record.row, None, false))
            }
            RowState::Completed { .. } | RowState::Failed { .. } => {
                let lease = self.lease(table, &record.row, None, false);
                Opened::Finished(record, lease)
            }
            RowState::Created { .. } => {
                let lease = self.lease(table, &record.row, None, true);
                table.rows[index].hold = Some(table.last_hold);
                table.note_reservation(index);
                Opened::Watch(record, lease)
            }
        }
    }
}

impl JournalStore for MemoryStore {
    fn open(&self, row: &Row) -> Result<Opened, JournalError> {
        let mut table = self.table();
        let Some(index) = table.by_identity.get(&row.identity).copied() else {
            return Ok(Opened::Submit(self.lease(&mut table, row, None, false)));
        };
        let stored = &mut table.rows[index];
        if let (Some(key), Some(differs)) = (&row.key, row.differs_from(&stored.row)) {
            // Nothing is paid for a released row, so its key may ask for something else.
            if stored.state != RowStage::Released || stored.hold.is_some() {
                let number = RowNumber(index as u64 + 1);
                return Err(JournalError::KeyReused { key: key.clone(), row: number, differs });
            }
            stored.row = row.clone();
        }
        // The file that the latest run wants is the one that counts.
        if row.target.is_some() {
            stored.row.target.clone_from(&row.target);
        }
        Ok(self.opened(&mut table, index))
    }

    fn take(&self, row: RowNumber) -> Result<Opened, JournalError> {
        let mut table = self.table();
        let index = table.index(row)?;
        if table.rows[index].state == RowStage::Released {
            return Err(table.wrong(index, "one with a task"));
        }
        Ok(self.opened(&mut table, index))
    }

    fn renew(&self, row: RowNumber) -> Result<Arc<dyn RowJournal>, JournalError> {
        let wanted = "one that failed in a way a new task may mend";
        self.take_anew(row, RowState::may_be_renewed, wanted)
    }

    fn reorder(&self, row: RowNumber) -> Result<Arc<dyn RowJournal>, JournalError> {
        self.take_anew(row, RowState::is_final, "one that is completed or failed")
    }

    fn resolve(&self, row: RowNumber, found: &Resolution) -> Result<(), JournalError> {
        let mut table = self.table();
        let index = table.index(row)?;
        if table.rows[index].state != RowStage::Doubtful {
            return Err(table.wrong(index, "doubtful"));
        }
        match found {
            Resolution::NotBilled => {
                table.rows[index].revert_intent("a person found that nothing was billed");
            }
            Resolution::Task(task) => {
                let origin = table.rows[index].row.origin.clone();
                if let Some(other) = table.find_task(&origin, task) {
                    return Err(JournalError::TaskOfAnotherRow {
                        row: RowNumber(other as u64 + 1),
                    });
                }
                // The task was made by one of the attempts; the last is the closest guess at when.
                let at = table.rows[index].attempts.last().map_or(table.now, |last| last.at);
                table.rows[index].attempts.clear();
                table.rows[index].give_task(task, at);
            }
        }
        table.rows[index].hold = None;
        table.note_reservation(index);
        Ok(())
    }

    fn import(&self, row: &Row, state: &RowState, earlier: Decimal) -> Result<bool, JournalError> {
        self.table().import(row, state, earlier)
    }

    fn import_order(
        &self,
        row: &Identity,
        paid: &TaskId,
        order: &RowState,
    ) -> Result<bool, JournalError> {
        self.table().import_order(row, paid, order)
    }

    fn id(&self) -> Result<Option<String>, JournalError> {
        Ok(None)
    }

    fn find(&self, row: &RowName) -> Result<Option<Record>, JournalError> {
        let table = self.table();
        let index = match row {
            RowName::Number(number) => table.index(*number).ok(),
            RowName::Identity(identity) => table.by_identity.get(identity).copied(),
            RowName::Task(origin, task) => table.find_task(origin, task),
            RowName::Picture(path) => table.find_picture(path),
        };
        Ok(index.map(|index| table.record(index)))
    }

    fn list(&self, filter: &Filter) -> Result<Vec<Record>, JournalError> {
        let table = self.table();
        // Rows count from 1 and places from 0: the number of the last row is the place after it.
        let after = filter.after.map_or(0, |row| usize::try_from(row.0).unwrap_or(usize::MAX));
        let records = (after..table.rows.len()).map(|index| table.record(index));
        let is_wanted = |record: &Record| {
            let which = match (&record.state, filter.which) {
                (_, Which::All) => true,
                (state, Which::Doubtful) => matches!(state, RowState::Doubtful { .. }),
                (RowState::Completed { .. }, Which::Open) => false,
                (RowState::Completed { pictures, .. }, Which::Unfinished) => {
                    record.row.target.is_some()
                        && pictures.iter().any(|picture| picture.path.is_none())
                }
                (state, Which::Unfinished | Which::Open) => {
                    !matches!(state, RowState::Failed { .. } | RowState::Released { .. })
                }
            };
            which
                && filter.origin.as_ref().is_none_or(|origin| *origin == record.row.origin)
                && filter.tag.as_ref().is_none_or(|tag| record.row.tag.as_ref() == Some(tag))
        };
        Ok(records.filter(is_wanted).take(filter.limit).collect())
    }

    fn spend(&self, by: SpendBy, origin: Option<&Origin>) -> Result<Vec<Spend>, JournalError> {
        let table = self.table();
        let mut sums = BTreeMap::<(String, String), Spend>::new();
        for stored in &table.rows {
            if origin.is_some_and(|origin| *origin != stored.row.origin) {
                continue;
            }
            for task in &stored.tasks {
                let groups = match by {
                    SpendBy::Template => vec![stored.row.template.id().to_owned()],
                    SpendBy::Tag => vec![stored.row.tag.clone().unwrap_or_default()],
                    SpendBy::Day => vec![task.submitted.to_string().chars().take(10).collect()],
                    SpendBy::Scope => table.scope_names_of(&stored.row.identity),
                };
                for group in groups {
                    let key = (stored.row.origin.to_string(), group.clone());
                    let sum = sums.entry(key).or_insert(Spend {
                        origin: stored.row.origin.clone(),
                        group,
                        tasks: 0,
                        unpriced: 0,
                        cost: Decimal::ZERO,
                        highest: None,
                    });
                    sum.tasks += 1;
                    sum.unpriced += u64::from(task.cost.is_none() && !task.is_failed);
                    sum.cost += task.cost.unwrap_or_default();
                    // What several tasks cost together is no price of one.
                    if !stored.is_sum_of_tasks(task) {
                        sum.highest = sum.highest.max(task.cost);
                    }
                }
            }
        }
        Ok(sums.into_values().collect())
    }

    fn open_scope(&self, name: Option<&str>) -> Result<ScopeNumber, JournalError> {
        let mut table = self.table();
        if let Some(known) = name.and_then(|name| table.scope_names.get(name)) {
            return Ok(*known);
        }
        table.scopes.push(Scope::default());
        let number = ScopeNumber(table.scopes.len() as u64);
        if let Some(name) = name {
            table.scope_names.insert(name.to_owned(), number);
        }
        Ok(number)
    }

    fn add_to_scope(&self, scope: ScopeNumber, rows: &[Identity]) -> Result<(), JournalError> {
        let mut table = self.table();
        rows.iter().try_for_each(|row| table.add_to(scope, *row))
    }

    fn find_scope(&self, name: &str) -> Result<Option<ScopeNumber>, JournalError> {
        Ok(self.table().scope_names.get(name).copied())
    }

    fn scopes_of(&self, row: &Identity) -> Result<Vec<ScopeMembership>, JournalError> {
        Ok(self.table().scopes_of(row))
    }

    fn scope(&self, scope: ScopeNumber) -> Result<ScopeState, JournalError> {
        self.table().scope_state(scope, None)
    }

    fn flush(&self) -> Result<(), JournalError> {
        Ok(())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("rows", &self.table().rows.len()).finish()
    }
}
