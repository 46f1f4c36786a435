//! Budgets in the database: scopes and what their rows have paid, the highest prices seen, and the sums
//! of reservations. [`ask`] decides whether an intent fits into its budgets, [`book`] and [`pay`] add
//! what was paid: `transitions.rs`, `settle.rs` and `import.rs` call these and others with the steps of a
//! row. `store.rs` opens scopes, adds rows to them and reads them ([`open_scope`], [`scope_state`]);
//! `prune.rs` notes what deleted rows cost ([`note_forgotten`]).
//!
//! The rule that admits a submission is [`admit`] of `effects-jobs`; this module reads what it asks for, and
//! keeps the sums true, within the transactions of its callers.

use effects_core::Size;
use effects_core::journal::{Admission, JournalError, RowNumber};
use effects_jobs::{
    Budget, Holding, Identity, KnownPrices, Row, ScopeMembership, ScopeNumber, ScopeState, admit,
    reservation_price,
};
use rust_decimal::Decimal;

use crate::database::{Fields, values};
use crate::row_snapshot::RowSnapshot;
use crate::rows::decimal;
use crate::transaction::{Fail, Transaction};

/// Opens the scope with this name, or a new one without, which is gone with its owner.
pub(crate) fn open_scope(tx: &Transaction<'_>, name: Option<&str>) -> Result<ScopeNumber, Fail> {
    // In the transaction that would make it, so that two processes that open one name
    // get one scope.
    if let Some(scope) = name.map_or(Ok(None), |name| find_scope(tx, name))? {
        return Ok(scope);
    }
    let owner = name.is_none().then_some(tx.me.id);
    let sql = "INSERT INTO scopes (name, owner) VALUES (?1, ?2) RETURNING number";
    Ok(ScopeNumber(tx.database.get(sql, values![name, owner])?.get(0)?))
}

/// The scope with this name, if there is one.
pub(crate) fn find_scope(tx: &Transaction<'_>, name: &str) -> Result<Option<ScopeNumber>, Fail> {
    let found = tx.database.find("SELECT number FROM scopes WHERE name = ?1", values![name])?;
    Ok(found.map(|row| row.get(0).map(ScopeNumber)).transpose()?)
}

/// The scopes that a row is in. Each counts what its tasks cost, and what those did that were forgotten.
pub(crate) fn memberships(
    tx: &Transaction<'_>,
    identity: &Identity,
) -> Result<Vec<ScopeMembership>, Fail> {
    let paid = paid_for(tx, identity)?;
    let sql = "SELECT c.number, c.name, s.forgotten
        FROM scope_rows s JOIN scopes c ON c.number = s.scope WHERE s.identity = ?1 ORDER BY 1";
    let rows = tx.database.query(sql, values![identity.as_bytes()])?;
    let read = |row: &Fields| {
        let forgotten: Option<String> = row.get(2)?;
        let counted = paid + forgotten.as_deref().map_or(Ok(Decimal::ZERO), decimal)?;
        Ok(ScopeMembership { scope: ScopeNumber(row.get(0)?), name: row.get(1)?, counted })
    };
    rows.iter().map(read).collect()
}

/// What all tasks of a row cost, as far as is known, in USD.
pub(crate) fn paid_for(tx: &Transaction<'_>, identity: &Identity) -> Result<Decimal, Fail> {
    let sql = "SELECT t.cost FROM tasks t JOIN rows r ON r.number = t.row
        WHERE r.identity = ?1 AND t.cost IS NOT NULL";
    let mut paid = Decimal::ZERO;
    for row in tx.database.query(sql, values![identity.as_bytes()])? {
        paid += decimal(&row.get::<String>(0)?)?;
    }
    Ok(paid)
}

