//! [`Reporter`]: takes each [`RowReport`] of a batch as its row ends: prints it (JSON on stdout; on a
//! terminal, without `--json`, only a line for a row without its picture) and passes it to the folder's
//! manifest ([`Results`]), the hooks and the contact sheet. At the end it adds the rows that did not end,
//! writes the reports ([`Reports`]) and prints the sums ([`BatchObject`]). `Batch::run` and `Batch::watch`
//! begin one; `Batch::process_rows` passes it the rows.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use effects_client::is_replay;
use effects_core::journal::JournalError;
use effects_core::pace::Histories;
use effects_core::{Error, ErrorKind, count_of};
use effects_jobs::{Filter, Identity, JournalStore, Record, RowName, Which};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use super::budget_refusals::{BudgetRefusal, BudgetRefusals};
use super::counted::CountedRows;
use super::hooks::{self, BatchHooks, HookCounts};
use super::options::Batch;
use super::output_paths::SHEET;
use super::present_pictures::pictures_if_all_present;
use super::progress_line::ProgressLine;
use super::report::{ReportedMethod, RowReport, RowStatus};
use super::report_page::PageSummary;
use super::reports::Reports;
use super::request_hash::RequestHash;
use super::results::Results;
use super::rows::{Checker, lookup_in};
use super::running_mark::RunningMark;
use super::session::Session;
use super::sheet;
use super::summary::BatchSummary;
use crate::command_result::{CommandEnd, CommandResult};
use crate::failure::Failure;
use crate::journal;
use crate::rerun_line::{gateway_line, journal_line, line_to_run_again, quoted};

/// Prints and records the rows of a batch as they end.
pub(super) struct Reporter<'a> {
    batch: &'a Batch<'a>,
    results: Results,
    hooks: BatchHooks,
    /// The journal, if there is one.
    store: Option<Arc<dyn JournalStore>>,
    /// Ended once the folder's manifest tells of the rows.
    mark: Option<RunningMark>,
    /// Whether it was said that a new task cannot be noted beside the mark.
    has_warned_of_mark: bool,
    /// How many lines on stderr were about single rows.
    notes_on_rows: u64,
    budget_refusals: BudgetRefusals,
    pilots: Vec<sheet::PilotPicture>,
    /// Bad rows that did not count among equal rows.
    pub(super) uncounted: HashSet<usize>,
    /// What the pace had learnt of durations before the batch began.
    pub(super) learnt: Histories,
    /// What all rows that share the budget have paid in the end, where the journal counts it.
    pub(super) paid: Option<Decimal>,
    /// Whether a signal ended the batch: then hooks are waited for only shortly.
    pub(super) is_interrupted: bool,
    /// When all of it is to be over, hooks too.
    pub(super) ends_by: Option<Instant>,
}

/// What the batch as a whole came to.
#[derive(Serialize, ToSchema)]
pub(super) struct BatchObject<'a> {
    schema: &'static str,
    rows: u64,
    completed: u64,
    /// Of the completed, those whose picture was there before.
    kept: u64,
    not_downloaded: u64,
    running: u64,
    doubtful: u64,
    failed: u64,
    refused: u64,
    not_submitted: u64,
    invalid: u64,
    /// Left out, since an earlier row asks for the same.
    skipped: u64,
    /// Rows whose task is done and did not say in a way that can be read what it cost: in no sum.
    unpriced: u64,
    /// How many rows have an error of each kind, and of each code of the service.
    #[schema(value_type = BTreeMap<String, u64>)]
    errors: &'a BTreeMap<&'static str, u64>,
    #[schema(value_type = BTreeMap<String, u64>)]
    codes: &'a BTreeMap<String, u64>,
    /// What tasks of this run cost, in USD; in a replay what they cost when they were recorded.
    #[schema(value_type = String)]
    spent: Decimal,
    /// What all tasks of these rows cost, in USD; in a replay what they cost when they were recorded.
    #[schema(value_type = String)]
    cost: Decimal,
    exit_code: u8,
    manifest: Option<&'a str>,
    contact_sheet: Option<&'a str>,
    /// The table of --report-csv.
    report_csv: Option<&'a str>,
    /// The page of --report.
    report: Option<&'a str>,
    /// Programs of --on-done that failed.
    #[serde(skip_serializing_if = "is_none")]
    hooks_failed: u64,
    /// Programs of --on-done that the command did not wait for to their end, or did not start.
    #[serde(skip_serializing_if = "is_none")]
    hooks_unfinished: u64,
    /// Rows whose post to --post-to is not acknowledged.
    #[serde(skip_serializing_if = "is_none")]
    undelivered: u64,
    /// The line to run again, where something is missing that it can go on with.
    resume: Option<String>,
    /// What ended it that is no row's.
    error: Option<&'a str>,
    /// Whether it replays a recording, so that nothing is paid.
    #[serde(skip)]
    is_replay: bool,
}

