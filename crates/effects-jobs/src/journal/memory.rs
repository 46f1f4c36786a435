//! [`MemoryStore`]: a [`JournalStore`] in memory, gone with its process. Jobs with a budget and no
//! journal use it, and so does the command's `--plan`.
//!
//! It keeps the contract of [`JournalStore`] without a disk: for a budget without a journal file, for
//! tests, and as the model that other stores are compared with.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use rust_decimal::Decimal;

use crate::journal::budget::{
    Budget, Holding, KnownPrices, ScopeNumber, ScopeState, admit, reservation_price,
};
use crate::journal::identity::Identity;
use crate::journal::record::{Attempt, Holder, PictureRecord, Record, SavedContent, Standing};
use crate::journal::row::Row;
use crate::journal::store::{
    Filter, JournalStore, Opened, Resolution, RowJournal, RowName, Spend, SpendBy, Which,
};
use effects_core::journal::{
    Admission, AsyncJournal, Entry, Fact, Journal, JournalError, RowEnd, RowNumber,
};
use effects_core::{Origin, ServiceCode, Size, TaskId, Time};

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
pub struct MemoryStore(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    rows: Vec<StoredRow>,
    by_identity: HashMap<Identity, usize>,
    /// The rows that hold a reservation.
    reserving: BTreeSet<usize>,
    /// The highest cost seen of each template and size, in USD.
    prices: HashMap<Origin, HashMap<PriceKind, Decimal>>,
    scopes: Vec<Scope>,
    scope_names: HashMap<String, ScopeNumber>,
    claims: u64,
    /// The latest time that an entry told.
    now: Time,
}

#[derive(Default)]
struct Scope {
    members: HashSet<Identity>,
    /// What its members have paid, in USD.
    paid: Decimal,
    /// The completed members whose cost is not known.
    unreadable: BTreeSet<usize>,
    costs_seen: u64,
    highest_seen: Option<Decimal>,
}

struct StoredRow {
    row: Row,
    state: State,
    /// Attempts of unknown outcome.
    attempts: Vec<Attempt>,
    reason: String,
    tasks: Vec<StoredTask>,
    /// The place of the current task, and of the one that a renewal or a new order would replace, with what
    /// its row was.
    task: Option<usize>,
    former: Option<(usize, State)>,
    renewals: u32,
    begun: Time,
    changed: Time,
    /// The run that holds the row.
    claim: Option<u64>,
    /// What each task that is reserved for is taken to cost.
    reserved: Option<Decimal>,
}

/// What has one price: a template and a size.
type PriceKind = (String, Option<u32>, Option<u32>);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Intent,
    Doubtful,
    Created,
    Completed,
    Failed,
    Released,
}

struct StoredTask {
    id: TaskId,
    submitted: Time,
    finished: Option<Time>,
    cost: Option<Decimal>,
    code: Option<ServiceCode>,
    message: String,
    pictures: Vec<PictureRecord>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run's hold on a row; one that `holds` it from the start lets go of it when it is dropped.
    fn lease(
        &self,
        table: &mut Table,
        row: &Row,
        renews: Option<(usize, State)>,
        holds: bool,
    ) -> Arc<dyn RowJournal> {
        table.claims += 1;
        let claim = Claim { number: table.claims, row: row.clone(), renews };
        let state = Mutex::new(LeaseState { budgets: Vec::new(), taken: false, holds });
        Arc::new(RowLease { store: self.clone(), claim, state })
    }

    /// Takes a row in hand for a new task beside those it had.
    fn take_anew(
        &self,
        row: RowNumber,
        may_be_taken: fn(&Standing) -> bool,
        wanted: &'static str,
    ) -> Result<Arc<dyn RowJournal>, JournalError> {
        let mut table = self.table();
        let index = table.index(row)?;
        if !may_be_taken(&table.record(index).standing) {
            return Err(table.wrong(index, wanted));
        }
        let StoredRow { row, task, state, .. } = &table.rows[index];
        let (row, renews) = (row.clone(), task.map(|task| (task, *state)));
        Ok(self.lease(&mut table, &row, renews, false))
    }

