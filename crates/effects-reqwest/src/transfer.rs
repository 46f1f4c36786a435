//! Uploads and downloads of a client, by the rules of `effects-jobs`, over its [`HttpStack`]: [`upload`]
//! puts a photo where the service can fetch it, [`download`] and [`fetch`] get a picture (into a
//! [`Target`], into memory), [`fetch_job`] gets and saves the pictures of a job. `Client` calls the first
//! three, `Driver` (`driver.rs`) [`upload`] and [`fetch_job`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use effects_client::{
    ArrivedPicture, AtomicFile, DOWNLOAD, JobContext, ObservedDownload, PictureFetch, Sink,
    TrackedJob, fresh_seed, guarded, panicked, run_presigner, run_uploader, telemetry,
};
use effects_core::driver::AsyncClock;
use effects_core::gateway::{AsyncExchange, CallResult};
use effects_core::wire::ExchangeError;
use effects_core::{Effect, Error, ErrorKind, Event, Picture, Reference, Retries};
use effects_jobs::{
    Download, DownloadStep, FetchError, OpenRow, Photo, Receiver, Uploads, presigned_request,
    read_storage_answer, storage_request, upload_error,
};
use http::{Request, Version};
use tracing::Instrument;

use crate::client_core::ClientCore;
use crate::guarded_future::guarded_async;
use crate::http_stack::HttpStack;

/// Uploads a photo, once; gives up where an upload fails and is not wanted any more.
pub(crate) async fn upload(
    core: &ClientCore,
    photo: &Photo,
    is_wanted: &(dyn Fn() -> bool + Sync),
) -> Result<Reference, Error> {
    let core = &core.anchored();
    let shared = core.shared();
    let (settings, endpoint) = (&shared.settings, shared.gateway.endpoint());
    let _alone = shared.uploads.alone_with(photo).await;
    // With the photo's lock held: the job that had it before may have uploaded the photo.
    if let Some(reference) = shared.uploads.made.get(photo, shared.clock.now()) {
        return Ok(reference);
    }
    let uploads = settings.uploads.chosen_for(endpoint.base().origin())?;
    for warning in photo.warnings(endpoint.base().origin().is_loopback()) {
        telemetry::warn(&warning);
    }
    let reference = match uploads {
        // Not remembered: the whole photo is in it, and making it anew costs less than keeping it.
        Uploads::DataUrl => return Ok(photo.data_url()),
        Uploads::By(uploader) => {
            let photo = photo.clone();
            let upload = move || {
                let uploaded = guarded(UPLOADER, || uploader.upload(&photo));
                uploaded.unwrap_or_else(|| Err(panicked(ErrorKind::Upload, UPLOADER)))
            };
            off_the_runtime(upload).await?
        }
        Uploads::Command(program) => {
            let (photo, limit, endpoint) = (photo.clone(), core.time_left(), endpoint.clone());
            off_the_runtime(move || run_uploader(&program, &photo, limit, &endpoint)).await?
        }
        Uploads::PresignedPut(program) => {
            let (presigned, limit, endpoint) = (photo.clone(), core.time_left(), endpoint.clone());
            let run = move || run_presigner(&program, &presigned, limit, &endpoint);
            let urls = off_the_runtime(run).await?;
            let request = presigned_request(&urls.put, photo)?;
            repeat(core, &request, is_wanted, |result| result.arrived().map(drop)).await?;
            urls.fetch
        }
        Uploads::Gateway(url) => {
            let mut request =
                storage_request(endpoint, url.as_deref(), settings.allow_http, photo)?;
            // The caller's own headers are meant for the gateway; a presigned URL is another host's
            // and gets none.
            core.policy().headers.add_to(request.headers_mut());
            repeat(core, &request, is_wanted, read_storage_answer).await?
        }
        // `chosen_for` leaves nothing unset, and knows every way this version has.
        _ => return Err(Error::new(ErrorKind::Misconfigured, "no way to upload")),
    };
    shared.uploads.made.insert(photo, reference.clone(), shared.clock.now());
    Ok(reference)
}

/// Makes an upload's exchange until it succeeds, cannot, or is not wanted any more: it costs nothing and
/// may be repeated.
async fn repeat<T>(
    core: &ClientCore,
    request: &Request<Bytes>,
    is_wanted: &(dyn Fn() -> bool + Sync),
    read: impl Fn(&CallResult) -> Result<T, ExchangeError>,
) -> Result<T, Error> {
    let (shared, policy) = (core.shared(), core.policy());
    let clock = &shared.clock;
    let mut retries = Retries::new(policy, fresh_seed()?, clock.now()).if_answered(clock.now());
    loop {
        let timeout = retries.time_for_exchange(clock.now());
        if timeout.is_zero() {
            let reason = "there was no time for it".to_owned();
            return Err(upload_error(ExchangeError::NotSent { reason }, true));
        }
        let result = shared.gateway.exchange_async(request.clone(), timeout).await;
        let error = match read(&result) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let Some(until) = retries.next(&error, clock.now()) else {
            // The deadline is named only where time ran out, and not for what is refused for good.
            return Err(upload_error(error, retries.is_over(clock.now())));
        };
        while clock.now() < until {
            if !is_wanted() {
                return Err(upload_error(error, false));
            }
            clock.sleep_fully(until.min(clock.now() + CHECK_INTERVAL)).await;
        }
    }
}

