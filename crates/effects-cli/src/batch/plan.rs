//! `Batch::plan`: `effects batch --plan`, which checks the rows, asks the journal how they stand, and
//! prints what the batch would submit, wait for and download, and what that would cost at most
//! ([`PlanObject`]). It sends nothing and writes nothing. `commands/batch.rs` calls it.

use std::time::Duration;

use effects_core::count_of;
use effects_jobs::{JournalStore, MemoryStore, ScopeNumber, ScopeState};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use super::options::Batch;
use super::preflight::{JournalQuery, PlannedWork, duplicates_note, preflight};
use super::progress_line::span;
use super::report::RowReport;
use super::rows::BatchSettings;
use super::running_mark::JournalInUse;
use crate::command_result::{CommandEnd, CommandResult};
use crate::failure::Failure;
use crate::journal;
use crate::rerun_line::journal_line;

/// What a batch would do.
#[derive(Serialize, ToSchema)]
pub(super) struct PlanObject<'a> {
    schema: &'static str,
    /// What knows which rows are paid for.
    journal: Option<String>,
    rows: u64,
    /// To be submitted for the first time, and anew.
    submit: u64,
    renew: u64,
    wait: u64,
    download: u64,
    kept: u64,
    failed: u64,
    doubtful: u64,
    invalid: u64,
    /// Lines of rows that ask for what an earlier row asks for; each is paid for, unless it is skipped.
    #[schema(value_type = Vec<u64>)]
    duplicates: &'a [u64],
    skipped: usize,
    /// What these rows have cost so far, in USD.
    #[schema(value_type = String)]
    spent: Decimal,
    /// What a picture costs at most, in USD, if that is known.
    #[schema(value_type = Option<String>)]
    price: Option<Decimal>,
    /// What there is still to pay at most, in USD.
    #[schema(value_type = Option<String>)]
    cost: Option<Decimal>,
    #[schema(value_type = Option<String>)]
    budget: Option<Decimal>,
    /// How many of the rows to submit the budget does not reach.
    over_budget: Option<u64>,
    /// How long it would take, in seconds, if that is known.
    seconds: Option<u64>,
}

