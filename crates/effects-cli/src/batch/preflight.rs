//! [`preflight`]: reads a manifest before anything is sent, checks its rows, reports the bad ones, and
//! returns the counts, warnings and claimed files ([`Preflight`]). For a plan, or where there is a budget
//! and a journal, it also looks up in the journal what is to be done for each row ([`PlannedWork`]).
//! For a plan and under `--strict` it decodes the photos that would be sent. `Batch::plan` and `Batch::run`
//! call it (`run` twice, with `--strict`), and word its warning of equal rows by [`duplicates_note`].

use std::collections::{BTreeSet, HashMap, HashSet};

use effects_client::{Claims, is_replay};
use effects_core::journal::{JournalError, RowNumber};
use effects_core::{Error, ErrorKind, count_of};
use effects_jobs::{Identity, JournalStore, Record, Row, RowName, RowState, ScopeNumber};
use rust_decimal::Decimal;

use super::counted::CountedRows;
use super::manifest::{Manifest, ManifestLine, unknown};
use super::other_journal::unreadable;
use super::output_paths::{RESULTS, SHEET};
use super::present_pictures::pictures_if_all_present;
use super::report::RowReport;
use super::request_hash::{RequestHash, identities_of};
use super::rows::{
    BatchSettings, CheckedRow, Checker, InvalidRow, RowLabel, check_whole, lookup_in,
};
use crate::problem::InputProblem;

/// What a first look finds.
#[derive(Default)]
pub(crate) struct Preflight {
    /// Rows with nothing wrong.
    pub(crate) good: u64,
    pub(crate) bad: u64,
    /// The files that rows have claimed, for their pictures or as their photos.
    pub(crate) claims: Claims,
    /// What a person should know of the manifest as a whole.
    pub(crate) warnings: Vec<String>,
    /// The lines of rows that ask for what an earlier one asks for, as far as that is known.
    pub(crate) duplicates: Vec<u64>,
    /// The bad rows, by their place: each was reported once, and is not begun.
    pub(crate) refused: HashSet<usize>,
    /// Those of them that did not count among equal rows: their photo was not there, say.
    pub(crate) uncounted: HashSet<usize>,
    /// How the rows stand, as far as the journal was asked.
    pub(crate) planned: PlannedWork,
}

/// What is to be done for the rows of a manifest, as the journal has them.
#[derive(Debug, Default)]
pub(crate) struct PlannedWork {
    /// Not begun, or released: to be submitted.
    pub(crate) submit: u64,
    /// Failed in a way in which a new task may do better, and allowed one: to be submitted anew.
    pub(crate) renew: u64,
    /// With a task that has no verdict, or in the hands of another process: to be waited for.
    pub(crate) wait: u64,
    /// Done, but a picture is not where it belongs: to be downloaded.
    pub(crate) download: u64,
    pub(crate) kept: u64,
    pub(crate) failed: u64,
    pub(crate) doubtful: u64,
    /// Those of the waiting that have a task.
    pub(crate) created: Vec<RowNumber>,
    /// What was paid for these rows, in USD.
    pub(crate) spent: Decimal,
    /// How much of that the scope of the budget has not counted yet.
    pub(crate) uncounted: Decimal,
    /// Rows that may be billed still, or never told their cost, and are no members of that scope.
    pub(crate) uncounted_open: u64,
    /// The identities of the rows, also of those that the journal does not have yet.
    pub(crate) identities: Vec<Identity>,
}

/// What is to be done for a row: the count of [`PlannedWork`] that it is in.
#[derive(Clone, Copy)]
enum PlannedStep {
    Submit,
    Renew,
    Wait,
    Download,
    Kept,
    Failed,
    Doubtful,
}

impl PlannedStep {
    /// Whether a task is paid for anew.
    fn is_sent(self) -> bool {
        matches!(self, Self::Submit | Self::Renew)
    }

    fn of(self, planned: &mut PlannedWork) -> &mut u64 {
        match self {
            Self::Submit => &mut planned.submit,
            Self::Renew => &mut planned.renew,
            Self::Wait => &mut planned.wait,
            Self::Download => &mut planned.download,
            Self::Kept => &mut planned.kept,
            Self::Failed => &mut planned.failed,
            Self::Doubtful => &mut planned.doubtful,
        }
    }
}

/// What the journal is asked.
pub(crate) struct JournalQuery<'a> {
    pub(crate) store: Option<&'a dyn JournalStore>,
    /// What the journal would take in before anything is sent: for a plan, which writes nothing.
    pub(crate) imported: Option<&'a dyn JournalStore>,
    pub(crate) retry_failed: u32,
    /// The scope with a name that the budget is of, if the journal has it.
    pub(crate) scope: Option<ScopeNumber>,
}

