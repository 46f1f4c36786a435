//! [`MemoryTable`]: what a [`MemoryStore`](super::MemoryStore) holds, its rows, scopes and known prices,
//! with the changes of a row: its intent, written only where it fits into every budget, its task, its end,
//! and its import from another journal. `RowLease` makes these changes for a run, but for the import, which
//! is `MemoryStore`'s; `MemoryStore` also finds rows and adds up scopes here.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use rust_decimal::Decimal;

use super::stored_row::{RowHold, RowStage, StoredRow, StoredTask};
use crate::journal::budget::{
    Budget, KnownPrices, ScopeMembership, ScopeNumber, ScopeState, admit, reservation_price,
};
use crate::journal::identity::Identity;
use crate::journal::record::{Attempt, Holder, PictureRecord, Record, RowState};
use crate::journal::row::Row;
use effects_core::journal::{Admission, JournalError, RowNumber, RowOutcome};
use effects_core::{Origin, Size, TaskId, Time};

#[derive(Default)]
pub(super) struct MemoryTable {
    pub(super) rows: Vec<StoredRow>,
    pub(super) by_identity: HashMap<Identity, usize>,
    /// The rows that hold a reservation.
    pub(super) reserving: BTreeSet<usize>,
    /// The highest cost seen of each template and size, in USD.
    pub(super) prices: HashMap<Origin, HashMap<PriceKind, Decimal>>,
    pub(super) scopes: Vec<Scope>,
    pub(super) scope_names: HashMap<String, ScopeNumber>,
    pub(super) last_hold: u64,
    /// The latest time that an entry told.
    pub(super) now: Time,
}

#[derive(Default)]
pub(super) struct Scope {
    pub(super) members: HashSet<Identity>,
    /// What its members have paid, in USD.
    pub(super) paid: Decimal,
    /// The completed members whose cost is not known.
    pub(super) unreadable: BTreeSet<usize>,
    pub(super) costs_seen: u64,
    pub(super) highest_seen: Option<Decimal>,
}

/// What has one price: a template and a size.
type PriceKind = (String, Option<u32>, Option<u32>);

impl MemoryTable {
    pub(super) fn index(&self, row: RowNumber) -> Result<usize, JournalError> {
        // Row 0 wraps round to a place that no row has.
        let index = usize::try_from(row.0).unwrap_or_default().wrapping_sub(1);
        if index < self.rows.len() { Ok(index) } else { Err(JournalError::NoSuchRow(row)) }
    }

    pub(super) fn find_task(&self, origin: &Origin, task: &TaskId) -> Option<usize> {
        self.rows.iter().rposition(|stored| {
            stored.row.origin == *origin && stored.tasks.iter().any(|known| known.id == *task)
        })
    }

    pub(super) fn find_picture(&self, path: &Path) -> Option<usize> {
        let saved = self.rows.iter().enumerate().flat_map(|(index, stored)| {
            let pictures = stored.tasks.iter().flat_map(|task| &task.pictures);
            let there = pictures.filter(|picture| picture.path.as_deref() == Some(path));
            there.map(move |picture| (picture.content.map(|content| content.modified), index))
        });
        // The file saved last; of two at one time, the later row's.
        saved.max().map(|(_, index)| index)
    }

    pub(super) fn scope_mut(&mut self, scope: ScopeNumber) -> Result<&mut Scope, JournalError> {
        let position = usize::try_from(scope.0).unwrap_or_default().wrapping_sub(1);
        self.scopes.get_mut(position).ok_or_else(no_such_scope)
    }

    pub(super) fn wrong(&self, index: usize, wanted: &'static str) -> JournalError {
        let (row, state) = (RowNumber(index as u64 + 1), self.record(index).state.name());
        JournalError::WrongRowState { row, state, wanted }
    }

    pub(super) fn record(&self, index: usize) -> Record {
        let stored = &self.rows[index];
        let held = stored.hold.filter(|_| {
            matches!(stored.state, RowStage::Intent | RowStage::Created | RowStage::Released)
        });
        Record {
            number: RowNumber(index as u64 + 1),
            row: stored.row.clone(),
            state: stored.state(),
            begun: stored.begun,
            changed: stored.changed,
            renewals: stored.renewals,
            paid: stored.paid(),
            holder: held.map(|_| Holder {
                host: String::new(),
                process: std::process::id(),
                ours: true,
            }),
            paid_picture: stored.paid_picture(),
            failed_order: stored.failed_order(),
        }
    }

