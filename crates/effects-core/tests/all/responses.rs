//! What errors and effects keep of an HTTP response: its name, the headers of the list and the beginning
//! of its body, all without the key; and what a run that waits does not keep of it.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::common::{COMPLETED, RUNNING, Scene, TASK, policy};
use bytes::Bytes;
use effects_core::gateway::{
    Answer, AsyncExchange, Call, CallResult, Endpoint, Exchange, ExchangeObserver, Gateway,
    ObserveEnd, RequestExcerpt, RequestHeaders,
};
use effects_core::run::Saved;
use effects_core::wire::ResponseExcerpt;
use effects_core::{ApiKey, BaseUrl, Cause, Event, Outcome, Policy, Run, Seed, Step, Task, Time};
use effects_testkit::{Response, TaskScript};
use http::{HeaderMap, Request, StatusCode};

const KEY: &str = "nab/12345678";

/// An answer of a gateway to a request that had this key.
fn result(status: u16, headers: &[(&'static str, &str)], body: impl AsRef<[u8]>) -> CallResult {
    let base = BaseUrl::parse(BaseUrl::DEFAULT, false).unwrap();
    let endpoint = Endpoint::new(base, ApiKey::new(KEY).unwrap());
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    let (status, body) = (StatusCode::from_u16(status).unwrap(), body.as_ref().to_vec().into());
    endpoint.result(Answer::Answered { status, headers: map, body })
}

/// What is kept of a response that refuses a look.
fn kept(status: u16, headers: &[(&'static str, &str)], body: impl AsRef<[u8]>) -> ResponseExcerpt {
    let base = BaseUrl::parse(BaseUrl::DEFAULT, false).unwrap();
    let error =
        Task::read(&TASK.parse().unwrap(), &base, &result(status, headers, body)).unwrap_err();
    assert_eq!(error.status(), Some(status));
    error.response().unwrap().clone()
}

#[test]
fn a_secret_is_taken_out_of_headers_and_body() {
    let body = r#"no session for "nab\/12345678" (nab%2F12345678)"#;
    let headers = [
        ("server", "proxy nab/12345678"),
        ("x-request-id", "nab/12345678-7"),
        ("set-cookie", "session=secret"),
        ("authorization", "Bearer nab/12345678"),
        ("location", "https://example.com/?X-Amz-Signature=secret"),
    ];
    let response = kept(502, &headers, body);
    let expected = [("server", "proxy [key]"), ("x-request-id", "[key]-7")];
    assert_eq!(response.headers, expected.map(|(name, value)| (name.into(), value.into())));
    assert_eq!(response.request_id.as_deref(), Some("[key]-7"));
    assert_eq!(response.body.as_deref(), Some(r#"no session for "[key]" ([key])"#));
    let all = format!("{response:?} {}", serde_json::to_string(&response).unwrap());
    assert!(!all.contains("12345678") && !all.contains("secret"), "{all}");
}

#[test]
fn a_long_body_is_cut_between_two_characters_and_never_through_the_key() {
    // The 2048th byte is the second of an umlaut.
    let body = format!("x{}", "ü".repeat(4_000));
    let response = kept(500, &[], &body);
    assert_eq!(response.body.unwrap(), format!("x{}", "ü".repeat(1_023)));

    let body = format!("{}{KEY} and more", "x".repeat(2_040));
    let kept_body = kept(500, &[], &body).body.unwrap();
    assert_eq!(kept_body, format!("{}[key] an", "x".repeat(2_040)));

    // What is no text is shown as what it is.
    assert_eq!(kept(500, &[], b"a\xff").body.unwrap(), "a\u{fffd}");
    assert_eq!(kept(500, &[], b"").body, None);
    let long = "v".repeat(600);
    assert_eq!(kept(500, &[("server", &long)], b"").header("Server").unwrap().len(), 512);
}

#[test]
fn the_first_usual_name_of_the_exchange_counts() {
    let named = |headers: &[(&'static str, &str)], body: &str| kept(503, headers, body).request_id;
    let body = r#"{"message":"no","request_id":"of-the-body"}"#;
    assert_eq!(named(&[("x-trace-id", "t-1")], body).as_deref(), Some("t-1"));
    assert_eq!(
        named(&[("x-trace-id", "t-1"), ("x-request-id", "r-1")], body).as_deref(),
        Some("r-1")
    );
    assert_eq!(named(&[("cf-ray", "ray")], body).as_deref(), Some("of-the-body"));
    assert_eq!(named(&[("cf-ray", "ray")], "<html>").as_deref(), Some("ray"));
    assert_eq!(named(&[], "<html>"), None);
    // One that comes twice is joined.
    let twice = kept(503, &[("via", "one"), ("via", "two")], "");
    assert_eq!(twice.header("via"), Some("one, two"));
}

/// An answer with this name.
fn named(name: &str, status: u16, body: &str) -> Response {
    Response::json(body.to_owned()).status(status).header("x-request-id", name)
}

#[test]
fn every_end_that_an_answer_brought_keeps_it() {
    let mut scene =
        Scene::attached(policy(), TaskScript::endless()).polls([named("look", 200, COMPLETED)]);
    let Outcome::Completed(effect) = scene.outcome() else { panic!() };
    let response = effect.response.as_deref().unwrap();
    assert_eq!((response.status, effect.request_id()), (200, Some("look")));
    // What it says is in `raw`.
    assert_eq!(response.body, None);
    assert!(response.header("content-type").is_some(), "{response:?}");

    let failed = format!(r#"{{"id":"{TASK}","status":"failed","error":"no face"}}"#);
    let error = Scene::attached(policy(), TaskScript::endless())
        .polls([named("look", 200, &failed)])
        .error();
    assert_eq!((error.status(), error.request_id()), (Some(200), Some("look")));
    assert_eq!(error.response().unwrap().body.as_deref(), Some(&*failed));

    // A picture in the answer to the submission.
    let mut scene = Scene::submitting(policy()).submits([named("submission", 200, COMPLETED)]);
    let Outcome::Completed(effect) = scene.outcome() else { panic!() };
    assert_eq!(effect.request_id(), Some("submission"));

    let error = Scene::submitting(policy()).submits([named("refusal", 422, "{}")]).error();
    assert_eq!((error.status(), error.request_id()), (Some(422), Some("refusal")));
    assert_eq!(error.response().unwrap().body.as_deref(), Some("{}"));

    // The name it was sent with finds a lost submission; what answered has one of its own.
    let error = Scene::submitting(policy()).submits([named("breakdown", 502, "down")]).error();
    let Cause::Unknown(unknown) = error.cause() else { panic!("{error:?}") };
    assert_eq!(error.request_id(), Some(&*unknown.request_id));
    assert_eq!(error.response().unwrap().request_id.as_deref(), Some("breakdown"));
    assert_eq!(error.response().unwrap().body.as_deref(), Some("down"));

    let policy = Policy { wait_timeout: Duration::from_secs(5), ..policy() };
    let error = Scene::attached(policy, TaskScript::endless())
        .polls([named("first", 200, RUNNING)])
        .polls(vec![named("last", 502, "down"); 9])
        .error();
    assert!(matches!(error.cause(), Cause::StillRunning(_)), "{error:?}");
    assert_eq!((error.status(), error.request_id()), (Some(502), Some("last")));
    assert_eq!(error.response().unwrap().body.as_deref(), Some("down"));
}

/// A batch holds a hundred thousand runs that wait, and a gateway that breaks down answers all of them.
#[test]
fn a_run_that_waits_keeps_nothing_of_a_response() {
    let now = Time::from_millis(0);
    let policy = Arc::new(policy());
    let mut run = Run::attach(TASK.parse().unwrap(), None, policy.clone(), Seed::from(1), now);
    let Step::Send(call) = run.step(now) else { panic!() };
    run.reply(now, call.id, &result(502, &[("x-request-id", "look")], "down ".repeat(400)));
    let saved = serde_json::to_string(&run.save()).unwrap();
    assert!(saved.contains("502") && !saved.contains("response"), "{saved}");

    // Those who watch hear of it.
    let Step::Notify(Event::Retrying { error, .. }) = run.step(now) else { panic!() };
    assert_eq!(error.response().unwrap().body.as_ref().unwrap().len(), 2_000);

    // An outcome is saved with it.
    let Step::Sleep { until, .. } = run.step(now) else { panic!() };
    let Step::Send(call) = run.step(until) else { panic!() };
    run.reply(until, call.id, &result(200, &[("x-request-id", "look")], COMPLETED));
    let saved = serde_json::to_string(&run.save()).unwrap();
    let mut restored = Run::restore(serde_json::from_str::<Saved>(&saved).unwrap(), policy, until);
    let Step::Done(Outcome::Completed(effect)) = restored.step(until) else { panic!() };
    assert_eq!(effect.request_id(), Some("look"));
}

/// Answers the next of these, and lets nothing leave.
struct Scripted(Mutex<VecDeque<Answer>>);

impl Exchange for &Scripted {
    fn exchange(&self, request: Request<Bytes>, _limit: Duration) -> Answer {
        assert!(request.headers()["authorization"].to_str().unwrap().starts_with("Bearer "));
        self.0.lock().unwrap().pop_front().unwrap()
    }
}

impl AsyncExchange for &Scripted {
    type Exchanging<'a>
        = std::future::Ready<Answer>
    where
        Self: 'a;

    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Self::Exchanging<'_> {
        std::future::ready(Exchange::exchange(self, request, limit))
    }
}

/// Keeps what it is told.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl ExchangeObserver for Seen {
    fn begins(&self, request: RequestExcerpt) -> Option<ObserveEnd> {
        let seen = self.clone();
        seen.0.lock().unwrap().push(format!("{request:?}"));
        Some(Box::new(move |result| {
            let told = match (result.arrived(), result.response()) {
                (Ok(status), Some(response)) => format!("{status} {:?}", response.body),
                (Err(error), response) => format!("{error} {:?}", response.map(|it| it.body)),
                (Ok(_), None) => unreachable!(),
            };
            seen.0.lock().unwrap().push(told);
        }))
    }
}

#[test]
fn an_observer_is_told_of_each_exchange_without_secrets() {
    let answered = |status: u16, body: &'static str| Answer::Answered {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.into(),
    };
    let answers = || {
        let refused = answered(401, r#"{"error":"no such key: nab/12345678"}"#);
        let lost = Answer::Lost("reset nab/12345678-new".to_owned());
        let all = [refused, answered(200, RUNNING), lost];
        Scripted(Mutex::new(all.into()))
    };
    let base = BaseUrl::parse("https://example.com/proxy", false).unwrap();
    let endpoint = |seen: &Seen| {
        Endpoint::new(base.clone(), ApiKey::new(KEY).unwrap())
            .with_key_source(
                Arc::new(|| ApiKey::new("nab/12345678-new").ok()),
                Arc::new(|| Time::from_millis(0)),
            )
            .observed_by(Arc::new(seen.clone()))
    };
    let headers = RequestHeaders::default().with("X-Team", "hunter2").unwrap();
    let look = Call::look(TASK.parse().unwrap(), Duration::from_secs(1), Time::from_millis(0))
        .with_headers(headers);

    let (blocking, asynchronous) = (Seen::default(), Seen::default());
    let script = answers();
    let gateway = Gateway::new(endpoint(&blocking), &script);
    gateway.call(&look);
    gateway.call(&look);
    let script = answers();
    let gateway = Gateway::new(endpoint(&asynchronous), &script);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..2 {
        assert!(pin!(gateway.call_async(&look)).poll(&mut context).is_ready());
    }

    for seen in [blocking, asynchronous] {
        let seen = seen.0.lock().unwrap().clone();
        // The refused look, the same with the new key, and one that was lost.
        let ends: Vec<&str> = seen.iter().skip(1).step_by(2).map(String::as_str).collect();
        let refused =
            r#"HTTP 401: no such key: [key] Some(Some("{\"error\":\"no such key: [key]\"}"))"#;
        assert_eq!(ends, [refused, "200 OK None", "no answer: reset [key] None"]);
        for begin in seen.iter().step_by(2) {
            let path = format!("https://example.com/proxy/model/v1/generation/task/{TASK}");
            assert!(
                begin.contains(&path) && begin.contains(r#"("x-team", "[redacted]")"#),
                "{begin}"
            );
            assert!(begin.contains(r#"("authorization", "[redacted]")"#), "{begin}");
        }
        let all = seen.concat();
        assert!(!all.contains("12345678") && !all.contains("hunter2"), "{all}");
    }
}

/// A source that takes longer than the request may: by then the caller was told how it ended.
#[test]
fn a_request_whose_key_came_too_late_is_not_sent_again() {
    let refused = || Answer::Answered {
        status: StatusCode::UNAUTHORIZED,
        headers: HeaderMap::new(),
        body: r#"{"error":"no such key"}"#.into(),
    };
    let base = BaseUrl::parse("https://example.com", false).unwrap();
    let look = Call::look(TASK.parse().unwrap(), Duration::from_secs(10), Time::from_millis(0));
    for (takes, sent) in [(4_000, 2), (6_000, 1), (20_000, 1)] {
        for is_blocking in [true, false] {
            let clock = Arc::new(AtomicU64::new(0));
            let (asked, now) = (Arc::clone(&clock), Arc::clone(&clock));
            let source = move || {
                asked.fetch_add(takes, Ordering::SeqCst);
                ApiKey::new("nab/12345678-new").ok()
            };
            let now = move || Time::from_millis(now.load(Ordering::SeqCst));
            let endpoint = Endpoint::new(base.clone(), ApiKey::new(KEY).unwrap())
                .with_key_source(Arc::new(source), Arc::new(now));
            let script = Scripted(Mutex::new([refused(), refused()].into()));
            let gateway = Gateway::new(endpoint, &script);
            let result = if is_blocking {
                gateway.call(&look)
            } else {
                let mut context = Context::from_waker(Waker::noop());
                match pin!(gateway.call_async(&look)).poll(&mut context) {
                    Poll::Ready(result) => result,
                    Poll::Pending => panic!("it waits"),
                }
            };
            assert!(matches!(result.answer(), Answer::Answered { status, .. } if *status == 401));
            assert_eq!(2 - script.0.lock().unwrap().len(), sent, "after {takes} ms");
            // The next request has the new key.
            assert!(gateway.endpoint().repeats_key("nab/12345678-new"));
        }
    }
}
