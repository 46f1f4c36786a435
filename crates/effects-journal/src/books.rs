//! Queries over many rows: [`list`] gives a page of rows, [`spend`] what their tasks cost. `Store`
//! answers `JournalStore::list` and `spend` with them.

use std::collections::BTreeMap;

use effects_core::{Origin, Time};
use effects_jobs::{Filter, Record, Spend, SpendBy, Standing, Which};
use rust_decimal::Decimal;

use crate::database::{DatabaseError, values};
use crate::desk::{Desk, Fail};
use crate::rows::{Columns, SELECT};

/// A page of rows.
pub(crate) fn list(desk: &Desk<'_>, filter: &Filter) -> Result<Vec<Record>, Fail> {
    let mut records = Vec::new();
    let mut after = filter.after.map_or(0, |row| row.0);
    let states = match filter.which {
        Which::Doubtful => "r.state IN ('intent', 'doubtful')",
        Which::Unfinished => {
            "(r.state IN ('intent', 'doubtful', 'created') OR
              r.state = 'completed' AND r.target IS NOT NULL)"
        }
        Which::Open => "r.state IN ('intent', 'doubtful', 'created')",
        _ => "true",
    };
    let sql = format!(
        "{SELECT} WHERE r.number > ?1 AND {states} AND (r.origin = ?2 OR ?2 IS NULL)
         AND (r.tag = ?3 OR ?3 IS NULL) ORDER BY r.number LIMIT ?4"
    );
    let origin = filter.origin.as_ref().map(Origin::to_string);
    while records.len() < filter.limit {
        let values = values![after, origin.as_deref(), filter.tag.as_deref(), PAGE];
        let page = desk.database.query(&sql, values)?;
        let page: Vec<Columns> = page.iter().map(Columns::read).collect::<Result<_, _>>()?;
        let Some(last) = page.last() else {
            break;
        };
        after = last.number().0;
        for columns in page {
            let record = columns.record(desk)?;
            if records.len() < filter.limit && is_wanted(&record, filter.which) {
                records.push(record);
            }
        }
    }
    Ok(records)
}

/// What a state in the table does not tell: whether an intent's owner is there, and whether the
/// pictures of a completed row reached the disk.
fn is_wanted(record: &Record, which: Which) -> bool {
    match (&record.standing, which) {
        (standing, Which::Doubtful) => matches!(standing, Standing::Doubtful { .. }),
        (Standing::Completed { pictures, .. }, Which::Unfinished) => {
            pictures.iter().any(|picture| picture.path.is_none())
        }
        _ => true,
    }
}

/// Sums for each origin and group. Costs are added as decimals, which SQLite could not.
pub(crate) fn spend(
    desk: &Desk<'_>,
    by: SpendBy,
    origin: Option<&Origin>,
) -> Result<Vec<Spend>, Fail> {
    let (name, scopes) = match by {
        SpendBy::Scope => ("n.name", NAMED_SCOPES),
        _ => ("NULL", ""),
    };
    let sql = format!(
        "SELECT r.origin, r.template, r.tag, t.submitted, t.cost, {name}
         FROM tasks t JOIN rows r ON r.number = t.row {scopes} WHERE r.origin = ?1 OR ?1 IS NULL"
    );
    let mut sums = BTreeMap::<(String, String), Sum>::new();
    desk.database.each(&sql, values![origin.map(Origin::to_string)], &mut |row| {
        let group = match by {
            SpendBy::Template => row.get(1)?,
            SpendBy::Tag => row.get::<Option<String>>(2)?.unwrap_or_default(),
            SpendBy::Day => day(Time::from_millis(row.get(3)?)),
            SpendBy::Scope => row.get::<Option<String>>(5)?.unwrap_or_default(),
        };
        let cost: Option<String> = row.get(4)?;
        let cost = cost.as_deref().map(str::parse).transpose().map_err(DatabaseError::new)?;
        sums.entry((row.get(0)?, group)).or_default().add(cost);
        Ok(())
    })?;
    let read = |((origin, group), sum): ((String, String), Sum)| {
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

#[derive(Default)]
struct Sum {
    tasks: u64,
    unpriced: u64,
    cost: Decimal,
    highest: Option<Decimal>,
}

impl Sum {
    fn add(&mut self, cost: Option<Decimal>) {
        self.tasks += 1;
        match cost {
            None => self.unpriced += 1,
            Some(cost) => {
                self.cost += cost;
                self.highest = self.highest.max(Some(cost));
            }
        }
    }
}

/// `2026-01-31`, in UTC.
fn day(time: Time) -> String {
    time.to_string().chars().take(10).collect()
}

/// A row of tasks for each named scope that its row is in, and one where it is in none.
const NAMED_SCOPES: &str = "LEFT JOIN (
    SELECT s.identity, c.name FROM scope_rows s JOIN scopes c ON c.number = s.scope
    WHERE c.name IS NOT NULL
) n ON n.identity = r.identity";

const PAGE: u32 = 500;
