//! [`RenderQueue`]: the bounded queue of an emulator's paintings: it limits the tasks that wait, the
//! photos in memory and the pictures painted at once; a create that finds it full is refused.
//! `lifecycle.rs` takes a [`QueuePlace`] for each painting job, `painting.rs` works on the jobs, and
//! `control/looks.rs` paints previews with it. The queue surface shows a task's position in it;
//! `state.rs`, `lifecycle.rs` and the generation surface wait until a task is painted.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use effects_core::Template;
use effects_core::model::SIDE_RANGE;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::options::Options;
use crate::painter::Painter;
use crate::photo::{Fetcher, Reach};
use crate::wire::refusal::ApiRefusal;

/// The queue of one emulator's paintings, and the painter's share of the machine.
pub(crate) struct RenderQueue {
    pub(crate) painter: Arc<dyn Painter>,
    pub(crate) fetcher: Fetcher,
    permits: Arc<Semaphore>,
    /// Kibibytes that the references waiting in the queue may take.
    queued_bytes: Arc<Semaphore>,
    max_queued: usize,
    /// Photos in memory at once, beyond those being painted: those that come over the network, and
    /// apart from them, since a network may let them wait, those that are here.
    pub(crate) fetched: Semaphore,
    pub(crate) local: Semaphore,
    pub(crate) painters: Arc<Semaphore>,
    unfinished: Mutex<UnfinishedJobs>,
    finished: Notify,
}

/// Jobs that are to be worked on, or are.
#[derive(Default)]
struct UnfinishedJobs {
    /// By the task's id: when it is due, and its number in the order of arrival while it waits.
    jobs: HashMap<Box<str>, (u64, Option<u64>)>,
    arrived: u64,
}

/// A place in the queue, held until the job is done.
#[derive(Debug)]
pub(crate) struct QueuePlace {
    _permit: OwnedSemaphorePermit,
    _queued_bytes: OwnedSemaphorePermit,
}

impl RenderQueue {
    pub(crate) fn new(options: &Options, address: SocketAddr, painter: Arc<dyn Painter>) -> Self {
        let painters = Arc::new(Semaphore::new(options.limits.renders.max(1)));
        Self::with_painters(options, address, painter, painters)
    }

    /// Another queue, which shares the painter and the cores with this one.
    pub(crate) fn isolated(&self, options: &Options, address: SocketAddr) -> Self {
        let (painter, painters) = (Arc::clone(&self.painter), Arc::clone(&self.painters));
        Self::with_painters(options, address, painter, painters)
    }

    fn with_painters(
        options: &Options,
        address: SocketAddr,
        painter: Arc<dyn Painter>,
        painters: Arc<Semaphore>,
    ) -> Self {
        let limits = &options.limits;
        let max_queued = limits.queued_bytes / 1024 + 1;
        let reach = Reach { loopback: address.ip().is_loopback(), private: options.allow_private };
        let photos = limits.renders.max(1) + PHOTOS_AHEAD;
        Self {
            painter,
            fetcher: Fetcher::new(reach, limits.photo_bytes, limits.fetch_time, photos),
            permits: Arc::new(Semaphore::new(limits.queue)),
            queued_bytes: Arc::new(Semaphore::new(max_queued)),
            max_queued,
            fetched: Semaphore::new(photos),
            local: Semaphore::new(photos),
            painters,
            unfinished: Mutex::default(),
            finished: Notify::new(),
        }
    }

    /// A place in the queue for a job whose reference has this many bytes.
    pub(crate) fn take_place(&self, bytes: usize) -> Result<QueuePlace, ApiRefusal> {
        let full = |_| ApiRefusal::busy("the queue of tasks is full; ask again in a moment");
        let kibibytes = kibibytes(bytes);
        let permit = self.permits.clone().try_acquire_owned().map_err(full)?;
        // Where this fails, the permit above is given back by its drop.
        let queued_bytes =
            self.queued_bytes.clone().try_acquire_many_owned(kibibytes).map_err(full)?;
        Ok(QueuePlace { _permit: permit, _queued_bytes: queued_bytes })
    }

    /// The same, once there is one.
    pub(crate) async fn wait_for_place(&self, bytes: usize) -> QueuePlace {
        // Neither semaphore is ever closed. A reference that is larger than the whole room takes
        // all of it, or it would wait for ever.
        let room = u32::try_from(self.max_queued).unwrap_or(u32::MAX);
        let kibibytes = kibibytes(bytes).min(room);
        let permit = self.permits.clone().acquire_owned().await.expect("it is never closed");
        let queued_bytes = self.queued_bytes.clone().acquire_many_owned(kibibytes).await;
        QueuePlace { _permit: permit, _queued_bytes: queued_bytes.expect("it is never closed") }
    }

    /// Waits until no task for which `matters` holds, given its id and when it is due, is still to
    /// be painted.
    pub(crate) async fn wait_until_painted(&self, matters: impl Fn(&str, u64) -> bool) {
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
    pub(crate) async fn preview(
        &self,
        photo: Bytes,
        template: Template,
        make: fn(&[u8]) -> Result<Vec<u8>, String>,
    ) -> Result<Vec<u8>, String> {
        let painter_permit =
            self.painters.clone().acquire_owned().await.map_err(|error| error.to_string())?;
        let painter = Arc::clone(&self.painter);
        let side = *SIDE_RANGE.start();
        let painting = tokio::task::spawn_blocking(move || {
            // The permit is the thread's: the request that asked may be gone, and the painting
            // takes its core still.
            let _painter_permit = painter_permit;
            let picture = painter.paint(&photo, &template, side, side);
            make(&picture.map_err(|error| error.to_string())?)
        });
        painting.await.map_err(|_| "the painter broke down".to_owned())?
    }

    /// Adds a job whose work will begin.
    pub(crate) fn add(&self, id: &str, due: u64) {
        let mut unfinished = self.unfinished();
        unfinished.arrived += 1;
        let number = unfinished.arrived;
        unfinished.jobs.insert(id.into(), (due, Some(number)));
    }

    /// Removes a job from those to be worked on.
    pub(crate) fn remove(&self, id: &str) {
        self.unfinished().jobs.remove(id);
        // Only after the removal: those that wait look through the jobs again.
        self.finished.notify_waiters();
    }

    /// How many jobs wait before this one; 0 for one that waits no longer.
    pub(crate) fn position(&self, id: &str) -> usize {
        let unfinished = self.unfinished();
        let Some((_, Some(own))) = unfinished.jobs.get(id) else { return 0 };
        unfinished
            .jobs
            .values()
            .filter(|(_, number)| number.is_some_and(|number| number < *own))
            .count()
    }

    /// Notes that a job waits no longer.
    pub(crate) fn mark_started(&self, id: &str) {
        if let Some((_, number)) = self.unfinished().jobs.get_mut(id) {
            *number = None;
        }
    }

    fn unfinished(&self) -> MutexGuard<'_, UnfinishedJobs> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rounded up: even the shortest reference takes some room.
fn kibibytes(bytes: usize) -> u32 {
    u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX)
}

/// Photos had ahead of a free painter.
const PHOTOS_AHEAD: usize = 4;
