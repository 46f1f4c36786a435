//! [`Row`]: one wanted picture as every journal stores it: gateway, template, size, photo, target, and the
//! [`Identity`] by which it is found again. The jobs of both clients, the command (single runs and
//! batches), the Python package and the simulation in `effects-testkit` describe one as a [`RowDraft`],
//! with its [`RowPhoto`]; `Occurrences` makes the rows of an order from drafts, `JournalSession` those of
//! single runs.

use std::borrow::Cow;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::journal::identity::Identity;
use crate::transfer::Photo;
use effects_core::signed_url;
use effects_core::{ExtraParams, Origin, Reference, Size, Template};

/// A picture that a caller wants, on its way to a [`Row`].
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
///     params: Default::default(),
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
    /// The parameters that this library does not know.
    pub params: ExtraParams,
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
    pub(crate) fn likeness(&self, form: UrlForm) -> Identity {
        match self {
            Self::Url(url) => Identity::hashed(
                "effects url 1",
                &[signed_url::host_and_path(&form.of(url)).as_bytes()],
            ),
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
    /// The row, known by its key; else by origin, template, size, extra parameters, photo, and how often
    /// an equal row came before it in its manifest ([`Occurrences`](crate::Occurrences) counts).
    ///
    /// # Errors
    ///
    /// [`SignedUrl`] when it has no key and its URL is made anew each time: it would be another row,
    /// and be paid again, at each run.
    pub fn row(self, occurrence: u32) -> Result<Row, SignedUrl> {
        let identity = self.identity(None, UrlForm::Canonical, occurrence)?;
        Ok(self.known_as(identity))
    }

    pub(crate) fn identity(
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
    pub(crate) fn likeness(&self, form: UrlForm) -> Identity {
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
        // As text: a side that is left out is the same as its default.
        let size = self.size.to_string();
        let params = self.params.to_string();
        let texts = [origin.as_bytes(), self.template.id().as_bytes(), size.as_bytes(), photo];
        // A row without extra parameters is known by what it was known by before there were any.
        match self.params.is_empty() {
            true => Identity::hashed(kind, &texts),
            false => Identity::hashed(kind, &[&texts[..], &[params.as_bytes()]].concat()),
        }
    }

    pub(crate) fn known_as(self, identity: Identity) -> Row {
        Row {
            identity,
            image: self.photo.shown(),
            likeness: self.photo.likeness(UrlForm::Canonical),
            origin: self.origin,
            template: self.template,
            size: self.size,
            params: self.params,
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
    /// The parameters that this library does not know.
    pub params: ExtraParams,
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

    /// What this row asks for otherwise than `other`, which has the same key: `template`, `size`,
    /// `params` or `image`; `None` if nothing.
    pub fn differs_from(&self, other: &Self) -> Option<&'static str> {
        match self {
            row if row.template != other.template => Some("template"),
            // As text, in which a side that is left out and its default are the same.
            row if row.size.to_string() != other.size.to_string() => Some("size"),
            row if row.params != other.params => Some("params"),
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
pub(crate) enum UrlForm {
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
