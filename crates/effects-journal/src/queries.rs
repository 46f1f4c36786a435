//! Queries over many rows: [`list`] gives a page of rows, [`spend`] what their tasks cost, and
//! [`forgotten_costs`] what deleted rows cost. `Store` answers the methods of `JournalStore` of the same
//! names with them.

use std::collections::BTreeMap;

use effects_core::{Origin, Time};
use effects_jobs::{Filter, Record, RowState, Spend, SpendBy, Which};
use rust_decimal::Decimal;

use crate::database::{DatabaseError, values};
use crate::rows::{self, Columns, SELECT};
use crate::transaction::{Fail, Transaction};

/// A page of rows.
pub(crate) fn list(tx: &Transaction<'_>, filter: &Filter) -> Result<Vec<Record>, Fail> {
    let mut records = Vec::new();
    let mut after = filter.after.map_or(0, |row| row.0);
    let states = match filter.which {
        Which::Doubtful => "r.state IN ('intent', 'doubtful')",
        Which::Unfinished => {
            "(r.state IN ('intent', 'doubtful', 'created') OR
              r.state = 'completed' AND r.target IS NOT NULL AND EXISTS (
                SELECT 1 FROM pictures p WHERE p.task = r.task AND p.path IS NULL))"
        }
        Which::Open => "r.state IN ('intent', 'doubtful', 'created')",
        _ => "true",
    };
    let wanted = format!(
        "r.number > ?1 AND {states} AND (r.origin = ?2 OR ?2 IS NULL) AND (r.tag = ?3 OR ?3 IS NULL)"
    );
    let sql = format!("{SELECT} WHERE {wanted} ORDER BY r.number LIMIT ?4");
    // The same values serve both: `?4` is a page's length in one and its last row in the other.
    let of_page = format!("{wanted} AND r.number <= ?4");
    let origin = filter.origin.as_ref().map(Origin::to_string);
    // More than one page, since the database does not tell which intents have lost their owner.
    while records.len() < filter.limit {
        let values = |last| values![after, origin.as_deref(), filter.tag.as_deref(), last].to_vec();
        let page = tx.database.query(&sql, &values(PAGE))?;
        let page: Vec<Columns> = page.iter().map(Columns::read).collect::<Result<_, _>>()?;
        let Some(last) = page.last().map(|last| last.number().0) else {
            break;
        };
        // Of a few among many rows, each row's own are read.
        let pictures = match filter.which {
            Which::All => Some(rows::pictures_of(tx, &of_page, &values(last))?),
            _ => None,
        };
        after = last;
        for columns in page {
            let record = columns.record(tx, pictures.as_ref())?;
            if records.len() < filter.limit && is_wanted(&record, filter.which) {
                records.push(record);
            }
        }
    }
    Ok(records)
}

/// What a state in the table does not tell: whether an intent's owner is there.
fn is_wanted(record: &Record, which: Which) -> bool {
    which != Which::Doubtful || matches!(record.state, RowState::Doubtful { .. })
}

