//! [`survey`]: reads a manifest before anything is sent, checks its rows, reports the bad ones, and
//! returns a [`Preflight`]. For a plan, or where there is a budget and a journal, it also asks the
//! journal how the rows stand ([`Standings`]). `Batch::plan` and `Batch::run` call it.

use std::collections::{BTreeSet, HashMap, HashSet};

use effects_client::Claims;
use effects_core::journal::{JournalError, RowNumber};
use effects_core::{Error, ErrorKind, count_of};
use effects_jobs::{Identity, JournalStore, Record, RowName, RowState, ScopeNumber};
use rust_decimal::Decimal;

use super::asked::{Asked, identities_of};
use super::counted::CountedRows;
use super::manifest::{Manifest, unknown};
use super::other_journal::unreadable;
use super::output_paths::{RESULTS, SHEET};
use super::placement;
use super::report::RowReport;
use super::rows::{Bad, Checker, Common, RowLabel, Wanted, check_whole, looking_in};
use crate::problem::InputProblem;

/// What a first look finds.
#[derive(Default)]
pub(crate) struct Preflight {
    /// Rows that can be sent.
    pub(crate) good: u64,
    pub(crate) bad: u64,
    /// The files that rows have claimed, for their pictures or as their photos.
    pub(crate) claims: Claims,
    /// What a person should know of the manifest as a whole.
    pub(crate) warnings: Vec<String>,
    /// The lines of rows that ask for what an earlier one asks for, as far as that is known.
    pub(crate) duplicates: Vec<u64>,
    /// Rows, by their place, that are bad for what is not in them: the journal, or a later row.
    pub(crate) refused: HashSet<usize>,
    /// How the rows stand, as far as the journal was asked.
    pub(crate) standings: Standings,
}

/// How the rows of a manifest stand in the journal.
#[derive(Debug, Default)]
pub(crate) struct Standings {
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

/// The count of [`Standings`] that a row is in.
#[derive(Clone, Copy)]
enum Count {
    Submit,
    Renew,
    Wait,
    Download,
    Kept,
    Failed,
    Doubtful,
}

impl Count {
    /// Whether a task is paid for anew.
    fn is_sent(self) -> bool {
        matches!(self, Self::Submit | Self::Renew)
    }

    fn of(self, standings: &mut Standings) -> &mut u64 {
        match self {
            Self::Submit => &mut standings.submit,
            Self::Renew => &mut standings.renew,
            Self::Wait => &mut standings.wait,
            Self::Download => &mut standings.download,
            Self::Kept => &mut standings.kept,
            Self::Failed => &mut standings.failed,
            Self::Doubtful => &mut standings.doubtful,
        }
    }
}

/// What the journal is asked.
pub(crate) struct Question<'a> {
    pub(crate) store: Option<&'a dyn JournalStore>,
    /// What the journal would take in before anything is sent: for a plan, which writes nothing.
    pub(crate) imported: Option<&'a dyn JournalStore>,
    pub(crate) retry_failed: u32,
    /// The scope with a name that the budget is of, if the journal has it.
    pub(crate) scope: Option<ScopeNumber>,
}

impl<'a> Question<'a> {
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
    fn count(&self, record: &Record, standings: &mut Standings) -> Result<(), JournalError> {
        let counted = self.counted(&record.row.identity)?;
        standings.spent += record.paid;
        standings.uncounted += (record.paid - counted.unwrap_or_default()).max(Decimal::ZERO);
        let is_settled = match &record.state {
            RowState::Completed { cost, .. } => cost.is_some(),
            RowState::Failed { .. } | RowState::Released { .. } => true,
            RowState::Intent { .. } | RowState::Created { .. } | RowState::Doubtful { .. } => false,
        };
        // An open task of a member is in the scope's own sums already.
        standings.uncounted_open += u64::from(!is_settled && counted.is_none());
        Ok(())
    }
}

