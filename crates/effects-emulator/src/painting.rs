//! [`start`]: one [`Job`] of the queue, from the photo's reference to the settled task.
//!
//! The lifecycle of tasks starts a job for each task that it accepts, and after a restart for each that
//! was not finished.

use std::sync::Arc;

use bytes::Bytes;
use effects_core::{ServiceCode, Template};
use tokio::sync::{Semaphore, SemaphorePermit};
use url::{Host, Url};

use crate::gateway::Gateway;
use crate::photo::{self, PhotoError, Reference};
use crate::settle::settle;
use crate::studio::Place;
use crate::task::{Failure, Stage};
use crate::wire::code::CANCELLED;

/// What there is to paint.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: Box<str>,
    pub(crate) image: String,
    pub(crate) template: Template,
    /// Width and height to paint.
    pub(crate) sides: (u32, u32),
    /// When its task may be seen finished.
    pub(crate) due: u64,
}

/// Starts the work on a job, which ends its task.
pub(crate) fn start(gateway: &Arc<Gateway>, place: Place, job: Job) {
    let gateway = Arc::clone(gateway);
    gateway.studio.expect(&job.id, job.due);
    tokio::spawn(async move {
        let id = job.id.clone();
        let result = work(&gateway, job).await;
        settle(&gateway, &id, result).await;
        gateway.studio.done(&id);
        drop(place);
    });
}

async fn work(gateway: &Gateway, job: Job) -> Result<Bytes, Failure> {
    let studio = &gateway.studio;
    let (photo, held) = photo_of(gateway, &job).await?;
    let easel = studio.easels.clone().acquire_owned().await.map_err(|_| closed())?;
    drop(held);
    let painter = Arc::clone(&studio.painter);
    let painting = tokio::task::spawn_blocking(move || {
        let _easel = easel;
        let (width, height) = job.sides;
        painter.paint(&photo, &job.template, width, height)
    });
    match painting.await {
        Ok(Ok(png)) => Ok(Bytes::from(png)),
        Ok(Err(failure)) => Err(PhotoError::Unreadable(failure.to_string()).into()),
        Err(_) => Err(Failure::new(
            ServiceCode::Generation,
            "Internal generation error: the painter broke down",
        )),
    }
}

/// The photo of a job, or a test card where there is none to be had and that is wanted; and the
/// place in memory that it takes until it is painted.
async fn photo_of<'a>(
    gateway: &'a Gateway,
    job: &Job,
) -> Result<(Bytes, SemaphorePermit<'a>), Failure> {
    let limits = &gateway.options.limits;
    let mut held = memory(gateway, job, &gateway.studio.local).await?;
    let photo = match Reference::read(&job.image, limits.photo_bytes) {
        Ok(Reference::Inline(photo)) => Ok(photo),
        Ok(Reference::Remote(url)) => match own_photo(gateway, &url).await {
            Some(photo) => photo,
            None => {
                drop(held);
                held = memory(gateway, job, &gateway.studio.fetched).await?;
                gateway.studio.fetcher.fetch(&url).await
            }
        },
        Err(error) => Err(error),
    };
    match photo {
        Ok(photo) => {
            photo::inspect(&photo, limits.photo_pixels)?;
            Ok((photo, held))
        }
        Err(PhotoError::NotFetched(_)) if gateway.options.placeholder => {
            Ok((gateway.studio.painter.test_card(job.sides.0, job.sides.1).into(), held))
        }
        Err(error) => Err(error.into()),
    }
}

/// A place in memory for a photo, if its task is wanted still once there is one.
async fn memory<'a>(
    gateway: &Gateway,
    job: &Job,
    places: &'a Semaphore,
) -> Result<SemaphorePermit<'a>, Failure> {
    let held = places.acquire().await.map_err(|_| closed())?;
    let wanted = gateway.tasks.with(&job.id, |task| {
        let wanted = !task.is_settled();
        if wanted {
            task.stage = Stage::Painting;
            gateway.studio.begun(&job.id);
        }
        wanted
    });
    if wanted != Some(true) {
        return Err(Failure::new(CANCELLED.into(), "nobody wants it any more"));
    }
    Ok(held)
}

/// A file of the emulator's own is taken from the vault, without a request to itself. Nobody else
/// gives such names, so one is known under whatever name clients reach this machine by, and even if
/// it was given out at the port of an earlier start.
async fn own_photo(gateway: &Gateway, url: &Url) -> Option<Result<Bytes, PhotoError>> {
    let name = url.path().strip_prefix("/files/")?;
    let address = gateway.address();
    let here = || match url.host() {
        Some(Host::Ipv4(host)) => host.is_loopback() || host == address.ip(),
        Some(Host::Ipv6(host)) => host.is_loopback() || host == address.ip(),
        Some(Host::Domain(host)) => host == "localhost",
        None => false,
    };
    match gateway.vault.get(name, gateway.clock.now()).await {
        Some(photo) => Some(Ok(photo)),
        None if here() && url.port_or_known_default() == Some(address.port()) => {
            let host = url.host_str().unwrap_or_default();
            Some(Err(PhotoError::NotFetched(format!(
                "image_input1 could not be fetched from {host}: there is no such file, or no longer"
            ))))
        }
        None => None,
    }
}

fn closed() -> Failure {
    Failure::new(ServiceCode::Unavailable, "Service unavailable: the emulator is stopping")
}