impl<'a> JournalQuery<'a> {
    /// What is known of a row, and by which store: what would be taken in is known before a row that was
    /// released.
    fn find(
        &self,
        identity: &Identity,
    ) -> Result<Option<(&'a dyn JournalStore, Record)>, JournalError> {
        for store in [self.imported, self.store].into_iter().flatten() {
            if let Some(record) = store.find(&RowName::Identity(*identity))? {
                return Ok(Some((store, record)));
            }
        }
        Ok(None)
    }

    /// What the scope of the budget counts of a row; `None` where the row is no member of it.
    fn counted(&self, identity: &Identity) -> Result<Option<Decimal>, JournalError> {
        let (Some(store), Some(scope)) = (self.store, self.scope) else { return Ok(None) };
        let scopes = store.scopes_of(identity)?;
        Ok(scopes.into_iter().find(|it| it.scope == scope).map(|it| it.counted))
    }

    /// Lets what was paid for a row count, and what it may be billed for still.
    fn count(&self, record: &Record, planned: &mut PlannedWork) -> Result<(), JournalError> {
        let counted = self.counted(&record.row.identity)?;
        planned.spent += record.paid;
        planned.uncounted += (record.paid - counted.unwrap_or_default()).max(Decimal::ZERO);
        let is_settled = match &record.state {
            RowState::Completed { cost, .. } => cost.is_some(),
            RowState::Failed { .. } | RowState::Released { .. } => true,
            RowState::Intent { .. } | RowState::Created { .. } | RowState::Doubtful { .. } => false,
        };
        // An open task of a member is in the scope's own sums already.
        planned.uncounted_open += u64::from(!is_settled && counted.is_none());
        Ok(())
    }
}

/// Looks through a manifest, at most `max_good` good rows of it; `report_invalid` gets each bad one. With a
/// `query`, photos on this machine are read, since their content is what they are known by; without one
/// the journal, `known`, is asked of rows whose photo cannot be read. If it `decodes`, those that would be
/// sent are decoded whole.
pub(crate) fn preflight(
    manifest: &Manifest,
    settings: &BatchSettings,
    known: Option<&dyn JournalStore>,
    query: Option<&JournalQuery<'_>>,
    decodes: bool,
    max_good: u64,
    mut report_invalid: impl FnMut(RowReport),
) -> Result<Preflight, Error> {
    let mut look = FirstLook {
        settings,
        known,
        query,
        decodes,
        found: Preflight::default(),
        checker: Checker::new(settings),
        counted: CountedRows::new(settings),
        unknown_columns: BTreeSet::new(),
        private_hosts: HashSet::new(),
        steps: HashMap::new(),
        unsent: Vec::new(),
    };
    let lines = manifest.lines(settings.template.is_some())?;
    look.found.warnings = lines.warnings().to_vec();
    for line in lines {
        if look.found.good == max_good {
            break;
        }
        if let Err(bad) = look.take(line?) {
            report_invalid(RowReport::of_invalid(bad));
        }
    }
    if let Some(query) = query {
        count_unsent(query, settings, &look.unsent, &mut look.found.planned)?;
    }
    if look.found.good + look.found.bad == 0 {
        look.found.warnings.push(manifest.without_rows());
    }
    look.end(report_invalid)
}

/// A first look at a manifest, row by row.
struct FirstLook<'a> {
    settings: &'a BatchSettings,
    /// The journal, for rows whose photo cannot be read.
    known: Option<&'a dyn JournalStore>,
    query: Option<&'a JournalQuery<'a>>,
    decodes: bool,
    found: Preflight,
    checker: Checker<'a>,
    counted: CountedRows,
    /// Those that were warned of.
    unknown_columns: BTreeSet<String>,
    private_hosts: HashSet<String>,
    /// What is to be done for each row, by its place, so that one refused later is counted no more.
    steps: HashMap<usize, PlannedStep>,
    /// Rows that nothing is sent for now, and that may be paid for.
    unsent: Vec<RequestHash>,
}

