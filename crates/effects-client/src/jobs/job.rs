//! [`Job`]: what a caller wants of `jobs()`: a new picture (template, size, photo, and optionally a key
//! and a file), a task submitted before, or a row of the journal. Rust programs, the commands `batch`,
//! `watch`, `resume` and `reorder`, and the Python package make them; [`PhotoSource`] is a photo on this
//! machine.

use std::path::{Path, PathBuf};

use effects_core::journal::RowNumber;
use effects_core::model::Checked;
use effects_core::{
    EffectRequest, ExtraParams, InvalidParam, InvalidRequest, Reference, Size, TaskId, Template,
    Time,
};
use effects_jobs::{Photo, Record, Row, Work};
use serde_json::Value;

use super::claims::Claim;
use crate::file_names;

/// A picture that a caller wants: template, size, photo, and optionally a key, a tag and a file.
///
/// ```
/// use effects_client::Job;
/// use effects_core::{Size, Template};
///
/// let job = Job::url(Template::GlassBall, "https://example.com/cat.jpg")?
///     .sized(Size::new(1024, 768))?
///     .with_key("cat")
///     .with_tag("spring")
///     .saved_to("cat.png");
/// assert_eq!(job.key(), Some("cat"));
/// assert!(Job::photo(Template::GlassBall, "cat.jpg").sized(Size::new(1, 1)).is_err());
/// # Ok::<(), effects_core::InvalidRequest>(())
/// ```
#[derive(Clone, Debug)]
pub struct Job {
    pub(super) ask: JobInput,
    pub(super) key: Option<String>,
    pub(super) tag: Option<String>,
    pub(super) target: Option<PathBuf>,
    /// Whether the caller chose that name; otherwise another one may do.
    pub(super) is_named: bool,
    pub(super) row: Option<Box<Row>>,
    pub(super) claim: Option<Claim>,
}

/// What a job asks for.
#[derive(Clone, Debug)]
pub(super) enum JobInput {
    /// A picture of this photo, where the request has no URL.
    Picture(Checked, Option<PhotoSource>),
    /// A task submitted before.
    Task { task: TaskId, template: Option<Template>, submitted: Option<Time> },
    /// A row of the journal, which is never submitted.
    Row { number: RowNumber, image: String },
}

/// A photo on this machine.
#[derive(Clone, Debug)]
pub enum PhotoSource {
    /// A file, read when its turn comes.
    File(PathBuf),
    /// Bytes in memory.
    Photo(Photo),
    /// A photo of this name that was in memory until it was uploaded: its bytes are not kept.
    Uploaded(String),
}

impl Job {
    /// A job for a photo that the service fetches.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`] when `url` is none that the service could fetch.
    pub fn url(template: Template, url: &str) -> Result<Self, InvalidRequest> {
        EffectRequest::new(template, url).map(Self::from)
    }

    /// A job for a photo in a file, which is read and uploaded when its turn comes.
    pub fn photo(template: Template, path: impl Into<PathBuf>) -> Self {
        let (size, params) = (Size::DEFAULT, ExtraParams::default());
        let checked = Checked { reference: None, template, size, params };
        Self::of(checked, Some(PhotoSource::File(path.into())))
    }

    /// A job for a checked request, whose photo is here where it has no URL.
    pub fn of(checked: Checked, photo: Option<PhotoSource>) -> Self {
        Self::asking(JobInput::Picture(checked, photo))
    }

    /// A job that follows a task submitted before, with what is known of it: its template is of use to
    /// the pace, its time to the grace for a task that is not found.
    pub fn watch(task: TaskId, template: Option<Template>, submitted: Option<Time>) -> Self {
        Self::asking(JobInput::Task { task, template, submitted })
    }

    /// A job that goes on with a row of the journal: nothing is submitted for it.
    pub fn resume(record: &Record) -> Self {
        Self::asking(JobInput::Row { number: record.number, image: record.row.image.clone() })
    }

    fn asking(ask: JobInput) -> Self {
        Self { ask, key: None, tag: None, target: None, is_named: false, row: None, claim: None }
    }

    /// The same job for a picture of this size.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`] when a side is out of range; both sides are named.
    pub fn sized(mut self, size: Size) -> Result<Self, InvalidRequest> {
        if let JobInput::Picture(checked, _) = &mut self.ask {
            // The rule is the request's: any URL and template will do to ask it.
            EffectRequest::new(Template::GlassBall, "https://example.com/a.jpg")?.sized(size)?;
            checked.size = size;
        }
        Ok(self)
    }

