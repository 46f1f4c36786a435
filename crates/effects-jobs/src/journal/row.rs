//! One row: a picture somebody wants, with the identity it is known by.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::journal::identity::Identity;
use crate::journal::record::Record;
use crate::transfer::Photo;
use effects_core::journal::JournalError;
use effects_core::signed_url;
use effects_core::{Origin, Reference, Size, Template};

/// A picture somebody wants, on its way to a [`Row`].
///
/// ```
/// use effects_core::{BaseUrl, Reference, Size, Template};
/// use effects_jobs::{RowDraft, RowPhoto};
///
/// let url: Reference = "https://example.com/cat.jpg".parse()?;
/// let draft = RowDraft {
///     origin: BaseUrl::parse(BaseUrl::DEFAULT, false)?.origin().clone(),
///     template: Template::GlassBall,
///     size: Size::DEFAULT,
///     photo: RowPhoto::Url(url),
///     key: None,
///     tag: Some("spring".into()),
///     target: None,
/// };
/// // The same row is known again; its second occurrence in a manifest is another row.
/// assert_eq!(draft.clone().row(0)?.identity, draft.clone().row(0)?.identity);
/// assert_ne!(draft.clone().row(0)?.identity, draft.clone().row(1)?.identity);
///
/// // A link that is signed anew each time would make it another row at each run.
/// let signed = "https://example.com/cat.jpg?X-Amz-Signature=5f".parse()?;
/// let draft = RowDraft { photo: RowPhoto::Url(signed), ..draft };
/// assert!(draft.clone().row(0).is_err());
/// assert!(RowDraft { key: Some("cat".into()), ..draft }.row(0).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RowDraft {
    /// The gateway it is wanted of.
    pub origin: Origin,
    /// The look.
    pub template: Template,
    /// The size asked for.
    pub size: Size,
    /// The photo.
    pub photo: RowPhoto,
    /// The caller's own name for the row, unique at this origin, or within the scope of its order.
    pub key: Option<String>,
    /// A word to add costs up by.
    pub tag: Option<String>,
    /// Where the picture is wanted: a file, or a folder.
    pub target: Option<PathBuf>,
}

/// The photo of a row, as far as it tells rows apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RowPhoto {
    /// A picture the service fetches: its whole URL counts, [however it is
    /// written](Reference::canonical).
    Url(Reference),
    /// A photo on this machine: its content counts, wherever it lies and is uploaded to.
    Content {
        /// The SHA-256 of its bytes.
        digest: [u8; 32],
        /// What to show people: its path, say.
        shown: String,
    },
}

impl RowPhoto {
    /// A photo on this machine, to be shown to people as `shown`.
    pub fn content(photo: &Photo, shown: impl Into<String>) -> Self {
        Self::Content { digest: Sha256::digest(photo.bytes()).into(), shown: shown.into() }
    }

    /// By what the photo is told from another under the same key.
    fn likeness(&self, form: UrlForm) -> Identity {
        match self {
            Self::Url(url) => {
                Identity::hashed("effects url 1", &[signed_url::bare(&form.of(url)).as_bytes()])
            }
            Self::Content { digest, .. } => Row::likeness_of_content(*digest),
        }
    }

    /// What to show people: nothing in it is a permission.
    fn shown(&self) -> String {
        match self {
            Self::Url(url) => signed_url::shown(url.as_str()),
            Self::Content { shown, .. } => shown.clone(),
        }
    }
}

impl RowDraft {
    /// The row, known by its key; else by origin, template, size, photo, and how often an equal row
    /// came before it in its manifest ([`Occurrences`] counts).
    ///
    /// # Errors
    ///
    /// [`SignedUrl`] when it has no key and its URL is made anew each time: it would be another row,
    /// and be paid again, at each run.
    pub fn row(self, occurrence: u32) -> Result<Row, SignedUrl> {
        let identity = self.identity(None, UrlForm::Canonical, occurrence)?;
        Ok(self.known_as(identity))
    }

    fn identity(
        &self,
        scope: Option<&str>,
        form: UrlForm,
        occurrence: u32,
    ) -> Result<Identity, SignedUrl> {
        let origin = self.origin.to_string();
        Ok(match (&self.key, &self.photo) {
            (Some(key), _) => match scope {
                None => Identity::hashed("effects key 1", &[origin.as_bytes(), key.as_bytes()]),
                Some(scope) => {
                    let parts = [origin.as_bytes(), scope.as_bytes(), key.as_bytes()];
                    Identity::hashed("effects key in scope 1", &parts)
                }
            },
            (None, RowPhoto::Url(url))
                if signed_url::signature_parameter(url.as_str()).is_some() =>
            {
                let parameter = signed_url::signature_parameter(url.as_str()).unwrap_or_default();
                let (shown, parameter) = (self.photo.shown(), parameter.to_owned());
                return Err(SignedUrl { shown, parameter });
            }
            (None, _) => {
                let likeness = self.likeness(form);
                let parts: [&[u8]; 2] = [likeness.as_bytes(), &occurrence.to_le_bytes()];
                Identity::hashed("effects row 1", &parts)
            }
        })
    }