impl<'a> Reporter<'a> {
    pub(super) fn begin(
        batch: &'a Batch<'a>,
        store: Option<Arc<dyn JournalStore>>,
        mark: Option<RunningMark>,
    ) -> Result<Self, Failure> {
        let settings = batch.settings;
        let id = store.as_ref().map_or(Ok(None), |store| store.id());
        let id = id.map_err(|error| journal::failure(&error))?;
        let results = Results::begin(&settings.out, &settings.origin, batch.journal, id)?;
        let hooks = BatchHooks::begin(&batch.options.hooks, &settings.out)?;
        Ok(Self {
            batch,
            results,
            hooks,
            store,
            mark,
            has_warned_of_mark: false,
            notes_on_rows: 0,
            budget_refusals: BudgetRefusals::default(),
            pilots: Vec::new(),
            uncounted: HashSet::new(),
            learnt: Histories::new(),
            paid: None,
            is_interrupted: false,
            ends_by: None,
        })
    }

    /// Notes what became of a row, and prints it.
    pub(super) fn note(
        &mut self,
        report: &RowReport,
        progress: &ProgressLine,
    ) -> Result<(), Failure> {
        let json = report.json();
        // It is printed also where the folder takes no more.
        let added = self.results.add(report, &json);
        // Before the hooks: a program that reads the folder's manifest finds the row there.
        self.results.append_line(report, &json, self.store.as_deref());
        self.hooks.row_ended(report, &json);
        if self.batch.pilot.is_some() {
            self.pilots.extend(sheet::PilotPicture::of(report));
        }
        let output = self.batch.output;
        if self.batch.prints() {
            progress.suspended(|| output.json_line(&json))?;
        }
        let budget_refusal = self.budget_refusals.take(report);
        if budget_refusal == Some(BudgetRefusal::First) {
            // Not among the lines of which the first are printed: the line at the end refers to it.
            progress.note_always(&report.line());
        }
        let needs_no_line = matches!(report.status, RowStatus::Completed | RowStatus::Skipped)
            || budget_refusal.is_some();
        let no_picture = (!needs_no_line).then(|| report.line());
        for line in no_picture.into_iter().chain(report.cost_line()) {
            self.notes_on_rows += 1;
            match self.notes_on_rows {
                ..=MAX_NOTES => progress.note_always(&line),
                FIRST_OMITTED => {
                    progress.note_always(
                        "there is more to say of other rows: see the folder's manifest",
                    );
                }
                _ => {}
            }
        }
        added.map_err(Failure::from)
    }

    /// Notes that a row has a new task, which this run may be killed before the end of.
    pub(super) fn note_submitted(&mut self, report: &RowReport, progress: &ProgressLine) {
        let Some(mark) = &mut self.mark else { return };
        let line = self.results.running_line(report.clone(), self.store.as_deref());
        if let Err(error) = mark.note_submitted(&line)
            && !std::mem::replace(&mut self.has_warned_of_mark, true)
        {
            progress.note_always(&format!(
                "warning: {} cannot be written ({error}): until this batch ends, its journal alone has the tasks \
                 that it submits",
                mark.submitted_path().display()
            ));
        }
    }

    /// Forgets what was noted of the row at this place, which is begun anew.
    pub(super) fn forget(&mut self, index: usize) {
        self.results.forget(index);
    }

    /// Prints a line for each hook that failed meanwhile.
    pub(super) fn note_failed_hooks(&mut self, progress: &ProgressLine) {
        self.hooks.note_failed(|text| progress.note_always(text));
    }

