//! `Batch::run`: does a batch from its preflight to the last line printed; `commands/batch.rs` calls it.
//! Its steps are in `preflight.rs`, `session.rs`, `interruptible.rs` and `reporter.rs`. `Batch::watch`
//! shares two methods: `Batch::take_folder`, which makes the checks before anything is sent and marks the
//! folder, and `Batch::process_rows`, which does the rows of a [`PreparedBatch`].

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Instant;

use effects_client::{
    Claims, Jobs, JournalSession, Save, SaveFiles, SaveWords, WallClock, is_replay, is_special,
};
use effects_core::{Error, ErrorKind, Policy, count_of};
use effects_jobs::{JournalStore, Row, RowName};
use effects_ureq::Client;
use rust_decimal::Decimal;

use super::budget;
use super::counted::CountedRows;
use super::earlier_line::earlier_lines;
use super::interruptible::{InterruptibleEnd, RowCount, RowNews, interruptible};
use super::options::Batch;
use super::other_journal::unreadable;
use super::output_paths::{RESULTS, SHEET};
use super::preflight::{JournalQuery, Preflight, duplicates_note, preflight};
use super::progress_line::ProgressLine;
use super::report::{RowReport, RowStatus};
use super::reporter::Reporter;
use super::results::remove_stale_parts;
use super::rows::{BatchSettings, Checker, InvalidRow, RowLabel, decode, lookup_in};
use super::running_mark::{JournalInUse, RunningMark};
use super::session::{MaxPrice, RowStarter, Session, SessionMessage, StartedSession};
use super::summary::BatchSummary;
use crate::command_result::{CommandEnd, CommandResult};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::known_key::KnownKey;
use crate::output::stdout_is_terminal;
use crate::signals;

/// A batch whose rows can be begun.
pub(super) struct PreparedBatch<'a> {
    pub(super) gateway: &'a Gateway,
    /// Over the journal, where there is one.
    pub(super) journal_session: Option<JournalSession>,
    /// The files that rows have claimed, for their pictures or as their photos.
    pub(super) claims: Arc<Mutex<Claims>>,
    pub(super) rows: RowCount<'a>,
    pub(super) summary: BatchSummary,
    pub(super) reporter: Reporter<'a>,
    pub(super) progress: &'a ProgressLine,
}

