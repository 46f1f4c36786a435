//! [`CountedRows`]: turns each checked row of a manifest ([`CheckedRow`]) into its journal row, with the
//! identity by which the journal finds it. It counts equal rows without a key, so that each is a row of its
//! own, and marks the later ones as duplicates. It reads the row's photo, unless the file is unchanged and
//! the journal has the row as settled: a photo that may be sent is always read. `preflight.rs`, `run.rs`
//! and `other_journal.rs` pass it the manifest's rows in order, `watch.rs` the photos as they arrive;
//! `reporter.rs` asks it for identities alone.

use std::collections::HashMap;
use std::path::Path;

use effects_client::file_names;
use effects_jobs::{CountedRow, Identity, Occurrences, Row, RowDraft, RowError, RowPhoto};

use super::known_photos::KnownPhoto;
use super::rows::{BatchSettings, CheckedRow, JournalLookup, journal_problem};
use crate::problem::InputProblem;

/// The rows of a manifest, counted as the journal knows them.
pub(crate) struct CountedRows {
    order: Occurrences,
    /// The lines of the first of equal rows, by the identity that they share.
    first: HashMap<Identity, u64>,
    /// What was counted of each row, by the row's place, where rows may go and come back.
    drafts: Option<HashMap<usize, RowDraft>>,
}

impl CountedRows {
    pub(crate) fn new(settings: &BatchSettings) -> Self {
        let order = Occurrences::within(settings.scope.clone());
        Self { order, first: HashMap::new(), drafts: None }
    }

    /// One whose rows may go: then they count no more among equal ones.
    pub(crate) fn of_a_changing_folder(settings: &BatchSettings) -> Self {
        Self { drafts: Some(HashMap::new()), ..Self::new(settings) }
    }

    /// The photo of the row at this place is gone.
    pub(crate) fn uncount(&mut self, index: usize) {
        if let Some(draft) = self.drafts.as_ref().and_then(|drafts| drafts.get(&index)) {
            self.order.uncount(draft);
        }
    }

    /// The photo of the row at this place is there again, as it was.
    pub(crate) fn recount(&mut self, index: usize) {
        if let Some(draft) = self.drafts.as_ref().and_then(|drafts| drafts.get(&index)) {
            self.order.count(draft);
        }
    }

    /// The row at this place is of another photo from now on. That of the photo before, which is gone, was taken
    /// back by then.
    pub(crate) fn forget(&mut self, index: usize) {
        self.first.retain(|_, line| *line != index as u64 + 1);
        if let Some(drafts) = &mut self.drafts {
            drafts.remove(&index);
        }
    }

    /// The first so many of the rows that equal the one at this place, from the first.
    pub(crate) fn equal_rows(&self, index: usize, count: u32) -> impl Iterator<Item = Identity> {
        let draft = self.drafts.as_ref().and_then(|drafts| drafts.get(&index));
        (0..count).filter_map(move |before| Some(draft?.clone().row(before).ok()?.identity))
    }

    /// The row, as the journal knows it. Its photo is read where it is on this machine, unless its file is
    /// as it was when an earlier run read it and the row is settled. In `checked_row` it marks a row that asks
    /// for what an earlier one does.
    pub(crate) fn row(
        &mut self,
        settings: &BatchSettings,
        checked_row: &mut CheckedRow,
        lookup: JournalLookup<'_>,
    ) -> Result<CountedRow, InputProblem> {
        // Only of a row with a key, which names it alone: nothing is counted.
        if let Some(problem) = &checked_row.unreadable {
            let row = settings.known_row(checked_row, lookup)?.ok_or_else(|| problem.clone())?;
            return Ok(CountedRow { row, before: 0, former: None });
        }
        let photo = match (&checked_row.checked.reference, checked_row.photo.clone()) {
            (Some(url), _) => RowPhoto::Url(url.clone()),
            (None, Some(path)) => {
                if let Some(counted) = self.settled_row(settings, checked_row, &path, lookup)? {
                    return Ok(counted);
                }
                let (photo, known) = KnownPhoto::read(&path).map_err(InputProblem::from)?;
                checked_row.label.photo = known;
                RowPhoto::content(&photo, file_names::shown(&path))
            }
            (None, None) => unreachable!("a checked row has a reference or a photo"),
        };
        let draft = settings.draft(checked_row, photo);
        self.mark_duplicate(checked_row, &draft);
        self.remember(checked_row, &draft);
        self.count(draft, lookup)
    }

