//! `Batch::import_from_folder`: imports into the journal what the folder's `manifest.jsonl` tells of tasks
//! that it does not know: the rows of a batch (in a watch, of the folder) that are paid for, or may be, so
//! that their tasks are followed and not paid for again, and the costs alone where the journal has the row.
//! If a row that would be sent cannot be imported, it refuses the batch; with `--pay-again`, or without a
//! journal, it does nothing. `Batch::take_folder` (for `run` and `watch`) and `Batch::plan` (which imports
//! into memory alone) call it before anything is sent. [`unreadable`] is the error of all who read that
//! manifest.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::Path;

use effects_client::WallClock;
use effects_core::journal::another;
use effects_core::{Error, ErrorKind, TaskId, count_of};
use effects_jobs::{CountedRow, Identity, JournalStore, Row, RowName, RowState};

use super::counted::CountedRows;
use super::earlier_line::{EarlierLine, ImportableRow, earlier_lines};
use super::options::Batch;
use super::output_paths::RESULTS;
use super::report::RowStatus;
use super::request_hash::{RequestHash, identities_of};
use super::rows::{Checker, lookup_in};
use crate::failure::Failure;
use crate::journal;

/// Lines of the folder's manifest that are paid for, or may be, and that the journal does not know.
#[derive(Default)]
struct UnknownRows {
    by_identity: HashMap<Identity, Vec<EarlierLine>>,
    /// Those of the first edition, which did not write what a row is known by.
    by_request_hash: HashMap<RequestHash, EarlierLine>,
}

/// What there is to do for the rows of this batch that are among them.
#[derive(Default)]
struct ImportPlan {
    to_import: Vec<ImportableRow>,
    /// Lines of rows that are known by then, of which only costs are taken in.
    costs: Vec<ImportableRow>,
    /// How many rows cannot be taken in, and whether a rebuilt journal would know them as doubtful.
    unmatched: u64,
    may_be_rebuilt: bool,
    /// The journals that know them, and their ids.
    journals: BTreeSet<String>,
    ids: BTreeSet<String>,
}

