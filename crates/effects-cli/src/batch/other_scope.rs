//! `Batch::check_scope`: refuses a batch with rows whose keys the folder's `manifest.jsonl` lists as paid
//! for in an order of another name (`--scope`), where that may be a slip: `--scope` was left out, or is
//! spelled otherwise. In another order they would be other rows, and be paid for again, as `--pay-again`
//! allows. `Batch::take_folder` (for `run` and `watch`) and `Batch::plan` call it before anything is sent.

use std::collections::{BTreeSet, HashMap, HashSet};

use effects_client::file_names;
use effects_core::{Error, ErrorKind};
use effects_jobs::{Identity, JournalStore, Occurrences, RowState};

use super::earlier_line::{EarlierLine, earlier_lines};
use super::options::Batch;
use super::other_journal::unreadable;
use super::output_paths::RESULTS;
use super::rows::{CheckedRow, Checker, lookup_in};
use crate::failure::Failure;
use crate::journal;

/// The paid lines of the folder's manifest.
#[derive(Default)]
struct PaidLines {
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
        let (mut checker, mut rows, mut scopes) = (Checker::new(self.settings), 0, BTreeSet::new());
        for line in self.manifest.lines(self.settings.template.is_some())? {
            // What is wrong with a row is reported elsewhere.
            let Ok(checked_row) = checker.check(line?) else { continue };
            let Some(key) = &checked_row.label.key else { continue };
            let Some(lines) = paid.of_other_orders.remove(key) else { continue };
            let meant = lines.iter().find(|line| self.may_be_meant(&checked_row, line));
            let Some(scope) = meant.and_then(|line| line.scope.clone()) else { continue };
            if !self.is_begun(&checked_row, store, &paid.identities)? {
                rows += 1;
                scopes.insert(scope);
            }
        }
        if rows == 0 { Ok(()) } else { Err(self.other_scope(rows, &scopes)) }
    }

    fn paid_lines(&self) -> Result<PaidLines, Failure> {
        let manifest = self.settings.out.join(RESULTS);
        let origin = self.settings.origin.to_string();
        let mut paid = PaidLines::default();
        for text in earlier_lines(&manifest).map_err(|error| unreadable(&manifest, &error))? {
            let line = text.map_err(|error| unreadable(&manifest, &error))?.line;
            let is_paid =
                |line: &EarlierLine| line.may_be_paid() && line.origin.as_ref() == Some(&origin);
            let Some(line) = line.filter(is_paid) else { continue };
            paid.identities.extend(line.identity());
            // Lines without a scope are left out: `Occurrences` knows their rows again within one.
            if let (Some(key), Some(_)) = (&line.key, &line.scope)
                && line.scope != self.settings.scope
            {
                paid.of_other_orders.entry(key.clone()).or_default().push(line);
            }
        }
        Ok(paid)
    }

    /// Whether a line of another order may be of the row: without a scope where it asks for the same
    /// picture, and with one where the scopes differ by their spelling alone.
    fn may_be_meant(&self, checked_row: &CheckedRow, line: &EarlierLine) -> bool {
        match (&self.settings.scope, &line.scope) {
            (None, _) => self.asks_for_the_same(checked_row, line),
            (Some(given), Some(known)) => spelled_alike(given) == spelled_alike(known),
            (Some(_), None) => false,
        }
    }

    fn asks_for_the_same(&self, checked_row: &CheckedRow, line: &EarlierLine) -> bool {
        let (label, before) = (&checked_row.label, line.label());
        if label.template != before.template || label.size != before.size {
            return false;
        }
        // A photo that was renamed since is the same by its content.
        label.image == before.image
            || line.photo_hash.is_some() && self.settings.photo_hash(checked_row) == line.photo_hash
    }

    /// Whether the row itself, in this order, is paid for or may be.
    fn is_begun(
        &self,
        checked_row: &CheckedRow,
        store: Option<&dyn JournalStore>,
        paid: &HashSet<Identity>,
    ) -> Result<bool, Failure> {
        let lookup = lookup_in(store);
        // Only rows with keys come here, whose identity takes no count.
        let mut order = Occurrences::within(self.settings.scope.clone());
        let Some(identity) = self.settings.identity(checked_row, &mut order, &lookup) else {
            return Ok(false);
        };
        let record = lookup(&identity).map_err(|error| journal::failure(&error))?;
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
        let given = match &self.settings.scope {
            Some(scope) => format!("--scope {scope:?} is another order"),
            None => "without --scope this is another order".to_owned(),
        };
        let message = format!(
            "{rows} paid for in the order {}, says {}, and {given}, which would pay for the same rows \
             again: give --scope {}, or insist with --pay-again; nothing was sent",
            names.join(" or "),
            self.settings.out.join(RESULTS).display(),
            names.join(" or --scope ")
        );
        Error::new(ErrorKind::Misconfigured, message).into()
    }
}

/// The name of an order without what tells one spelling of it from another.
fn spelled_alike(scope: &str) -> String {
    file_names::folded(&scope.split_whitespace().collect::<Vec<_>>().join(" "))
}
