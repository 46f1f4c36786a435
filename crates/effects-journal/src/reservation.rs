//! Counts anew for how many tasks a row reserves money: [`note_reservation`] writes the number (attempts of
//! unknown outcome, tasks without an end, a released row that its run may submit again) into the row, and
//! [`reserve`] also the price of each. `transitions.rs` calls both after the steps that do not count in
//! their own statement; so do `settle.rs` and `import.rs` the first, and `row_snapshot.rs` when a run lets
//! go of a row. `budget.rs` adds up the reservations of a scope.

use rust_decimal::Decimal;

use crate::database::values;
use crate::transaction::{Fail, Transaction};

/// Keeps a row's reservation true after a step: one task for each attempt of unknown outcome, for
/// each task without an end, and for a released row that its run may submit again. The steps of nearly
/// every row (`insert`, `give_task`, `conclude`) count these in the statement that they make anyway.
pub(crate) fn note_reservation(tx: &Transaction<'_>, number: u64) -> Result<(), Fail> {
    reserve(tx, number, None)
}

/// Keeps a row's reservation true, like [`note_reservation`], at this price for each task if one is
/// given, in USD.
pub(crate) fn reserve(
    tx: &Transaction<'_>,
    number: u64,
    price: Option<Decimal>,
) -> Result<(), Fail> {
    // Counted anew, not added to, so that a step that is done twice changes nothing. `max` of two
    // numbers is SQLite's; the schema in Postgres defines a function of this name.
    let sql = "UPDATE rows SET reserved = coalesce(?2, reserved), open_tasks = max(
            json_array_length(coalesce(attempts, '[]'))
                + (SELECT count(*) FROM tasks WHERE row = ?1 AND finished IS NULL),
            CASE WHEN state = 'released' AND owner IS NOT NULL THEN 1 ELSE 0 END)
        WHERE number = ?1";
    tx.later(sql, values![number, price.map(|price| price.to_string())])?;
    Ok(())
}