    /// The row, if its photo need not be read: its file is as it was, and the journal has a verdict for what
    /// it was then.
    fn settled_row(
        &mut self,
        settings: &BatchSettings,
        checked_row: &mut CheckedRow,
        path: &Path,
        lookup: JournalLookup<'_>,
    ) -> Result<Option<CountedRow>, InputProblem> {
        let image = checked_row.label.image.as_deref().unwrap_or_default();
        let Some(known) = settings.known_photos.get(image, path) else { return Ok(None) };
        let shown = file_names::shown(path).into_owned();
        let photo = RowPhoto::Content { digest: known.sha256(), shown };
        let draft = settings.draft(checked_row, photo);
        // Counted to find its identity. Where the photo is read after all, this is taken back, since
        // reading counts it anew.
        let counted = self.count(draft.clone(), lookup)?;
        let record = lookup(&counted.row.identity).map_err(|error| journal_problem(&error))?;
        // A row that may be paid for anew is not settled: what would be sent is always read.
        let is_settled =
            record.is_some_and(|record| record.state.is_final() && !record.state.may_be_renewed());
        if !is_settled {
            self.order.uncount(&draft);
            return Ok(None);
        }
        checked_row.label.photo = Some(known);
        self.mark_duplicate(checked_row, &draft);
        self.remember(checked_row, &draft);
        Ok(Some(counted))
    }

    fn remember(&mut self, checked_row: &CheckedRow, draft: &RowDraft) {
        if let Some(drafts) = &mut self.drafts {
            drafts.insert(checked_row.label.index, draft.clone());
        }
    }

    fn mark_duplicate(&mut self, checked_row: &mut CheckedRow, draft: &RowDraft) {
        // Each as the first of equal rows, number 0, so that all of them share one identity here.
        if let (None, Some(line), Ok(equal)) =
            (&draft.key, checked_row.label.line, draft.clone().row(0))
        {
            let first = *self.first.entry(equal.identity).or_insert(line);
            checked_row.label.duplicate_of = (first != line).then_some(first);
        }
    }

    /// The identity of the next row of a manifest that a run did not come to; `None` where only its photo
    /// could tell.
    pub(crate) fn unread_identity(
        &mut self,
        settings: &BatchSettings,
        checked_row: &CheckedRow,
        lookup: JournalLookup<'_>,
    ) -> Option<Identity> {
        settings.identity(checked_row, &mut self.order, lookup)
    }

    fn count(
        &mut self,
        draft: RowDraft,
        lookup: JournalLookup<'_>,
    ) -> Result<CountedRow, InputProblem> {
        let other = draft.key.as_deref().and_then(other_spelling);
        let other = other.map(|key| RowDraft { key: Some(key), ..draft.clone() });
        let counted = self.order.row(draft, lookup).map_err(row_problem)?;
        if let Some(other) = other {
            self.refuse_other_spelling(&counted.row, other, lookup)?;
        }
        Ok(counted)
    }

    /// Refuses a row that is new by its key where the journal has the same picture by the other spelling of that
    /// number: it would be paid for again.
    fn refuse_other_spelling(
        &mut self,
        row: &Row,
        other: RowDraft,
        lookup: JournalLookup<'_>,
    ) -> Result<(), InputProblem> {
        let find = |identity: &Identity| lookup(identity).map_err(|error| journal_problem(&error));
        if find(&row.identity)?.is_some() {
            return Ok(());
        }
        let other = self.order.row(other, lookup).map_err(row_problem)?.row;
        let known = find(&other.identity)?.filter(|known| other.differs_from(&known.row).is_none());
        let (Some(known), Some(key), Some(before)) = (known, &row.key, &other.key) else {
            return Ok(());
        };
        let whole = key.strip_suffix(".0").unwrap_or(key);
        let why = format!(
            "the journal has this picture under the key {before} (row {}), and {key} would be paid for anew: \
             programs write {whole} as {whole}.0 where a column of numbers has gaps; give the key as it was, or \
             another one",
            known.number
        );
        Err(InputProblem::row(Some("key"), why))
    }
}

/// The other spelling of a whole number: pandas writes 1 as 1.0 once one number of a column is missing.
fn other_spelling(key: &str) -> Option<String> {
    let whole = key.strip_suffix(".0");
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number(whole.unwrap_or(key)).then(|| whole.map_or_else(|| format!("{key}.0"), str::to_owned))
}

fn row_problem(error: RowError) -> InputProblem {
    match error {
        RowError::Signed(signed) => InputProblem::row(Some("key"), signed.to_string()),
        RowError::Journal(error) => journal_problem(&error),
    }
}