    /// The names of the scopes that a row is in; the empty one where it is in none.
    pub(super) fn scope_names_of(&self, identity: &Identity) -> Vec<String> {
        let names: Vec<String> =
            self.scopes_of(identity).into_iter().filter_map(|scope| scope.name).collect();
        if names.is_empty() { vec![String::new()] } else { names }
    }

    /// The scopes that a row is in. All of them count what all its tasks cost.
    pub(super) fn scopes_of(&self, identity: &Identity) -> Vec<ScopeMembership> {
        let known = self.by_identity.get(identity).map(|index| self.rows[*index].paid());
        let counted = known.unwrap_or_default();
        let scopes = (1..).map(ScopeNumber).zip(&self.scopes);
        let scopes = scopes.filter(|(_, scope)| scope.members.contains(identity));
        let named = scopes.map(|(scope, _)| {
            let mut names = self.scope_names.iter();
            let name = names.find(|(_, named)| **named == scope).map(|(name, _)| name.clone());
            ScopeMembership { scope, name, counted }
        });
        named.collect()
    }

    /// The state of a scope; `but` is the row that asks, whose reservation does not count.
    pub(super) fn scope_state(
        &self,
        scope: ScopeNumber,
        but: Option<&Identity>,
    ) -> Result<ScopeState, JournalError> {
        let position = usize::try_from(scope.0).unwrap_or_default().wrapping_sub(1);
        let scope = self.scopes.get(position).ok_or_else(no_such_scope)?;
        let mut state = ScopeState {
            paid: scope.paid,
            costs_seen: scope.costs_seen,
            highest_seen: scope.highest_seen,
            unpriced: scope.unreadable.len() as u64,
            unreadable: scope.unreadable.first().map(|index| RowNumber(*index as u64 + 1)),
            ..ScopeState::default()
        };
        // Not over all rows, most of which hold nothing: this is asked at each intent.
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

    pub(super) fn known_prices(&self, row: &Row) -> KnownPrices {
        let Some(prices) = self.prices.get(&row.origin) else { return KnownPrices::default() };
        let any = prices.values().max().copied();
        KnownPrices { same: prices.get(&price_kind(row)).copied(), any }
    }

    /// Keeps the list of rows with reservations true after a row has changed.
    pub(super) fn note_reservation(&mut self, index: usize) {
        if self.rows[index].reservation().1 > 0 {
            self.reserving.insert(index);
        } else {
            self.reserving.remove(&index);
        }
    }

    /// Writes an intent, if it fits into every budget.
    pub(super) fn intend(
        &mut self,
        hold: &RowHold,
        budgets: &[Budget],
        attempt: Attempt,
    ) -> Result<Admission, JournalError> {
        let index = self.by_identity.get(&hold.row.identity).copied();
        if let Some(index) = index
            && !self.rows[index].may_intend(hold)
        {
            return Err(JournalError::Taken { row: RowNumber(index as u64 + 1) });
        }
        let attempts = index.map_or(&[][..], |index| &self.rows[index].attempts);
        // An attempt that is recorded once more is still one submission, so it reserves nothing
        // more.
        let again = attempts.iter().any(|open| open.request_id == attempt.request_id);
        let tasks = attempts.len() as u64 + u64::from(!again);
        let mut price = None;
        for budget in budgets {
            self.add_to(budget.scope, hold.row.identity)?;
            let scope = self.scope_state(budget.scope, Some(&hold.row.identity))?;
            let known = self.known_prices(&hold.row);
            // A reservation that the row holds already covers the attempt.
            let held = index.is_some_and(|index| self.rows[index].reservation().1 >= tasks);
            if !held {
                match admit(budget, &scope, known, tasks) {
                    // No row is changed before every budget has admitted it.
                    Admission::Admitted => {}
                    refused => return Ok(refused),
                }
            }
            price = price.max(reservation_price(budget.price, &scope, known));
        }
        let index = index.unwrap_or_else(|| self.insert(hold.row.clone(), attempt.at));
        let stored = &mut self.rows[index];
        if matches!(stored.state, RowStage::Failed | RowStage::Completed) {
            // Kept until the new task is there and has ended: the row is as it was where nothing
            // comes of it.
            stored.former = stored.task.take().map(|task| (task, stored.state));
            stored.renewals += u32::from(stored.state == RowStage::Failed);
        }
        if !again {
            stored.attempts.push(attempt);
        }
        (stored.state, stored.hold) = (RowStage::Intent, Some(hold.number));
        // The highest price of any budget, so that enough is reserved in each.
        stored.reserved = stored.reserved.max(price);
        self.note_reservation(index);
        Ok(Admission::Admitted)
    }

    pub(super) fn add_to(&mut self, scope: ScopeNumber, row: Identity) -> Result<(), JournalError> {
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

    pub(super) fn insert(&mut self, row: Row, at: Time) -> usize {
        let index = self.rows.len();
        self.by_identity.insert(row.identity, index);
        self.rows.push(StoredRow {
            row,
            state: RowStage::Intent,
            attempts: Vec::new(),
            reason: String::new(),
            tasks: Vec::new(),
            task: None,
            former: None,
            renewals: 0,
            begun: at,
            changed: at,
            hold: None,
            reserved: None,
        });
        index
    }

    /// Takes in a row as another store knows it; whether it did. Of a row that this store knows, only what
    /// its tasks cost is taken in.
    pub(super) fn import(
        &mut self,
        row: &Row,
        state: &RowState,
        earlier: Decimal,
    ) -> Result<bool, JournalError> {
        if matches!(state, RowState::Released { .. }) {
            return Ok(false);
        }
        let attempted = state.attempts().last().map(|attempt| attempt.at);
        let at = state.submitted().or(attempted).unwrap_or(self.now);
        let known = self.by_identity.get(&row.identity).copied();
        if let Some(index) = known.filter(|index| {
            let stored = &self.rows[*index];
            stored.state != RowStage::Released || stored.hold.is_some()
        }) {
            // How the row stands, this store knows better.
            self.import_costs(index, state, at, earlier);
            return Ok(false);
        }
        let task = state.task();
        if let Some(other) = task.and_then(|task| self.find_task(&row.origin, task)) {
            return Err(JournalError::TaskOfAnotherRow { row: RowNumber(other as u64 + 1) });
        }
        let index = known.unwrap_or_else(|| self.insert(row.clone(), at));
        self.rows[index].row = row.clone();
        self.import_earlier(index, at, earlier);
        if let Some(task) = task {
            self.rows[index].give_task(task, at);
            if let Some(end) = state.row_outcome() {
                // No run has this number: runs are counted from 1.
                let hold = RowHold { number: 0, row: row.clone(), renews: None };
                self.take_end(&hold, &end);
            }
        }
        let stored = &mut self.rows[index];
        match state {
            RowState::Intent { attempts } => stored.doubt(attempts, ITS_OWNER_IS_ELSEWHERE),
            RowState::Doubtful { attempts, reason } => stored.doubt(attempts, reason),
            RowState::Completed { finished, pictures, .. } => {
                if let Some(task) = stored.tasks.last_mut() {
                    (task.finished, task.pictures) = (Some(*finished), pictures.clone());
                }
            }
            RowState::Failed { finished, .. } => {
                if let Some(task) = stored.tasks.last_mut() {
                    task.finished = Some(*finished);
                }
            }
            RowState::Created { .. } | RowState::Released { .. } => {}
        }
        self.note_reservation(index);
        Ok(true)
    }

    /// Takes in a new order of a completed row as another store knows it; whether it did.
    pub(super) fn import_order(
        &mut self,
        row: &Identity,
        paid: &TaskId,
        order: &RowState,
    ) -> Result<bool, JournalError> {
        let Some(&index) = self.by_identity.get(row) else { return Ok(false) };
        let stored = &self.rows[index];
        let current = stored.task.filter(|task_index| stored.tasks[*task_index].id == *paid);
        let Some(current) = current.filter(|_| stored.state == RowStage::Completed) else {
            return Ok(false);
        };
        let former = Some((current, RowStage::Completed));
        match order {
            RowState::Intent { attempts } => {
                self.rows[index].doubt(attempts, ITS_OWNER_IS_ELSEWHERE);
            }
            RowState::Doubtful { attempts, reason } => self.rows[index].doubt(attempts, reason),
            RowState::Created { task, submitted } => {
                match self.find_task(&stored.row.origin, task) {
                    Some(own) if own == index => return Ok(false),
                    Some(other) => {
                        return Err(JournalError::TaskOfAnotherRow {
                            row: RowNumber(other as u64 + 1),
                        });
                    }
                    None => {}
                }
                self.rows[index].former = former;
                self.rows[index].give_task(task, *submitted);
            }
            _ => return Ok(false),
        }
        self.rows[index].former = former;
        if self.rows[index].state == RowStage::Doubtful {
            self.rows[index].task = None;
        }
        self.note_reservation(index);
        Ok(true)
    }

    /// Books what another store knows to be paid for a known row, and this one has not counted.
    fn import_costs(&mut self, index: usize, state: &RowState, at: Time, earlier: Decimal) {
        let (row, here) = (self.rows[index].row.clone(), self.rows[index].state());
        if let Some(end) = here.outcome_with_cost_of(state) {
            // No run has this number: runs are counted from 1.
            self.take_end(&RowHold { number: 0, row: row.clone(), renews: None }, &end);
        }
        let cost = state.cost().unwrap_or_default();
        let last = state.task().map_or(Decimal::ZERO, |task| {
            let own = self.rows[index].tasks.iter().find(|known| known.id == *task);
            match own {
                // Without a cost it is under way here, and counts with its end.
                Some(known) => known.cost.map_or(Decimal::ZERO, |known| known.max(cost)),
                // Else it may be the very task of a submission that is open or in doubt here, and counts
                // with its end.
                None if here.is_final() && self.find_task(&row.origin, task).is_none() => cost,
                None => Decimal::ZERO,
            }
        });
        self.import_earlier(index, at, earlier + last);
    }

    /// Books what was paid for a row, less what is counted for it already, as one task that failed: the ids
    /// of the tasks that cost it are not known.
    pub(super) fn import_earlier(&mut self, index: usize, at: Time, paid: Decimal) {
        let stored = &mut self.rows[index];
        let identity = stored.row.identity;
        // A row that is known, or was in doubt until a person settled that, has costs already.
        let cost = paid - stored.paid();
        // An identity's digits are an id.
        let id = identity.to_string().parse().ok();
        let Some(id) = id.filter(|_| cost > Decimal::ZERO) else { return };
        // None of the tasks that it stands for is the row's current one.
        let sum = StoredTask::new(id, at);
        stored.tasks.push(StoredTask { finished: Some(at), cost: Some(cost), ..sum });
        // It may be the sum of several, so it says nothing of the price.
        for scope in self.scopes.iter_mut().filter(|it| it.members.contains(&identity)) {
            scope.paid += cost;
        }
    }

    /// A task exists, so it is kept however the row stands meanwhile.
    pub(super) fn create(
        &mut self,
        hold: &RowHold,
        task: &TaskId,
        request_id: Option<&str>,
        at: Time,
    ) -> Result<Admission, JournalError> {
        let index = match self.by_identity.get(&hold.row.identity) {
            Some(index) => *index,
            None => {
                let index = self.insert(hold.row.clone(), at);
                self.rows[index].hold = Some(hold.number);
                index
            }
        };
        if self.rows[index].tasks.iter().any(|known| known.id == *task) {
            return Ok(Admission::Admitted);
        }
        let stored = &mut self.rows[index];
        // By the name of its attempt, too: a row may have been resolved or taken over while the
        // answer was under way.
        let mine = stored.hold == Some(hold.number)
            || request_id.is_some_and(|id| stored.attempts.iter().any(|it| it.request_id == id));
        if mine
            && matches!(stored.state, RowStage::Intent | RowStage::Doubtful | RowStage::Released)
        {
            stored.forget_attempt(request_id);
            stored.give_task(task, at);
            stored.hold = Some(hold.number);
            self.note_reservation(index);
            return Ok(Admission::Admitted);
        }
        if mine {
            stored.forget_attempt(request_id);
        }
        // The row goes on with another task, but this one exists and may be billed: it gets a row
        // of its own, which counts in the same budgets.
        let reserved = stored.reserved;
        self.note_reservation(index);
        let kept = self.insert_row_of_task(hold, task, at, reserved);
        if mine {
            return Ok(Admission::Admitted);
        }
        let (row, kept) = (RowNumber(index as u64 + 1), RowNumber(kept as u64 + 1));
        Err(JournalError::GivenAway { row, kept })
    }

    /// The row that is this task's alone: a member of every scope that the run's row is in.
    pub(super) fn insert_row_of_task(
        &mut self,
        hold: &RowHold,
        task: &TaskId,
        at: Time,
        reserved: Option<Decimal>,
    ) -> usize {
        let identity = Identity::of_task(&hold.row.origin, task);
        if let Some(index) = self.by_identity.get(&identity) {
            return *index;
        }
        for scope in &mut self.scopes {
            if scope.members.contains(&hold.row.identity) {
                scope.members.insert(identity);
            }
        }
        let index = self.insert(Row { identity, key: None, ..hold.row.clone() }, at);
        self.rows[index].give_task(task, at);
        self.rows[index].reserved = reserved;
        self.note_reservation(index);
        index
    }

    pub(super) fn settle(&mut self, hold: &RowHold, end: &RowOutcome) {
        self.take_end(hold, end);
        if let Some(&index) = self.by_identity.get(&hold.row.identity) {
            self.note_reservation(index);
        }
    }

    pub(super) fn take_end(&mut self, hold: &RowHold, end: &RowOutcome) {
        match end {
            RowOutcome::Completed { task, cost, pictures } => {
                let Some((index, task_index)) = self.concluded(hold, task, *cost) else { return };
                let stored = &mut self.rows[index];
                let kept = &mut stored.tasks[task_index].pictures;
                for (nth, url) in pictures.iter().enumerate() {
                    // A picture may have been saved already, and its file is kept.
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
                stored.finish(task_index, RowStage::Completed);
                let (identity, unreadable) = (stored.row.identity, stored.is_unreadable());
                for scope in self.scopes.iter_mut().filter(|it| it.members.contains(&identity)) {
                    if unreadable {
                        scope.unreadable.insert(index);
                    } else {
                        scope.unreadable.remove(&index);
                    }
                }
            }
            RowOutcome::Failed { task, code, message, cost } => {
                let Some((index, task_index)) = self.concluded(hold, task, *cost) else { return };
                let stored = &mut self.rows[index];
                let known = &mut stored.tasks[task_index];
                known.is_failed = true;
                known.code = code.clone().or(known.code.take());
                known.message.clone_from(message);
                stored.finish(task_index, RowStage::Failed);
            }
            // Ignored where the task turned out to exist meanwhile.
            RowOutcome::Unknown { reason } => {
                if let Some(stored) = self.held(hold)
                    && stored.state == RowStage::Intent
                {
                    (stored.state, stored.reason) = (RowStage::Doubtful, reason.clone());
                }
            }
            RowOutcome::Abandoned => {
                if let Some(stored) = self.held(hold) {
                    stored.abandon();
                }
            }
        }
    }

    pub(super) fn held(&mut self, hold: &RowHold) -> Option<&mut StoredRow> {
        let index = *self.by_identity.get(&hold.row.identity)?;
        let stored = &mut self.rows[index];
        (stored.hold == Some(hold.number)).then_some(stored)
    }

    /// Books the end of a task: the places of its row and of the task.
    pub(super) fn concluded(
        &mut self,
        hold: &RowHold,
        task: &TaskId,
        cost: Option<Decimal>,
    ) -> Option<(usize, usize)> {
        let identity = hold.row.identity;
        let index = *self.by_identity.get(&identity)?;
        let find = |row: &StoredRow| row.tasks.iter().position(|known| known.id == *task);
        if find(&self.rows[index]).is_none() {
            // Its id never reached the store before.
            self.create(hold, task, None, self.now).ok()?;
        }
        let task_index = find(&self.rows[index])?;
        let known = &mut self.rows[index].tasks[task_index];
        // A second sight of the end does not move it.
        known.finished.get_or_insert(self.now);
        let before = known.cost;
        known.cost = cost.or(before);
        if let Some(cost) = cost.filter(|cost| before != Some(*cost)) {
            self.book(index, cost, before);
        }
        Some((index, task_index))
    }

    /// A cost was seen, for the first time or another than `before`: every scope of the row pays it,
    /// and a higher price reprices what is reserved. A cost of nothing says nothing of the price.
    pub(super) fn book(&mut self, index: usize, cost: Decimal, before: Option<Decimal>) {
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
            // Those without a price of their own kind go by the highest of any.
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

fn price_kind(row: &Row) -> PriceKind {
    let Size { width, height } = row.size;
    (row.template.id().to_owned(), width, height)
}

fn no_such_scope() -> JournalError {
    JournalError::Unreadable("it has no such scope".to_owned())
}

const ITS_OWNER_IS_ELSEWHERE: &str =
    "its submission left by another journal, and its answer is not known here";