/// Looks through a manifest, at most `most` good rows of it; `tell` hears of each bad one. With a
/// question, photos on this machine are read, since their content is what they are known by; without one
/// the journal, `known`, is asked of rows whose photo cannot be read. If it `decodes`, those that would be
/// sent are decoded whole.
pub(crate) fn survey(
    manifest: &Manifest,
    common: &Common,
    known: Option<&dyn JournalStore>,
    question: Option<&Question<'_>>,
    decodes: bool,
    most: u64,
    mut tell: impl FnMut(RowReport),
) -> Result<Preflight, Error> {
    let (mut survey, mut counted) = (Preflight::default(), CountedRows::new(common));
    let (mut checker, mut strange) = (Checker::new(common), BTreeSet::new());
    let mut private = HashSet::new();
    // In which count each row is, so that one refused later leaves it.
    let mut counts: HashMap<usize, Count> = HashMap::new();
    // Rows that nothing is sent for now, and that may be paid for.
    let mut unsent = Vec::new();
    let lines = manifest.lines(common.template.is_some())?;
    survey.warnings = lines.warnings().to_vec();
    for line in lines {
        if survey.good == most {
            break;
        }
        let line = line?;
        for name in line.cells.iter().flat_map(|cells| &cells.strange) {
            if strange.len() < MOST_NAMED && strange.insert(name.clone()) {
                survey.warnings.push(unknown(&common.api_key.redact(name)));
            }
        }
        let checked = checker.check(line).and_then(|mut wanted| {
            // The run itself is warned by its client.
            if let (Some(photo), Some(_)) =
                (&wanted.checked.reference, question.and_then(|it| it.imported))
                && !common.origin.is_loopback()
                && photo.private_host().is_some_and(|host| private.insert(host))
            {
                survey.warnings.extend(photo.warning());
            }
            let standings = &mut survey.standings;
            let known = match (question, &wanted.unreadable) {
                (Some(question), _) => ask(question, common, &mut counted, standings, &mut wanted),
                (None, None) => Ok(None),
                // Without a question such a row is good only where the journal has its key.
                (None, Some(problem)) => common
                    .known_row(&wanted, &looking_in(known))
                    .and_then(|row| row.map(|_| None).ok_or_else(|| problem.clone())),
            };
            let count = known.as_ref().ok().copied().flatten();
            if wanted.told.duplicate_of.is_some() {
                survey.duplicates.extend(wanted.told.line);
            }
            // Decoding takes time. A row that is kept, waited for or left as it is needs no photo.
            let is_sent = question.is_none() || count.is_some_and(Count::is_sent);
            let whole = if decodes && is_sent && wanted.unreadable.is_none() {
                check_whole(&wanted)
            } else {
                Ok(())
            };
            if let (Some(count), Ok(())) = (count, &whole) {
                *count.of(standings) += 1;
                counts.insert(wanted.told.index, count);
            }
            known.and(whole).map_err(|problem| {
                // Remembered, since the second look, which sends, may not find these problems again.
                survey.refused.insert(wanted.told.index);
                Bad { told: wanted.told.into(), problems: vec![problem] }
            })
        });
        match checked {
            Ok(()) => survey.good += 1,
            Err(bad) => {
                survey.bad += 1;
                unsent.push(Asked::of(&bad.told));
                tell(RowReport::of_bad(bad));
            }
        }
    }
    if let Some(question) = question {
        count_unsent(question, common, &unsent, &mut survey.standings)?;
    }
    if survey.good + survey.bad == 0 {
        survey.warnings.push(manifest.without_rows());
    }
    survey.claims = checker.into_claims();
    // Only now: the photo of a later row may be where the picture of an earlier one goes.
    for (claim, photo) in survey.claims.conflicts() {
        if claim.line == 0 {
            let why = format!(
                "the photo of line {photo} is {RESULTS} or {SHEET} in the folder of --out, or that of \
                 --report-csv, which the batch itself writes: give another folder or file"
            );
            return Err(Error::new(ErrorKind::Misconfigured, why));
        }
        // It was counted as good when it was read.
        (survey.good, survey.bad) = (survey.good - 1, survey.bad + 1);
        survey.refused.insert(claim.index);
        if let Some(count) = counts.remove(&claim.index) {
            *count.of(&mut survey.standings) -= 1;
        }
        let told = RowLabel { index: claim.index, line: Some(claim.line), ..RowLabel::default() };
        let why = format!(
            "its picture would replace the photo of line {photo}: give the row an `out` of its own, or another \
             --out"
        );
        let problems = vec![InputProblem::row(Some("out"), why)];
        tell(RowReport::of_bad(Bad { told: told.into(), problems }));
    }
    Ok(survey)
}