    pub(super) fn note_interruption(&self, submitting: bool, journaled: bool) {
        let output = self.batch.output;
        if is_replay(&self.batch.settings.origin) {
            output.note_always(&format!(
                "interrupted; it is a replay, which pays nothing: the same line replays it again: {}",
                line_to_run_again()
            ));
            return;
        }
        if submitting {
            let line = journal_line("effects tasks --doubtful");
            let hint = if journaled { format!("; `{line}` will list them") } else { String::new() };
            output.note_always(&format!(
                "left while submissions were on their way: those tasks may exist and may be billed{hint}"
            ));
        }
        if journaled {
            output.note_always(&format!(
                "interrupted; go on with the same line, nothing is paid twice: {}",
                line_to_run_again()
            ));
        } else {
            output.note_always("interrupted; without a journal the same line begins anew");
        }
    }

    /// Puts rows without a report into the manifest too, as the journal has them.
    ///
    /// # Errors
    ///
    /// The first thing that went wrong; every row is counted all the same.
    pub(super) fn report_unfinished(
        &mut self,
        summary: &mut BatchSummary,
        rows: u64,
        session: &Session,
        progress: &ProgressLine,
    ) -> Result<(), Failure> {
        // Only rows that ended are noted, so the manifest is read once more for the others.
        let (mut checker, mut unread) =
            (Checker::new(self.batch.settings), CountedRows::new(self.batch.settings));
        let (mut left, mut whole) = (rows.saturating_sub(summary.reported()), Ok(()));
        let mut lines = self.batch.manifest.lines(self.batch.settings.template.is_some())?;
        let mut earlier = HashMap::new();
        if left > 0 {
            match self.results.earlier_identities() {
                Ok(identities) => earlier = identities,
                Err(error) => whole = Err(error.into()),
            }
        }
        while left > 0 {
            let Some(line) = lines.next() else { break };
            let (mut label, identity) = match checker.check(line?) {
                Ok(checked_row) if self.uncounted.contains(&checked_row.label.index) => {
                    (checked_row.label, None)
                }
                Ok(checked_row) => {
                    let store = session
                        .journal_session
                        .as_ref()
                        .map(|journal_session| &**journal_session.store());
                    let lookup = lookup_in(store);
                    let identity =
                        unread.unread_identity(self.batch.settings, &checked_row, &lookup);
                    (checked_row.label, identity)
                }
                Err(bad) => (*bad.label, None),
            };
            // Only after it was counted, so that equal rows after it get their own identities.
            if self.results.has(label.index) {
                continue;
            }
            left -= 1;
            let unreported = session.unreported(label.index);
            label = session.without_key(label);
            // Photos are not read any more: what they were when an earlier run read them will do.
            let before = || earlier.get(&RequestHash::of(&label)).copied();
            label.identity =
                unreported.map(|unreported| unreported.identity).or(identity).or_else(before);
            let record = match known(session, label.identity) {
                Ok(record) => record,
                Err(error) => {
                    whole = whole.and(Err(journal::failure(&error)));
                    None
                }
            };
            let is_known = record.is_some();
            let is_left_out = label.duplicate_of.is_some() && self.batch.settings.skips_duplicates;
            let report = match record {
                Some((record, _)) if is_left_out && unreported.is_none() => {
                    // An earlier run that did not leave it out has paid for it.
                    RowReport::new(label, RowStatus::Skipped).after(record.paid)
                }
                Some((record, pictures)) => {
                    let report = RowReport::left(label, &record, pictures);
                    let method = unreported
                        .and_then(|unreported| unreported.method)
                        .map(ReportedMethod::from);
                    let method = method.filter(|_| report.status != RowStatus::NotSubmitted);
                    let method = method.or(report.method);
                    RowReport { method, ..report }
                }
                None if is_left_out => RowReport::new(label, RowStatus::Skipped),
                None => RowReport::new(label, RowStatus::NotSubmitted),
            };
            summary.add(&report);
            // A row that was begun is reported like any other end. One that was not stands in the manifest
            // alone.
            let noted = if unreported.is_some() && is_known {
                self.note(&report, progress)
            } else {
                self.results.add(&report, &report.json()).map_err(Failure::from)
            };
            whole = whole.and(noted);
        }
        whole
    }

