//! What is asked for: checked at once, before anything leaves.

use effects_core::{Checked, Draft, EffectRequest, Error, ErrorKind};
use effects_reqwest::Client;
use pyo3::prelude::*;

use crate::photo::Image;

/// What is asked for, as Python says it.
#[derive(Clone, Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub struct Wish {
    pub template: Option<String>,
    pub image: Option<Image>,
    pub width: Option<i64>,
    pub height: Option<i64>,
    pub allow_unlisted: bool,
}

/// What is asked for, checked; a local photo is still to be uploaded.
#[derive(Clone, Debug)]
pub struct Order {
    checked: Checked,
    photo: Option<Image>,
}

impl Wish {
    fn draft(&self) -> Draft {
        Draft {
            image: self.image.as_ref().map(Image::draft).unwrap_or_default(),
            template_id: self.template.clone(),
            width: self.width,
            height: self.height,
            allow_unlisted: self.allow_unlisted,
        }
    }

    /// Checks all of it but the photo's content.
    pub fn check(self) -> Result<Order, Error> {
        let checked = self.draft().check()?;
        let photo = self.image.filter(|image| !matches!(image, Image::Url(_)));
        Ok(Order { checked, photo })
    }
}

impl Order {
    /// The id of its template.
    pub fn template(&self) -> &str {
        self.checked.template.id()
    }

    /// The request, once a local photo is where the service can fetch it.
    pub async fn request(self, client: &Client) -> Result<EffectRequest, Error> {
        if let Some(image) = self.photo {
            // Files are read and pixels encoded off the runtime: both block.
            let photo = tokio::task::spawn_blocking(|| image.photo()).await;
            let photo = photo.unwrap_or_else(|_| Err(missing()))?;
            let reference = client.upload(&photo).await?;
            return Ok(self.checked.with_reference(reference));
        }
        match self.checked.reference.clone() {
            Some(reference) => Ok(self.checked.with_reference(reference)),
            None => Err(missing()),
        }
    }
}

fn missing() -> Error {
    Error::new(ErrorKind::UnusablePhoto, "the photo could not be read")
}
