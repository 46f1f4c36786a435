//! A panic in what a program gives a client ends that call alone: no other task is lost by it, no iterator
//! of results waits for ever.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use effects_client::{BuildClient, ClientBuilder, Job, JobResult, Jobs, RunJobs, Save};
use effects_core::gateway::{Answer, AsyncExchange, DynAsyncExchange, DynExchange, Exchange};
use effects_core::{EffectRequest, Error, ErrorKind, Template};
use effects_emulator::{Emulator, Latency, Pictures};
use effects_jobs::{JobOutcome, Uploads};
use effects_tests::setup_at;
use effects_ureq::{ExchangeObserver, ObserveEnd, RequestExcerpt};
use http::Request;

fn emulator() -> Emulator {
    let latency = Latency::fixed(Duration::from_millis(20));
    Emulator::builder().pictures(Pictures::Stub).latency(latency).start().unwrap()
}

fn builder<C: BuildClient>(emulator: &Emulator) -> ClientBuilder<C> {
    setup_at(emulator.base_url(), emulator.api_key()).builder().unwrap()
}

fn request(row: u32) -> EffectRequest {
    let photo = format!("https://photos.example.com/{row}.jpg");
    EffectRequest::new(Template::GlassBall, photo.as_str()).unwrap()
}

fn jobs(count: u32) -> impl Iterator<Item = Job> + Send + 'static {
    (0..count).map(|row| request(row).into())
}

/// What came of jobs, and why no more were begun.
type JobsEnd = (Vec<JobResult>, Option<Error>);

fn blocking(
    emulator: &Emulator,
    build: impl FnOnce(ClientBuilder<effects_ureq::Client>) -> ClientBuilder<effects_ureq::Client>,
    set: impl FnOnce(Jobs<effects_ureq::Client>) -> Jobs<effects_ureq::Client>,
    jobs: impl Iterator<Item = Job> + Send + 'static,
) -> JobsEnd {
    let client = build(builder(emulator)).build().unwrap();
    let mut results = set(client.jobs()).run(jobs).unwrap();
    (results.by_ref().collect(), results.halted_by())
}

fn asynchronous(
    emulator: &Emulator,
    build: impl FnOnce(ClientBuilder<effects_reqwest::Client>) -> ClientBuilder<effects_reqwest::Client>,
    set: impl FnOnce(Jobs<effects_reqwest::Client>) -> Jobs<effects_reqwest::Client>,
    jobs: impl Iterator<Item = Job> + Send + 'static,
) -> JobsEnd {
    let client = build(builder(emulator)).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut results, mut ended) = (set(client.jobs()).run(jobs).unwrap(), Vec::new());
        while let Some(result) = results.next().await {
            ended.push(result);
        }
        (ended, results.halted_by())
    })
}

fn completed((results, _): &JobsEnd) -> usize {
    results.iter().filter(|result| matches!(result.outcome, JobOutcome::Completed(_))).count()
}

/// A caller's functions, all of which panic.
struct Panicking;

impl ExchangeObserver for Panicking {
    fn begins(&self, _: RequestExcerpt) -> Option<ObserveEnd> {
        Some(Box::new(|_| panic!("the end of an exchange")))
    }
}

fn observed<C: BuildClient>(builder: ClientBuilder<C>) -> ClientBuilder<C> {
    builder.on_exchange(Panicking).on_event(|_| panic!("an event"))
}

fn noticed<C: RunJobs>(jobs: Jobs<C>) -> Jobs<C> {
    jobs.on_notice(|_| panic!("a notice"))
}

#[test]
fn callbacks_that_panic_lose_no_task() {
    let emulator = emulator();
    assert_eq!(completed(&blocking(&emulator, observed, noticed, jobs(3))), 3);
    assert_eq!(completed(&asynchronous(&emulator, observed, noticed, jobs(3))), 3);
    let client: effects_reqwest::Client = observed(builder(&emulator)).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let runs = (10..15).map(|row| client.run(request(row)));
        for effect in futures_util::future::join_all(runs).await {
            effect.unwrap();
        }
    });
    assert_eq!(emulator.counts().accepted, 11);
}