    /// The same job with a parameter that this library does not know, which tells it from another.
    ///
    /// # Errors
    ///
    /// [`InvalidParam`] for one that it knows, or that looks like one.
    pub fn with_param(mut self, name: &str, value: impl Into<Value>) -> Result<Self, InvalidParam> {
        if let JobInput::Picture(checked, _) = &mut self.ask {
            checked.params = checked.params.clone().with(name, value)?;
        }
        Ok(self)
    }

    /// The same job under a name of the caller's own, by which the journal knows it again.
    #[must_use]
    pub fn with_key(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// The same job with a word to add costs up by.
    #[must_use]
    pub fn with_tag(self, tag: impl Into<String>) -> Self {
        Self { tag: Some(tag.into()), ..self }
    }

    /// The same job, whose picture is wanted in this file: a relative path starts from the folder that
    /// pictures are saved to.
    #[must_use]
    pub fn saved_to(self, file: impl Into<PathBuf>) -> Self {
        Self { target: Some(file.into()), is_named: true, ..self }
    }

    /// The same job, whose picture goes to this file unless an earlier run gave it another name.
    #[must_use]
    pub fn saved_as_before_or_to(self, file: impl Into<PathBuf>) -> Self {
        Self { target: Some(file.into()), is_named: false, ..self }
    }

    /// The same job as this row of the journal: for a caller who has read the photo already.
    #[must_use]
    pub fn known_as(self, row: Row) -> Self {
        Self { row: Some(Box::new(row)), ..self }
    }

    /// The same job, whose file was claimed already.
    #[must_use]
    pub fn claimed_as(self, claim: Claim) -> Self {
        Self { claim: Some(claim), ..self }
    }

    /// The same job, whose photo is in this file by now. Nothing is sent where that is another photo than the
    /// one of its row ([`known_as`](Self::known_as)).
    #[must_use]
    pub fn with_photo_in(mut self, file: impl Into<PathBuf>) -> Self {
        if let JobInput::Picture(_, Some(source)) = &mut self.ask {
            *source = PhotoSource::File(file.into());
        }
        self
    }

    /// The caller's own name for it.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The word to add costs up by.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The file on this machine that its photo is read from.
    pub fn photo_path(&self) -> Option<&Path> {
        match &self.ask {
            JobInput::Picture(_, Some(PhotoSource::File(path))) => Some(path),
            JobInput::Row { image, .. } if !Reference::is_url(image) => Some(Path::new(image)),
            _ => None,
        }
    }

    /// Its template, where it is known.
    pub fn template(&self) -> Option<&Template> {
        match &self.ask {
            JobInput::Picture(checked, _) => Some(&checked.template),
            JobInput::Task { template, .. } => template.as_ref(),
            JobInput::Row { .. } => None,
        }
    }

    /// Its photo, as people may be shown it: a path, a URL, or a name.
    pub fn image(&self) -> String {
        match &self.ask {
            JobInput::Picture(_, Some(PhotoSource::File(path))) => {
                file_names::shown(path).into_owned()
            }
            JobInput::Picture(_, Some(PhotoSource::Photo(photo))) => photo.shown().to_owned(),
            JobInput::Picture(_, Some(PhotoSource::Uploaded(name))) => name.clone(),
            JobInput::Picture(checked, None) => {
                checked.reference.as_ref().map(|url| url.as_str().to_owned()).unwrap_or_default()
            }
            JobInput::Task { task, .. } => task.to_string(),
            JobInput::Row { image, .. } => image.clone(),
        }
    }

    /// The URL of its photo, where it was given as one.
    pub(super) fn reference(&self) -> Option<&Reference> {
        match &self.ask {
            JobInput::Picture(checked, _) => checked.reference.as_ref(),
            JobInput::Task { .. } | JobInput::Row { .. } => None,
        }
    }

    /// What it asks of the gateway.
    pub fn work(&self) -> Work {
        match &self.ask {
            JobInput::Picture(checked, _) => match &checked.reference {
                Some(url) => Work::Submit(checked.clone().with_reference(url.clone())),
                None => Work::Upload(checked.clone()),
            },
            JobInput::Task { task, template, submitted } => {
                let (task, template) = (task.clone(), template.clone());
                Work::Watch { task, template, submitted: *submitted }
            }
            JobInput::Row { .. } => Work::Resume,
        }
    }
}

impl From<EffectRequest> for Job {
    fn from(request: EffectRequest) -> Self {
        let reference = Some(request.reference().clone());
        let (template, size) = (request.template().clone(), request.size());
        let params = request.params().clone();
        Self::of(Checked { reference, template, size, params }, None)
    }
}

impl From<TaskId> for Job {
    fn from(task: TaskId) -> Self {
        Self::watch(task, None, None)
    }
}