/// The row is about to be forgotten with its tasks, which cost this together: what its scopes have
/// counted of it is noted, so that it does not count once more where another journal or a folder brings
/// these tasks back.
pub(crate) fn note_forgotten(
    tx: &Transaction<'_>,
    identity: &Identity,
    paid: Decimal,
) -> Result<(), Fail> {
    let sql = "SELECT scope, forgotten FROM scope_rows WHERE identity = ?1";
    for row in tx.database.query(sql, values![identity.as_bytes()])? {
        let before: Option<String> = row.get(1)?;
        let forgotten = paid + before.as_deref().map_or(Ok(Decimal::ZERO), decimal)?;
        let scope: u64 = row.get(0)?;
        // A row that cost nothing leaves nothing to remember.
        if forgotten.is_zero() {
            let sql = "DELETE FROM scope_rows WHERE identity = ?1 AND scope = ?2";
            tx.later(sql, values![identity.as_bytes(), scope])?;
        } else {
            let sql = "UPDATE scope_rows SET forgotten = ?3 WHERE identity = ?1 AND scope = ?2";
            tx.later(sql, values![identity.as_bytes(), scope, forgotten.to_string()])?;
        }
    }
    Ok(())
}

/// A new task is about to be made for a row: what is paid from now on is nothing that was forgotten.
pub(crate) fn pays_anew(tx: &Transaction<'_>, identity: &Identity) -> Result<(), Fail> {
    let sql =
        "UPDATE scope_rows SET forgotten = NULL WHERE identity = ?1 AND forgotten IS NOT NULL";
    tx.later(sql, values![identity.as_bytes()])?;
    Ok(())
}

/// What of a sum a scope has not counted yet: it may be of a task that the journal had forgotten.
fn uncounted(
    tx: &Transaction<'_>,
    identity: &Identity,
    member: &StoredMember,
    sum: Decimal,
) -> Result<Decimal, Fail> {
    // A cost that was corrected downwards is a negative sum, which no forgotten task explains.
    let known = member.forgotten.min(sum).max(Decimal::ZERO);
    if !known.is_zero() {
        let left = Some(member.forgotten - known).filter(|left| !left.is_zero());
        let sql = "UPDATE scope_rows SET forgotten = ?3 WHERE identity = ?1 AND scope = ?2";
        let left = left.map(|left| left.to_string());
        tx.later(sql, values![identity.as_bytes(), member.scope.0, left])?;
    }
    Ok(sum - known)
}

/// Makes a row a member of a scope, and lets what was paid for it count.
pub(crate) fn add_to_scope(
    tx: &Transaction<'_>,
    scope: ScopeNumber,
    identity: &Identity,
) -> Result<(), Fail> {
    join_scope(tx, scope, identity, true)
}

/// The same, for a row that the journal knows or one that it does not, which has no tasks.
fn join_scope(
    tx: &Transaction<'_>,
    scope: ScopeNumber,
    identity: &Identity,
    may_have_tasks: bool,
) -> Result<(), Fail> {
    let sql = "INSERT INTO scope_rows (identity, scope) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    // Its answer is waited for: a row that is a member already has had its costs counted.
    if tx.run(sql, values![identity.as_bytes(), scope.0])? == 0 || !may_have_tasks {
        return Ok(());
    }
    let paid = paid_for(tx, identity)?;
    if !paid.is_zero() {
        let paid = stored_scope(tx, scope)?.paid + paid;
        let sql = "UPDATE scopes SET paid = ?2 WHERE number = ?1";
        tx.later(sql, values![scope.0, paid.to_string()])?;
    }
    // A cost that could not be read comes along: without it the scope would seem to
    // know all it paid.
    let sql = "SELECT r.number FROM rows r JOIN tasks t ON t.number = r.task
        WHERE r.identity = ?1 AND r.state = 'completed' AND t.cost IS NULL";
    let unreadable = tx.database.find(sql, values![identity.as_bytes()])?;
    unreadable.map_or(Ok(()), |row| count_unreadable(tx, scope, row.get(0)?))
}

