//! The blocking client's uploads and downloads over its [`HttpStack`]: [`upload`] puts a photo where the
//! service can fetch it (each photo once), [`download`] writes a picture to a sink, and [`fetch`] reads one
//! into memory. An exchange that fails on the way is repeated: those of uploads by the core's [`Retries`],
//! downloads by [`Download`] of `effects-jobs`. `Client` calls all three, `jobs.rs` calls [`upload`] and
//! [`fetch`].

use std::time::Duration;

use bytes::Bytes;
use effects_client::{
    ArrivedPicture, ObservedDownload, PictureFetch, Sink, StoppableClock, Stopper, fresh_seed,
    run_presigner, run_uploader, telemetry,
};
use effects_core::driver::Clock;
use effects_core::gateway::{CallResult, Exchange};
use effects_core::wire::ExchangeError;
use effects_core::{Error, Event, Picture, Reference, Retries};
use effects_jobs::{
    Download, DownloadStep, Photo, Receiver, Uploads, presigned_request, read_storage_answer,
    storage_request, upload_error,
};
use http::Version;

use crate::client_core::ClientCore;
use crate::http_client::read_chunks;
use crate::http_stack::HttpStack;

/// Uploads a photo, once; gives up where an upload fails and is not wanted any more.
pub(crate) fn upload(
    core: &ClientCore,
    photo: &Photo,
    is_wanted: &dyn Fn() -> bool,
) -> Result<Reference, Error> {
    let core = core.anchored();
    core.shared().uploads.alone_with(photo, || upload_once(&core, photo, is_wanted))
}

fn upload_once(
    core: &ClientCore,
    photo: &Photo,
    is_wanted: &dyn Fn() -> bool,
) -> Result<Reference, Error> {
    let shared = core.shared();
    let (settings, endpoint) = (&shared.settings, shared.gateway.endpoint());
    if let Some(reference) = shared.uploads.get(photo, shared.clock.now()) {
        return Ok(reference);
    }
    let uploads = settings.uploads.chosen_for(endpoint.base().origin())?;
    for warning in photo.warnings(endpoint.base().origin().is_loopback()) {
        telemetry::warn(&warning);
    }
    let reference = match uploads {
        // Not remembered: the whole photo is in it, and making it anew costs less than keeping
        // it.
        Uploads::DataUrl => return Ok(photo.data_url()),
        Uploads::By(uploader) => uploader.upload(photo)?,
        Uploads::Command(program) => run_uploader(&program, photo, core.time_left(), endpoint)?,
        Uploads::PresignedPut(program) => {
            let urls = run_presigner(&program, photo, core.time_left(), endpoint)?;
            let request = presigned_request(&urls.put, photo)?;
            repeat(core, &request, is_wanted, |result| result.arrived().map(drop))?;
            urls.fetch
        }
        Uploads::Gateway(url) => {
            let mut request =
                storage_request(endpoint, url.as_deref(), settings.allow_http, photo)?;
            core.policy().headers.add_to(request.headers_mut());
            repeat(core, &request, is_wanted, read_storage_answer)?
        }
        // `chosen_for` leaves nothing unset, and knows every way this version has.
        _ => return Err(Error::new(effects_core::ErrorKind::Misconfigured, "no way to upload")),
    };
    shared.uploads.insert(photo, reference.clone(), shared.clock.now());
    Ok(reference)
}

/// Downloads a picture into memory.
pub(crate) fn fetch(
    core: &ClientCore,
    picture: &Picture,
    on_event: impl FnMut(Event),
) -> Result<Bytes, Error> {
    let mut bytes = Vec::new();
    download(core, picture, &mut bytes, on_event)?;
    Ok(bytes.into())
}

/// Makes an upload's exchange until it succeeds, cannot, or is not wanted any more: it costs nothing and
/// may be repeated.
fn repeat<T>(
    core: &ClientCore,
    request: &http::Request<bytes::Bytes>,
    is_wanted: &dyn Fn() -> bool,
    read: impl Fn(&CallResult) -> Result<T, ExchangeError>,
) -> Result<T, Error> {
    let shared = core.shared();
    // Nothing stops this sleep, so that it is asked between short ones whether the upload is
    // still wanted.
    let clock = StoppableClock::new(shared.clock.clone(), Stopper::default());
    let mut retries =
        Retries::new(core.policy(), fresh_seed()?, clock.now()).if_answered(clock.now());
    loop {
        let timeout = retries.time_for_exchange(clock.now());
        if timeout.is_zero() {
            let reason = "there was no time for it".to_owned();
            return Err(upload_error(ExchangeError::NotSent { reason }, true));
        }
        let error = match read(&shared.gateway.exchange(request.clone(), timeout)) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let Some(until) = retries.next(&error, clock.now()) else {
            // The deadline is named only where time ran out, and not for what is refused for
            // good.
            return Err(upload_error(error, retries.is_over(clock.now())));
        };
        while clock.now() < until {
            if !is_wanted() {
                return Err(upload_error(error, false));
            }
            clock.sleep_until(until.min(clock.now() + CHECK_INTERVAL));
        }
    }
}

/// How long an upload that waits for its next attempt goes on unasked.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