const UPLOADER: &str = "the uploader";

/// How long an upload that waits for its next attempt goes on unasked.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Downloads a picture into memory.
pub(crate) async fn fetch(
    core: &ClientCore,
    picture: &Picture,
    on_event: impl FnMut(Event) + Send,
) -> Result<Bytes, Error> {
    let mut target = Target::Memory(Vec::new());
    let fetched = download(core, picture, &mut target, on_event).await;
    fetched.map_err(|error| core.resumable(error, &picture.task_id))?;
    Ok(target.into_bytes())
}

/// Fetches the pictures of a job that are not where they belong; those that can be, where one cannot.
/// `None` where the runtime is shut down.
pub(crate) async fn fetch_job(
    core: &ClientCore,
    context: &Arc<JobContext>,
    mut job: Box<TrackedJob>,
    effect: &Effect,
    row: Option<OpenRow>,
) -> Option<(Box<TrackedJob>, Result<(), FetchError>)> {
    let mut fetched = Ok(());
    for (index, picture) in effect.pictures.iter().enumerate() {
        // A run that was interrupted may have saved some of the pictures.
        let (shared, kept, task) = (Arc::clone(context), row.clone(), effect.task_id.clone());
        let looked =
            blocking(context, job, move |job| shared.has_picture(job, kept.as_ref(), &task, index));
        let has_it;
        (job, has_it) = looked.await?;
        if has_it.unwrap_or(false) {
            continue;
        }
        let fetching = fetch(core, picture, |event| context.report_download(&mut job, event));
        let bytes = guarded_async(DOWNLOAD, fetching).await;
        let bytes = bytes.unwrap_or_else(|| Err(panicked(ErrorKind::Download, DOWNLOAD)));
        let saved = match bytes {
            Ok(bytes) => {
                let (shared, row, picture) = (Arc::clone(context), row.clone(), picture.clone());
                let saving = blocking(context, job, move |job| {
                    shared.save(job, row.as_ref(), index, &picture, bytes)
                });
                let saved;
                (job, saved) = saving.await?;
                let error = || panicked(ErrorKind::Download, DOWNLOAD);
                saved.unwrap_or_else(|| Err(FetchError { error: error(), is_local: false }))
            }
            Err(error) => Err(FetchError { error, is_local: false }),
        };
        if let Err(FetchError { error, is_local }) = saved {
            fetched = Err(FetchError { error: core.resumable(error, &picture.task_id), is_local });
        }
    }
    Some((job, fetched))
}

/// Does this with a job, off the runtime where files are touched; what it gives is `None` where it panicked.
async fn blocking<T: Send + 'static>(
    context: &JobContext,
    mut job: Box<TrackedJob>,
    act: impl FnOnce(&mut TrackedJob) -> T + Send + 'static,
) -> Option<(Box<TrackedJob>, Option<T>)> {
    // It asks the program's journal.
    let act = move || {
        let done = guarded(DOWNLOAD, || act(&mut job));
        (job, done)
    };
    if !context.saves_files() {
        return Some(act());
    }
    let acting = tokio::task::spawn_blocking(act);
    acting.await.ok()
}

/// Where a picture's bytes go. Files are written off the runtime: disks block.
pub(crate) enum Target {
    Memory(Vec<u8>),
    File(Option<AtomicFile>),
}

impl Target {
    pub(crate) async fn file(path: PathBuf) -> Result<Self, Error> {
        let landing = off_the_runtime(move || AtomicFile::begin(&path)).await?;
        Ok(Self::File(Some(landing)))
    }

    pub(crate) async fn finish(self) -> Result<PathBuf, Error> {
        match self {
            Self::File(Some(landing)) => off_the_runtime(move || landing.finish()).await,
            Self::File(None) | Self::Memory(_) => Err(gone()),
        }
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Self::Memory(bytes) => bytes.into(),
            Self::File(_) => Bytes::new(),
        }
    }

    async fn restart(&mut self) -> Result<(), Error> {
        match self {
            Self::Memory(bytes) => bytes.restart(),
            Self::File(landing) => with_landing(landing, AtomicFile::restart).await,
        }
    }

    async fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        match self {
            Self::Memory(bytes) => bytes.write(&chunk),
            Self::File(landing) => {
                with_landing(landing, move |landing| landing.write(&chunk)).await
            }
        }
    }
}

async fn with_landing(
    slot: &mut Option<AtomicFile>,
    act: impl FnOnce(&mut AtomicFile) -> Result<(), Error> + Send + 'static,
) -> Result<(), Error> {
    // Gone only if an earlier act was cancelled half-way, and with it the whole download.
    let mut landing = slot.take().ok_or_else(gone)?;
    let (landing, done) = off_the_runtime(move || {
        let done = act(&mut landing);
        Ok((landing, done))
    })
    .await?;
    *slot = Some(landing);
    done
}

