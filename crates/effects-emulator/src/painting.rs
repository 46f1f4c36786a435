//! [`start`]: begins the work on a [`PaintJob`], in the background: it gets the photo (from the create
//! itself, from the emulator's own files, or by HTTP), has `RenderQueue`'s painter paint it once there
//! is room, and ends the task with the picture or a failure (`settle.rs`). `lifecycle.rs` starts one
//! job for each accepted task that is to be painted, and after a restart for each task that was not
//! finished.
//!
//! With `Pictures::Stub` nothing is painted and no job is started.

use std::sync::Arc;

use bytes::Bytes;
use effects_core::{ServiceCode, Template};
use tokio::sync::{Semaphore, SemaphorePermit};
use url::{Host, Url};

use crate::photo::{self, PhotoError, PhotoReference};
use crate::render_queue::QueuePlace;
use crate::settle::settle;
use crate::state::EmulatorState;
use crate::task::{TaskFailure, WorkStage};
use crate::wire::code::CANCELLED;

/// A painting to be made: whose, of what, through which template, how large.
#[derive(Debug)]
pub(crate) struct PaintJob {
    pub(crate) id: Box<str>,
    pub(crate) image: String,
    pub(crate) template: Template,
    /// Width and height to paint.
    pub(crate) sides: (u32, u32),
    /// When its task may be seen finished.
    pub(crate) due: u64,
}

/// Starts the work on a job, which ends its task.
pub(crate) fn start(state: &Arc<EmulatorState>, place: QueuePlace, job: PaintJob) {
    let state = Arc::clone(state);
    // Before the task is spawned: a clock that is advanced right after the create waits for this
    // job.
    state.renders.add(&job.id, job.due);
    tokio::spawn(async move {
        let id = job.id.clone();
        let result = paint_job(&state, job).await;
        settle(&state, &id, result).await;
        state.renders.remove(&id);
        // Held until the end is settled, so that the limit of the queue counts unfinished tasks.
        drop(place);
    });
}

async fn paint_job(state: &EmulatorState, job: PaintJob) -> Result<Bytes, TaskFailure> {
    let renders = &state.renders;
    let (photo, held) = photo_of(state, &job).await?;
    let painter_permit = renders.painters.clone().acquire_owned().await.map_err(|_| closed())?;
    // From here on the painter's permit is what bounds the photos in memory.
    drop(held);
    let painter = Arc::clone(&renders.painter);
    let painting = tokio::task::spawn_blocking(move || {
        // Held by the thread, which cannot be stopped, and not by this future.
        let _painter_permit = painter_permit;
        let (width, height) = job.sides;
        painter.paint(&photo, &job.template, width, height)
    });
    match painting.await {
        Ok(Ok(png)) => Ok(Bytes::from(png)),
        Ok(Err(failure)) => Err(PhotoError::Unreadable(failure.to_string()).into()),
        // The painter panicked. Or the runtime ended first, and then `settle` takes this for no
        // verdict.
        Err(_) => Err(TaskFailure::new(
            ServiceCode::Generation,
            "Internal generation error: the painter broke down",
        )),
    }
}

/// The photo of a job, or a test card where there is none to be had and that is wanted; and the
/// place in memory that it takes until it is painted.
async fn photo_of<'a>(
    state: &'a EmulatorState,
    job: &PaintJob,
) -> Result<(Bytes, SemaphorePermit<'a>), TaskFailure> {
    let limits = &state.options.limits;
    let mut held = memory(state, job, &state.renders.local).await?;
    let photo = match PhotoReference::read(&job.image, limits.photo_bytes) {
        Ok(PhotoReference::Inline(photo)) => Ok(photo),
        Ok(PhotoReference::Remote(url)) => match stored_photo(state, &url).await {
            Some(photo) => photo,
            None => {
                // Given back before the other is waited for: photos of silent hosts must not hold
                // up those here.
                drop(held);
                held = memory(state, job, &state.renders.fetched).await?;
                state.renders.fetcher.fetch(&url).await
            }
        },
        Err(error) => Err(error),
    };
    match photo {
        Ok(photo) => {
            // By its header, before a painter gives memory to its pixels.
            photo::inspect(&photo, limits.photo_pixels)?;
            Ok((photo, held))
        }
        // A photo that came and cannot be read stays an error: a test card would hide it.
        Err(PhotoError::NotFetched(_)) if state.options.placeholder => {
            Ok((state.renders.painter.test_card(job.sides.0, job.sides.1).into(), held))
        }
        Err(error) => Err(error.into()),
    }
}

/// A place in memory for a photo, if its task is wanted still once there is one.
async fn memory<'a>(
    state: &EmulatorState,
    job: &PaintJob,
    places: &'a Semaphore,
) -> Result<SemaphorePermit<'a>, TaskFailure> {
    let held = places.acquire().await.map_err(|_| closed())?;
    // Under the lock: a cancel comes before the work begins, or finds it begun.
    let wanted = state.tasks.with(&job.id, |task| {
        let wanted = !task.is_settled();
        if wanted {
            task.stage = WorkStage::Painting;
            state.renders.mark_started(&job.id);
        }
        wanted
    });
    // No client sees this failure, since the task has ended already or is forgotten.
    if wanted != Some(true) {
        return Err(TaskFailure::new(
            CANCELLED.into(),
            "the task was ended before its photo was painted",
        ));
    }
    Ok(held)
}

/// A file of the emulator's own is taken from the file store, without a request to itself. Its name is
/// random, so it is known whichever host name and port the URL has.
async fn stored_photo(state: &EmulatorState, url: &Url) -> Option<Result<Bytes, PhotoError>> {
    let name = url.path().strip_prefix("/files/")?;
    let address = state.address();
    let here = || match url.host() {
        Some(Host::Ipv4(host)) => host.is_loopback() || host == address.ip(),
        Some(Host::Ipv6(host)) => host.is_loopback() || host == address.ip(),
        Some(Host::Domain(host)) => host == "localhost",
        None => false,
    };
    match state.files.get(name, state.clock.now()).await {
        Some(photo) => Some(Ok(photo)),
        None if here() && url.port_or_known_default() == Some(address.port()) => {
            let host = url.host_str().unwrap_or_default();
            // A request to itself would be answered the same, and would be recorded among those of
            // clients.
            Some(Err(PhotoError::NotFetched(format!(
                "image_input1 could not be fetched from {host}: there is no such file, or no longer"
            ))))
        }
        None => None,
    }
}

fn closed() -> TaskFailure {
    TaskFailure::new(ServiceCode::Unavailable, "Service unavailable: the emulator is stopping")
}
