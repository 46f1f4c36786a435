//! Where tasks are painted: a bounded queue, a few photos at once, a painting for each core.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use effects_core::model::SIDE_RANGE;
use effects_core::{ServiceCode, Template};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use url::{Host, Url};

use crate::gateway::Gateway;
use crate::lifecycle;
use crate::options::Options;
use crate::painter::Painter;
use crate::photo::{self, Fetcher, PhotoError, Reach, Reference};
use crate::task::{Failure, Stage};
use crate::wire::refusal::Refusal;

/// The studio of a gateway.
pub(crate) struct Studio {
    painter: Arc<dyn Painter>,
    fetcher: Fetcher,
    places: Arc<Semaphore>,
    /// Kibibytes that the references waiting in the queue may take.
    shelf: Arc<Semaphore>,
    shelf_size: usize,
    /// Photos in memory at once, beyond those being painted: those that come over the network, and
    /// apart from them, since a network may let them wait, those that are here.
    fetched: Semaphore,
    local: Semaphore,
    easels: Arc<Semaphore>,
    unfinished: Mutex<Unfinished>,
    finished: Notify,
}

/// Jobs that are to be worked on, or are.
#[derive(Default)]
struct Unfinished {
    /// By the task's id: when it is due, and its place in the order of arrival while it waits.
    jobs: HashMap<Box<str>, (u64, Option<u64>)>,
    arrived: u64,
}

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

/// A place in the queue, held until the job is done.
#[derive(Debug)]
pub(crate) struct Place {
    _place: OwnedSemaphorePermit,
    _shelf: OwnedSemaphorePermit,
}

impl Studio {
    pub(crate) fn new(options: &Options, address: SocketAddr, painter: Arc<dyn Painter>) -> Self {
        let easels = Arc::new(Semaphore::new(options.limits.renders.max(1)));
        Self::at_easels(options, address, painter, easels)
    }

    /// Another studio with a queue of its own, which shares the painter and the cores with this one.
    pub(crate) fn beside(&self, options: &Options, address: SocketAddr) -> Self {
        let (painter, easels) = (Arc::clone(&self.painter), Arc::clone(&self.easels));
        Self::at_easels(options, address, painter, easels)
    }

    fn at_easels(
        options: &Options,
        address: SocketAddr,
        painter: Arc<dyn Painter>,
        easels: Arc<Semaphore>,
    ) -> Self {
        let limits = &options.limits;
        let shelf_size = limits.queued_bytes / 1024 + 1;
        let reach = Reach { loopback: address.ip().is_loopback(), private: options.allow_private };
        let photos = limits.renders.max(1) + PHOTOS_AHEAD;
        Self {
            painter,
            fetcher: Fetcher::new(reach, limits.photo_bytes, limits.fetch_time, photos),
            places: Arc::new(Semaphore::new(limits.queue)),
            shelf: Arc::new(Semaphore::new(shelf_size)),
            shelf_size,
            fetched: Semaphore::new(photos),
            local: Semaphore::new(photos),
            easels,
            unfinished: Mutex::default(),
            finished: Notify::new(),
        }
    }

    /// A place in the queue for a job whose reference has this many bytes.
    pub(crate) fn take_place(&self, bytes: usize) -> Result<Place, Refusal> {
        let full = |_| Refusal::busy("the queue of tasks is full; ask again in a moment");
        let kibibytes = kibibytes(bytes);
        let place = self.places.clone().try_acquire_owned().map_err(full)?;
        let shelf = self.shelf.clone().try_acquire_many_owned(kibibytes).map_err(full)?;
        Ok(Place { _place: place, _shelf: shelf })
    }

    /// The same, once there is one.
    pub(crate) async fn wait_for_place(&self, bytes: usize) -> Place {
        // Neither semaphore is ever closed, and a reference too large for the shelf gets all of it.
        let room = u32::try_from(self.shelf_size).unwrap_or(u32::MAX);
        let kibibytes = kibibytes(bytes).min(room);
        let place = self.places.clone().acquire_owned().await.expect("it is never closed");
        let shelf = self.shelf.clone().acquire_many_owned(kibibytes).await;
        Place { _place: place, _shelf: shelf.expect("it is never closed") }
    }

    /// Waits until no task for which `matters` holds, given its id and when it is due, is still to
    /// be painted.
    pub(crate) async fn easels_clear(&self, matters: impl Fn(&str, u64) -> bool) {
        loop {
            let mut finished = std::pin::pin!(self.finished.notified());
            // Listening comes before looking, so that no end in between is missed.
            finished.as_mut().enable();
            if !self.unfinished().jobs.iter().any(|(id, (due, _))| matters(id, *due)) {
                return;
            }
            finished.await;
        }
    }

    /// Paints a photo at the smallest size there is and makes something of the picture, apart from all
    /// tasks, once there is a painter free.
    pub(crate) async fn sketch(
        &self,
        photo: Bytes,
        template: Template,
        make: fn(&[u8]) -> Result<Vec<u8>, String>,
    ) -> Result<Vec<u8>, String> {
        let easel = self.easels.clone().acquire_owned().await.map_err(|error| error.to_string())?;
        let painter = Arc::clone(&self.painter);
        let side = *SIDE_RANGE.start();
        let painting = tokio::task::spawn_blocking(move || {
            let _easel = easel;
            let picture = painter.paint(&photo, &template, side, side);
            make(&picture.map_err(|error| error.to_string())?)
        });
        painting.await.map_err(|_| "the painter broke down".to_owned())?
    }

    /// Notes a job that somebody will be set to work on.
    pub(crate) fn expect(&self, id: &str, due: u64) {
        let mut unfinished = self.unfinished();
        unfinished.arrived += 1;
        let place = unfinished.arrived;
        unfinished.jobs.insert(id.into(), (due, Some(place)));
    }

    /// Strikes a job off the list of those to be worked on.
    pub(crate) fn done(&self, id: &str) {
        self.unfinished().jobs.remove(id);
        self.finished.notify_waiters();
    }

    /// How many jobs wait before this one; 0 for one that waits no longer.
    pub(crate) fn position(&self, id: &str) -> usize {
        let unfinished = self.unfinished();
        let Some((_, Some(own))) = unfinished.jobs.get(id) else { return 0 };
        unfinished.jobs.values().filter(|(_, place)| place.is_some_and(|at| at < *own)).count()
    }

    /// Notes that a job waits no longer.
    fn begun(&self, id: &str) {
        if let Some((_, place)) = self.unfinished().jobs.get_mut(id) {
            *place = None;
        }
    }

    fn unfinished(&self) -> MutexGuard<'_, Unfinished> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sets somebody to work on a job.
pub(crate) fn employ(gateway: &Arc<Gateway>, place: Place, job: Job) {
    let gateway = Arc::clone(gateway);
    gateway.studio.expect(&job.id, job.due);
    tokio::spawn(async move {
        let id = job.id.clone();
        let result = work(&gateway, job).await;
        lifecycle::settle(&gateway, &id, result).await;
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
        return Err(Failure::new(lifecycle::CANCELLED.into(), "nobody wants it any more"));
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

/// Rounded up: even the shortest reference takes some room.
fn kibibytes(bytes: usize) -> u32 {
    u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX)
}

fn closed() -> Failure {
    Failure::new(ServiceCode::Unavailable, "Service unavailable: the emulator is stopping")
}

/// Photos had ahead of a free painter.
const PHOTOS_AHEAD: usize = 4;