async fn off_the_runtime<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(act).await.unwrap_or_else(|_| Err(gone()))
}

fn gone() -> Error {
    Error::new(ErrorKind::Download, "the runtime gave up what was under way")
}

pub(crate) async fn download(
    core: &ClientCore,
    picture: &Picture,
    target: &mut Target,
    mut on_event: impl FnMut(Event) + Send,
) -> Result<(), Error> {
    let clock = &core.shared().clock;
    let mut download = Download::new(picture, core.policy(), fresh_seed()?, clock.now());
    let span = telemetry::download_span(picture);
    let steps = async {
        loop {
            match download.step(clock.now()) {
                DownloadStep::Notify(event) => {
                    core.shared().settings.report(&span, &event);
                    on_event(event);
                }
                DownloadStep::Sleep { until } => clock.sleep_fully(until).await,
                DownloadStep::Done(_) => return Ok(()),
                DownloadStep::Failed(error) => return Err(error),
                DownloadStep::Fetch => match attempt(core, &download, picture, target).await {
                    Ok((receiver, end)) => download.received(clock.now(), &receiver, end),
                    Err(AttemptError::ExchangeError(error)) => download.failed(clock.now(), error),
                    Err(AttemptError::Target(error)) => return Err(error),
                },
            }
        }
    };
    steps.instrument(span.clone()).await
}

/// What ends an attempt without a body: an error on the way, which may pass, or nowhere to write to.
enum AttemptError {
    ExchangeError(ExchangeError),
    Target(Error),
}

/// Fetches the picture once, and reports to the observer. Returns what came of it, and how its body ended.
async fn attempt(
    core: &ClientCore,
    download: &Download,
    picture: &Picture,
    target: &mut Target,
) -> Result<(Receiver, Result<(), ExchangeError>), AttemptError> {
    let mut observed = ObservedDownload::begin(core.shared().gateway.endpoint(), picture);
    let fetched = fetch_once(core, download, picture, target, &mut observed).await;
    match &fetched {
        Ok((_, end)) => observed.ended(end.as_ref().copied()),
        Err(AttemptError::ExchangeError(error)) => observed.ended(Err(error)),
        // This machine gave it up, and no exchange failed: an observer would count an error of the
        // host.
        Err(AttemptError::Target(_)) => {}
    }
    fetched
}

async fn fetch_once(
    core: &ClientCore,
    download: &Download,
    picture: &Picture,
    target: &mut Target,
    observed: &mut ObservedDownload<'_>,
) -> Result<(Receiver, Result<(), ExchangeError>), AttemptError> {
    // What an attempt before has left is not the beginning of this one's picture.
    target.restart().await.map_err(AttemptError::Target)?;
    let (quiet, whole) = (download.request_timeout(), download.time_for_fetch(core.now()));
    let http = match core.shared().gateway.stack() {
        HttpStack::Own(reqwest) => reqwest.http(),
        stack @ HttpStack::Given(..) => {
            let arrived = fetch_whole(stack, &picture.url, quiet, whole).await;
            let arrived = arrived.map_err(AttemptError::ExchangeError)?;
            observed.answered(arrived.status, &arrived.headers);
            return take_whole(download, arrived, target).await;
        }
    };
    let mut fetch =
        http.open(&picture.url, quiet, whole).await.map_err(AttemptError::ExchangeError)?;
    let response = &fetch.response;
    observed.answered(response.status(), response.headers());
    let mut receiver = download
        .receive(response.status(), response.version(), response.headers())
        .map_err(AttemptError::ExchangeError)?;
    let end = loop {
        let chunk = match fetch.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        if let Err(error) = receiver.chunk(&chunk) {
            break Err(error);
        }
        target.write(chunk).await.map_err(AttemptError::Target)?;
    };
    Ok((receiver, end))
}

/// Fetches a picture over a stack that hands it over whole.
async fn fetch_whole(
    stack: &HttpStack,
    url: &str,
    quiet: Duration,
    whole: Duration,
) -> Result<ArrivedPicture, ExchangeError> {
    let mut fetch = PictureFetch::new(url, quiet, whole)?;
    loop {
        let (request, limit) = fetch.request()?;
        if let Some(arrived) = fetch.answered(stack.exchange(request, limit).await)? {
            return Ok(arrived);
        }
    }
}

async fn take_whole(
    download: &Download,
    arrived: ArrivedPicture,
    target: &mut Target,
) -> Result<(Receiver, Result<(), ExchangeError>), AttemptError> {
    let ArrivedPicture { status, headers, body, end } = arrived;
    // Such a stack tells no version. Under HTTP/1.1 a body without a length counts as one that may
    // have been cut off.
    let receiver = download.receive(status, Version::HTTP_11, &headers);
    let mut receiver = receiver.map_err(AttemptError::ExchangeError)?;
    // Nothing of it is written: it is no picture that is kept.
    if let Err(too_long) = receiver.chunk(&body) {
        return Ok((receiver, Err(too_long)));
    }
    target.write(body).await.map_err(AttemptError::Target)?;
    Ok((receiver, end))
}