fn ask(
    question: &Question<'_>,
    common: &Common,
    counted: &mut CountedRows,
    standings: &mut Standings,
    wanted: &mut Wanted,
) -> Result<Option<Count>, InputProblem> {
    let look = |identity: &Identity| Ok(question.find(identity)?.map(|(_, record)| record));
    let row = counted.row(common, wanted, &look)?.row;
    let fails =
        |error: JournalError| InputProblem::from(Error::new(ErrorKind::Journal, error.to_string()));
    standings.identities.push(row.identity);
    let found = question.find(&row.identity).map_err(fails)?;
    if wanted.told.duplicate_of.is_some() && common.skips_duplicates {
        // An earlier run that did not leave it out has paid for it.
        if let Some((_, record)) = found {
            question.count(&record, standings).map_err(fails)?;
        }
        return Ok(None);
    }
    let Some((store, record)) = found else { return Ok(Some(Count::Submit)) };
    // Gone on with by its key, the row would be given the picture of another row.
    if let Some(differs) = row.differs_from(&record.row) {
        let (key, row) = (row.key.unwrap_or_default(), record.number);
        let reused = JournalError::KeyReused { key, row, differs }.to_string();
        return Err(InputProblem::key(&reused, common.scope.as_deref()));
    }
    question.count(&record, standings).map_err(fails)?;
    if let RowState::Created { .. } = &record.state {
        standings.created.push(record.number);
    }
    Ok(Some(match &record.state {
        RowState::Released { .. } => Count::Submit,
        RowState::Intent { .. } | RowState::Created { .. } => Count::Wait,
        RowState::Doubtful { .. } => Count::Doubtful,
        RowState::Failed { .. }
            // Renewals of earlier runs count, so that the same line again does not pay again and again.
            if record.state.may_be_renewed() && record.renewals < question.retry_failed =>
        {
            Count::Renew
        }
        RowState::Failed { .. } => Count::Failed,
        RowState::Completed { .. } => {
            let there = placement::all_there(store, &record).map_err(fails)?;
            let folder = wanted.target.parent();
            // A picture that an earlier run saved to another folder is fetched into this one.
            if there.is_some_and(|paths| paths.iter().all(|path| path.parent() == folder)) {
                Count::Kept
            } else {
                Count::Download
            }
        }
    }))
}

/// Lets what was paid for rows count that nothing is sent for now, since their photo cannot be read, say:
/// the folder's manifest tells which rows of the journal they are.
fn count_unsent(
    question: &Question<'_>,
    common: &Common,
    unsent: &[Asked],
    standings: &mut Standings,
) -> Result<(), Error> {
    let manifest = common.out.join(RESULTS);
    let found = identities_of(unsent, &manifest, &common.origin);
    let found = found.map_err(|error| unreadable(&manifest, &error))?;
    let mut counted: HashSet<_> = standings.identities.iter().copied().collect();
    // A row that asks for the same may be among the good ones, where it was counted already.
    for identity in found.into_iter().filter(|identity| counted.insert(*identity)) {
        let fails = |error: JournalError| Error::new(ErrorKind::Journal, error.to_string());
        if let Some((_, record)) = question.find(&identity).map_err(fails)? {
            question.count(&record, standings).map_err(fails)?;
        }
        standings.identities.push(identity);
    }
    Ok(())
}

/// What is told of rows that ask for what an earlier one asks for; nothing where there are none.
pub(super) fn duplicates_told(lines: &[u64], common: &Common) -> Option<String> {
    let shown: Vec<String> = lines.iter().take(20).map(u64::to_string).collect();
    let (asks, are, them) = match lines.len() {
        0 => return None,
        1 => ("asks", "is", "it"),
        _ => ("ask", "are", "them"),
    };
    let rows = count_of(lines.len() as u64, "row");
    let what = match common.skips_duplicates {
        true => format!("{are} left out"),
        false => format!("{are} paid for as well (--skip-duplicates leaves {them} out)"),
    };
    let more = if lines.len() > shown.len() { ", …" } else { "" };
    let shown = shown.join(", ");
    Some(format!("{rows} {asks} for what an earlier one asks for, and {what}: line {shown}{more}"))
}

/// Fields of no meaning here that are named, where each row may have its own.
const MOST_NAMED: usize = 20;