impl FirstLook<'_> {
    /// Counts a row, or says what is wrong with it.
    fn take(&mut self, line: ManifestLine) -> Result<(), InvalidRow> {
        self.warn_of_unknown_columns(&line);
        let mut is_counted = false;
        let checked = self.checker.check(line);
        let checked = checked.and_then(|row| self.plan(row, &mut is_counted));
        match &checked {
            Ok(()) => self.found.good += 1,
            Err(bad) => {
                self.found.bad += 1;
                // Remembered, since the second look, which sends, may not find these problems again.
                self.found.refused.insert(bad.label.index);
                if !is_counted {
                    self.found.uncounted.insert(bad.label.index);
                }
                self.unsent.push(RequestHash::of(&bad.label));
            }
        }
        checked
    }

    fn warn_of_unknown_columns(&mut self, line: &ManifestLine) {
        for name in line.cells.iter().flat_map(|cells| &cells.unknown_columns) {
            if self.unknown_columns.len() < MAX_NAMED && self.unknown_columns.insert(name.clone()) {
                self.found.warnings.push(unknown(&self.settings.api_key.redact(name)));
            }
        }
    }

    /// Counts a checked row by what is to be done for it; says in `is_counted` whether it counts among equal
    /// rows.
    fn plan(&mut self, mut row: CheckedRow, is_counted: &mut bool) -> Result<(), InvalidRow> {
        self.warn_of_private_host(&row);
        let step = self.step(&mut row, is_counted);
        if row.label.duplicate_of.is_some() {
            self.found.duplicates.extend(row.label.line);
        }
        let planned = step.as_ref().ok().copied().flatten();
        // Decoding takes time. A row that is kept, waited for or left as it is needs no photo.
        let is_sent = self.query.is_none() || planned.is_some_and(PlannedStep::is_sent);
        let whole = if self.decodes && is_sent && row.unreadable.is_none() {
            check_whole(&row)
        } else {
            Ok(())
        };
        if let (Some(step), Ok(())) = (planned, &whole) {
            *step.of(&mut self.found.planned) += 1;
            self.steps.insert(row.label.index, step);
        }
        step.and(whole)
            .map_err(|problem| InvalidRow { label: row.label.into(), problems: vec![problem] })
    }

    fn warn_of_private_host(&mut self, row: &CheckedRow) {
        // The run itself is warned by its client.
        if let (Some(photo), Some(_)) =
            (&row.checked.reference, self.query.and_then(|query| query.imported))
            && !self.settings.origin.is_loopback()
            && photo.private_host().is_some_and(|host| self.private_hosts.insert(host))
        {
            self.found.warnings.extend(photo.warning());
        }
    }

    /// What is to be done for a row, where the journal is asked.
    fn step(
        &mut self,
        row: &mut CheckedRow,
        is_counted: &mut bool,
    ) -> Result<Option<PlannedStep>, InputProblem> {
        let settings = self.settings;
        match (self.query, &row.unreadable) {
            (Some(query), _) => {
                let lookup =
                    |identity: &Identity| Ok(query.find(identity)?.map(|(_, record)| record));
                let counted = self.counted.row(settings, row, &lookup)?;
                *is_counted = true;
                planned_step(query, settings, &counted.row, &mut self.found.planned, row)
            }
            (None, None) => {
                *is_counted = true;
                Ok(None)
            }
            // Without a question such a row is good only where the journal has its key.
            (None, Some(problem)) => {
                let found = settings.known_row(row, &lookup_in(self.known))?;
                found.map(|_| None).ok_or_else(|| problem.clone())
            }
        }
    }

    /// What was found, once all rows were looked at: the good rows are taken back whose picture would replace
    /// the photo of another row, which may come later.
    fn end(self, mut report_invalid: impl FnMut(RowReport)) -> Result<Preflight, Error> {
        let Self { checker, mut found, mut steps, .. } = self;
        found.claims = checker.into_claims();
        for (claim, photo) in found.claims.conflicts() {
            if claim.line == 0 {
                let why = format!(
                    "the photo of line {photo} is {RESULTS} or {SHEET} in the folder of --out, or that of \
                     --report-csv, which the batch itself writes: give another folder or file"
                );
                return Err(Error::new(ErrorKind::Misconfigured, why));
            }
            // A row that was bad already keeps its claim, and is no good row to take back.
            if !found.refused.insert(claim.index) {
                continue;
            }
            (found.good, found.bad) = (found.good - 1, found.bad + 1);
            if let Some(step) = steps.remove(&claim.index) {
                *step.of(&mut found.planned) -= 1;
            }
            let (index, line) = (claim.index, Some(claim.line));
            let label = RowLabel { index, line, ..RowLabel::default() };
            let why = format!(
                "its picture would replace the photo of line {photo}: give the row an `out` of its own, or another \
                 --out"
            );
            let problems = vec![InputProblem::row(Some("out"), why)];
            report_invalid(RowReport::of_invalid(InvalidRow { label: label.into(), problems }));
        }
        Ok(found)
    }
}

