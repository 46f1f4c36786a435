//! [`CountedRows`]: makes of each checked row of a manifest ([`Wanted`]) its row of the journal, and
//! tells equal rows from each other by counting them. `preflight.rs`, `run.rs`, `watch.rs`,
//! `other_journal.rs` and `reporter.rs` have one each.

use std::collections::HashMap;
use std::path::Path;

use effects_client::file_names;
use effects_jobs::{CountedRow, Identity, Occurrences, RowDraft, RowError, RowPhoto};

use super::known_photos::KnownPhoto;
use super::rows::{Common, JournalLookup, Wanted, journal_problem};
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
    pub(crate) fn new(common: &Common) -> Self {
        let order = Occurrences::within(common.scope.clone());
        Self { order, first: HashMap::new(), drafts: None }
    }

    /// One whose rows may go: then they count no more among equal ones.
    pub(crate) fn of_a_changing_folder(common: &Common) -> Self {
        Self { drafts: Some(HashMap::new()), ..Self::new(common) }
    }

    /// The photo of the row at this place is gone.
    pub(crate) fn went(&mut self, index: usize) {
        if let Some(draft) = self.drafts.as_ref().and_then(|drafts| drafts.get(&index)) {
            self.order.uncount(draft);
        }
    }

    /// The photo of the row at this place is there again, as it was.
    pub(crate) fn came_back(&mut self, index: usize) {
        if let Some(draft) = self.drafts.as_ref().and_then(|drafts| drafts.get(&index)) {
            self.order.count(draft);
        }
    }

    /// The row, as the journal knows it. Its photo is read where it is on this machine, unless its file is
    /// as it was when an earlier run read it and the row is settled. In `wanted` it marks a row that asks
    /// for what an earlier one does.
    pub(crate) fn row(
        &mut self,
        common: &Common,
        wanted: &mut Wanted,
        look: JournalLookup<'_>,
    ) -> Result<CountedRow, InputProblem> {
        // Only of a row with a key, which names it alone: nothing is counted.
        if let Some(problem) = &wanted.unreadable {
            let row = common.known_row(wanted, look)?.ok_or_else(|| problem.clone())?;
            return Ok(CountedRow { row, before: 0, former: None });
        }
        let photo = match (&wanted.checked.reference, wanted.photo.clone()) {
            (Some(url), _) => RowPhoto::Url(url.clone()),
            (None, Some(path)) => {
                if let Some(counted) = self.settled_row(common, wanted, &path, look)? {
                    return Ok(counted);
                }
                let (photo, known) = KnownPhoto::read(&path).map_err(InputProblem::from)?;
                wanted.told.photo = known;
                RowPhoto::content(&photo, file_names::shown(&path))
            }
            (None, None) => unreachable!("a checked row has a reference or a photo"),
        };
        let draft = common.draft(wanted, photo);
        self.mark_duplicate(wanted, &draft);
        self.remember(wanted, &draft);
        self.count(draft, look)
    }

    /// The row, if its photo need not be read: its file is as it was, and the journal has a verdict for what
    /// it was then.
    fn settled_row(
        &mut self,
        common: &Common,
        wanted: &mut Wanted,
        path: &Path,
        look: JournalLookup<'_>,
    ) -> Result<Option<CountedRow>, InputProblem> {
        let image = wanted.told.image.as_deref().unwrap_or_default();
        let Some(known) = common.known_photos.get(image, path) else { return Ok(None) };
        let shown = file_names::shown(path).into_owned();
        let photo = RowPhoto::Content { digest: known.sha256(), shown };
        let draft = common.draft(wanted, photo);
        // Counted to find its identity. Where the photo is read after all, this is taken back, since
        // reading counts it anew.
        let counted = self.count(draft.clone(), look)?;
        let record = look(&counted.row.identity).map_err(|error| journal_problem(&error))?;
        // A row that may be paid for anew is not settled: what would be sent is always read.
        let is_settled =
            record.is_some_and(|record| record.state.is_final() && !record.state.may_be_renewed());
        if !is_settled {
            self.order.uncount(&draft);
            return Ok(None);
        }
        wanted.told.photo = Some(known);
        self.mark_duplicate(wanted, &draft);
        self.remember(wanted, &draft);
        Ok(Some(counted))
    }

    fn remember(&mut self, wanted: &Wanted, draft: &RowDraft) {
        if let Some(drafts) = &mut self.drafts {
            drafts.insert(wanted.told.index, draft.clone());
        }
    }

    fn mark_duplicate(&mut self, wanted: &mut Wanted, draft: &RowDraft) {
        // Each as the first of equal rows, number 0, so that all of them share one identity here.
        if let (None, Some(line), Ok(equal)) = (&draft.key, wanted.told.line, draft.clone().row(0))
        {
            let first = *self.first.entry(equal.identity).or_insert(line);
            wanted.told.duplicate_of = (first != line).then_some(first);
        }
    }

    /// The identity of the next row of a manifest that a run did not come to; `None` where only its photo
    /// could tell.
    pub(crate) fn unread_identity(
        &mut self,
        common: &Common,
        wanted: &Wanted,
        look: JournalLookup<'_>,
    ) -> Option<Identity> {
        common.identity(wanted, &mut self.order, look)
    }

    fn count(
        &mut self,
        draft: RowDraft,
        look: JournalLookup<'_>,
    ) -> Result<CountedRow, InputProblem> {
        self.order.row(draft, look).map_err(|error| match error {
            RowError::Signed(signed) => InputProblem::row(Some("key"), signed.to_string()),
            RowError::Journal(error) => journal_problem(&error),
        })
    }
}
