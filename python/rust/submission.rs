//! [`PlainRequest`]: the request for one picture, as Python gives it; it becomes a [`CheckedRequest`] when
//! its rules are checked (before anything is sent), then a [`LoadedRequest`] when its local photo is read.
//! `Engine` checks single calls and `SingleSubmission` loads them; `RowSource` does both for each of many
//! jobs.

use effects_client::{Job, PhotoSource};
use effects_core::model::{Checked, Draft};
use effects_core::{EffectRequest, Error, ErrorKind, ExtraParams, Origin, Template};
use effects_jobs::{Photo, RowDraft, RowPhoto, Work};
use effects_reqwest::Client;
use pyo3::prelude::*;

use crate::photo::Image;

/// The request for one picture, as Python gives it.
#[derive(Clone, Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub struct PlainRequest {
    pub template: Option<String>,
    pub image: Option<Image>,
    pub width: Option<i64>,
    pub height: Option<i64>,
    pub allow_unlisted: bool,
    /// A JSON object of parameters that this library does not know.
    pub extra: Option<String>,
}

/// What is asked for, checked; a local photo is still to be read.
#[derive(Clone, Debug)]
pub struct CheckedRequest {
    checked: Checked,
    photo: Option<Image>,
}

/// What is asked for, with the photo at hand if it is local; it is still to be uploaded.
#[derive(Clone, Debug)]
pub struct LoadedRequest {
    checked: Checked,
    photo: Option<Photo>,
}

impl PlainRequest {
    fn draft(&self) -> Result<Draft, Error> {
        let params = self.extra.as_deref().map(str::parse::<ExtraParams>).transpose()?;
        Ok(Draft {
            image: self.image.as_ref().map(Image::draft).unwrap_or_default(),
            template_id: self.template.clone(),
            width: self.width,
            height: self.height,
            allow_unlisted: self.allow_unlisted,
            params: params.unwrap_or_default(),
        })
    }

    /// Checks all of it but the photo's content.
    pub fn check(self) -> Result<CheckedRequest, Error> {
        let checked = self.draft()?.check()?;
        let photo = self.image.filter(|image| !matches!(image, Image::Url(_)));
        Ok(CheckedRequest { checked, photo })
    }
}

impl CheckedRequest {
    /// Its template.
    pub fn template(&self) -> &Template {
        &self.checked.template
    }

    /// Whether its photo is where the service can fetch it.
    pub fn is_remote(&self) -> bool {
        self.photo.is_none()
    }

    /// The request, where the photo is where the service can fetch it.
    pub fn into_request(self) -> Result<EffectRequest, Error> {
        let reference = self.checked.reference.clone().ok_or_else(unread)?;
        Ok(self.checked.with_reference(reference))
    }

    /// Reads a local photo. It blocks.
    pub fn load(self) -> Result<LoadedRequest, Error> {
        let photo = self.photo.map(Image::photo).transpose()?;
        Ok(LoadedRequest { checked: self.checked, photo })
    }

    /// Reads a local photo of one of many jobs. It blocks, for a pipe only so long.
    pub fn load_for_batch(self) -> Result<LoadedRequest, Error> {
        let photo = self.photo.map(Image::photo_of_batch_job).transpose()?;
        Ok(LoadedRequest { checked: self.checked, photo })
    }

    /// Reads a local photo off the runtime.
    pub async fn load_off_thread(self) -> Result<LoadedRequest, Error> {
        // Without a local photo nothing blocks, and no thread is taken.
        if self.photo.is_none() {
            return self.load();
        }
        tokio::task::spawn_blocking(|| self.load()).await.unwrap_or_else(|_| Err(unread()))
    }
}

impl LoadedRequest {
    /// The job, whose photo is kept: a pipe could not be read again.
    pub fn into_job(self) -> Job {
        Job::of(self.checked, self.photo.map(PhotoSource::Photo))
    }

    /// The request, once a local photo is where the service can fetch it.
    pub async fn request(self, client: &Client) -> Result<EffectRequest, Error> {
        let reference = match (&self.photo, &self.checked.reference) {
            (Some(photo), _) => client.upload(photo).await?,
            (None, Some(reference)) => reference.clone(),
            (None, None) => return Err(unread()),
        };
        Ok(self.checked.with_reference(reference))
    }

    /// The work that it is.
    pub fn work(&self) -> Work {
        Work::Upload(self.checked.clone())
    }

    /// Its row of a journal, still to be named.
    pub fn row(
        &self,
        origin: &Origin,
        key: Option<String>,
        tag: Option<String>,
    ) -> Result<RowDraft, Error> {
        let photo = match (&self.photo, &self.checked.reference) {
            // The journal knows a local photo by its content: the same file by another path is the
            // same row.
            (Some(photo), _) => RowPhoto::content(photo, photo.shown()),
            (None, Some(reference)) => RowPhoto::Url(reference.clone()),
            (None, None) => return Err(unread()),
        };
        Ok(RowDraft {
            origin: origin.clone(),
            template: self.checked.template.clone(),
            size: self.checked.size,
            params: self.checked.params.clone(),
            photo,
            key,
            tag,
            // Python programs save pictures themselves, so the journal knows no file of theirs.
            target: None,
        })
    }
}

fn unread() -> Error {
    Error::new(ErrorKind::UnusablePhoto, "the photo could not be read")
}