impl Batch<'_> {
    /// Runs the batch.
    pub(crate) fn run(
        &self,
        store: Option<Arc<dyn JournalStore>>,
        open: impl FnOnce() -> Result<Gateway, Failure>,
    ) -> CommandResult {
        let progress = ProgressLine::new(self.output, self.options.progress_every);
        // Before the folder is taken: where a row is bad, nothing is written, neither there nor to the
        // journal.
        if self.is_strict
            && let Some(done) = self.check_strictly(store.as_deref(), &progress)?
        {
            return Ok(done);
        }
        let mark = self.take_folder(store.as_deref())?;
        let mut summary = BatchSummary::new();
        // Before the preflight, which reports bad rows to it. It also finds out, with nothing sent yet, that
        // the folder cannot be written or that there is no program for `--on-done`.
        let mut reporter = Reporter::begin(self, store.clone(), mark)?;
        // A key that a program or a keyring gives is not at hand yet, and a bad row may repeat it.
        let (mut key, mut held) = (self.settings.api_key.clone(), Vec::new());
        let preflight = self.preflight(store.as_deref(), &progress, |report| {
            if !key.is_known() {
                held.push(report);
                return Ok(());
            }
            summary.add(&report);
            reporter.note(&report, &progress)
        });
        let preflight = preflight.inspect_err(|_| note_held(held.len() as u64, &progress))?;
        let rows = preflight.good + preflight.bad;
        // Where no row is good, no gateway is opened: a report of what is wrong with every row takes no key.
        let gateway = match (preflight.good > 0).then(open) {
            // The program that gives the key may have run. What it printed is not at hand, and a word of a
            // row or a column may repeat it.
            Some(Err(failure)) if !key.is_known() => {
                note_held(held.len() as u64, &progress);
                return Err(failure);
            }
            gateway => gateway,
        };
        if let Some(Ok(gateway)) = &gateway {
            key = KnownKey::OfClient(gateway.client.clone());
        }
        for report in held {
            let report = report.without_key(&key);
            summary.add(&report);
            reporter.note(&report, &progress)?;
        }
        let duplicates = duplicates_note(&preflight.duplicates, self.settings);
        for warning in preflight.warnings.iter().chain(&duplicates) {
            progress.note(&key.redact(format!("warning: {warning}")));
        }
        let Some(gateway) = gateway.transpose()? else {
            progress.clear();
            return reporter.close(&mut summary, rows, None);
        };
        let planned = &preflight.planned;
        let (rows_known, created) = (&planned.identities, &planned.created);
        // The rows are members of the budget's scope before the first submission, so that what earlier
        // runs paid for any of them counts.
        let journal_session =
            self.journal_session(&gateway.client, store, rows_known, created, &progress)?;
        let store =
            journal_session.as_ref().map(|journal_session| Arc::clone(journal_session.store()));
        reporter.uncounted.clone_from(&preflight.uncounted);
        let source = self.source(store, rows, preflight.refused, preflight.uncounted);
        let (claims, rows) = (Arc::new(Mutex::new(preflight.claims)), RowCount::Known(rows));
        let prepared = PreparedBatch {
            gateway: &gateway,
            journal_session,
            claims,
            rows,
            summary,
            reporter,
            progress: &progress,
        };
        self.process_rows(prepared, source)
    }

    /// Takes the output folder for this batch. Refuses where another journal or order may have paid for the
    /// rows, takes into the journal what it does not know of them, makes the folder, and marks it as in use
    /// until the returned mark ends.
    pub(super) fn take_folder(
        &self,
        store: Option<&dyn JournalStore>,
    ) -> Result<Option<RunningMark>, Failure> {
        self.check_folder()?;
        let in_use = JournalInUse::of(self, store)?;
        // Before anything is written. `RunningMark::begin` checks again with this batch's own mark in
        // place, since another batch may begin in between.
        if let Some(in_use) = &in_use {
            in_use.check(self, store)?;
        }
        self.check_scope(store)?;
        // After the checks that refuse, since what a journal has taken in stays there.
        if let Some(store) = store {
            self.import_from_folder(Some(store), store)?;
        }
        make_folder(&self.settings.out)?;
        remove_stale_parts(&self.settings.out);
        // The mark names these rows until the folder's manifest tells of them.
        in_use.as_ref().map(|in_use| RunningMark::begin(self, store, in_use)).transpose()
    }

    /// Does the rows that `source` begins, to the last line printed.
    pub(super) fn process_rows(
        &self,
        prepared: PreparedBatch<'_>,
        source: impl FnOnce(&RowStarter<'_>) -> Result<(), Error> + Send + 'static,
    ) -> CommandResult {
        let PreparedBatch {
            gateway,
            journal_session,
            claims,
            rows,
            summary,
            mut reporter,
            progress,
        } = prepared;
        // A copy from before the first task: the page of `--report` compares the tasks of this batch with
        // it.
        reporter.learnt = gateway.client.pacer().histories();
        reporter.ends_by = ends_by(gateway.client.policy());
        // Not bounded: neither a job nor the signal's thread ever waits for what the main thread prints.
        let (sender, messages) = mpsc::channel();
        let signal = sender.clone();
        // Until here a signal ends the process at once: nothing was submitted yet.
        signals::listen(move || drop(signal.send(SessionMessage::Signal)))
            .map_err(Failure::system)?;
        let jobs = self.jobs(gateway, claims, journal_session.is_some());
        let is_reserved = self.options.budget.is_some();
        let price = self.options.price.map(|usd| MaxPrice { usd, is_reserved });
        let client = gateway.client.clone();
        let session = Arc::new(Session::new(client, journal_session, price, sender));
        let started = session.start(jobs, source)?;
        // The longest that the answer to a submission is waited for, and so the wait after Ctrl-C.
        let max_wait = gateway.client.policy().request_timeout;
        let on_news = |news: RowNews<'_>| {
            // At every wake-up, and not only when a row ends, since a watched folder may have no row for
            // days.
            reporter.note_failed_hooks(progress);
            match news {
                RowNews::Ended(report) => reporter.note(report, progress),
                RowNews::BegunAnew(index) => {
                    reporter.forget(index);
                    Ok(())
                }
                RowNews::Submitted(report) => {
                    reporter.note_submitted(report, progress);
                    Ok(())
                }
                RowNews::None => Ok(()),
            }
        };
        let ended = interruptible(&started, max_wait, &messages, progress, rows, summary, on_news);
        self.finish(ended, rows.now(), &started, reporter, progress)
    }

    /// What is done with the rows, and with the budget where no journal counts it.
    fn jobs(
        &self,
        gateway: &Gateway,
        claims: Arc<Mutex<Claims>>,
        is_journaled: bool,
    ) -> Jobs<Client> {
        let files = SaveFiles {
            folder: Some(self.settings.out.clone()),
            overwrite: self.options.overwrite,
            claims,
            words: SaveWords {
                thing: "row",
                another_file: "give the row an `out` of its own",
                overwrite: "--overwrite",
            },
        };
        let jobs = gateway.client.jobs().in_flight(self.options.in_flight);
        let mut jobs = jobs.retry_failed(self.options.retry_failed).save(Save::Files(files));
        // The preflight decodes photos only under `--strict`, and a file may have changed since. Each photo
        // is decoded as its job is made ready, before it is paid for.
        if !self.options.no_photo_check {
            jobs = jobs.check_photos(decode);
        }
        // With a journal its store counts the money, also what other processes spend. Without one the
        // jobs count it, for this run alone.
        if let (false, Some(limit)) = (is_journaled, self.options.budget) {
            jobs = jobs.budget(limit);
            if let Some(price) = self.options.price {
                jobs = jobs.price(price);
            }
        }
        jobs
    }

    /// Reports the rows that have no end, and closes the reports and the sums.
    fn finish(
        &self,
        ended: InterruptibleEnd,
        rows: u64,
        started: &StartedSession,
        mut reporter: Reporter<'_>,
        progress: &ProgressLine,
    ) -> CommandResult {
        let InterruptibleEnd { mut summary, interrupted, left_submitting, mut batch_error } = ended;
        if interrupted {
            reporter.note_interruption(left_submitting, self.journal.is_some());
        }
        reporter.is_interrupted = interrupted;
        // Not returned from here: the manifest still has to be written, and what was spent to be printed.
        if let Err(failure) =
            reporter.report_unfinished(&mut summary, rows, &started.session, progress)
        {
            summary.note(failure.exit_code());
            batch_error.get_or_insert(failure.to_string());
        }
        // After the last end of a row, so that all costs of this run are in it.
        match budget::scope(started.context.budgeted()) {
            Ok(scope) => {
                reporter.paid = scope.map(|scope| scope.paid);
                if let Some(over) = self.over_budget_after_all(reporter.paid, summary.spent) {
                    summary.note(ErrorKind::BudgetExceeded.exit_code());
                    self.output.note_always(&over);
                }
            }
            Err(failure) => {
                summary.note(failure.exit_code());
                batch_error.get_or_insert(failure.to_string());
            }
        }
        reporter.close(&mut summary, rows, batch_error)
    }

    /// Whether the batch's own files can be written, as far as their names tell: a pipe would hold it up for
    /// ever, and a report replaces no other file.
    pub(super) fn check_folder(&self) -> Result<(), Failure> {
        for name in [RESULTS, SHEET] {
            let path = self.settings.out.join(name);
            if is_special(&path) {
                let why = format!(
                    "{} is no regular file: move it, or give another folder with --out; nothing was sent",
                    path.display()
                );
                return Err(Error::new(ErrorKind::Misconfigured, why).into());
            }
        }
        self.check_replay()?;
        let own = [RESULTS, SHEET].map(|name| self.settings.out.join(name));
        self.settings.reports().try_for_each(|report| report.check(&own)).map_err(Failure::from)
    }

    /// Refuses a replay into the folder of a batch at a gateway: the rows' pictures are there, and its
    /// manifest tells of what was paid for.
    fn check_replay(&self) -> Result<(), Failure> {
        if !is_replay(&self.settings.origin) {
            return Ok(());
        }
        let manifest = self.settings.out.join(RESULTS);
        let unreadable = |error: io::Error| unreadable(&manifest, &error);
        let here = self.settings.origin.to_string();
        for text in earlier_lines(&manifest).map_err(unreadable)? {
            let Some(line) = text.map_err(unreadable)?.line else { continue };
            // A line of the first edition has no origin, and counts as one of another gateway: it may be
            // paid for.
            if line.origin.as_ref() == Some(&here) {
                continue;
            }
            let why = format!(
                "{} is of a batch that was not replayed, and a replay writes nothing there: replay the \
                 cassette with another folder, --out DIR, or go on with the batch without --cassette and \
                 EFFECTS_CASSETTE; nothing was sent or written",
                manifest.display()
            );
            return Err(Error::new(ErrorKind::Misconfigured, why).into());
        }
        Ok(())
    }

    /// What to say where the rows have `paid` more than the budget after all: a price rose while tasks were
    /// under way, `--price` was too low, or they had cost more before this run, which `spent` so much.
    fn over_budget_after_all(&self, paid: Option<Decimal>, spent: Decimal) -> Option<String> {
        let (paid, limit) = (paid?, self.options.budget?);
        let why = if spent.is_zero() {
            "so much was paid for them before, and nothing was submitted"
        } else {
            "the price rose while tasks were under way, none was known before the first task, or --price \
             was too low"
        };
        let rows = match &self.options.scope {
            Some(name) => format!("the rows of {name:?}"),
            None => "these rows".to_owned(),
        };
        (paid > limit)
            .then(|| format!("{rows} cost {paid} USD, more than the budget of {limit} USD: {why}"))
    }

    /// Under `--strict`: what to end with if any row is bad; nothing was sent or written then.
    fn check_strictly(
        &self,
        store: Option<&dyn JournalStore>,
        progress: &ProgressLine,
    ) -> Result<Option<CommandEnd>, Failure> {
        let mut bad = Vec::new();
        progress.show_step("looking through the manifest");
        // Only the rows of the pilot count: a bad row after them keeps nothing from being sent.
        let (decodes, max_good) = (!self.options.no_photo_check, self.pilot.unwrap_or(u64::MAX));
        let found =
            preflight(self.manifest, self.settings, store, None, decodes, max_good, |report| {
                bad.push(report);
            })?;
        if found.good + found.bad == 0 {
            return Err(Error::new(ErrorKind::Misconfigured, self.manifest.without_rows()).into());
        }
        if bad.is_empty() {
            return Ok(None);
        }
        progress.clear();
        let prints = self.prints();
        for report in &bad {
            if prints {
                self.output.json_line(&report.json())?;
            }
            self.output.note_always(&report.line());
        }
        let rows = found.good + found.bad;
        let (rows, are) = (count_of(rows, "row"), if found.bad == 1 { "is" } else { "are" });
        self.output.note_always(&format!("{} of {rows} {are} bad, so nothing was sent", found.bad));
        Ok(Some(CommandEnd::Invalid(ErrorKind::InvalidRequest)))
    }

    fn preflight(
        &self,
        store: Option<&dyn JournalStore>,
        progress: &ProgressLine,
        mut report_invalid: impl FnMut(RowReport) -> Result<(), Failure>,
    ) -> Result<Preflight, Failure> {
        progress.show_step("looking through the manifest");
        // What earlier runs spent counts in the budget, so it has to be known before anything is.
        let retry_failed = self.options.retry_failed;
        let journal = JournalQuery { store, imported: None, retry_failed, scope: None };
        let query = (self.options.budget.is_some() && store.is_some()).then_some(&journal);
        let max_good = self.pilot.unwrap_or(u64::MAX);
        let mut broken = None;
        // The callback cannot stop the preflight, so the first failure is kept and returned after it.
        let preflight =
            preflight(self.manifest, self.settings, store, query, false, max_good, |report| {
                broken = broken.take().or(report_invalid(report).err());
            })?;
        match broken {
            Some(failure) => Err(failure),
            None => Ok(preflight),
        }
    }

    /// Whether each row is printed as an object: always with `--json`, and where no person reads.
    pub(super) fn prints(&self) -> bool {
        self.output.json || !stdout_is_terminal()
    }

    /// The function that begins the rows, of which the preflight has read so many and `refused` some; of
    /// these the `uncounted` did not count among equal rows. The session runs it on a thread of its own.
    fn source(
        &self,
        store: Option<Arc<dyn JournalStore>>,
        rows: u64,
        refused: HashSet<usize>,
        uncounted: HashSet<usize>,
    ) -> impl FnOnce(&RowStarter<'_>) -> Result<(), Error> + Send + 'static {
        let (manifest, settings) = (self.manifest.clone(), self.settings.clone());
        move |starter| {
            // Everything is counted anew from the first row on, so that each row comes to the place, name
            // and identity that it had in the preflight.
            let (mut checker, mut counted) = (Checker::new(&settings), CountedRows::new(&settings));
            let lines = manifest.lines(settings.template.is_some())?;
            // All rows count, bad ones too: a photo that goes meanwhile makes another row bad.
            for line in lines.take(usize::try_from(rows).unwrap_or(usize::MAX)) {
                let mut checked_row = match checker.check(line?) {
                    Ok(checked_row) => checked_row,
                    Err(bad) => {
                        if !refused.contains(&bad.label.index) {
                            starter.send_report(RowReport::of_invalid(bad));
                        }
                        continue;
                    }
                };
                let index = checked_row.label.index;
                // Its photo came after the preflight: it is not sent, so it counts not among equal rows.
                if uncounted.contains(&index) {
                    continue;
                }
                let was_warned = checked_row.label.duplicate_of.is_some();
                let row = store
                    .as_deref()
                    .map(|store| counted.row(&settings, &mut checked_row, &lookup_in(Some(store))));
                let row = match row.transpose() {
                    Ok(row) => row.map(|counted| counted.row),
                    Err(_) if refused.contains(&index) => continue,
                    Err(problem) => {
                        let (label, problems) = (checked_row.label.into(), vec![problem]);
                        starter.send_report(RowReport::of_invalid(InvalidRow { label, problems }));
                        continue;
                    }
                };
                // Reported by the preflight as well; it counted, so that equal rows stay the same.
                if refused.contains(&index) {
                    continue;
                }
                let paid = || paid_before(store.as_deref(), row.as_ref());
                if is_left_out(&checked_row.label, was_warned, &settings, starter, paid)? {
                    continue;
                }
                let (label, job) = checked_row.into_job(row);
                if !starter.begin(label, None, job) {
                    break;
                }
            }
            Ok(())
        }
    }
}