    /// Ends the batch: writes the manifest and the reports, and prints the sums.
    pub(super) fn close(
        self,
        summary: &mut BatchSummary,
        rows: u64,
        mut batch_error: Option<String>,
    ) -> CommandResult {
        let Batch { settings, output, options, .. } = *self.batch;
        self.budget_refusals.lines().for_each(|line| output.note_always(&line));
        if let Some(store) = self.store.as_deref() {
            match self.batch.unfollowed_tasks(store, &self.results.identities()) {
                Ok(notes) => notes.iter().for_each(|text| output.note(text)),
                Err(failure) => {
                    summary.note(failure.exit_code());
                    batch_error.get_or_insert(failure.to_string());
                }
            }
        }
        // What was paid for is printed whether or not these files can be written.
        let path_of_written =
            |summary: &mut BatchSummary, batch_error: &mut Option<String>, written: WrittenFile| {
                let written = written.unwrap_or_else(|error| {
                    summary.note(error.exit_code());
                    output.note_always(&format!("error: {error}"));
                    batch_error.get_or_insert(error.to_string());
                    None
                });
                written.map(|path| path.display().to_string())
            };
        let mut files = WrittenFiles::default();
        let is_replay = is_replay(&settings.origin);
        let sheet = sheet::put(self.pilots, &settings.out.join(SHEET));
        files.contact_sheet = path_of_written(summary, &mut batch_error, sheet);
        let mut reports = Reports::begin(settings);
        let manifest = self.results.finish(self.store.as_deref(), &mut reports);
        files.manifest = path_of_written(summary, &mut batch_error, manifest.map(Some));
        // Where the manifest is not whole, neither are the reports.
        if files.manifest.is_some() {
            self.mark.into_iter().for_each(RunningMark::end);
            files.report_csv = path_of_written(summary, &mut batch_error, reports.finish_csv());
            let page_summary = PageSummary {
                batch: BatchObject::of(summary, rows, &files, batch_error.as_deref(), is_replay),
                origin: settings.origin.to_string(),
                scope: options.scope.as_deref(),
                budget: options.budget,
                paid: self.paid.unwrap_or(summary.cost),
                is_replay,
                has_journal: self.batch.journal.is_some(),
            };
            let page = reports.finish_page(&page_summary, &self.learnt);
            files.report = path_of_written(summary, &mut batch_error, page);
        }
        // After the files: hooks may take two minutes, and a kill in that time must not cost the
        // manifest.
        let max_wait = if self.is_interrupted { hooks::AFTER_CTRL_C } else { HOOKS_MAX_WAIT };
        let left = self.ends_by.map(|end| end.saturating_duration_since(Instant::now()));
        let left = left.map_or(max_wait, |left| left.max(HOOKS_AFTER_DEADLINE));
        files.hooks = self.hooks.finish(max_wait.min(left), |text| output.note_always(text));
        if files.hooks.undelivered > 0 {
            summary.note(ErrorKind::Transport.exit_code());
        }
        let object = BatchObject::of(summary, rows, &files, batch_error.as_deref(), is_replay);
        output.note(&object.text());
        let unfinished = object.running + object.not_downloaded + object.not_submitted;
        let goes_on = self.batch.journal.is_some() && same_line_goes_on(summary);
        // After Ctrl-C the line was printed already.
        if unfinished > 0 && !self.is_interrupted && goes_on {
            let line = line_to_run_again();
            let twice = if is_replay { "" } else { ", and pays for nothing twice" };
            output.note(&format!("the same line goes on{twice}: {line}"));
        }
        // Without a journal the same line begins anew, and would pay for every row.
        if summary.may_pass > 0 && self.store.is_some() && !is_replay {
            let (rows, more) = (count_of(summary.may_pass, "row"), options.retry_failed + 1);
            output.note(&format!(
                "{rows} failed for a reason that may pass: the same line with --retry-failed {more} pays for a \
                 new task of each"
            ));
        }
        if self.batch.prints() {
            let json = serde_json::to_string(&object);
            output
                .json_line(&json.map_err(|error| Failure::Unforeseen(format!("JSON: {error}")))?)?;
        }
        Ok(CommandEnd::Code(object.exit_code))
    }
}