/// The state of a scope; `but` is the row that asks, whose own reservation does not count.
pub(crate) fn scope_state(
    tx: &Transaction<'_>,
    scope: ScopeNumber,
    but: Option<&Identity>,
) -> Result<ScopeState, Fail> {
    let mut state = stored_scope(tx, scope)?;
    // Rows that count alike are counted by the database: there may be thousands in flight.
    // The index has only these rows, so the query costs the same however large the journal is. The
    // cast is for Postgres, whose sum of integers is of another type. `IS DISTINCT FROM` is true as
    // well where no row asks, and `?2` is NULL.
    let sql =
        "SELECT min(r.number), r.state, r.owner, CAST(sum(r.open_tasks) AS BIGINT), r.reserved,
            count(*), o.host, o.place, o.process, o.started, o.lease
        FROM rows r INDEXED BY rows_reserving
        JOIN scope_rows s ON s.identity = r.identity AND s.scope = ?1
        LEFT JOIN owners o ON o.id = r.owner
        WHERE r.open_tasks > 0 AND r.identity IS DISTINCT FROM ?2
        GROUP BY r.state, r.owner, r.reserved, o.host, o.place, o.process, o.started, o.lease
        ORDER BY 1";
    for row in tx.database.query(sql, values![scope.0, but.map(Identity::as_bytes)])? {
        let (number, owner) = (RowNumber(row.get(0)?), row.get(2)?);
        let (tasks, reserved): (u64, Option<String>) = (row.get(3)?, row.get(4)?);
        // The join has its columns, which saves a query for each owner.
        if let Some(owner) = owner {
            tx.judge_owner(owner, OWNER_COLUMN, &row)?;
        }
        let is_held = tx.holder(owner)?.is_some();
        let state_name: String = row.get(1)?;
        let holding = match state_name.as_str() {
            "intent" | "created" | "released" if is_held => Holding::Live,
            // Nothing was made, and no run is left that may try again.
            "released" => continue,
            _ => Holding::Abandoned,
        };
        let price = reserved.as_deref().map(decimal).transpose()?;
        state.add_rows(number, holding, row.get(5)?, tasks, price);
    }
    Ok(state)
}

/// Where the query of [`scope_state`] has the first of the columns of an owner.
const OWNER_COLUMN: usize = 6;

/// Asks every budget whether an intent fits, with which its row holds reservations for `tasks` tasks;
/// where it does, the price to reserve at.
pub(crate) fn ask(
    tx: &Transaction<'_>,
    row: &Row,
    budgets: &[Budget],
    tasks: u64,
    known_row: Option<&RowSnapshot>,
) -> Result<Result<Option<Decimal>, Admission>, Fail> {
    let mut price = None;
    let known = known_prices(tx, row)?;
    let is_covered = known_row.is_some_and(|snapshot| snapshot.open_tasks >= tasks);
    for budget in budgets {
        join_scope(tx, budget.scope, &row.identity, known_row.is_some())?;
        let scope = scope_state(tx, budget.scope, Some(&row.identity))?;
        // A reservation that the row holds already covers another attempt.
        if !is_covered {
            match admit(budget, &scope, known, tasks) {
                Admission::Admitted => {}
                refused => return Ok(Err(refused)),
            }
        }
        // A row has one reservation for all its budgets, so the highest of their prices counts.
        price = price.max(reservation_price(budget.price, &scope, known));
    }
    Ok(Ok(price.or(known.same).or(known.any)))
}