fn planned_step(
    query: &JournalQuery<'_>,
    settings: &BatchSettings,
    row: &Row,
    planned: &mut PlannedWork,
    checked_row: &CheckedRow,
) -> Result<Option<PlannedStep>, InputProblem> {
    let failed =
        |error: JournalError| InputProblem::from(Error::new(ErrorKind::Journal, error.to_string()));
    planned.identities.push(row.identity);
    let found = query.find(&row.identity).map_err(failed)?;
    if checked_row.label.duplicate_of.is_some() && settings.skips_duplicates {
        // An earlier run that did not leave it out has paid for it.
        if let Some((_, record)) = found {
            query.count(&record, planned).map_err(failed)?;
        }
        return Ok(None);
    }
    let Some((store, record)) = found else { return Ok(Some(PlannedStep::Submit)) };
    // Gone on with by its key, the row would be given the picture of another row.
    if let Some(differs) = row.differs_from(&record.row) {
        let (key, row) = (row.key.clone().unwrap_or_default(), record.number);
        let reused = JournalError::KeyReused { key, row, differs }.to_string();
        return Err(InputProblem::key(&reused, settings.scope.as_deref()));
    }
    query.count(&record, planned).map_err(failed)?;
    if let RowState::Created { .. } = &record.state {
        planned.created.push(record.number);
    }
    Ok(Some(match &record.state {
        RowState::Released { .. } => PlannedStep::Submit,
        RowState::Intent { .. } | RowState::Created { .. } => PlannedStep::Wait,
        RowState::Doubtful { .. } => PlannedStep::Doubtful,
        RowState::Failed { .. }
            // Renewals of earlier runs count, so that the same line again does not pay again and again.
            if record.state.may_be_renewed() && record.renewals < query.retry_failed =>
        {
            PlannedStep::Renew
        }
        RowState::Failed { .. } => PlannedStep::Failed,
        RowState::Completed { .. } => {
            let there = pictures_if_all_present(store, &record).map_err(failed)?;
            let folder = checked_row.target.parent();
            // A picture that an earlier run saved to another folder is fetched into this one.
            if there.is_some_and(|paths| paths.iter().all(|path| path.parent() == folder)) {
                PlannedStep::Kept
            } else {
                PlannedStep::Download
            }
        }
    }))
}

/// Lets what was paid for rows count that nothing is sent for now, since their photo cannot be read, say:
/// the folder's manifest tells which rows of the journal they are.
fn count_unsent(
    query: &JournalQuery<'_>,
    settings: &BatchSettings,
    unsent: &[RequestHash],
    planned: &mut PlannedWork,
) -> Result<(), Error> {
    let manifest = settings.out.join(RESULTS);
    let found = identities_of(unsent, &manifest, &settings.origin);
    let found = found.map_err(|error| unreadable(&manifest, &error))?;
    let mut counted: HashSet<_> = planned.identities.iter().copied().collect();
    // A row that asks for the same may be among the good ones, where it was counted already.
    for identity in found.into_iter().filter(|identity| counted.insert(*identity)) {
        let failed = |error: JournalError| Error::new(ErrorKind::Journal, error.to_string());
        if let Some((_, record)) = query.find(&identity).map_err(failed)? {
            query.count(&record, planned).map_err(failed)?;
        }
        planned.identities.push(identity);
    }
    Ok(())
}

/// The warning about rows that ask for what an earlier one asks for; `None` where there are none.
pub(super) fn duplicates_note(lines: &[u64], settings: &BatchSettings) -> Option<String> {
    let shown: Vec<String> = lines.iter().take(20).map(u64::to_string).collect();
    let (asks, are, them, line) = match lines.len() {
        0 => return None,
        1 => ("asks", "is", "it", "line"),
        _ => ("ask", "are", "them", "lines"),
    };
    let rows = count_of(lines.len() as u64, "row");
    let what = match settings.skips_duplicates {
        true => format!("{are} left out"),
        false => {
            let done = if is_replay(&settings.origin) { "replayed" } else { "paid for" };
            format!("{are} {done} as well (--skip-duplicates leaves {them} out)")
        }
    };
    let more = if lines.len() > shown.len() { ", …" } else { "" };
    let shown = shown.join(", ");
    Some(format!(
        "{rows} {asks} for what an earlier one asks for, and {what}: {line} {shown}{more}"
    ))
}

/// Fields of no meaning here that are named, where each row may have its own.
const MAX_NAMED: usize = 20;