    /// The row of a single run, which nothing is known again by. The bytes come from the system's
    /// source of randomness.
    pub fn unique(self, bytes: [u8; 16]) -> Row {
        self.known_as(Identity::unique(bytes))
    }

    /// What equal rows have in common.
    fn likeness(&self, form: UrlForm) -> Identity {
        let url;
        let photo: &[u8] = match &self.photo {
            RowPhoto::Url(reference) => {
                url = form.of(reference);
                url.as_bytes()
            }
            RowPhoto::Content { digest, .. } => digest,
        };
        let kind = match self.photo {
            RowPhoto::Url(_) => "effects url row 1",
            RowPhoto::Content { .. } => "effects file row 1",
        };
        let origin = self.origin.to_string();
        let size = self.size.to_string();
        let texts = [origin.as_bytes(), self.template.id().as_bytes(), size.as_bytes(), photo];
        Identity::hashed(kind, &texts)
    }

    fn known_as(self, identity: Identity) -> Row {
        Row {
            identity,
            image: self.photo.shown(),
            likeness: self.photo.likeness(UrlForm::Canonical),
            origin: self.origin,
            template: self.template,
            size: self.size,
            key: self.key,
            tag: self.tag,
            target: self.target,
        }
    }
}

/// A row of the journal: what is wanted, and by what it is known again. [`RowDraft`] makes
/// one, and a store reads it back as it was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Row {
    /// By what it is known again.
    pub identity: Identity,
    /// The gateway it is wanted of.
    pub origin: Origin,
    /// The look.
    pub template: Template,
    /// The size asked for.
    pub size: Size,
    /// The photo, as people may see it: a path, or a URL without what could be a permission.
    pub image: String,
    /// By what the photo is told from another under the same key: its content, or its URL without
    /// the query.
    pub likeness: Identity,
    /// The caller's own name for it.
    pub key: Option<String>,
    /// A word to add costs up by.
    pub tag: Option<String>,
    /// Where the picture is wanted: a file, or a folder.
    pub target: Option<PathBuf>,
}

impl Row {
    /// The [`likeness`](Self::likeness) of a photo on this machine whose bytes have this SHA-256.
    pub fn likeness_of_content(digest: [u8; 32]) -> Identity {
        Identity::hashed("effects file 1", &[&digest])
    }

    /// What this row asks for otherwise than `other`, which has the same key: `template`, `size` or
    /// `image`; `None` if nothing.
    pub fn differs_from(&self, other: &Self) -> Option<&'static str> {
        match self {
            row if row.template != other.template => Some("template"),
            row if row.size.to_string() != other.size.to_string() => Some("size"),
            row if row.likeness != other.likeness => Some("image"),
            _ => None,
        }
    }
}

/// A URL that looks signed, of a row without a key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "image {shown} looks signed ({parameter}): such a link is made anew each time, so the row would \
     not be known again and be paid again at each run; give it a `key`"
)]
pub struct SignedUrl {
    shown: String,
    parameter: String,
}

impl SignedUrl {
    /// The parameter of the query that looks like a signature.
    pub fn parameter(&self) -> &str {
        &self.parameter
    }
}

/// Which form of a URL counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum UrlForm {
    Canonical,
    /// The letters that a person wrote, which counted in earlier versions.
    AsWritten,
}

impl UrlForm {
    fn of(self, url: &Reference) -> Cow<'_, str> {
        match self {
            Self::Canonical => url.canonical(),
            Self::AsWritten => url.as_str().into(),
        }
    }
}

/// The rows of one order, as they come. It counts how often the same row came, so that two equal rows are
/// two pictures, and the same two when the order is run again, in whatever order.
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
        mut look: impl FnMut(&Identity) -> Result<Option<Record>, JournalError>,
    ) -> Result<CountedRow, RowError> {
        let before = self.count(&draft);
        let own = draft.identity(self.scope.as_deref(), UrlForm::Canonical, before)?;
        let is_url = matches!(draft.photo, RowPhoto::Url(_));
        let written = match &draft.key {
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
            let known = if former.is_some() || is_rewritten { look(&own)? } else { None };
            match (known, former) {
                (Some(record), _) if record.row.likeness == as_written => row.likeness = as_written,
                (None, Some(former)) => {
                    let record = look(&former)?;
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
            && let Some(record) = look(&former)?
        {
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