pub(crate) fn download(
    core: &ClientCore,
    picture: &Picture,
    sink: &mut dyn Sink,
    mut on_event: impl FnMut(Event),
) -> Result<(), Error> {
    let span = telemetry::download_span(picture).entered();
    let clock = StoppableClock::new(core.shared().clock.clone(), Stopper::default());
    let seed = fresh_seed().map_err(|error| core.resumable(error, &picture.task_id))?;
    let mut download = Download::new(picture, core.policy(), seed, clock.now());
    loop {
        match download.step(clock.now()) {
            DownloadStep::Notify(event) => {
                core.shared().settings.report(&span, &event);
                on_event(event);
            }
            DownloadStep::Sleep { until } => sleep(&clock, until),
            DownloadStep::Done(_) => return Ok(()),
            DownloadStep::Failed(error) => return Err(core.with_resume_line(error)),
            DownloadStep::Fetch => match attempt(core, &download, picture, sink) {
                Ok((receiver, end)) => download.received(clock.now(), &receiver, end),
                Err(AttemptError::ExchangeError(error)) => download.failed(clock.now(), error),
                Err(AttemptError::Sink(error)) => {
                    return Err(core.resumable(error, &picture.task_id));
                }
            },
        }
    }
}

/// What ends an attempt without a body: an error on the way, which may pass, or nowhere to write to.
enum AttemptError {
    ExchangeError(ExchangeError),
    Sink(Error),
}

/// Fetches the picture once, and reports to the observer. Returns what came of it, and how its body ended.
fn attempt(
    core: &ClientCore,
    download: &Download,
    picture: &Picture,
    sink: &mut dyn Sink,
) -> Result<(Receiver, Result<(), ExchangeError>), AttemptError> {
    let mut observed = ObservedDownload::begin(core.shared().gateway.endpoint(), picture);
    let fetched = fetch_once(core, download, picture, sink, &mut observed);
    match &fetched {
        Ok((_, end)) => observed.ended(end.as_ref().copied()),
        Err(AttemptError::ExchangeError(error)) => observed.ended(Err(error)),
        Err(AttemptError::Sink(_)) => {}
    }
    fetched
}

fn fetch_once(
    core: &ClientCore,
    download: &Download,
    picture: &Picture,
    sink: &mut dyn Sink,
    observed: &mut ObservedDownload<'_>,
) -> Result<(Receiver, Result<(), ExchangeError>), AttemptError> {
    // What an attempt before has left is not the beginning of this one's picture.
    sink.restart().map_err(AttemptError::Sink)?;
    let (quiet, whole) = (download.request_timeout(), download.time_for_fetch(core.now()));
    let http = match core.shared().gateway.stack() {
        HttpStack::Own(ureq) => ureq.http(),
        stack @ HttpStack::Given(..) => {
            let arrived = fetch_whole(stack, &picture.url, quiet, whole)
                .map_err(AttemptError::ExchangeError)?;
            observed.answered(arrived.status, &arrived.headers);
            return take_whole(download, arrived, sink);
        }
    };
    let response = http.open(&picture.url, quiet, whole).map_err(AttemptError::ExchangeError)?;
    let (parts, body) = response.into_parts();
    observed.answered(parts.status, &parts.headers);
    let mut receiver = download
        .receive(parts.status, parts.version, &parts.headers)
        .map_err(AttemptError::ExchangeError)?;
    let mut full = None;
    let end = read_chunks(body, |chunk| {
        receiver.chunk(chunk)?;
        sink.write(chunk).map_err(|error| {
            let reason = error.to_string();
            // The reader of the body knows only an error on the way; a full disk is told apart
            // below, since no repeat mends it.
            full = Some(error);
            ExchangeError::Lost { reason }
        })
    });
    match full {
        Some(error) => Err(AttemptError::Sink(error)),
        None => Ok((receiver, end)),
    }
}

/// Fetches a picture over a stack that hands it over whole.
fn fetch_whole(
    stack: &HttpStack,
    url: &str,
    quiet: Duration,
    whole: Duration,
) -> Result<ArrivedPicture, ExchangeError> {
    let mut fetch = PictureFetch::new(url, quiet, whole)?;
    loop {
        let (request, limit) = fetch.request()?;
        if let Some(arrived) = fetch.answered(stack.exchange(request, limit))? {
            return Ok(arrived);
        }
    }
}

fn take_whole(
    download: &Download,
    arrived: ArrivedPicture,
    sink: &mut dyn Sink,
) -> Result<(Receiver, Result<(), ExchangeError>), AttemptError> {
    let ArrivedPicture { status, headers, body, end } = arrived;
    let receiver = download.receive(status, Version::HTTP_11, &headers);
    let mut receiver = receiver.map_err(AttemptError::ExchangeError)?;
    // Nothing of it is written: it is no picture that is kept.
    if let Err(too_long) = receiver.chunk(&body) {
        return Ok((receiver, Err(too_long)));
    }
    sink.write(&body).map_err(AttemptError::Sink)?;
    Ok((receiver, end))
}

fn sleep(clock: &StoppableClock, until: effects_core::Time) {
    while clock.now() < until {
        clock.sleep_until(until);
    }
}