impl Batch<'_> {
    /// Takes into a store those rows of this batch that the folder's manifest has as paid for at this gateway
    /// and that the journal, `known` if there is one, does not know.
    ///
    /// # Errors
    ///
    /// When one of them cannot be taken in: it has no task's id, or nothing that tells which row it
    /// is. Then nothing is taken in.
    pub(super) fn import_from_folder(
        &self,
        known: Option<&dyn JournalStore>,
        into: &dyn JournalStore,
    ) -> Result<(), Failure> {
        let manifest = self.settings.out.join(RESULTS);
        let Some(own) = self.journal.filter(|_| !self.options.pay_again) else { return Ok(()) };
        let unknown = self.unknown_to(known, &manifest)?;
        let found = match self.manifest.is_watched() {
            true => self.all_of(unknown, known)?,
            false => self.rows_among(unknown, known)?,
        };
        // All or nothing: a batch that stops leaves the journal as it was.
        if found.unmatched > 0 {
            return Err(self.refusal(&found, known, own, &manifest)?);
        }
        let mut count = 0_u64;
        for row in &found.to_import {
            let is_new = row.import_into(into).map_err(|error| journal::failure(&error))?;
            count += u64::from(is_new);
        }
        for row in &found.costs {
            let is_new = row.import_costs_into(into).map_err(|error| journal::failure(&error))?;
            count += u64::from(is_new);
        }
        if count == 0 {
            return Ok(());
        }
        let (rows, were) = (count_of(count, "row"), if count == 1 { "was" } else { "were" });
        let journals: Vec<&str> = found.journals.iter().map(String::as_str).collect();
        let journals = if journals == [own.to_string_lossy()] {
            "the journal that was there before".to_owned()
        } else {
            format!("the journal {}", journals.join(" and "))
        };
        self.output.note(&format!(
            "{rows} {were} paid for with {journals}, says {}; the journal {} takes in what is known of them, \
             and nothing is paid for them again",
            manifest.display(),
            own.display()
        ));
        Ok(())
    }

    /// The paid lines of the folder's manifest, at this gateway, that the journal does not know.
    fn unknown_to(
        &self,
        store: Option<&dyn JournalStore>,
        manifest: &Path,
    ) -> Result<UnknownRows, Failure> {
        let unreadable = |error: io::Error| unreadable(manifest, &error);
        let origin = self.settings.origin.to_string();
        let (mut unknown, mut before) = (UnknownRows::default(), HashMap::new());
        for text in earlier_lines(manifest).map_err(unreadable)? {
            // What is no line of a row says nothing of one.
            let Some(line) = text.map_err(unreadable)?.line else { continue };
            // A line of the first edition has no origin, and may be of this gateway.
            if line.origin.as_ref().is_some_and(|there| *there != origin) {
                continue;
            }
            if let Some(identity) = line.identity() {
                if line.may_be_paid() && !self.is_known(store, identity, &line)? {
                    unknown.by_identity.entry(identity).or_default().push(line);
                }
            } else if line.status != RowStatus::Invalid {
                // Counted before it is asked whether the line is paid: which of equal rows it is depends
                // on all of them.
                let request_hash = RequestHash::of(&line.label()).counted(&mut before);
                if line.may_be_paid() && self.row_of_task(store, &line)?.is_none() {
                    unknown.by_request_hash.insert(request_hash, line);
                }
            }
        }
        Ok(unknown)
    }

    /// Whether the journal knows what a line tells of this row.
    fn is_known(
        &self,
        store: Option<&dyn JournalStore>,
        identity: Identity,
        line: &EarlierLine,
    ) -> Result<bool, Failure> {
        let Some(store) = store else { return Ok(false) };
        let known = line.is_known_to(store, identity, &self.settings.origin);
        known.map_err(|error| journal::failure(&error))
    }

    /// The row that has the task of a line in the journal.
    fn row_of_task(
        &self,
        store: Option<&dyn JournalStore>,
        line: &EarlierLine,
    ) -> Result<Option<Identity>, Failure> {
        let task = line.task_id.as_ref().and_then(|id| id.parse::<TaskId>().ok());
        let (Some(store), Some(task)) = (store, task) else { return Ok(None) };
        let name = RowName::Task(self.settings.origin.clone(), task);
        let known = store.find(&name).map_err(|error| journal::failure(&error))?;
        Ok(known.map(|record| record.row.identity))
    }

    /// The rows of this batch that are among these. Their photos are read: a row is known by their
    /// content, also after they were renamed.
    fn rows_among(
        &self,
        mut unknown: UnknownRows,
        store: Option<&dyn JournalStore>,
    ) -> Result<ImportPlan, Failure> {
        let (mut found, now) = (ImportPlan::default(), WallClock::new().now());
        // The journal knows every paid line, so that no photo has to be read.
        if unknown.by_identity.is_empty() && unknown.by_request_hash.is_empty() {
            return Ok(found);
        }
        let (mut checker, mut counted) =
            (Checker::new(self.settings), CountedRows::new(self.settings));
        let lookup = lookup_in(store);
        let mut unsent = Vec::new();
        for line in self.manifest.lines(self.settings.template.is_some())? {
            // What is wrong with a row is reported elsewhere. What was paid for it counts all the same.
            let mut checked_row = match checker.check(line?) {
                Ok(checked_row) => checked_row,
                Err(bad) => {
                    unsent.push(RequestHash::of(&bad.label));
                    continue;
                }
            };
            let counted = counted.row(self.settings, &mut checked_row, &lookup);
            let Ok(CountedRow { mut row, former, .. }) = counted else {
                unsent.push(RequestHash::of(&checked_row.label));
                continue;
            };
            let mut named = unknown.by_identity.remove(&row.identity);
            let row_of = |lines: &Vec<EarlierLine>| lines.first()?.row(&self.settings.out).ok();
            // By what an earlier version knew the row, or an order that had no scope yet. A key without a
            // scope may name another picture: then it is another row.
            if let (None, Some(former)) = (&named, former)
                && let Some(known) = unknown.by_identity.get(&former).and_then(row_of)
                && (row.key.is_none() || row.differs_from(&known).is_none())
            {
                (row.identity, row.likeness) = (former, known.likeness);
                named = unknown.by_identity.remove(&former);
            }
            let before = named.as_ref().and_then(row_of);
            if let Some(differs) = before.and_then(|before| row.differs_from(&before)) {
                return Err(self.key_of_another_row(&row, differs));
            }
            let lines = match named {
                Some(lines) => lines,
                None => {
                    match unknown.by_request_hash.remove(&RequestHash::of(&checked_row.label)) {
                        Some(line) if !self.is_known(store, row.identity, &line)? => vec![line],
                        _ => continue,
                    }
                }
            };
            let importable = |line: &EarlierLine| line.importable_as(row.clone(), now);
            self.plan_import(&mut found, row.identity, lines, store, importable)?;
        }
        let manifest = self.settings.out.join(RESULTS);
        let unsent = identities_of(&unsent, &manifest, &self.settings.origin);
        for identity in unsent.map_err(|error| unreadable(&manifest, &error))? {
            for line in unknown.by_identity.remove(&identity).unwrap_or_default() {
                let owner = self.row_of_task(store, &line)?;
                // Nothing is sent for these rows now, so that one that cannot be taken in stops nothing.
                if let Ok(importable) = line.importable(&self.settings.out, now)
                    && importable.state.task().is_some()
                    && owner.is_none_or(|owner| owner == identity)
                {
                    found.journals.extend(line.journal.clone());
                    found.to_import.push(importable);
                }
            }
        }
        Ok(found)
    }

    /// All of them: in a folder that is watched, the photo of any of them may come.
    fn all_of(
        &self,
        unknown: UnknownRows,
        store: Option<&dyn JournalStore>,
    ) -> Result<ImportPlan, Failure> {
        let (mut found, now) = (ImportPlan::default(), WallClock::new().now());
        for (identity, lines) in unknown.by_identity {
            let importable = |line: &EarlierLine| line.importable(&self.settings.out, now).ok();
            self.plan_import(&mut found, identity, lines, store, importable)?;
        }
        for line in unknown.by_request_hash.into_values() {
            found.journals.extend(line.journal);
            found.unmatched += 1;
        }
        Ok(found)
    }

    /// Plans what becomes of the lines of one row that the journal does not know: they are taken in, or
    /// stop the batch, where something would be sent for the row all the same.
    fn plan_import(
        &self,
        found: &mut ImportPlan,
        identity: Identity,
        mut lines: Vec<EarlierLine>,
        store: Option<&dyn JournalStore>,
        importable: impl Fn(&EarlierLine) -> Option<ImportableRow>,
    ) -> Result<(), Failure> {
        let record = store.map_or(Ok(None), |store| store.find(&RowName::Identity(identity)));
        let record = record.map_err(|error| journal::failure(&error))?;
        let here = record.map(|record| record.state);
        let (mut may_be_sent, mut may_be_renewed) = match here {
            None | Some(RowState::Released { .. }) => (true, false),
            Some(state) => (false, matches!(state, RowState::Failed { .. })),
        };
        // A picture that is paid for before a task that failed, and that before a doubt: the row goes on
        // with the first, and what the others cost counts.
        lines.sort_by_key(|line| (line.is_doubt(), line.status == RowStatus::Failed));
        for line in lines {
            // A line of the first edition tells only what its row asked for: too little to follow a paid
            // task as this row's.
            let is_named = line.identity().is_some();
            let owner = self.row_of_task(store, &line)?;
            let is_anothers = owner.is_some_and(|owner| owner != identity);
            // A doubt has no task to follow: a person decides on it.
            let importable = importable(&line)
                .filter(|row| row.state.task().is_some() && is_named && !is_anothers);
            let has_failed =
                importable.as_ref().map(|row| matches!(row.state, RowState::Failed { .. }));
            let goes_on = match has_failed {
                Some(true) => true,
                // A row that failed here does not become the one that was paid for elsewhere since.
                Some(false) => !may_be_renewed,
                None => !may_be_sent && !may_be_renewed,
            };
            found.journals.extend(line.journal.clone());
            found.ids.extend(line.journal_id.clone());
            if !goes_on {
                found.unmatched += 1;
                found.may_be_rebuilt |= is_named && may_be_sent;
            }
            let importable = importable.filter(|_| goes_on);
            match &importable {
                Some(row) if !may_be_sent && !row.has_order() => found.costs.extend(importable),
                _ => found.to_import.extend(importable),
            }
            if let (true, Some(has_failed)) = (may_be_sent, has_failed) {
                (may_be_sent, may_be_renewed) = (false, has_failed);
            }
        }
        Ok(())
    }

    /// Why the batch stops: its row would be taken for another one, of the same key, and so would its
    /// picture.
    fn key_of_another_row(&self, row: &Row, differs: &str) -> Failure {
        let (key, manifest) =
            (row.key.as_deref().unwrap_or_default(), self.settings.out.join(RESULTS));
        let message = format!(
            "key {key:?} is in {} already, for a row with {} that another journal has paid for: a key \
             names one row of a folder, so give these rows other keys, or a folder of their own with \
             --out, or insist with --pay-again; nothing was sent",
            manifest.display(),
            another(differs)
        );
        Error::new(ErrorKind::Misconfigured, message).into()
    }

    /// Why the batch stops, and what there is to choose from.
    fn refusal(
        &self,
        found: &ImportPlan,
        known: Option<&dyn JournalStore>,
        own: &Path,
        manifest: &Path,
    ) -> Result<Failure, Failure> {
        let rows = count_of(found.unmatched, "row");
        let (are, them) = if found.unmatched == 1 { ("is", "it") } else { ("are", "them") };
        let id =
            known.map_or(Ok(None), JournalStore::id).map_err(|error| journal::failure(&error))?;
        let journals: Vec<&str> = found.journals.iter().map(String::as_str).collect();
        let way_out = if journals.is_empty() {
            "no journal is named there; give the one that does".to_owned()
        } else if id.is_some_and(|id| found.ids.contains(&id)) {
            "it is an older copy of the one that does; give that one".to_owned()
        } else if journals == [own.to_string_lossy()] {
            "it was deleted or replaced since; give the one that does".to_owned()
        } else {
            format!("{} does; give that one", journals.join(" or "))
        };
        let (shown, journal) = (manifest.display(), own.display());
        let rebuild = if found.may_be_rebuilt {
            format!(
                ", take {them} in as doubtful with `effects journal rebuild --from {shown} --journal \
                 {journal}`,"
            )
        } else {
            String::new()
        };
        let message = format!(
            "{rows} {are} paid for already, or may be, says {shown}, without what it takes to follow {them}, \
             and the journal {journal} does not know {them}: {way_out} with --journal{rebuild} or pay \
             once more with --pay-again; nothing was sent",
        );
        Ok(Error::new(ErrorKind::Misconfigured, message).into())
    }
}

/// Why the batch stops whose folder's manifest cannot be read: what it lists would be paid for again.
pub(super) fn unreadable(manifest: &Path, error: &io::Error) -> Error {
    let why = format!("{} cannot be read, so nothing was sent: {error}", manifest.display());
    Error::new(ErrorKind::Misconfigured, why)
}