    /// What a row is to be opened as.
    fn opened(&self, table: &mut Table, index: usize) -> Opened {
        let (record, held) = (table.record(index), table.rows[index].claim.is_some());
        match &record.standing {
            Standing::Doubtful { .. } => Opened::Doubtful(record),
            Standing::Intent { .. } => Opened::Elsewhere(record),
            Standing::Created { .. } | Standing::Released { .. } if held => {
                Opened::Elsewhere(record)
            }
            Standing::Released { .. } => {
                Opened::Submit(self.lease(table, &record.row, None, false))
            }
            Standing::Completed { .. } | Standing::Failed { .. } => {
                let lease = self.lease(table, &record.row, None, false);
                Opened::Finished(record, lease)
            }
            Standing::Created { .. } => {
                let lease = self.lease(table, &record.row, None, true);
                table.rows[index].claim = Some(table.claims);
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
            if stored.state != State::Released || stored.claim.is_some() {
                let number = RowNumber(index as u64 + 1);
                return Err(JournalError::KeyReused { key: key.clone(), row: number, differs });
            }
            stored.row = row.clone();
        }
        if row.target.is_some() {
            stored.row.target.clone_from(&row.target);
        }
        Ok(self.opened(&mut table, index))
    }

    fn take(&self, row: RowNumber) -> Result<Opened, JournalError> {
        let mut table = self.table();
        let index = table.index(row)?;
        if table.rows[index].state == State::Released {
            return Err(table.wrong(index, "one with a task"));
        }
        Ok(self.opened(&mut table, index))
    }

    fn renew(&self, row: RowNumber) -> Result<Arc<dyn RowJournal>, JournalError> {
        let wanted = "one that failed in a way a new task may mend";
        self.take_anew(row, Standing::may_be_renewed, wanted)
    }

    fn reorder(&self, row: RowNumber) -> Result<Arc<dyn RowJournal>, JournalError> {
        self.take_anew(row, Standing::is_final, "one that is completed or failed")
    }

    fn resolve(&self, row: RowNumber, found: &Resolution) -> Result<(), JournalError> {
        let mut table = self.table();
        let index = table.index(row)?;
        if table.rows[index].state != State::Doubtful {
            return Err(table.wrong(index, "doubtful"));
        }
        match found {
            Resolution::NotBilled => {
                table.rows[index].unmake("a person found that nothing was billed");
            }
            Resolution::Task(task) => {
                let origin = table.rows[index].row.origin.clone();
                if let Some(other) = table.find_task(&origin, task) {
                    return Err(JournalError::TaskOfAnotherRow {
                        row: RowNumber(other as u64 + 1),
                    });
                }
                let at = table.rows[index].attempts.last().map_or(table.now, |last| last.at);
                table.rows[index].attempts.clear();
                table.rows[index].give_task(task, at);
            }
        }
        table.rows[index].claim = None;
        table.note_reservation(index);
        Ok(())
    }

    fn import(
        &self,
        row: &Row,
        standing: &Standing,
        earlier: Decimal,
    ) -> Result<bool, JournalError> {
        self.table().import(row, standing, earlier)
    }

    fn id(&self) -> Result<Option<String>, JournalError> {
        Ok(None)
    }

    fn look(&self, row: &RowName) -> Result<Option<Record>, JournalError> {
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
        let after = filter.after.map_or(0, |row| usize::try_from(row.0).unwrap_or(usize::MAX));
        let records = (after..table.rows.len()).map(|index| table.record(index));
        let is_wanted = |record: &Record| {
            let which = match (&record.standing, filter.which) {
                (_, Which::All) => true,
                (standing, Which::Doubtful) => matches!(standing, Standing::Doubtful { .. }),
                (Standing::Completed { .. }, Which::Open) => false,
                (Standing::Completed { pictures, .. }, Which::Unfinished) => {
                    record.row.target.is_some()
                        && pictures.iter().any(|picture| picture.path.is_none())
                }
                (standing, Which::Unfinished | Which::Open) => {
                    !matches!(standing, Standing::Failed { .. } | Standing::Released { .. })
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
                    sum.unpriced += u64::from(task.cost.is_none());
                    sum.cost += task.cost.unwrap_or_default();
                    sum.highest = sum.highest.max(task.cost);
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

    fn scope(&self, scope: ScopeNumber) -> Result<ScopeState, JournalError> {
        self.table().scope_state(scope, None)
    }

    fn flush(&self) -> Result<(), JournalError> {
        Ok(())
    }
}

impl Table {
    fn index(&self, row: RowNumber) -> Result<usize, JournalError> {
        let index = usize::try_from(row.0).unwrap_or_default().wrapping_sub(1);
        if index < self.rows.len() { Ok(index) } else { Err(JournalError::NoSuchRow(row)) }
    }

    fn find_task(&self, origin: &Origin, task: &TaskId) -> Option<usize> {
        self.rows.iter().rposition(|stored| {
            stored.row.origin == *origin && stored.tasks.iter().any(|known| known.id == *task)
        })
    }

    fn find_picture(&self, path: &Path) -> Option<usize> {
        let saved = self.rows.iter().enumerate().flat_map(|(index, stored)| {
            let pictures = stored.tasks.iter().flat_map(|task| &task.pictures);
            let there = pictures.filter(|picture| picture.path.as_deref() == Some(path));
            there.map(move |picture| (picture.content.map(|content| content.modified), index))
        });
        saved.max().map(|(_, index)| index)
    }

    fn scope_mut(&mut self, scope: ScopeNumber) -> Result<&mut Scope, JournalError> {
        let place = usize::try_from(scope.0).unwrap_or_default().wrapping_sub(1);
        self.scopes.get_mut(place).ok_or_else(no_such_scope)
    }

    fn wrong(&self, index: usize, wanted: &'static str) -> JournalError {
        let (row, standing) = (RowNumber(index as u64 + 1), self.record(index).standing.name());
        JournalError::WrongStanding { row, standing, wanted }
    }

    fn record(&self, index: usize) -> Record {
        let stored = &self.rows[index];
        let held = stored
            .claim
            .filter(|_| matches!(stored.state, State::Intent | State::Created | State::Released));
        Record {
            number: RowNumber(index as u64 + 1),
            row: stored.row.clone(),
            standing: stored.standing(),
            begun: stored.begun,
            changed: stored.changed,
            renewals: stored.renewals,
            paid: stored.paid(),
            holder: held.map(|_| Holder {
                host: String::new(),
                process: std::process::id(),
                ours: true,
            }),
            is_reordered: matches!(stored.former, Some((_, State::Completed))),
            failed_order: stored.failed_order(),
        }
    }

    /// The names of the scopes that a row is in; the empty one where it is in none.
    fn scope_names_of(&self, identity: &Identity) -> Vec<String> {
        let named = self.scope_names.iter().filter(|(_, scope)| {
            let place = usize::try_from(scope.0).unwrap_or_default().wrapping_sub(1);
            self.scopes.get(place).is_some_and(|scope| scope.members.contains(identity))
        });
        let names: Vec<String> = named.map(|(name, _)| name.clone()).collect();
        if names.is_empty() { vec![String::new()] } else { names }
    }

    /// The state of a scope; `but` is the row that asks, whose reservation does not count.
    fn scope_state(
        &self,
        scope: ScopeNumber,
        but: Option<&Identity>,
    ) -> Result<ScopeState, JournalError> {
        let place = usize::try_from(scope.0).unwrap_or_default().wrapping_sub(1);
        let scope = self.scopes.get(place).ok_or_else(no_such_scope)?;
        let mut state = ScopeState {
            paid: scope.paid,
            costs_seen: scope.costs_seen,
            highest_seen: scope.highest_seen,
            unpriced: scope.unreadable.len() as u64,
            unreadable: scope.unreadable.first().map(|index| RowNumber(*index as u64 + 1)),
            ..ScopeState::default()
        };
        for &index in &self.reserving {
            let stored = &self.rows[index];
            let identity = &stored.row.identity;
            if but != Some(identity) && scope.members.contains(identity) {
                let (holding, tasks) = stored.reservation();
                state.add(RowNumber(index as u64 + 1), holding, tasks, stored.reserved);
            }
        }
        Ok(state)
    }

    fn known_prices(&self, row: &Row) -> KnownPrices {
        let Some(prices) = self.prices.get(&row.origin) else { return KnownPrices::default() };
        let any = prices.values().max().copied();
        KnownPrices { same: prices.get(&price_kind(row)).copied(), any }
    }

    /// Keeps the list of rows with reservations true after a row has changed.
    fn note_reservation(&mut self, index: usize) {
        if self.rows[index].reservation().1 > 0 {
            self.reserving.insert(index);
        } else {
            self.reserving.remove(&index);
        }
    }

    /// Writes an intent, if it fits into every budget.
    fn intend(
        &mut self,
        claim: &Claim,
        budgets: &[Budget],
        attempt: Attempt,
    ) -> Result<Admission, JournalError> {
        let index = self.by_identity.get(&claim.row.identity).copied();
        if let Some(index) = index
            && !self.rows[index].may_intend(claim)
        {
            return Err(JournalError::Taken { row: RowNumber(index as u64 + 1) });
        }
        let attempts = index.map_or(&[][..], |index| &self.rows[index].attempts);
        let again = attempts.iter().any(|open| open.request_id == attempt.request_id);
        let tasks = attempts.len() as u64 + u64::from(!again);
        let mut price = None;
        for budget in budgets {
            self.add_to(budget.scope, claim.row.identity)?;
            let scope = self.scope_state(budget.scope, Some(&claim.row.identity))?;
            let known = self.known_prices(&claim.row);
            // A reservation that the row holds already covers the attempt.
            let held = index.is_some_and(|index| self.rows[index].reservation().1 >= tasks);
            if !held {
                match admit(budget, &scope, known, tasks) {
                    Admission::Admitted => {}
                    refused => return Ok(refused),
                }
            }
            price = price.max(reservation_price(budget.price, &scope, known));
        }
        let index = index.unwrap_or_else(|| self.insert(claim.row.clone(), attempt.at));
        let stored = &mut self.rows[index];
        if matches!(stored.state, State::Failed | State::Completed) {
            stored.former = stored.task.take().map(|task| (task, stored.state));
            stored.renewals += u32::from(stored.state == State::Failed);
        }
        if !again {
            stored.attempts.push(attempt);
        }
        (stored.state, stored.claim) = (State::Intent, Some(claim.number));
        stored.reserved = stored.reserved.max(price);
        self.note_reservation(index);
        Ok(Admission::Admitted)
    }

    fn add_to(&mut self, scope: ScopeNumber, row: Identity) -> Result<(), JournalError> {
        let known = self.by_identity.get(&row).copied();
        let paid = known.map(|index| self.rows[index].paid());
        let unreadable = known.filter(|index| self.rows[*index].is_unreadable());
        let scope = self.scope_mut(scope)?;
        if scope.members.insert(row) {
            scope.paid += paid.unwrap_or_default();
            scope.unreadable.extend(unreadable);
        }
        Ok(())
    }

    fn insert(&mut self, row: Row, at: Time) -> usize {
        let index = self.rows.len();
        self.by_identity.insert(row.identity, index);
        self.rows.push(StoredRow {
            row,
            state: State::Intent,
            attempts: Vec::new(),
            reason: String::new(),
            tasks: Vec::new(),
            task: None,
            former: None,
            renewals: 0,
            begun: at,
            changed: at,
            claim: None,
            reserved: None,
        });
        index
    }

    /// Takes in a row as another store knows it; whether it did.
    fn import(
        &mut self,
        row: &Row,
        standing: &Standing,
        earlier: Decimal,
    ) -> Result<bool, JournalError> {
        let known = self.by_identity.get(&row.identity).copied();
        let is_known = known.is_some_and(|index| {
            let stored = &self.rows[index];
            stored.state != State::Released || stored.claim.is_some()
        });
        if is_known || matches!(standing, Standing::Released { .. }) {
            return Ok(false);
        }
        let task = standing.task();
        if let Some(other) = task.and_then(|task| self.find_task(&row.origin, task)) {
            return Err(JournalError::TaskOfAnotherRow { row: RowNumber(other as u64 + 1) });
        }
        let at = standing.submitted().unwrap_or(self.now);
        let index = known.unwrap_or_else(|| self.insert(row.clone(), at));
        self.rows[index].row = row.clone();
        if let Some(task) = task {
            self.import_earlier(index, task, at, earlier);
            self.rows[index].give_task(task, at);
            if let Some(end) = standing.row_end() {
                // No run has this number: runs are counted from 1.
                let claim = Claim { number: 0, row: row.clone(), renews: None };
                self.take_end(&claim, &end);
            }
        }
        let stored = &mut self.rows[index];
        match standing {
            Standing::Intent { attempts } => stored.doubt(attempts, ITS_OWNER_IS_ELSEWHERE),
            Standing::Doubtful { attempts, trouble } => stored.doubt(attempts, trouble),
            Standing::Completed { finished, pictures, .. } => {
                if let Some(task) = stored.tasks.last_mut() {
                    (task.finished, task.pictures) = (Some(*finished), pictures.clone());
                }
            }
            Standing::Failed { finished, .. } => {
                if let Some(task) = stored.tasks.last_mut() {
                    task.finished = Some(*finished);
                }
            }
            Standing::Created { .. } | Standing::Released { .. } => {}
        }
        self.note_reservation(index);
        Ok(true)
    }

    /// Books what the tasks before an imported one cost, as one task that failed.
    fn import_earlier(&mut self, index: usize, task: &TaskId, at: Time, cost: Decimal) {
        let identity = self.rows[index].row.identity;
        let id = Identity::of_task(&self.rows[index].row.origin, task).to_string().parse();
        // An identity's digits are an id.
        let Some(id) = id.ok().filter(|_| !cost.is_zero()) else { return };
        self.rows[index].give_task(&id, at);
        if let Some(earlier) = self.rows[index].tasks.last_mut() {
            (earlier.finished, earlier.cost) = (Some(at), Some(cost));
        }
        // It may be the sum of several, so it says nothing of the price.
        for scope in self.scopes.iter_mut().filter(|it| it.members.contains(&identity)) {
            scope.paid += cost;
        }
    }

    /// A task exists, so it is kept whatever became of the row meanwhile.
    fn create(
        &mut self,
        claim: &Claim,
        task: &TaskId,
        request_id: Option<&str>,
        at: Time,
    ) -> Result<Admission, JournalError> {
        let index = match self.by_identity.get(&claim.row.identity) {
            Some(index) => *index,
            None => {
                let index = self.insert(claim.row.clone(), at);
                self.rows[index].claim = Some(claim.number);
                index
            }
        };
        if self.rows[index].tasks.iter().any(|known| known.id == *task) {
            return Ok(Admission::Admitted);
        }
        let stored = &mut self.rows[index];
        let mine = stored.claim == Some(claim.number)
            || request_id.is_some_and(|id| stored.attempts.iter().any(|it| it.request_id == id));
        if mine && matches!(stored.state, State::Intent | State::Doubtful | State::Released) {
            stored.forget_attempt(request_id);
            stored.give_task(task, at);
            stored.claim = Some(claim.number);
            self.note_reservation(index);
            return Ok(Admission::Admitted);
        }
        if mine {
            stored.forget_attempt(request_id);
        }
        let reserved = stored.reserved;
        self.note_reservation(index);
        let kept = self.stray(claim, task, at, reserved);
        if mine {
            return Ok(Admission::Admitted);
        }
        let (row, kept) = (RowNumber(index as u64 + 1), RowNumber(kept as u64 + 1));
        Err(JournalError::GivenAway { row, kept })
    }

    /// The row that is this task's alone: a member of every scope that the run's row is in.
    fn stray(
        &mut self,
        claim: &Claim,
        task: &TaskId,
        at: Time,
        reserved: Option<Decimal>,
    ) -> usize {
        let identity = Identity::of_task(&claim.row.origin, task);
        if let Some(index) = self.by_identity.get(&identity) {
            return *index;
        }
        for scope in &mut self.scopes {
            if scope.members.contains(&claim.row.identity) {
                scope.members.insert(identity);
            }
        }
        let index = self.insert(Row { identity, key: None, ..claim.row.clone() }, at);
        self.rows[index].give_task(task, at);
        self.rows[index].reserved = reserved;
        self.note_reservation(index);
        index
    }

    fn settle(&mut self, claim: &Claim, end: &RowEnd) {
        self.take_end(claim, end);
        if let Some(&index) = self.by_identity.get(&claim.row.identity) {
            self.note_reservation(index);
        }
    }

    fn take_end(&mut self, claim: &Claim, end: &RowEnd) {
        match end {
            RowEnd::Completed { task, cost, pictures } => {
                let Some((index, place)) = self.concluded(claim, task, *cost) else { return };
                let stored = &mut self.rows[index];
                let kept = &mut stored.tasks[place].pictures;
                for (nth, url) in pictures.iter().enumerate() {
                    match kept.get_mut(nth) {
                        Some(picture) => picture.url.clone_from(url),
                        None => {
                            kept.push(PictureRecord {
                                url: url.clone(),
                                path: None,
                                content: None,
                            });
                        }
                    }
                }
                stored.finish(place, State::Completed);
                let (identity, unreadable) = (stored.row.identity, stored.is_unreadable());
                for scope in self.scopes.iter_mut().filter(|it| it.members.contains(&identity)) {
                    if unreadable {
                        scope.unreadable.insert(index);
                    } else {
                        scope.unreadable.remove(&index);
                    }
                }
            }
            RowEnd::Failed { task, code, message, cost } => {
                let Some((index, place)) = self.concluded(claim, task, *cost) else { return };
                let stored = &mut self.rows[index];
                let known = &mut stored.tasks[place];
                known.code = code.clone().or(known.code.take());
                known.message.clone_from(message);
                stored.finish(place, State::Failed);
            }
            RowEnd::Unknown { trouble } => {
                if let Some(stored) = self.held(claim)
                    && stored.state == State::Intent
                {
                    (stored.state, stored.reason) = (State::Doubtful, trouble.clone());
                }
            }
            RowEnd::LetGo => {
                if let Some(stored) = self.held(claim) {
                    stored.let_go();
                }
            }
        }
    }

    fn held(&mut self, claim: &Claim) -> Option<&mut StoredRow> {
        let index = *self.by_identity.get(&claim.row.identity)?;
        let stored = &mut self.rows[index];
        (stored.claim == Some(claim.number)).then_some(stored)
    }

    /// Books the end of a task: the places of its row and of the task.
    fn concluded(
        &mut self,
        claim: &Claim,
        task: &TaskId,
        cost: Option<Decimal>,
    ) -> Option<(usize, usize)> {
        let identity = claim.row.identity;
        let index = *self.by_identity.get(&identity)?;
        let find = |row: &StoredRow| row.tasks.iter().position(|known| known.id == *task);
        if find(&self.rows[index]).is_none() {
            // Its id never reached the store before.
            self.create(claim, task, None, self.now).ok()?;
        }
        let place = find(&self.rows[index])?;
        let known = &mut self.rows[index].tasks[place];
        known.finished.get_or_insert(self.now);
        let before = known.cost;
        known.cost = cost.or(before);
        if let Some(cost) = cost.filter(|cost| before != Some(*cost)) {
            self.book(index, cost, before);
        }
        Some((index, place))
    }

    /// A cost was seen, for the first time or another than `before`: every scope of the row pays it,
    /// and a higher price reprices what is reserved. A cost of nothing says nothing of the price.
    fn book(&mut self, index: usize, cost: Decimal, before: Option<Decimal>) {
        let row = self.rows[index].row.clone();
        for scope in &mut self.scopes {
            if scope.members.contains(&row.identity) {
                scope.paid += cost - before.unwrap_or_default();
                if !cost.is_zero() {
                    scope.costs_seen += u64::from(before.is_none());
                    scope.highest_seen = scope.highest_seen.max(Some(cost));
                }
            }
        }
        if cost.is_zero() {
            return;
        }
        let prices = self.prices.entry(row.origin.clone()).or_default();
        let highest = prices.entry(price_kind(&row)).or_insert(cost);
        *highest = cost.max(*highest);
        for &other in &self.reserving {
            let stored = &self.rows[other];
            let same = price_kind(&stored.row) == price_kind(&row)
                || self.known_prices(&stored.row).same.is_none();
            if same
                && stored.row.origin == row.origin
                && stored.reserved.is_none_or(|price| price < cost)
            {
                self.rows[other].reserved = Some(cost);
            }
        }
    }
}

impl StoredRow {
    /// What all its tasks cost, as far as is known, in USD.
    fn paid(&self) -> Decimal {
        self.tasks.iter().filter_map(|task| task.cost).sum()
    }

    fn may_intend(&self, claim: &Claim) -> bool {
        let mine = self.claim == Some(claim.number);
        match self.state {
            State::Intent => mine,
            State::Released => mine || self.claim.is_none(),
            // A verdict that was told otherwise since is another one.
            State::Failed | State::Completed => {
                claim.renews.is_some() && claim.renews == self.task.map(|task| (task, self.state))
            }
            State::Doubtful | State::Created => false,
        }
    }

    fn give_task(&mut self, task: &TaskId, at: Time) {
        self.tasks.push(StoredTask {
            id: task.clone(),
            submitted: at,
            finished: None,
            cost: None,
            code: None,
            message: String::new(),
            pictures: Vec::new(),
        });
        (self.task, self.state) = (Some(self.tasks.len() - 1), State::Created);
        // A completed task is the row's again where the new one fails.
        self.former.take_if(|(_, state)| *state != State::Completed);
    }

    /// The attempt that made a task is in doubt no more.
    fn forget_attempt(&mut self, request_id: Option<&str>) {
        let named = |attempt: &Attempt| Some(attempt.request_id.as_str()) == request_id;
        let place = self.attempts.iter().position(named);
        if let Some(place) = place.or((!self.attempts.is_empty()).then_some(0)) {
            self.attempts.remove(place);
        }
    }

    /// A submission elsewhere may have made a task.
    fn doubt(&mut self, attempts: &[Attempt], trouble: &str) {
        attempts.clone_into(&mut self.attempts);
        (self.state, self.reason) = (State::Doubtful, trouble.to_owned());
    }

    /// Nothing was made of what was open.
    fn unmake(&mut self, reason: &str) {
        self.attempts.clear();
        reason.clone_into(&mut self.reason);
        match self.former.take() {
            None => self.state = State::Released,
            Some((former, state)) => {
                (self.state, self.task, self.claim) = (state, Some(former), None);
                self.renewals -= u32::from(state == State::Failed);
            }
        }
    }

    fn finish(&mut self, place: usize, state: State) {
        if self.task == Some(place) {
            let former = self.former.take().filter(|_| state == State::Failed);
            let (task, state) = former.unwrap_or((place, state));
            (self.task, self.state, self.claim) = (Some(task), state, None);
        }
    }

    /// The last task of a new order that failed and left the row its completed one.
    fn failed_order(&self) -> Option<Box<Standing>> {
        let current = self.task.filter(|_| self.state == State::Completed)?;
        self.tasks[current + 1..].last().map(|task| Box::new(task.failed()))
    }

    fn let_go(&mut self) {
        match self.state {
            State::Intent => {
                let reason = "its run ended, and said nothing of an answer";
                (self.state, self.reason) = (State::Doubtful, reason.to_owned());
            }
            State::Created | State::Released => self.claim = None,
            State::Doubtful | State::Completed | State::Failed => {}
        }
    }

    /// Whether its task is completed and what that cost is not known.
    fn is_unreadable(&self) -> bool {
        let current = self.task.map(|place| &self.tasks[place]);
        self.state == State::Completed && current.is_some_and(|task| task.cost.is_none())
    }

    /// How the row holds a reservation, and for how many tasks.
    fn reservation(&self) -> (Holding, u64) {
        let unfinished = self.tasks.iter().filter(|task| task.finished.is_none()).count();
        let open = (self.attempts.len() + unfinished) as u64;
        let held = self.claim.is_some();
        let holding = |held| if held { Holding::Live } else { Holding::Abandoned };
        match self.state {
            State::Intent | State::Created => (holding(held), open),
            // Its run may try again.
            State::Released => (holding(held), open.max(u64::from(held))),
            State::Doubtful | State::Completed | State::Failed => (Holding::Abandoned, open),
        }
    }

    fn standing(&self) -> Standing {
        let current = self.task.map(|place| &self.tasks[place]);
        match (self.state, current) {
            (State::Intent, _) => Standing::Intent { attempts: self.attempts.clone() },
            (State::Created, Some(task)) => {
                Standing::Created { task: task.id.clone(), submitted: task.submitted }
            }
            (State::Completed, Some(task)) => Standing::Completed {
                task: task.id.clone(),
                submitted: task.submitted,
                finished: task.finished.unwrap_or(task.submitted),
                cost: task.cost,
                pictures: task.pictures.clone(),
            },
            (State::Failed, Some(task)) => task.failed(),
            (State::Released, _) => Standing::Released { reason: self.reason.clone() },
            (State::Doubtful, _) | (_, None) => {
                Standing::Doubtful { attempts: self.attempts.clone(), trouble: self.reason.clone() }
            }
        }
    }
}

impl StoredTask {
    fn failed(&self) -> Standing {
        Standing::Failed {
            task: self.id.clone(),
            submitted: self.submitted,
            finished: self.finished.unwrap_or(self.submitted),
            code: self.code.clone(),
            message: self.message.clone(),
            cost: self.cost,
        }
    }
}

/// A run's hold on a row.
#[derive(Clone, Debug)]
struct Claim {
    number: u64,
    row: Row,
    /// The place of the failed task that a new one is to replace.
    renews: Option<(usize, State)>,
}

/// A row of a [`MemoryStore`] in the hands of a run.
#[derive(Debug)]
struct RowLease {
    store: MemoryStore,
    claim: Claim,
    state: Mutex<LeaseState>,
}

#[derive(Debug)]
struct LeaseState {
    budgets: Vec<Budget>,
    taken: bool,
    /// Whether there may be something to let go of.
    holds: bool,
}

impl RowLease {
    fn state(&self) -> MutexGuard<'_, LeaseState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for RowLease {
    fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        let mut state = self.state();
        state.holds = true;
        let mut table = self.store.table();
        table.now = table.now.max(entry.at);
        match &entry.fact {
            Fact::Intent { request_id, idempotency_key, .. } => {
                let (request_id, key) = (request_id.clone(), idempotency_key.clone());
                let attempt = Attempt { request_id, idempotency_key: key, at: entry.at };
                let answer = table.intend(&self.claim, &state.budgets, attempt);
                state.taken |= matches!(answer, Err(JournalError::Taken { .. }));
                answer
            }
            Fact::Created { task_id, request_id } => {
                table.create(&self.claim, task_id, request_id.as_deref(), entry.at)
            }
            Fact::Released { reason } => {
                if let Some(stored) = table.held(&self.claim)
                    && stored.state == State::Intent
                {
                    stored.unmake(reason);
                    let index = table.by_identity[&self.claim.row.identity];
                    table.note_reservation(index);
                }
                Ok(Admission::Admitted)
            }
        }
    }

    fn ended(&self, end: &RowEnd) -> Result<(), JournalError> {
        self.settle(end)
    }
}

#[async_trait]
impl AsyncJournal for RowLease {
    async fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        Journal::write(self, entry)
    }

    fn ended(&self, end: &RowEnd) -> Result<(), JournalError> {
        self.settle(end)
    }
}

impl RowJournal for RowLease {
    fn charge_to(&self, budgets: &[Budget]) {
        budgets.clone_into(&mut self.state().budgets);
    }

    fn settle(&self, end: &RowEnd) -> Result<(), JournalError> {
        self.state().holds = false;
        self.store.table().settle(&self.claim, end);
        Ok(())
    }

    fn landed(
        &self,
        index: usize,
        path: &Path,
        content: Option<SavedContent>,
    ) -> Result<(), JournalError> {
        let mut table = self.store.table();
        let row = table.by_identity.get(&self.claim.row.identity).copied();
        if let Some(stored) = row.map(|row| &mut table.rows[row])
            && let Some(task) = stored.task
        {
            let pictures = &mut stored.tasks[task].pictures;
            while pictures.len() <= index {
                pictures.push(PictureRecord { url: String::new(), path: None, content: None });
            }
            (pictures[index].path, pictures[index].content) = (Some(path.to_owned()), content);
        }
        Ok(())
    }

    fn is_taken(&self) -> bool {
        self.state().taken
    }
}

/// Lets go of the row.
impl Drop for RowLease {
    fn drop(&mut self) {
        if self.state().holds {
            self.store.table().settle(&self.claim, &RowEnd::LetGo);
        }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("rows", &self.table().rows.len()).finish()
    }
}

fn price_kind(row: &Row) -> PriceKind {
    let Size { width, height } = row.size;
    (row.template.id().to_owned(), width, height)
}

fn no_such_scope() -> JournalError {
    JournalError::Unreadable("it has no such scope".to_owned())
}

const ITS_OWNER_IS_ELSEWHERE: &str =
    "its submission left by another journal, and its answer is not known here";
