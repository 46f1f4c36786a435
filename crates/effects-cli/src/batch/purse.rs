//! What a batch may spend: the budget is for its rows, whenever they are paid for.

use std::sync::Arc;

use effects_client::{Found, Ledger};
use effects_core::{Budget, Error, ErrorKind, Journal, JournalStore, Origin, SpendBy};
use effects_ureq::Client;
use rust_decimal::Decimal;

use super::live::Live;
use super::survey::Standings;
use super::work::Batch;
use crate::failure::Failure;
use crate::journal;

impl Batch<'_> {
    /// What is left of the budget: earlier runs spent some of it, and their open tasks may.
    pub(super) fn budget(
        &self,
        client: &Client,
        ledger: Option<&Ledger>,
        mut standings: Standings,
        live: &Live,
    ) -> Result<Budget, Failure> {
        let mut price = self.price(ledger.map(|ledger| &**ledger.store()))?;
        let Some(limit) = self.options.budget else {
            return Ok(priced(Budget::unlimited(), price));
        };
        if let (None, Some(ledger)) = (price, ledger) {
            price = find_out(client, ledger, &mut standings, live)?;
        }
        let open = standings.wait + standings.doubtful + standings.unpriced;
        match price {
            None if open > 0 => Err(Error::new(
                ErrorKind::BudgetExceeded,
                format!(
                    "{open} tasks of earlier runs may have used the budget up, and what a picture \
                     costs is not known: say what one costs at most with --price; nothing was sent"
                ),
            )
            .into()),
            _ => {
                let spent = standings.spent + Decimal::from(open) * price.unwrap_or_default();
                Ok(priced(Budget::limited(limit).with_spent(spent), price))
            }
        }
    }

    /// What a picture costs at most, as far as is known.
    pub(super) fn price(
        &self,
        store: Option<&dyn JournalStore>,
    ) -> Result<Option<Decimal>, Failure> {
        match (self.options.price, store) {
            (Some(price), _) => Ok(Some(price)),
            (None, Some(store)) => highest(store, &self.common.origin),
            (None, None) => Ok(None),
        }
    }
}

/// Follows tasks of earlier runs until one of them tells what it cost. That costs nothing.
fn find_out(
    client: &Client,
    ledger: &Ledger,
    standings: &mut Standings,
    live: &Live,
) -> Result<Option<Decimal>, Failure> {
    for row in std::mem::take(&mut standings.created) {
        live.doing("waiting for a task of an earlier run, to know what one costs");
        let found = ledger.resume(row).map_err(|error| journal::failure(&error))?;
        let Found::Watch(open) = found else { continue };
        let Some(task) = open.record().and_then(|record| record.standing.task().cloned()) else {
            continue;
        };
        let result = client.with_journal(open.journal::<Arc<dyn Journal>>()).task(task).wait();
        open.settle(&result).map_err(|error| journal::failure(&error))?;
        // What became of the row is told when its turn comes.
        if let Ok(effect) = result {
            standings.wait -= 1;
            match effect.usage.cost {
                Some(cost) => standings.spent += cost,
                None => standings.unpriced += 1,
            }
            if effect.usage.cost.is_some_and(|cost| cost > Decimal::ZERO) {
                return Ok(effect.usage.cost);
            }
        }
    }
    Ok(None)
}

fn priced(budget: Budget, price: Option<Decimal>) -> Budget {
    match price {
        Some(price) => budget.with_price(price),
        None => budget,
    }
}

/// The highest cost of one picture that the journal knows of this gateway.
fn highest(store: &dyn JournalStore, origin: &Origin) -> Result<Option<Decimal>, Failure> {
    let spend = store.spend(SpendBy::Template, Some(origin));
    let spend = spend.map_err(|error| journal::failure(&error))?;
    Ok(spend.into_iter().filter_map(|spend| spend.highest).max())
}