impl Batch<'_> {
    /// What to say of tasks for the folder that are no task of these rows, without an end, and followed by
    /// no run: a batch was killed, and its photos or its manifest were changed since.
    pub(super) fn unfollowed_tasks(
        &self,
        store: &dyn JournalStore,
        rows: &HashSet<Identity>,
    ) -> Result<Option<String>, Failure> {
        // A task of a replay is none to be waited for.
        if is_replay(&self.settings.origin) {
            return Ok(None);
        }
        let origin = Some(self.settings.origin.clone());
        let filter = Filter { which: Which::Open, origin, ..Filter::default() };
        let mut left = 0_u64;
        journal::each(store, filter, |record| {
            let is_here =
                record.row.target.as_ref().is_some_and(|it| it.starts_with(&self.settings.out));
            let is_left = record.holder.is_none() && record.state.task().is_some();
            left += u64::from(is_here && is_left && !rows.contains(&record.row.identity));
            Ok(true)
        })?;
        if left == 0 {
            return Ok(None);
        }
        let their = if left == 1 { "its picture" } else { "their pictures" };
        let tasks = count_of(left, "task");
        let journal =
            self.journal.map(|path| format!(" --journal {}", quoted(&path.to_string_lossy())));
        let line = gateway_line(&format!("effects resume{}", journal.unwrap_or_default()));
        Ok(Some(format!(
            "{tasks} of an earlier run for this folder, of other rows or photos than these, may be paid \
             for and had no end yet; this waits and fetches {their}: {line}"
        )))
    }
}

/// A file that was asked for and could be written, or why not.
type WrittenFile = Result<Option<PathBuf>, Error>;

/// The files that a batch wrote at its end.
#[derive(Default)]
struct WrittenFiles {
    manifest: Option<String>,
    contact_sheet: Option<String>,
    report_csv: Option<String>,
    report: Option<String>,
    hooks: HookCounts,
}

/// Whether the same line may come further: not where the budget ended it, nor where a recording ended before
/// the batch that replayed it.
fn same_line_goes_on(summary: &BatchSummary) -> bool {
    !summary.is_over_budget() && !summary.kinds.contains_key(ErrorKind::NotRecorded.name())
}

