//! `Batch::check_scope`: refuses keyed rows that the folder's own manifest has as paid for in an order
//! of another name, where that may be a slip: `--scope` was left out, or is spelled otherwise. They
//! would be other rows, and be paid for again. `Batch::take_folder` (for `run` and `watch`) and
//! `Batch::plan` call it.

use std::collections::{BTreeSet, HashMap, HashSet};

use effects_client::file_names;
use effects_core::{Error, ErrorKind};
use effects_jobs::{Identity, JournalStore, Occurrences, RowState};

use super::earlier_line::{EarlierLine, earlier_lines};
use super::options::Batch;
use super::other_journal::unreadable;
use super::output_paths::RESULTS;
use super::rows::{Checker, Wanted, looking_in};
use crate::failure::Failure;
use crate::journal;

/// The paid lines of the folder's manifest.
#[derive(Default)]
struct Paid {
    identities: HashSet<Identity>,
    /// Those of other orders, by their keys.
    of_other_orders: HashMap<String, Vec<EarlierLine>>,
}

impl Batch<'_> {
    /// Whether no row of a key is paid for in an order that this one may be meant to be.
    ///
    /// # Errors
    ///
    /// When one is, and `--pay-again` does not insist.
    pub(super) fn check_scope(&self, store: Option<&dyn JournalStore>) -> Result<(), Failure> {
        if self.options.pay_again {
            return Ok(());
        }
        let mut paid = self.paid_lines()?;
        // No other order has paid lines here, so that the manifest need not be read.
        if paid.of_other_orders.is_empty() {
            return Ok(());
        }
        let (mut checker, mut rows, mut scopes) = (Checker::new(self.common), 0, BTreeSet::new());
        for line in self.manifest.lines(self.common.template.is_some())? {
            // What is wrong with a row is told elsewhere.
            let Ok(wanted) = checker.check(line?) else { continue };
            let Some(key) = &wanted.told.key else { continue };
            let Some(lines) = paid.of_other_orders.remove(key) else { continue };
            let meant = lines.iter().find(|line| self.may_be_meant(&wanted, line));
            let Some(scope) = meant.and_then(|line| line.scope.clone()) else { continue };
            if !self.is_begun(&wanted, store, &paid.identities)? {
                rows += 1;
                scopes.insert(scope);
            }
        }
        if rows == 0 { Ok(()) } else { Err(self.other_scope(rows, &scopes)) }
    }

    fn paid_lines(&self) -> Result<Paid, Failure> {
        let manifest = self.common.out.join(RESULTS);
        let origin = self.common.origin.to_string();
        let mut paid = Paid::default();
        for text in earlier_lines(&manifest).map_err(|error| unreadable(&manifest, &error))? {
            let line = text.map_err(|error| unreadable(&manifest, &error))?.line;
            let is_paid =
                |line: &EarlierLine| line.may_be_paid() && line.origin.as_ref() == Some(&origin);
            let Some(line) = line.filter(is_paid) else { continue };
            paid.identities.extend(line.identity());
            // Lines without a scope are left out: `Occurrences` knows their rows again within one.
            if let (Some(key), Some(_)) = (&line.key, &line.scope)
                && line.scope != self.common.scope
            {
                paid.of_other_orders.entry(key.clone()).or_default().push(line);
            }
        }
        Ok(paid)
    }

    /// Whether a line of another order may be of the row: without a scope where it asks for the same
    /// picture, and with one where the scopes differ by their spelling alone.
    fn may_be_meant(&self, wanted: &Wanted, line: &EarlierLine) -> bool {
        match (&self.common.scope, &line.scope) {
            (None, _) => self.asks_for_the_same(wanted, line),
            (Some(given), Some(known)) => spelled_alike(given) == spelled_alike(known),
            (Some(_), None) => false,
        }
    }

    fn asks_for_the_same(&self, wanted: &Wanted, line: &EarlierLine) -> bool {
        let (told, before) = (&wanted.told, line.told());
        if told.template != before.template || told.size != before.size {
            return false;
        }
        // A photo that was renamed since is the same by its content.
        told.image == before.image
            || line.photo_hash.is_some() && self.common.photo_hash(wanted) == line.photo_hash
    }

    /// Whether the row itself, in this order, is paid for or may be.
    fn is_begun(
        &self,
        wanted: &Wanted,
        store: Option<&dyn JournalStore>,
        paid: &HashSet<Identity>,
    ) -> Result<bool, Failure> {
        let look = looking_in(store);
        // Only rows with keys come here, whose identity takes no count.
        let mut order = Occurrences::within(self.common.scope.clone());
        let Some(identity) = self.common.identity(wanted, &mut order, &look) else {
            return Ok(false);
        };
        let record = look(&identity).map_err(|error| journal::failure(&error))?;
        let is_begun =
            record.is_some_and(|record| !matches!(record.state, RowState::Released { .. }));
        Ok(is_begun || paid.contains(&identity))
    }

    /// Why the batch stops, and what there is to choose from.
    fn other_scope(&self, rows: u64, scopes: &BTreeSet<String>) -> Failure {
        let rows = match rows {
            1 => "1 row with a key is".to_owned(),
            count => format!("{count} rows with keys are"),
        };
        let names = scopes.iter().map(|scope| format!("{scope:?}")).collect::<Vec<_>>();
        let given = match &self.common.scope {
            Some(scope) => format!("--scope {scope:?} is another order"),
            None => "without --scope this is another order".to_owned(),
        };
        let message = format!(
            "{rows} paid for in the order {}, says {}, and {given}, which would pay for the same rows \
             again: give --scope {}, or insist with --pay-again; nothing was sent",
            names.join(" or "),
            self.common.out.join(RESULTS).display(),
            names.join(" or --scope ")
        );
        Error::new(ErrorKind::Misconfigured, message).into()
    }
}

/// The name of an order without what tells one spelling of it from another.
fn spelled_alike(scope: &str) -> String {
    file_names::folded(&scope.split_whitespace().collect::<Vec<_>>().join(" "))
}