/// Books a cost that was seen, for the first time or another than `before`: every scope of the row
/// pays it, and a higher price reprices what is reserved. A cost of nothing says nothing of the
/// price.
pub(crate) fn book(
    tx: &Transaction<'_>,
    row: &Row,
    cost: Decimal,
    before: Option<Decimal>,
) -> Result<(), Fail> {
    let mut is_news = false;
    for member in stored_scopes_of(tx, &row.identity)? {
        let StoredMember { scope, state, .. } = &member;
        let more = cost - before.unwrap_or_default();
        let paid = state.paid + uncounted(tx, &row.identity, &member, more)?;
        // Each cost seen lets more rows leave (`admit`): a correction is not seen anew,
        // and zero is no price.
        let counts = before.is_none() && !cost.is_zero();
        let highest = state.highest_seen.max(Some(cost).filter(|cost| !cost.is_zero()));
        is_news |= highest > state.highest_seen;
        let sql = "UPDATE scopes SET paid = ?2, costs_seen = costs_seen + ?3, highest_seen = ?4
            WHERE number = ?1";
        let highest = highest.map(|cost| cost.to_string());
        tx.later(sql, values![scope.0, paid.to_string(), counts, highest])?;
    }
    if cost.is_zero() {
        return Ok(());
    }
    let known = known_prices(tx, row)?;
    if known.same.is_none_or(|highest| highest < cost) {
        let sql = "INSERT INTO prices (origin, template, width, height, highest)
            VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (origin, template, width, height)
            DO UPDATE SET highest = excluded.highest";
        let (width, height) = stored_size(row.size);
        let origin = row.origin.to_string();
        tx.later(sql, values![origin, row.template.id(), width, height, cost.to_string()])?;
        is_news = true;
    }
    if is_news { reprice(tx, row, cost) } else { Ok(()) }
}

/// Books what a row cost that says nothing of the price, since it may be the sum of several tasks.
pub(crate) fn pay(tx: &Transaction<'_>, row: &Row, cost: Decimal) -> Result<(), Fail> {
    for member in stored_scopes_of(tx, &row.identity)? {
        let paid = member.state.paid + uncounted(tx, &row.identity, &member, cost)?;
        let sql = "UPDATE scopes SET paid = ?2 WHERE number = ?1";
        tx.later(sql, values![member.scope.0, paid.to_string()])?;
    }
    Ok(())
}