/// Sums for each origin and group. The database counts tasks that cost the same; costs are added as
/// decimals, which SQLite could not.
pub(crate) fn spend(
    tx: &Transaction<'_>,
    by: SpendBy,
    origin: Option<&Origin>,
) -> Result<Vec<Spend>, Fail> {
    let (group, scopes) = match by {
        SpendBy::Template => ("r.template", ""),
        SpendBy::Tag => ("coalesce(r.tag, '')", ""),
        // Days of milliseconds: both databases divide whole numbers to whole numbers.
        SpendBy::Day => ("t.submitted / 86400000", ""),
        SpendBy::Scope => ("coalesce(n.name, '')", NAMED_SCOPES),
    };
    let sql = format!(
        "SELECT r.origin, {group}, t.cost, count(*),
            t.finished IS NOT NULL AND t.message IS NOT NULL, {SUM_OF_TASKS}
         FROM tasks t JOIN rows r ON r.number = t.row {scopes}
         WHERE r.origin = ?1 OR ?1 IS NULL GROUP BY 1, 2, 3, 5, 6"
    );
    let mut sums = BTreeMap::<(String, String), SpendSum>::new();
    tx.database.each(&sql, values![origin.map(Origin::to_string)], &mut |row| {
        let group = match by {
            SpendBy::Day => day(row.get(1)?),
            SpendBy::Template | SpendBy::Tag | SpendBy::Scope => row.get(1)?,
        };
        let cost: Option<String> = row.get(2)?;
        let cost = cost.as_deref().map(str::parse).transpose().map_err(DatabaseError::new)?;
        let sum = sums.entry((row.get(0)?, group)).or_default();
        sum.add(row.get(3)?, cost, TaskKind { has_failed: row.get(4)?, is_sum: row.get(5)? });
        Ok(())
    })?;
    let read = |((origin, group), sum): ((String, String), SpendSum)| {
        let origin = Origin::try_from(origin).map_err(|e| Fail::unreadable("origin", &e))?;
        Ok(Spend {
            origin,
            group,
            tasks: sum.tasks,
            unpriced: sum.unpriced,
            cost: sum.cost,
            highest: sum.highest,
        })
    };
    sums.into_iter().map(read).collect()
}

/// What scopes with a name count of rows that are gone: what they have paid, without what their rows cost.
pub(crate) fn forgotten_costs(tx: &Transaction<'_>) -> Result<Vec<(String, Decimal)>, Fail> {
    let mut costs = BTreeMap::new();
    tx.database.each(
        "SELECT name, paid FROM scopes WHERE name IS NOT NULL",
        values![],
        &mut |row| {
            let paid: String = row.get(1)?;
            let paid: Decimal = paid.parse().map_err(DatabaseError::new)?;
            costs.insert(row.get::<String>(0)?, paid);
            Ok(())
        },
    )?;
    for spend in spend(tx, SpendBy::Scope, None)? {
        if let Some(paid) = costs.get_mut(&spend.group) {
            *paid -= spend.cost;
        }
    }
    Ok(costs.into_iter().filter(|(_, cost)| *cost > Decimal::ZERO).collect())
}

#[derive(Default)]
struct SpendSum {
    tasks: u64,
    unpriced: u64,
    cost: Decimal,
    highest: Option<Decimal>,
}

/// What decides how a task's cost counts.
#[derive(Clone, Copy)]
struct TaskKind {
    has_failed: bool,
    /// Whether it stands for several tasks, whose costs it has together.
    is_sum: bool,
}

impl SpendSum {
    /// Adds tasks that cost the same each. One that failed has a reason, and without a bill it cost nothing.
    fn add(&mut self, tasks: u64, cost: Option<Decimal>, kind: TaskKind) {
        self.tasks += tasks;
        match cost {
            None if kind.has_failed => {}
            None => self.unpriced += tasks,
            Some(cost) => {
                self.cost += cost * Decimal::from(tasks);
                // What several tasks cost together is no price of one.
                self.highest = self.highest.max(Some(cost).filter(|_| !kind.is_sum));
            }
        }
    }
}

/// Whether a task is the one that an import books for several of the row whose ids it does not know: it is not
/// current, its id is an [`Identity`](effects_jobs::Identity), and it ended as it was submitted.
const SUM_OF_TASKS: &str =
    "length(t.id) = 64 AND t.finished = t.submitted AND r.task IS DISTINCT FROM t.number";

/// `2026-01-31`, in UTC, of a number of days since the epoch.
fn day(number: u64) -> String {
    let midnight = Time::from_millis(number.saturating_mul(24 * 3600 * 1000));
    midnight.to_string().chars().take(10).collect()
}

/// A row of tasks for each named scope that its row is in, and one where it is in none.
const NAMED_SCOPES: &str = "LEFT JOIN (
    SELECT s.identity, c.name FROM scope_rows s JOIN scopes c ON c.number = s.scope
    WHERE c.name IS NOT NULL
) n ON n.identity = r.identity";

const PAGE: u64 = 500;