/// The kind of an error, with what it means where its name does not say that.
fn in_words(kind: &'static str) -> &'static str {
    if kind == ErrorKind::Detached.name() { "detached (stopped before the end)" } else { kind }
}

/// Whether there is none of them.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

impl<'a> BatchObject<'a> {
    fn of(
        summary: &'a BatchSummary,
        rows: u64,
        files: &'a WrittenFiles,
        error: Option<&'a str>,
        is_replay: bool,
    ) -> Self {
        let exit_code = summary.exit_code();
        Self {
            schema: "effects.batch.v1",
            rows,
            completed: summary.count(RowStatus::Completed),
            kept: summary.kept(),
            not_downloaded: summary.count(RowStatus::NotDownloaded),
            running: summary.count(RowStatus::Running),
            doubtful: summary.count(RowStatus::Doubtful),
            failed: summary.count(RowStatus::Failed),
            refused: summary.count(RowStatus::Refused),
            not_submitted: summary.count(RowStatus::NotSubmitted),
            invalid: summary.count(RowStatus::Invalid),
            skipped: summary.count(RowStatus::Skipped),
            unpriced: summary.unpriced,
            errors: &summary.kinds,
            codes: &summary.service_codes,
            spent: summary.spent,
            cost: summary.cost,
            exit_code,
            manifest: files.manifest.as_deref(),
            contact_sheet: files.contact_sheet.as_deref(),
            report_csv: files.report_csv.as_deref(),
            report: files.report.as_deref(),
            hooks_failed: files.hooks.failed,
            hooks_unfinished: files.hooks.unfinished,
            undelivered: files.hooks.undelivered,
            resume: (exit_code != 0 && same_line_goes_on(summary)).then(line_to_run_again),
            error,
            is_replay,
        }
    }

    /// What a person reads at the end.
    fn text(&self) -> String {
        let have = if self.rows == 1 { "has its" } else { "have their" };
        let mut words =
            format!("{} of {} {have} picture", self.completed, count_of(self.rows, "row"));
        for (count, what) in [
            (self.kept, "had it before"),
            (self.failed, "failed"),
            (self.doubtful, "doubtful"),
            (self.refused, "refused"),
            (self.running, "still running"),
            (self.not_downloaded, "not downloaded"),
            (self.not_submitted, "not submitted"),
            (self.invalid, "invalid"),
            (self.skipped, "skipped as duplicates"),
        ] {
            if count > 0 {
                words.push_str(&format!(", {count} {what}"));
            }
        }
        let counted = |counts: Vec<(&str, u64)>| {
            let counts = counts.into_iter().map(|(what, count)| format!("{count} {what}"));
            counts.collect::<Vec<_>>().join(", ")
        };
        if !self.errors.is_empty() {
            let errors =
                counted(self.errors.iter().map(|(kind, count)| (in_words(kind), *count)).collect());
            words.push_str(&format!("; errors: {errors}"));
        }
        if !self.codes.is_empty() {
            let codes = self.codes.iter().map(|(code, count)| (code.as_str(), *count)).collect();
            words.push_str(&format!(" (by code: {})", counted(codes)));
        }
        words.push_str(&match self.is_replay {
            true => {
                format!("; a replay, which pays nothing: its recording says {} USD", self.spent)
            }
            false => format!("; {} USD spent", self.spent),
        });
        if self.cost != self.spent {
            words.push_str(&format!(", {} USD for these rows in all", self.cost));
        }
        if self.running + self.doubtful > 0 && !self.is_replay {
            let tasks = count_of(self.running + self.doubtful, "task");
            words.push_str(&format!(", and {tasks} without an end may be billed"));
        }
        if self.unpriced > 0 {
            let pictures = count_of(self.unpriced, "picture");
            words.push_str(&format!(", and the cost of {pictures} could not be read"));
        }
        if self.hooks_failed > 0 {
            let programs = count_of(self.hooks_failed, "program");
            words.push_str(&format!("; {programs} of --on-done failed"));
        }
        if self.hooks_unfinished > 0 {
            let programs = count_of(self.hooks_unfinished, "program");
            words.push_str(&format!("; {programs} of --on-done had no end yet"));
        }
        if self.undelivered > 0 {
            let rows = count_of(self.undelivered, "row");
            words.push_str(&format!("; --post-to has not acknowledged {rows}"));
        }
        if let Some(manifest) = self.manifest {
            words.push_str(&format!("; each row is in {manifest}"));
        }
        if let Some(report) = self.report_csv {
            words.push_str(&format!("; the table is {report}"));
        }
        if let Some(report) = self.report {
            words.push_str(&format!("; the report is {report}"));
        }
        if let Some(sheet) = self.contact_sheet {
            words.push_str(&format!("; the contact sheet is {sheet}"));
        }
        words
    }
}

/// What the journal has of a row, and its pictures if all of them are there.
type KnownRow = (Record, Option<Vec<PathBuf>>);

fn known(session: &Session, identity: Option<Identity>) -> Result<Option<KnownRow>, JournalError> {
    let (Some(identity), Some(journal_session)) = (identity, &session.journal_session) else {
        return Ok(None);
    };
    let store = &**journal_session.store();
    let Some(record) = store.find(&RowName::Identity(identity))? else { return Ok(None) };
    let pictures = pictures_if_all_present(store, &record)?;
    Ok(Some((record, pictures)))
}

/// How many lines about single rows go to stderr, of their ends and of their downloads each.
pub(super) const MAX_NOTES: u64 = 50;
pub(super) const FIRST_OMITTED: u64 = MAX_NOTES + 1;

/// How long the hooks of the last rows are waited for.
const HOOKS_MAX_WAIT: Duration = Duration::from_secs(120);
/// How long they are waited for when the deadline is over: those of the last rows have just begun.
const HOOKS_AFTER_DEADLINE: Duration = Duration::from_secs(1);