impl Batch<'_> {
    /// Says what it would do.
    pub(crate) fn plan(
        &self,
        store: Option<&dyn JournalStore>,
        each: Option<Duration>,
    ) -> CommandResult {
        self.check_folder()?;
        if let Some(in_use) = JournalInUse::of(self, store)? {
            in_use.check(self, store)?;
        }
        self.check_scope(store)?;
        // A plan writes nothing: what the journal would take in goes to a store in memory, and
        // `JournalQuery` asks both.
        let imported = MemoryStore::new();
        self.import_from_folder(store, &imported)?;
        let retry_failed = self.options.retry_failed;
        // Looked up and not opened, since to open a scope makes it.
        let scope = self.known_scope(store)?;
        let (imported, number) =
            (Some(&imported as &dyn JournalStore), scope.as_ref().map(|it| it.0));
        let query = JournalQuery { store, imported, retry_failed, scope: number };
        let mut bad = Vec::new();
        let note = |report: RowReport| bad.push((report.json(), report.line()));
        let decodes = !self.options.no_photo_check;
        let query = Some(&query);
        let preflight =
            preflight(self.manifest, self.settings, store, query, decodes, u64::MAX, note)?;
        for warning in &preflight.warnings {
            self.output.note(&format!("warning: {warning}"));
        }
        for (json, line) in &bad {
            if self.output.json {
                self.output.json_line(json)?;
            } else {
                self.output.line(line)?;
            }
        }
        let planned = &preflight.planned;
        let (paid, price) =
            // A line of the folder may have cost more than the journal has seen; a run takes it in first.
            (planned.submit + planned.renew, self.price(store)?.max(self.price(imported)?));
        let cost = price.map(|price| price.saturating_mul(paid.into()));
        let object = PlanObject {
            schema: "effects.plan.v1",
            journal: self.journal.map(|path| path.display().to_string()),
            rows: preflight.good + preflight.bad,
            submit: planned.submit,
            renew: planned.renew,
            wait: planned.wait,
            download: planned.download,
            kept: planned.kept,
            failed: planned.failed,
            doubtful: planned.doubtful,
            invalid: preflight.bad,
            duplicates: &preflight.duplicates,
            skipped: if self.settings.skips_duplicates { preflight.duplicates.len() } else { 0 },
            spent: planned.spent,
            price,
            cost,
            budget: self.options.budget,
            over_budget: self.over_budget(planned, price, scope.map(|it| it.1)),
            seconds: each.map(|each| self.seconds(paid + planned.wait, each)),
        };
        let mut lines = object.lines(self.settings);
        if let Some(store) = store {
            let rows = planned.identities.iter().copied().collect();
            lines.extend(self.unfollowed_tasks(store, &rows)?);
        }
        if self.output.json {
            self.output.result(&object, &[])?;
        } else {
            self.output.result(&object, &lines)?;
        }
        Ok(CommandEnd::Code(if bad.is_empty() { 0 } else { 2 }))
    }

    /// The scope with the budget's name, if the journal has one, and what its rows have paid.
    fn known_scope(
        &self,
        store: Option<&dyn JournalStore>,
    ) -> Result<Option<(ScopeNumber, ScopeState)>, Failure> {
        let failed = |error| journal::failure(&error);
        let (Some(store), Some(name)) = (store, &self.options.scope) else { return Ok(None) };
        let Some(scope) = store.find_scope(name).map_err(failed)? else { return Ok(None) };
        Ok(Some((scope, store.scope(scope).map_err(failed)?)))
    }

    /// How many rows to submit the budget does not reach; `scope` is what the rows of its name have paid
    /// already, these among them.
    fn over_budget(
        &self,
        planned: &PlannedWork,
        price: Option<Decimal>,
        scope: Option<ScopeState>,
    ) -> Option<u64> {
        // A price of 0 reaches any number of rows, and nothing can be divided by it.
        let (limit, price) = (self.options.budget?, price.filter(|price| !price.is_zero())?);
        let scope = scope.unwrap_or_default();
        // Tasks without an end or without a known cost count at the price, as in the store.
        let open = planned.uncounted_open + scope.unpriced;
        let open = Decimal::from(open).saturating_mul(price).saturating_add(scope.reserved);
        let paid = scope.paid.saturating_add(planned.uncounted);
        let left = limit.saturating_sub(paid).saturating_sub(open).max(Decimal::ZERO);
        // What no decimal can hold is more than there are rows.
        let affordable = left.checked_div(price).and_then(|rows| u64::try_from(rows.trunc()).ok());
        let affordable = affordable.unwrap_or(u64::MAX);
        Some((planned.submit + planned.renew).saturating_sub(affordable))
    }

    /// So many tasks, so many at once, each taking so long.
    fn seconds(&self, tasks: u64, each: Duration) -> u64 {
        tasks.div_ceil(u64::from(self.options.in_flight)) * each.as_secs_f64().ceil() as u64
    }
}

impl PlanObject<'_> {
    fn lines(&self, settings: &BatchSettings) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(journal) = &self.journal {
            lines.push(format!("journal: {journal}"));
        }
        lines.push(count_of(self.rows, "row"));
        let doubtful = format!("doubtful: see `{}`", journal_line("effects tasks --doubtful"));
        for (count, one_is, they_are, what) in [
            (self.invalid, "", "", "bad, and left out"),
            (self.kept, "has its", "have their", "picture"),
            (self.submit, "", "", "would be submitted"),
            (self.renew, "", "", "failed, and would be submitted anew"),
            (self.wait, "has", "have", "a task, and would be waited for"),
            (self.download, "is", "are", "paid for, and would be downloaded"),
            (self.failed, "", "", "failed, and would be left so"),
            (self.doubtful, "is", "are", &doubtful),
        ] {
            let verb = if count == 1 { one_is } else { they_are };
            let verb = if verb.is_empty() { String::new() } else { format!("{verb} ") };
            if count > 0 {
                lines.push(format!("  {count} {verb}{what}"));
            }
        }
        lines.extend(duplicates_note(self.duplicates, settings));
        lines.push(match (self.price, self.cost) {
            (Some(price), Some(cost)) => format!("cost: at most {cost} USD, {price} each"),
            _ => "cost: not known before the first task has told it; --price says what to expect"
                .to_owned(),
        });
        if let Some(over) = self.over_budget.filter(|over| *over > 0) {
            lines.push(format!("the budget does not reach {over} of them"));
        }
        lines.push(match self.seconds {
            Some(seconds) => format!("time: about {}", span(Duration::from_secs(seconds))),
            None if settings.origin.is_loopback() => {
                "time: not known, since durations are not learnt at a gateway on this machine"
                    .to_owned()
            }
            None => "time: not known before a task has been seen to its end".to_owned(),
        });
        lines
    }
}