/// Tells how many bad rows there are whose reports wait for the key, where the batch ends without it.
fn note_held(reports: u64, progress: &ProgressLine) {
    let (are, them) = if reports == 1 { ("is", "it") } else { ("are", "them") };
    if reports > 0 {
        progress.note_always(&format!(
            "{} {are} bad; what is wrong with {them} is told once the API key is known",
            count_of(reports, "row")
        ));
    }
}

/// When all of a command is to be over; never, without a deadline.
fn ends_by(policy: &Policy) -> Option<Instant> {
    let now = WallClock::new().now();
    // As an `Instant`, since hooks are waited for by the monotonic clock.
    policy.deadline.map(|_| Instant::now() + policy.ends_by(now).since(now))
}

/// Whether a row is left out since an earlier one asks for the same: it is reported then, with what earlier
/// runs `paid` that did not leave it out. One that is not is warned of, unless it `was_warned` before.
pub(super) fn is_left_out(
    label: &RowLabel,
    was_warned: bool,
    settings: &BatchSettings,
    starter: &RowStarter<'_>,
    paid: impl FnOnce() -> Result<Decimal, Error>,
) -> Result<bool, Error> {
    let Some(first) = label.duplicate_of else { return Ok(false) };
    if settings.skips_duplicates {
        starter.send_report(RowReport::new(label.clone(), RowStatus::Skipped).after(paid()?));
    } else if !was_warned {
        let done = if is_replay(&settings.origin) { "replayed" } else { "paid for" };
        let why = format!(
            "it asks for what line {first} asks for, and is {done} as well: --skip-duplicates leaves it out"
        );
        starter.warn(label, &why);
    }
    Ok(settings.skips_duplicates)
}

/// What all tasks of a row cost that the journal knows, in USD.
pub(super) fn paid_before(
    store: Option<&dyn JournalStore>,
    row: Option<&Row>,
) -> Result<Decimal, Error> {
    let (Some(store), Some(row)) = (store, row) else { return Ok(Decimal::ZERO) };
    let known = store.find(&RowName::Identity(row.identity));
    let known = known.map_err(|error| Error::new(ErrorKind::Journal, error.to_string()))?;
    Ok(known.map(|record| record.paid).unwrap_or_default())
}

fn make_folder(out: &Path) -> Result<(), Failure> {
    fs::create_dir_all(out).map_err(|error| {
        let why = format!("--out {} cannot be made: {error}", out.display());
        Failure::Error(Error::new(ErrorKind::Misconfigured, why))
    })
}