fn odd_jobs() -> impl Iterator<Item = Job> + Send + 'static {
    (0..5).map(|row| match row {
        0..3 => request(row).into(),
        _ => panic!("the list ends oddly"),
    })
}

#[test]
fn an_iterator_of_jobs_that_panics_ends_them_and_says_so() {
    let emulator = emulator();
    let ended = blocking(&emulator, |builder| builder, |jobs| jobs, odd_jobs());
    assert_eq!(completed(&ended), 3);
    assert!(ended.1.unwrap().to_string().contains("the iterator of jobs panicked"));
    let ended = asynchronous(&emulator, |builder| builder, |jobs| jobs, odd_jobs());
    assert_eq!(completed(&ended), 3);
    assert!(ended.1.unwrap().to_string().contains("the iterator of jobs panicked"));
}

#[test]
fn a_check_of_photos_that_panics_refuses_its_job() {
    fn checked<C: RunJobs>(jobs: Jobs<C>) -> Jobs<C> {
        jobs.check_photos(|_| panic!("a decoder"))
    }
    let (emulator, folder) = (emulator(), tempfile::tempdir().unwrap());
    let path = folder.path().join("photo.png");
    std::fs::write(&path, effects_tests::picture()).unwrap();
    let local = || [Job::photo(Template::GlassBall, &path), request(1).into()].into_iter();
    let sent = |ended: &JobsEnd| {
        let refused = ended.0.iter().find(|result| result.index == 0).unwrap();
        let JobOutcome::Refused(error) = &refused.outcome else { panic!("{refused:?}") };
        assert_eq!(error.kind(), ErrorKind::UnusablePhoto, "{error}");
        assert!(error.to_string().contains("panicked"), "{error}");
        completed(ended)
    };
    assert_eq!(sent(&blocking(&emulator, |builder| builder, checked, local())), 1);
    assert_eq!(sent(&asynchronous(&emulator, |builder| builder, checked, local())), 1);
}

/// Every second exchange panics once it has its answer.
struct PanickingStack(DynExchange, Arc<AtomicUsize>);

impl Exchange for PanickingStack {
    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Answer {
        let is_look = request.method() == http::Method::GET;
        let answer = self.0.exchange(request, limit);
        assert!(!is_look || self.1.fetch_add(1, Ordering::Relaxed) % 2 == 1, "a look");
        answer
    }
}

/// Panics at all but what is about tasks: uploads and pictures.
struct PanickingTransfers(DynAsyncExchange);

impl AsyncExchange for PanickingTransfers {
    type Exchanging<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Self::Exchanging<'_> {
        Box::pin(async move {
            assert!(request.uri().path().starts_with("/model/v1/generation"), "a transfer");
            self.0.exchange(request, limit).await
        })
    }
}

#[test]
fn async_middleware_that_panics_ends_an_upload_or_a_download_alone() {
    let (emulator, folder) = (emulator(), tempfile::tempdir().unwrap());
    let path = folder.path().join("photo.png");
    std::fs::write(&path, effects_tests::picture()).unwrap();
    let build = |builder: ClientBuilder<effects_reqwest::Client>| {
        builder.middleware(PanickingTransfers).uploads(Uploads::Gateway(None))
    };
    let local = [Job::photo(Template::GlassBall, &path), request(1).into()].into_iter();
    let (results, _) = asynchronous(&emulator, build, |jobs| jobs.save(Save::Bytes), local);
    for result in results {
        let (JobOutcome::NotReady(error) | JobOutcome::NotFetched(_, error)) = result.outcome
        else {
            panic!("{result:?}")
        };
        let kind = [ErrorKind::Upload, ErrorKind::Download][result.index];
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains("panicked"), "{error}");
    }
    assert_eq!(emulator.counts().accepted, 1);
}

/// As many as a client has threads for exchanges, and more.
#[test]
fn middleware_that_panics_takes_no_thread_with_it() {
    let emulator = emulator();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let build = move |builder: ClientBuilder<effects_ureq::Client>| {
        builder.middleware(move |inner| PanickingStack(inner, counted))
    };
    assert_eq!(completed(&blocking(&emulator, build, |jobs| jobs, jobs(100))), 100);
    assert!(count.load(Ordering::Relaxed) >= 200);
}