/// A completed row's cost could not be read, or could after all.
pub(crate) fn note_unreadable(
    tx: &Transaction<'_>,
    row: &Row,
    number: u64,
    was: bool,
    is: bool,
) -> Result<(), Fail> {
    if was == is {
        return Ok(());
    }
    for scope in scopes_of(tx, &row.identity)? {
        match (was, is) {
            (false, true) => count_unreadable(tx, scope, number)?,
            (true, false) => {
                let sql = "UPDATE scopes SET unreadable = unreadable - 1 WHERE number = ?1";
                tx.later(sql, values![scope.0])?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Makes a row a member of every scope that another row is in.
pub(crate) fn share_scopes(
    tx: &Transaction<'_>,
    from: &Identity,
    to: &Identity,
) -> Result<(), Fail> {
    for scope in scopes_of(tx, from)? {
        add_to_scope(tx, scope, to)?;
    }
    Ok(())
}

fn count_unreadable(tx: &Transaction<'_>, scope: ScopeNumber, row: u64) -> Result<(), Fail> {
    let sql = "UPDATE scopes SET unreadable = unreadable + 1,
        unreadable_row = coalesce(unreadable_row, ?2) WHERE number = ?1";
    tx.later(sql, values![scope.0, row])?;
    Ok(())
}

/// What the scope's own row says: everything but reservations.
fn stored_scope(tx: &Transaction<'_>, scope: ScopeNumber) -> Result<ScopeState, Fail> {
    let sql = format!("SELECT {STORED} FROM scopes WHERE number = ?1");
    let Some(stored) = tx.database.find(&sql, values![scope.0])? else {
        return Err(JournalError::Unreadable("it has no such scope".to_owned()).into());
    };
    read_scope(&stored)
}

/// A scope that a row is in.
struct StoredMember {
    scope: ScopeNumber,
    /// What the scope's own row says.
    state: ScopeState,
    /// What the scope has counted of tasks of the row that the journal has forgotten, in USD.
    forgotten: Decimal,
}

/// The scopes that a row is in.
fn stored_scopes_of(tx: &Transaction<'_>, identity: &Identity) -> Result<Vec<StoredMember>, Fail> {
    let sql = format!(
        "SELECT {STORED}, number, forgotten FROM scope_rows JOIN scopes ON number = scope
         WHERE identity = ?1"
    );
    let scopes = tx.database.query(&sql, values![identity.as_bytes()])?;
    let read = |row: &Fields| {
        let forgotten: Option<String> = row.get(6)?;
        Ok(StoredMember {
            scope: ScopeNumber(row.get(5)?),
            state: read_scope(row)?,
            forgotten: forgotten.as_deref().map_or(Ok(Decimal::ZERO), decimal)?,
        })
    };
    scopes.iter().map(read).collect()
}

/// What [`read_scope`] reads.
const STORED: &str = "paid, costs_seen, highest_seen, unreadable, unreadable_row";

fn read_scope(stored: &Fields) -> Result<ScopeState, Fail> {
    let (highest, unpriced): (Option<String>, u64) = (stored.get(2)?, stored.get(3)?);
    let row: Option<u64> = stored.get(4)?;
    Ok(ScopeState {
        paid: decimal(&stored.get::<String>(0)?)?,
        costs_seen: stored.get(1)?,
        highest_seen: highest.as_deref().map(decimal).transpose()?,
        unpriced,
        unreadable: row.filter(|_| unpriced > 0).map(RowNumber),
        ..ScopeState::default()
    })
}

fn scopes_of(tx: &Transaction<'_>, identity: &Identity) -> Result<Vec<ScopeNumber>, Fail> {
    let sql = "SELECT scope FROM scope_rows WHERE identity = ?1";
    let scopes = tx.database.query(sql, values![identity.as_bytes()])?;
    scopes.iter().map(|row| Ok(ScopeNumber(row.get(0)?))).collect()
}

fn known_prices(tx: &Transaction<'_>, row: &Row) -> Result<KnownPrices, Fail> {
    let sql = "SELECT template = ?2 AND width = ?3 AND height = ?4, highest FROM prices
        WHERE origin = ?1";
    let (width, height) = stored_size(row.size);
    let values = values![row.origin.to_string(), row.template.id(), width, height];
    let mut known = KnownPrices::default();
    for found in tx.database.query(sql, values)? {
        // Compared here and not in SQL, where a price is a text.
        let price = decimal(&found.get::<String>(1)?)?;
        known.any = known.any.max(Some(price));
        if found.get(0)? {
            known.same = Some(price);
        }
    }
    Ok(known)
}

/// Rows with reservations that this cost is the price of reserve at least as much: those of the same
/// template and size, and those whose own price is not known.
fn reprice(tx: &Transaction<'_>, row: &Row, cost: Decimal) -> Result<(), Fail> {
    let sql = "SELECT r.number, r.reserved FROM rows r INDEXED BY rows_reserving
        LEFT JOIN prices p ON p.origin = r.origin AND p.template = r.template
            AND p.width = coalesce(r.width, 0) AND p.height = coalesce(r.height, 0)
        WHERE r.open_tasks > 0 AND r.origin = ?1 AND (p.highest IS NULL
            OR r.template = ?2 AND coalesce(r.width, 0) = ?3 AND coalesce(r.height, 0) = ?4)";
    let (width, height) = stored_size(row.size);
    let values = values![row.origin.to_string(), row.template.id(), width, height];
    for found in tx.database.query(sql, values)? {
        let (number, reserved): (u64, Option<String>) = (found.get(0)?, found.get(1)?);
        let reserved = reserved.as_deref().map(decimal).transpose()?;
        // Not lowered: the task that it is for may cost what was reserved.
        if reserved.is_none_or(|price| price < cost) {
            let sql = "UPDATE rows SET reserved = ?2 WHERE number = ?1";
            tx.later(sql, values![number, cost.to_string()])?;
        }
    }
    Ok(())
}

/// A size as the table of prices has it: 0 is the service's default.
fn stored_size(size: Size) -> (u32, u32) {
    // Not NULL, which equals nothing: the table's key would not find its row again.
    (size.width.unwrap_or_default(), size.height.unwrap_or_default())
}
