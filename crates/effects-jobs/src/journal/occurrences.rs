//! [`Occurrences`]: makes the rows of one order ([`CountedRow`]) from their drafts, and counts equal ones
//! as they come, so that two equal rows are two pictures, and each is found again in the journal when the
//! order is run again. A row that the journal has under the identity that an earlier version gave it, or
//! from before its order had a scope, is found, too. The command's batches, `JobContext` of
//! `effects-client` (for the jobs of both clients) and the Python package's batches make their rows with
//! it.

use std::collections::{HashMap, HashSet};

use effects_core::journal::JournalError;

use crate::journal::identity::Identity;
use crate::journal::record::Record;
use crate::journal::row::{Row, RowDraft, RowPhoto, SignedUrl, UrlForm};

/// The rows of one order, as they come. It counts how often the same row came, so that two equal rows are
/// two pictures, and the same two when the order is run again, in any order.
///
/// ```
/// use effects_core::{BaseUrl, Size, Template};
/// use effects_jobs::{Occurrences, RowDraft, RowPhoto};
///
/// let draft = |url: &str| -> Result<_, effects_core::InvalidReference> {
///     Ok(RowDraft {
///         origin: BaseUrl::parse(BaseUrl::DEFAULT, false).expect("a URL").origin().clone(),
///         template: Template::GlassBall,
///         size: Size::DEFAULT,
///         params: Default::default(),
///         photo: RowPhoto::Url(url.parse()?),
///         key: None,
///         tag: None,
///         target: None,
///     })
/// };
/// let mut order = Occurrences::default();
/// let nothing_is_known = |_: &_| Ok(None);
/// let first = order.row(draft("https://example.com/cat.jpg")?, nothing_is_known)?;
/// let again = order.row(draft("https://EXAMPLE.com:443/cat.jpg")?, nothing_is_known)?;
/// assert_eq!((first.before, again.before), (0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Occurrences {
    scope: Option<String>,
    counts: HashMap<Identity, u32>,
    /// By the URLs as they are written: earlier versions counted so.
    as_written: HashMap<Identity, u32>,
    /// Identities of rows that came, of those that could have another.
    given: HashSet<Identity>,
}

/// A row of an order, as the journal knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CountedRow {
    /// The row.
    pub row: Row,
    /// How many equal ones came before it.
    pub before: u32,
    /// By what else it could be known: by an earlier version, or before its order had a scope.
    pub former: Option<Identity>,
}

/// Why a draft is no row of an order.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RowError {
    /// It would not be known again.
    #[error(transparent)]
    Signed(#[from] SignedUrl),
    /// The journal could not be asked.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Occurrences {
    /// The rows of an order whose keys count within the scope of this name: two orders may both number
    /// their rows from 1.
    pub fn within(scope: Option<String>) -> Self {
        Self { scope, ..Self::default() }
    }

    /// How often an equal row came before this one.
    pub fn count(&mut self, draft: &RowDraft) -> u32 {
        next(&mut self.counts, draft.likeness(UrlForm::Canonical))
    }

    /// Takes back the count of a photo of this machine, which turned out to be another one.
    pub fn uncount(&mut self, draft: &RowDraft) {
        if let Some(count) = self.counts.get_mut(&draft.likeness(UrlForm::Canonical)) {
            *count = count.saturating_sub(1);
        }
    }

    /// The next row of the order. `look` says what a journal has under an identity. A row that it knows by
    /// an identity of an earlier version keeps that one: URLs counted as they were written then. A key
    /// within a scope is taken for the one without where that names the same picture, so that an order
    /// that is given a scope later pays for nothing twice.
    ///
    /// # Errors
    ///
    /// Those of [`RowDraft::row`] and of `look`.
    pub fn row(
        &mut self,
        draft: RowDraft,
        mut find: impl FnMut(&Identity) -> Result<Option<Record>, JournalError>,
    ) -> Result<CountedRow, RowError> {
        let before = self.count(&draft);
        let own = draft.identity(self.scope.as_deref(), UrlForm::Canonical, before)?;
        let is_url = matches!(draft.photo, RowPhoto::Url(_));
        let written = match &draft.key {
            // Earlier versions counted equal URLs as they were written, so that count is kept
            // beside the other.
            None if is_url => next(&mut self.as_written, draft.likeness(UrlForm::AsWritten)),
            _ => before,
        };
        let former = draft.identity(None, UrlForm::AsWritten, written)?;
        let former = Some(former).filter(|former| *former != own);
        let as_written = draft.photo.likeness(UrlForm::AsWritten);
        let has_key = draft.key.is_some();
        let mut row = draft.known_as(own);
        if has_key {
            let is_rewritten = as_written != row.likeness;
            // Most rows can have one identity alone, and need no look into the journal.
            let known = if former.is_some() || is_rewritten { find(&own)? } else { None };
            match (known, former) {
                // An earlier version noted the photo by the letters of its URL: the same picture,
                // not a key that is used for another.
                (Some(record), _) if record.row.likeness == as_written => row.likeness = as_written,
                // Its former identity is taken only where that row asks for the same: without a
                // scope, another order may have used the key.
                (None, Some(former)) => {
                    let record = find(&former)?;
                    let likenesses = [row.likeness, as_written];
                    let former =
                        likenesses.map(|it| Row { identity: former, likeness: it, ..row.clone() });
                    let is_known = |row: &Row| {
                        record.as_ref().is_some_and(|known| row.differs_from(&known.row).is_none())
                    };
                    row = former.into_iter().find(is_known).unwrap_or(row);
                }
                _ => {}
            }
        } else if let Some(former) = former.filter(|former| !self.given.contains(former))
            && let Some(record) = find(&former)?
        {
            // Not one that this order has used: two spellings of a URL may lead to one former
            // identity.
            (row.identity, row.likeness) = (former, record.row.likeness);
        }
        if is_url && !has_key {
            self.given.insert(row.identity);
        }
        Ok(CountedRow { row, before, former })
    }
}

/// How often this came before.
fn next(counts: &mut HashMap<Identity, u32>, likeness: Identity) -> u32 {
    let count = counts.entry(likeness).or_default();
    *count += 1;
    *count - 1
}
