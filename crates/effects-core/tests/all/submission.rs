//! The table of answers to a submission: what is certain to have made no task, and what is not.

use std::time::Duration;

use crate::common::{Scene, policy, repeating, request, seconds};
use effects_core::gateway::CallKind;
use effects_core::journal::Fact;
use effects_core::run::SleepReason;
use effects_core::wire::ExchangeError;
use effects_core::{Backoff, Deadline, ErrorKind, Event, Outcome, Policy, Repeat, Run, Seed, Step};
use effects_testkit::{ExchangeOutcome, Response, TaskScript};

/// What a submission comes to that is answered like this once, and then served.
enum Reading {
    /// Nothing was made; it is made again.
    Repeated,
    /// Its outcome is unknown; it is not made again.
    Unknown,
    /// It is refused for good.
    Refused(ErrorKind),
    /// There is a task.
    Submitted,
}

fn holds(name: &str, answer: impl Into<ExchangeOutcome>, reading: &Reading) {
    let mut scene = Scene::submitting(policy()).submits([answer.into()]);
    let outcome = scene.outcome();
    let (sent, transcript) = (scene.world.service().submissions(), scene.world.transcript());
    match reading {
        Reading::Repeated => {
            assert_eq!(sent, 2, "{name}\n{transcript}");
            assert!(matches!(outcome, Outcome::Completed(_)), "{name}\n{transcript}");
        }
        Reading::Unknown => {
            assert_eq!(sent, 1, "{name}\n{transcript}");
            assert!(matches!(outcome, Outcome::Unknown(_)), "{name}\n{transcript}");
        }
        Reading::Refused(kind) => {
            assert_eq!(sent, 1, "{name}\n{transcript}");
            let Outcome::Refused(refused) = outcome else { panic!("{name}\n{transcript}") };
            assert_eq!(refused.kind, *kind, "{name}\n{transcript}");
        }
        Reading::Submitted => {
            assert_eq!(sent, 1, "{name}\n{transcript}");
            assert!(outcome.task_id().is_some(), "{name}\n{transcript}");
        }
    }
}

fn answer(status: u16, body: &str) -> Response {
    Response::json(body.to_owned()).status(status)
}

const TASK: &str = r#"{"id":"t-1","status":"in_progress"}"#;

#[test]
fn a_success_with_an_id_is_submitted() {
    for status in [200, 201, 202, 299] {
        holds("id", answer(status, TASK), &Reading::Submitted);
    }
    for body in [
        r#"{"task_id":"t-1"}"#,
        r#"{"request_id":"t-1","queue_position":0}"#,
        r#"{"data":{"id":"t-1"}}"#,
        r#"{"data":{"task_id":"t-1"},"code":0}"#,
        r#"{"id":7}"#,
        // What it says beside the id may be odd; the task is there all the same.
        r#"{"id":"t-1","status":17,"progress":"soon","error":{"code":1,"message":"odd"}}"#,
    ] {
        holds(body, answer(200, body), &Reading::Submitted);
    }
}

#[test]
fn a_success_that_is_final_is_done_without_a_look() {
    let done = r#"{"id":"t-1","status":"done","output":[{"content":[{"url":"https://x/y.png"}]}]}"#;
    let mut scene = Scene::submitting(policy()).submits([answer(200, done)]);
    assert!(scene.completes(), "{}", scene.world.transcript());
    assert_eq!(scene.world.service().polls(), 0);

    let failed = r#"{"id":"t-1","status":"failed","error":{"code":"3009003","message":"no"}}"#;
    let mut scene = Scene::submitting(policy()).submits([answer(200, failed)]);
    assert_eq!(scene.error().kind(), ErrorKind::TaskFailed);
    assert_eq!(scene.world.service().polls(), 0);
    // Its id is on record all the same.
    let facts: Vec<&Fact> = scene.world.transcript().entries().map(|entry| &entry.fact).collect();
    assert!(matches!(facts[..], [Fact::Intent { .. }, Fact::Created { .. }]), "{facts:?}");
}

#[test]
fn a_success_without_an_id_is_refused_for_the_listed_inner_codes_alone() {
    use ErrorKind::{Forbidden, KeyRefused, OutOfCredit, Rejected};
    for (body, kind) in [
        (r#"{"error":{"code":3009001,"error_message":"no"}}"#, Rejected),
        (r#"{"error":{"code":"3009002","error_message":"no"}}"#, Rejected),
        (r#"{"error":{"code":3009003,"error_message":"no"}}"#, Rejected),
        (r#"{"code":3009004,"message":"no"}"#, Rejected),
        (r#"{"error":{"code":400}}"#, Rejected),
        (r#"{"code":"404","message":"no such model","data":null}"#, Rejected),
        (r#"{"status":{"code":422,"message":"no"},"data":null}"#, Rejected),
        (r#"{"status":{"code":401,"message":"who are you"},"data":null}"#, KeyRefused),
        (r#"{"status":{"code":401,"message":"who?","error_code":40101},"data":null}"#, KeyRefused),
        (r#"{"code":403,"message":"not for you"}"#, Forbidden),
        (r#"{"code":403,"message":"Insufficient balance"}"#, OutOfCredit),
        (r#"{"status":{"code":402,"message":"top up"},"data":null}"#, OutOfCredit),
        (r#"{"status":{"code":402,"message":"","error_code":40208},"data":null}"#, OutOfCredit),
        (r#"{"error":{"code":40201,"message":"no"}}"#, OutOfCredit),
        (r#"{"error":{"code":"insufficient_balance","message":"no"}}"#, OutOfCredit),
        // The id of a request that was refused is not that of a task.
        (r#"{"error":{"code":400,"message":"no"},"request_id":"r-1"}"#, Rejected),
    ] {
        holds(body, answer(200, body), &Reading::Refused(kind));
    }
}

#[test]
fn a_success_without_an_id_that_says_later_inside_is_made_again() {
    for body in [
        r#"{"error":{"code":429,"message":"slow down"}}"#,
        r#"{"status":{"code":429,"message":"slow down"},"data":null}"#,
        r#"{"code":"425","message":"too early","data":null}"#,
    ] {
        holds(body, answer(200, body), &Reading::Repeated);
    }
}

#[test]
fn a_success_that_carries_any_other_error_is_unknown() {
    for body in [
        // A time-out or a breakdown is one wherever it is written.
        r#"{"status":{"code":504,"message":"upstream timed out"},"data":null}"#,
        r#"{"status":{"code":408,"message":"slow"},"data":null}"#,
        r#"{"error":{"code":"500"}}"#,
        r#"{"error":{"code":503,"message":"busy"}}"#,
        r#"{"code":502,"message":"Bad Gateway"}"#,
        r#"{"code":502,"message":"Bad Gateway","request_id":"r-1"}"#,
        r#"{"code":504,"request_id":"r-1"}"#,
        r#"{"error":{"code":3009099,"message":"Service unavailable"}}"#,
        r#"{"error":{"code":3009095,"message":"Internal generation error"}}"#,
        r#"{"code":409,"message":"conflict"}"#,
        // Words and codes without a published meaning prove nothing.
        r#"{"error":"no such model"}"#,
        r#"{"error":"insufficient balance"}"#,
        r#"{"error":{"message":"Insufficient credits"}}"#,
        r#"{"detail":"webhook not supported"}"#,
        r#"{"code":1002,"message":"rate limited"}"#,
        r#"{"error":"no","request_id":"r-1"}"#,
        // Where two codes disagree, the breakdown counts.
        r#"{"status":{"code":500,"message":"","error_code":40201},"data":null}"#,
        r#"{"code":504,"error":{"code":400,"message":"no"}}"#,
    ] {
        holds(body, answer(200, body), &Reading::Unknown);
    }
}

#[test]
fn any_other_success_is_unknown() {
    for body in [
        "",
        "{}",
        "null",
        "[]",
        "OK",
        "\"t-1\"",
        "<html><title>Welcome</title></html>",
        r#"{"id":null}"#,
        r#"{"id":""}"#,
        r#"{"id":"two words"}"#,
        r#"{"status":"in_progress"}"#,
        r#"{"message":"accepted"}"#,
        r#"{"error":null}"#,
        // Where an id that was cut would end is not known.
        r#"{"id":"t-1"#,
        r#"{"id":12"#,
        // A page that holds JSON is not the gateway's answer.
        r#"<script>{"id":"app"}</script>"#,
        // Neither an asset's id nor a request's is a task's.
        r#"{"output":[{"content":[{"id":"asset-1"}]}],}"#,
        r#"{"error":{"id":"e-1","code":500},}"#,
        r#"{"request_id":"r-1","error":"no",}"#,
        // What was repaired proves no refusal.
        r#"{"error":{"code":400,"message":"no"},}"#,
    ] {
        holds(body, answer(200, body), &Reading::Unknown);
    }
    holds("spoilt", spoilt(b"{\"id\":\"t-\xff1\"}"), &Reading::Unknown);
    for status in [201, 202, 204, 206] {
        holds("empty", Response::new(status), &Reading::Unknown);
    }
    // A task was made and its answer did not come through.
    for exchange_outcome in [ExchangeOutcome::garbage(), ExchangeOutcome::html()] {
        holds(&format!("{exchange_outcome:?}"), exchange_outcome, &Reading::Unknown);
    }
}

fn spoilt(body: &'static [u8]) -> Response {
    Response::json(body)
}

#[test]
fn an_id_inside_an_answer_that_is_almost_json_is_saved_and_said_so() {
    let bodies: [&[u8]; 21] = [
        br#"{"id":"t-1","progress":NaN}"#,
        br#"{"progress":Infinity,"id":"t-1"}"#,
        br#"{"id":"t-1","cost":-.5e,"progress":.5}"#,
        b"{\"message\":\"two\nlines\",\"id\":\"t-1\"}",
        b"{\"message\":\"\x00\x1f\",\"id\":\"t-1\"}",
        br#"{"id":"t-1",}"#,
        br#"{"output":[1,2,],"id":"t-1",}"#,
        b"{\"message\":\"caf\xe9\",\"id\":\"t-1\"}",
        b"{\"id\":\"t-1\",\"message\":\"caf\xe9\"}",
        br#"{"id":"t-1""#,
        br#"{"id":"t-1","status":"in_pro"#,
        br#"{"id":"t-1","output":[{"content":[{"url":"https://x/"#,
        br#"{"data":{"id":"t-1","progress":NaN}}"#,
        br#"{"status":{"code":200},"data":{"task_id":"t-1",},}"#,
        br#"{"path":"C:\users","id":"t-1"}"#,
        br#"{"id":"t-1"} trailing"#,
        br#"{"id":"t-1"}{"id":"t-2"}"#,
        br#"{'id': 't-1', 'status': 'in_progress', 'error': None}"#,
        br#"{id: "t-1"}"#,
        br#"{"a":1 "id":"t-1"}"#,
        b"{\"id\":\"t-1\",\"message\":\"a tab\there\"}",
    ];
    for body in bodies {
        let name = String::from_utf8_lossy(body);
        holds(&name, spoilt(body), &Reading::Submitted);
        let mut scene = Scene::submitting(policy()).submits([spoilt(body)]);
        scene.outcome();
        let told: Vec<&Event> = scene.world.transcript().events().collect();
        assert!(
            told.iter().any(|event| {
                let Event::Warning { message } = event else { return false };
                message.contains("t-1") && message.contains("cannot be read")
            }),
            "{name}: {told:?}"
        );
        let facts = scene.world.transcript().entries().map(|entry| &entry.fact);
        let saved = |fact: &Fact| matches!(fact, Fact::Created { task_id, .. } if task_id.as_str() == "t-1");
        assert!(facts.into_iter().any(saved), "{name}");
    }
}

#[test]
fn an_answer_that_is_json_is_not_warned_of() {
    let mut scene = Scene::submitting(policy()).submits([answer(200, TASK)]);
    scene.outcome();
    let warned = |event: &Event| matches!(event, Event::Warning { .. });
    assert!(!scene.world.transcript().events().any(warned), "{}", scene.world.transcript());
}

#[test]
fn an_id_of_four_kibibytes_is_taken_and_a_longer_one_is_none() {
    for length in [257, 1_000, 4_096] {
        let id = "x".repeat(length);
        let body = format!(r#"{{"id":"{id}","status":"in_progress"}}"#);
        let mut scene = Scene::submitting(policy()).submits([answer(200, &body)]);
        let outcome = scene.outcome();
        assert_eq!(outcome.task_id().map(effects_core::TaskId::as_str), Some(id.as_str()));
        let saved = serde_json::to_string(&scene.run.save()).unwrap();
        let saved: effects_core::run::Saved = serde_json::from_str(&saved).unwrap();
        let restored = effects_core::Run::restore(saved, scene.policy.clone(), scene.world.now());
        assert_eq!(restored.task_id().unwrap().as_str(), id);
    }
    let body = format!(r#"{{"id":"{}"}}"#, "x".repeat(4_097));
    holds("4097 bytes", answer(200, &body), &Reading::Unknown);
}

#[test]
fn any_answer_that_carries_a_tasks_id_is_submitted() {
    let timed_out = r#"{"id":"t-1","status":"in_progress","error":{"code":"SYNC_TIMEOUT"}}"#;
    for status in [408, 500, 502, 503, 504, 524, 303, 300] {
        holds("timed out", answer(status, timed_out), &Reading::Submitted);
        holds("bare", answer(status, r#"{"id":"t-1"}"#), &Reading::Submitted);
        holds("data", answer(status, r#"{"data":{"task_id":"t-1"}}"#), &Reading::Submitted);
        holds("spoilt", answer(status, r#"{"id":"t-1",}"#), &Reading::Submitted);
    }
    // What is certain to be refused needs an answer that shows a task, not an error with a name.
    for status in [400, 402, 409, 422, 425, 429] {
        holds("shown", answer(status, timed_out), &Reading::Submitted);
        holds("failed", answer(status, r#"{"id":"t-1","status":"failed"}"#), &Reading::Submitted);
        holds("named", answer(status, r#"{"task_id":"t-1","message":"no"}"#), &Reading::Submitted);
        holds("bare", answer(status, r#"{"id":"t-1"}"#), &Reading::Submitted);
    }
    let named = r#"{"id":"rate_limit","message":"slow down"}"#;
    holds(named, answer(429, named), &Reading::Repeated);
    for body in [
        r#"{"id":"not_found","message":"no such model"}"#,
        r#"{"id":"e-1","status":"error","message":"no"}"#,
        r#"{"id":"e-1","status":400,"error":"Bad Request"}"#,
        r#"{"error":"no","request_id":"r-1"}"#,
        r#"{"message":"no","request_id":"r-1"}"#,
    ] {
        holds(body, answer(400, body), &Reading::Refused(ErrorKind::Rejected));
    }
    // The name of an exchange that broke down is no task's.
    for body in [
        r#"{"message":"broken","request_id":"r-1"}"#,
        r#"{"error":{"code":"SYNC_TIMEOUT"},"request_id":"r-1"}"#,
    ] {
        holds(body, answer(504, body), &Reading::Unknown);
    }
}

#[test]
fn a_breakdown_that_names_a_task_leaves_its_end_to_the_polls() {
    // The words of a gateway that broke down are about the exchange.
    let body =
        r#"{"id":"d758n65e878c73cmdg20","status":"failed","error":{"code":504,"message":"slow"}}"#;
    let mut scene = Scene::submitting(policy()).submits([answer(504, body)]);
    scene.world.service().add_task(crate::common::TASK, scene.world.now(), TaskScript::of_polls(1));
    assert!(scene.completes(), "{}", scene.world.transcript());
    let told: Vec<String> = scene.world.transcript().events().map(ToString::to_string).collect();
    assert!(told.iter().any(|text| text.contains("HTTP 504")), "{told:?}");
}

#[test]
fn a_refusal_for_now_is_repeated() {
    for status in [425, 429] {
        holds("bare", Response::new(status), &Reading::Repeated);
        holds("seconds", Response::new(status).retry_after(2), &Reading::Repeated);
        holds("date", Response::new(status).retry_after_date(2), &Reading::Repeated);
        holds("html", Response::html("slow down").status(status), &Reading::Repeated);
    }
}

#[test]
fn a_503_is_repeated_for_the_listed_codes_of_overload_alone() {
    for body in [
        r#"{"error":{"code":"RATE_LIMIT_EXCEEDED","message":"busy"},"request_id":"r-1"}"#,
        r#"{"error":{"code":1002,"message":"rate limited"}}"#,
        r#"{"status":{"code":429,"message":"busy"},"data":null}"#,
        r#"{"code":425,"message":"busy","data":null}"#,
    ] {
        holds(body, answer(503, body), &Reading::Repeated);
        holds(body, answer(503, body).retry_after(2), &Reading::Repeated);
        holds(body, answer(503, body).retry_after_date(2), &Reading::Repeated);
    }
    // Whatever stands between can write a header, a page or a word after the request went through.
    for body in [
        "",
        "Backend fetch failed",
        "<html><title>503 Backend fetch failed</title></html>",
        "{}",
        r#"{"message":"busy"}"#,
        r#"{"detail":"busy"}"#,
        r#"{"error":"busy"}"#,
        r#"{"error":{"code":503,"message":"busy"}}"#,
        r#"{"error":{"code":3009099,"message":"Service unavailable"}}"#,
        r#"{"code":503,"message":"busy","data":null}"#,
        r#"{"message":"RATE_LIMIT_EXCEEDED"}"#,
        // A listed code beside one that says it broke down.
        r#"{"code":500,"error":{"code":1002,"message":"busy"}}"#,
    ] {
        holds(body, answer(503, body), &Reading::Unknown);
        holds(body, answer(503, body).retry_after(0), &Reading::Unknown);
        holds(body, answer(503, body).retry_after(2), &Reading::Unknown);
        holds(body, answer(503, body).retry_after_date(2), &Reading::Unknown);
    }
}

/// The answer of a gateway with too much to do.
fn overloaded() -> Response {
    answer(503, r#"{"error":{"code":"RATE_LIMIT_EXCEEDED","message":"busy"}}"#)
}

#[test]
fn every_other_refusal_is_final_with_an_error_of_its_own() {
    use ErrorKind::{Forbidden, KeyRefused, NoSuchEndpoint, OutOfCredit, Redirected, Rejected};
    let plain = r#"{"message":"no"}"#;
    for (status, body, kind) in [
        (400, r#"{"error":{"code":3009004,"error_message":"Invalid size parameter"}}"#, Rejected),
        (400, r#"{"error":"your balance is fine, the size is not"}"#, Rejected),
        (401, r#"{"error":"Missing Token"}"#, KeyRefused),
        (401, "", KeyRefused),
        (402, plain, OutOfCredit),
        (402, "", OutOfCredit),
        (
            402,
            r#"{"status":{"code":402,"message":"Insufficient credits","error_code":40201}}"#,
            OutOfCredit,
        ),
        (403, r#"{"error":{"message":"Insufficient Balance"}}"#, OutOfCredit),
        (403, r#"{"message":"not enough credits"}"#, OutOfCredit),
        (403, r#"{"error":{"code":"insufficient_balance","message":"denied"}}"#, OutOfCredit),
        (403, r#"{"detail":"Model not allowed for this user"}"#, Forbidden),
        (403, "<html><title>Forbidden</title></html>", Forbidden),
        (404, r#"{"detail":"App not found: x"}"#, Rejected),
        (404, "<html><title>Not Found</title></html>", NoSuchEndpoint),
        (405, "", NoSuchEndpoint),
        (409, plain, Rejected),
        (413, plain, Rejected),
        (422, plain, Rejected),
        (451, "", Rejected),
        (499, "", Rejected),
        (301, "", Redirected),
        (302, "", Redirected),
        (307, "", Redirected),
        (308, "", Redirected),
    ] {
        holds(&format!("{status} {body}"), answer(status, body), &Reading::Refused(kind));
    }
    for to in ["https://elsewhere.test/model/v1/generation", "/login?next=/model/v1/generation"] {
        for status in [301, 302, 307, 308] {
            holds(to, Response::redirect(status, to), &Reading::Refused(Redirected));
        }
    }
    // It asks for the same request at another place, whatever is there.
    let task = "https://elsewhere.test/model/v1/generation/task/t-1";
    for status in [307, 308] {
        holds(task, Response::redirect(status, task), &Reading::Refused(Redirected));
    }
}

#[test]
fn an_answer_that_says_processed_look_there_is_unknown_and_shows_where() {
    let there = "https://me:hunter2@elsewhere.test/model/v1/generation/task/t-1?session=secret#top";
    for answered in [
        Response::redirect(303, there),
        Response::redirect(301, there),
        Response::redirect(302, there),
        Response::redirect(300, there),
        Response::redirect(201, there),
        Response::redirect(202, there),
        Response::redirect(202, there).body("{}"),
        Response::redirect(200, there).body("<html><title>Moved</title></html>"),
        Response::redirect(201, there).body(r#"{"error":"no id for you"}"#),
        Response::redirect(504, there),
    ] {
        let name = format!("{answered:?}");
        holds(&name, answered.clone(), &Reading::Unknown);
        let error = Scene::submitting(policy()).submits([answered]).error().to_string();
        assert!(error.contains("https://elsewhere.test/model/v1/generation/task/t-1"), "{error}");
        assert!(!error.contains("secret") && !error.contains("hunter2"), "{error}");
    }
    for to in ["generation/task/t-1", "/tasks/t-1", "task/t-1"] {
        holds(to, Response::redirect(302, to), &Reading::Unknown);
    }
    // No status that leaves open what it means proves that nothing was made.
    for status in [300, 303, 304, 305, 306, 310, 399] {
        holds("bare", Response::new(status), &Reading::Unknown);
    }
}

#[test]
fn a_breakdown_and_a_lost_answer_are_unknown() {
    for status in [408, 500, 501, 502, 503, 504, 507, 520, 524, 599] {
        holds("json", answer(status, r#"{"error":"broken"}"#), &Reading::Unknown);
        holds("html", Response::html("<h1>broken</h1>").status(status), &Reading::Unknown);
        // A breakdown may have kept the request, whatever it says of the time.
        holds("later", Response::new(status).retry_after(1), &Reading::Unknown);
    }
    // What is no final answer of HTTP is none, unless it names a task.
    for status in [100, 103, 600, 999] {
        holds("odd", answer(status, "{}"), &Reading::Unknown);
        holds("odd", answer(status, TASK), &Reading::Submitted);
    }
    holds("lost", ExchangeOutcome::LostBefore, &Reading::Unknown);
    holds("lost after", ExchangeOutcome::LostAfter, &Reading::Unknown);
    holds("late", ExchangeOutcome::Served.after(seconds(31)), &Reading::Unknown);
}

#[test]
fn what_never_left_is_made_again() {
    holds("not sent", ExchangeOutcome::NotSent, &Reading::Repeated);
}

#[test]
fn unknown_keeps_what_support_needs() {
    let mut scene = Scene::submitting(policy()).submits([ExchangeOutcome::LostAfter]);
    let Outcome::Unknown(unknown) = scene.outcome() else { panic!() };
    let (sent_at, call) = scene.world.transcript().calls().next().unwrap();
    let CallKind::Submit { request_id, idempotency_key, .. } = &call.kind else { panic!() };
    assert_eq!((&unknown.request_id, &unknown.idempotency_key), (request_id, idempotency_key));
    assert_eq!(unknown.sent_at, sent_at);
    let error = Outcome::Unknown(unknown.clone()).into_result().unwrap_err();
    assert_eq!(error.request_id(), Some(unknown.request_id.as_str()));
    let text = error.to_string();
    for needed in [&unknown.request_id, &unknown.idempotency_key, &sent_at.to_string()] {
        assert!(text.contains(needed.as_str()), "{text}");
    }
    // The intent on record has them too, and nothing says that it was released.
    let facts: Vec<&Fact> = scene.world.transcript().entries().map(|entry| &entry.fact).collect();
    let [Fact::Intent { request_id: kept, attempt: 0, request: asked, .. }] = facts[..] else {
        panic!("{facts:?}")
    };
    assert_eq!((kept, asked), (request_id, &request().into()));
}

#[test]
fn each_attempt_is_named_anew_and_the_submission_stays_the_same() {
    let mut scene =
        Scene::submitting(policy()).submits([ExchangeOutcome::NotSent, ExchangeOutcome::NotSent]);
    assert!(scene.completes());
    let names: Vec<(String, String)> = scene
        .world
        .transcript()
        .calls()
        .filter_map(|(_, call)| match &call.kind {
            CallKind::Submit { request_id, idempotency_key, .. } => {
                Some((request_id.clone(), idempotency_key.clone()))
            }
            CallKind::Poll { .. } => None,
        })
        .collect();
    let [one, two, three] = &names[..] else { panic!("{names:?}") };
    assert!(one.0 != two.0 && two.0 != three.0 && one.0 != three.0);
    assert!(one.1 == two.1 && two.1 == three.1);
    let facts: Vec<&Fact> = scene.world.transcript().entries().map(|entry| &entry.fact).collect();
    assert!(
        matches!(
            facts[..],
            [
                Fact::Intent { attempt: 0, .. },
                Fact::Released { .. },
                Fact::Intent { attempt: 1, .. },
                Fact::Released { .. },
                Fact::Intent { attempt: 2, .. },
                Fact::Created { .. },
            ]
        ),
        "{facts:?}"
    );
}

#[test]
fn a_submission_refused_for_now_is_repeated_at_least_eight_times_within_the_default_wait() {
    for answer in [
        ExchangeOutcome::NotSent,
        Response::new(429).into(),
        Response::new(429).retry_after(60).into(),
        overloaded().retry_after(86_400).into(),
        Response::new(425).retry_after_date(3_600).into(),
    ] {
        for seed in 0..20 {
            let mut scene =
                Scene::submitting(Policy::default()).submits(vec![answer.clone(); 9999]);
            let (policy, now) = (scene.policy.clone(), scene.world.now());
            scene.run = effects_core::Run::submit(request(), policy, seed.into(), now);
            let Outcome::Refused(refused) = scene.outcome() else { panic!() };
            assert!(refused.attempts > 8, "{answer:?}, {seed}: {}", refused.attempts);
            assert_eq!(refused.attempts as usize, scene.world.service().submissions());
            assert!(scene.world.transcript().elapsed() <= Policy::default().wait_timeout);
        }
    }
}

#[test]
fn what_is_refused_to_the_end_says_why() {
    for (answer, kind) in [
        (Response::new(429).into(), ErrorKind::RateLimited),
        (overloaded().into(), ErrorKind::RateLimited),
        (overloaded().retry_after(5).into(), ErrorKind::RateLimited),
        (answer(200, r#"{"error":{"code":429,"message":"slow"}}"#).into(), ErrorKind::RateLimited),
        (ExchangeOutcome::NotSent, ErrorKind::Transport),
    ] {
        let error = Scene::submitting(policy()).submits(vec![answer; 999]).error();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains("nothing is billed"), "{error}");
    }
}

#[test]
fn a_run_that_nothing_answers_ends_after_a_minute_and_one_that_was_answered_does_not() {
    let elapsed = |policy: Policy, exchange_outcomes: Vec<ExchangeOutcome>| {
        let mut scene = Scene::submitting(policy).submits(exchange_outcomes);
        assert_eq!(scene.error().kind(), ErrorKind::Transport);
        scene.world.transcript().elapsed()
    };
    let never = vec![ExchangeOutcome::NotSent; 999];
    let refused_first = [vec![Response::new(429).into()], never.clone()].concat();
    let (minute, wait) = (seconds(60), policy().wait_timeout);
    assert_eq!(elapsed(policy(), never.clone()), minute);
    assert_eq!(elapsed(policy(), refused_first), wait);
    let shorter = Policy { first_answer_timeout: seconds(5), ..policy() };
    assert_eq!(elapsed(shorter, never.clone()), seconds(5));
    // One of many jobs waits for the gateway.
    assert_eq!(elapsed(policy().for_batch(), never.clone()), wait);
    let longer = Policy { wait_timeout: seconds(10), ..policy() };
    assert_eq!(elapsed(longer, never), seconds(10));
    // Once there is a task, the wait alone counts.
    let mut scene = Scene::submitting(policy()).polls(vec![ExchangeOutcome::NotSent; 999]);
    assert_eq!(scene.error().kind(), ErrorKind::WaitTimeout);
    assert!(scene.world.transcript().elapsed() >= wait);
}

#[test]
fn nothing_leaves_after_the_deadline_and_a_task_that_is_paid_for_is_named() {
    let due = |left: u64| {
        let mut scene = Scene::submitting(policy());
        let deadline =
            Some(Deadline::after(seconds(60)).begun(scene.world.now() - seconds(60 - left)));
        scene.policy = Policy { deadline, ..policy() }.into();
        scene.run = Run::submit(request(), scene.policy.clone(), Seed::from(1), scene.world.now());
        scene
    };
    // The upload took it all.
    let mut scene = due(0);
    let error = scene.error();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert_eq!((error.exit_code(), error.task_id()), (7, None));
    let words = error.to_string();
    assert!(
        words.contains("the deadline is over") && words.contains("nothing is billed"),
        "{words}"
    );
    assert_eq!(scene.world.service().submissions(), 0);

    // A submission that is under way is awaited, and its task named; there is no look at it.
    let mut scene = due(10)
        .submits([ExchangeOutcome::Served.after(seconds(20))])
        .task_script(TaskScript::endless());
    let error = scene.error();
    assert_eq!(error.kind(), ErrorKind::WaitTimeout, "{error}");
    assert!(error.task_id().is_some());
    assert_eq!(scene.world.transcript().elapsed(), seconds(20));
    assert_eq!(scene.world.transcript().calls().count(), 1);

    // A gateway that cannot be reached is tried until then.
    let mut scene = due(10).submits(vec![ExchangeOutcome::NotSent; 99]);
    assert_eq!(scene.error().kind(), ErrorKind::Transport);
    assert!(scene.world.transcript().elapsed() <= seconds(10));
}

#[test]
fn a_certificate_that_is_not_trusted_ends_a_run_at_once_and_no_wait_for_a_task_that_was_seen() {
    for mut scene in [
        Scene::submitting(policy()).submits([ExchangeOutcome::Untrusted]),
        Scene::attached(policy(), TaskScript::endless()).polls([ExchangeOutcome::Untrusted]),
    ] {
        let error = scene.error();
        assert_eq!(error.kind(), ErrorKind::Transport);
        assert!(matches!(error.exchange_error(), Some(ExchangeError::Untrusted { .. })), "{error}");
        assert_eq!(scene.world.transcript().elapsed(), seconds(0));
    }
    let mut scene = Scene::submitting(policy()).polls([ExchangeOutcome::Untrusted]);
    assert!(scene.completes());
}

#[test]
fn waits_double_from_half_a_second_to_eight_and_no_retry_after_shortens_them() {
    let still = Backoff { jitter: 0.0, ..Backoff::default() };
    let policy = Policy { retry: still, ..policy() };
    for (answer, expected) in [
        (Response::new(429), [500, 1_000, 2_000, 4_000, 8_000, 8_000]),
        (Response::new(429).retry_after(0), [500, 1_000, 2_000, 4_000, 8_000, 8_000]),
        (Response::new(429).retry_after(3), [3_000, 3_000, 3_000, 4_000, 8_000, 8_000]),
        (overloaded().retry_after_date(3), [3_000, 3_000, 3_000, 4_000, 8_000, 8_000]),
        // A minute is believed and no more.
        (Response::new(429).retry_after(3_600), [60_000; 6]),
    ] {
        let mut scene = Scene::submitting(policy.clone()).submits(vec![answer.clone(); 6]);
        assert!(scene.completes());
        let waits: Vec<Duration> =
            scene.world.transcript().sleeps().map(|(wait, _)| wait).collect();
        let held: Vec<u128> = waits.iter().map(Duration::as_millis).filter(|&ms| ms > 0).collect();
        assert_eq!(held[..6], expected, "{answer:?}\n{}", scene.world.transcript());
        let retried: Vec<Duration> = scene
            .world
            .transcript()
            .events()
            .filter_map(|event| match event {
                Event::Retrying { after, task_id: None, .. } => Some(*after),
                _ => None,
            })
            .collect();
        assert_eq!(retried.iter().map(Duration::as_millis).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_throttle_is_told_from_other_errors() {
    for (answer, why) in [
        (Response::new(429).into(), SleepReason::Throttle),
        (overloaded().into(), SleepReason::Throttle),
        (ExchangeOutcome::NotSent, SleepReason::Retry),
    ] {
        let mut scene = Scene::submitting(policy()).submits([answer]);
        assert!(scene.completes());
        assert!(scene.world.transcript().sleeps().any(|(_, seen)| seen == why), "{why:?}");
    }
}

#[test]
fn never_means_never() {
    for (answer, kind) in [
        (ExchangeOutcome::NotSent, ErrorKind::Transport),
        (Response::new(429).into(), ErrorKind::RateLimited),
        (overloaded().into(), ErrorKind::RateLimited),
        (ExchangeOutcome::LostBefore, ErrorKind::OutcomeUnknown),
        (Response::new(500).into(), ErrorKind::OutcomeUnknown),
    ] {
        let mut scene = Scene::submitting(repeating(Repeat::Never)).submits([answer]);
        assert_eq!(scene.error().kind(), kind);
        assert_eq!(scene.world.service().submissions(), 1);
    }
}

#[test]
fn always_repeats_what_is_unknown_and_remembers_that_it_is() {
    let mut scene = Scene::submitting(repeating(Repeat::Always)).submits([
        ExchangeOutcome::LostAfter,
        Response::new(500).into(),
        ExchangeOutcome::garbage(),
    ]);
    assert!(scene.completes());
    assert_eq!(scene.world.service().submissions(), 4);
    assert_eq!(scene.world.service().tasks_made(), 3);

    // A refusal of a later attempt says nothing of the first.
    let mut scene = Scene::submitting(repeating(Repeat::Always))
        .submits([ExchangeOutcome::LostAfter, Response::new(401).into()]);
    assert!(matches!(scene.outcome(), Outcome::Unknown(_)), "{}", scene.world.transcript());
    let facts: Vec<&Fact> = scene.world.transcript().entries().map(|entry| &entry.fact).collect();
    let released = facts.iter().any(|fact| matches!(fact, Fact::Released { .. }));
    assert!(!released, "a journal would take the first attempt for released as well: {facts:?}");

    // And what can be repeated is, until the wait is over.
    let mut scene = Scene::submitting(repeating(Repeat::Always))
        .submits(vec![ExchangeOutcome::LostBefore; 999]);
    assert!(matches!(scene.outcome(), Outcome::Unknown(_)));
    assert!(scene.world.service().submissions() > 8);
    assert!(scene.world.transcript().elapsed() <= policy().wait_timeout);
}

#[test]
fn a_late_answer_with_an_id_turns_the_run_back_to_waiting() {
    let mut scene = Scene::submitting(policy())
        .task_script(TaskScript::lasting(seconds(60)))
        .submits([ExchangeOutcome::Served.after(seconds(40))]);
    assert!(matches!(scene.outcome(), Outcome::Unknown(_)));
    assert_eq!(scene.run.task_id(), None);

    assert!(scene.world.deliver_late(&mut scene.run));
    assert!(scene.run.task_id().is_some());
    // Its id is recorded before anything else, and told.
    assert!(matches!(
        scene.run.step(scene.world.now()),
        Step::Record(entry) if matches!(entry.fact, Fact::Created { .. })
    ));
    let restored = scene.run.save();
    scene.run = effects_core::Run::restore(restored, scene.policy.clone(), scene.world.now());
    assert!(scene.completes(), "{}", scene.world.transcript());
    assert_eq!(scene.world.service().submissions(), 1);
}

#[test]
fn a_late_answer_without_an_id_changes_nothing() {
    for late in [
        ExchangeOutcome::from(Response::new(429)).after(seconds(40)),
        ExchangeOutcome::from(Response::new(401)).after(seconds(40)),
        ExchangeOutcome::garbage().after(seconds(40)),
        ExchangeOutcome::NotSent.after(seconds(40)),
    ] {
        let mut scene = Scene::submitting(policy()).submits([late]);
        let unknown = scene.outcome();
        assert!(matches!(unknown, Outcome::Unknown(_)));
        assert!(scene.world.deliver_late(&mut scene.run));
        assert_eq!(scene.outcome(), unknown);
        assert_eq!(scene.world.service().submissions(), 1);
    }
}

#[test]
fn a_late_answer_that_comes_twice_makes_no_second_task() {
    let mut scene = Scene::submitting(policy()).submits([ExchangeOutcome::LostBefore]);
    let call = scene.until_sent();
    scene.run.reply(scene.world.now(), call.id, &crate::common::lost());
    assert!(matches!(scene.next(), Step::Done(Outcome::Unknown(_))));
    for _ in 0..3 {
        scene.answer(&call, 200, r#"{"id":"t-1","status":"in_progress"}"#);
    }
    let told = drain(&mut scene);
    assert_eq!(told.iter().filter(|event| matches!(event, Event::SecondTask { .. })).count(), 0);
}

#[test]
fn a_second_task_is_told_once_and_the_same_task_is_none() {
    let mut scene = Scene::submitting(repeating(Repeat::Always));
    let lost = scene.until_sent();
    scene.run.reply(scene.world.now(), lost.id, &crate::common::lost());
    let second = scene.until_sent();
    scene.answer(&second, 200, r#"{"id":"t-2","status":"in_progress"}"#);
    for _ in 0..3 {
        scene.answer(&lost, 200, r#"{"id":"t-1","status":"in_progress"}"#);
    }
    let told = drain(&mut scene);
    let seconds = told.iter().filter(
        |event| matches!(event, Event::SecondTask { task_id } if task_id.as_str() == "t-1"),
    );
    assert_eq!(seconds.count(), 1, "{told:?}");

    // A gateway that honours the idempotency key answers both with one task.
    let mut scene = Scene::submitting(repeating(Repeat::Always));
    let lost = scene.until_sent();
    scene.run.reply(scene.world.now(), lost.id, &crate::common::lost());
    let second = scene.until_sent();
    scene.answer(&second, 200, r#"{"id":"t-1","status":"in_progress"}"#);
    scene.answer(&lost, 200, r#"{"id":"t-1","status":"in_progress"}"#);
    let told = drain(&mut scene);
    assert!(!told.iter().any(|event| matches!(event, Event::SecondTask { .. })), "{told:?}");
}

#[test]
fn a_late_answer_while_the_next_attempt_waits_is_taken_in_its_place() {
    let mut scene = Scene::submitting(repeating(Repeat::Always));
    let lost = scene.until_sent();
    scene.run.reply(scene.world.now(), lost.id, &crate::common::lost());
    assert!(matches!(scene.next(), Step::Sleep { why: SleepReason::Retry, .. }));
    scene.answer(&lost, 200, r#"{"id":"t-1","status":"in_progress"}"#);
    assert_eq!(scene.run.task_id().unwrap().as_str(), "t-1");
    assert!(!scene.until_sent().is_submission());
}

#[test]
fn a_late_answer_while_the_next_attempt_is_out_is_followed_and_the_attempt_may_bring_a_second() {
    let mut scene = Scene::submitting(repeating(Repeat::Always));
    let lost = scene.until_sent();
    scene.run.reply(scene.world.now(), lost.id, &crate::common::lost());
    let second = scene.until_sent();
    scene.answer(&lost, 200, r#"{"id":"t-1","status":"in_progress"}"#);
    assert_eq!(scene.run.task_id().unwrap().as_str(), "t-1");
    scene.answer(&second, 200, r#"{"id":"t-2","status":"in_progress"}"#);
    let told = drain(&mut scene);
    let second =
        |event: &Event| matches!(event, Event::SecondTask { task_id } if task_id.as_str() == "t-2");
    assert!(told.iter().any(second), "{told:?}");
    assert!(!scene.until_sent().is_submission());
}

#[test]
fn an_error_keeps_the_services_words_and_its_name_for_the_exchange() {
    let body = r#"{"error":{"code":3009001,"error_message":"no image"},"request_id":"req-9"}"#;
    let mut scene = Scene::submitting(policy()).submits([answer(400, body)]);
    let error = scene.error();
    assert_eq!(error.code().unwrap().as_str(), "3009001");
    assert_eq!((error.status(), error.request_id()), (Some(400), Some("req-9")));
    assert!(error.to_string().contains("no image"), "{error}");

    let named = Response::new(400).header("X-Request-Id", "from-header");
    let error = Scene::submitting(policy()).submits([named]).error();
    assert_eq!(error.request_id(), Some("from-header"));

    let away = Response::redirect(302, "https://elsewhere.test/login?session=secret");
    let Outcome::Refused(refused) = Scene::submitting(policy()).submits([away]).outcome() else {
        panic!()
    };
    let text = refused.to_string();
    assert!(text.contains("https://elsewhere.test/login") && !text.contains("secret"), "{text}");
    assert!(matches!(refused.error, ExchangeError::Rejected(_)));
}

/// Everything the run tells until it has nothing more to say.
fn drain(scene: &mut Scene) -> Vec<Event> {
    let mut told = Vec::new();
    loop {
        match scene.run.step(scene.world.now()) {
            Step::Notify(event) => told.push(event),
            Step::Record(entry) => scene.run.recorded(entry.id),
            _ => return told,
        }
    }
}

#[test]
fn an_answer_to_a_call_that_is_not_out_is_ignored() {
    let mut scene = Scene::submitting(policy());
    let call = scene.until_sent();
    scene.answer(&call, 200, r#"{"id":"t-1","status":"in_progress"}"#);
    let before = scene.run.save();
    scene.answer(&call, 200, r#"{"id":"t-2","status":"completed"}"#);
    assert_eq!(scene.run.save(), before);
}

/// A process that was suspended between the record and the sending may have lost its lease: another
/// process takes such an intent for doubtful, so it must not leave late.
#[test]
fn an_intent_that_was_not_sent_in_time_is_recorded_anew() {
    let mut scene = Scene::submitting(policy());
    let mut now = scene.world.now();
    let Step::Record(first) = scene.run.step(now) else { panic!() };
    scene.run.recorded(first.id);
    now = now + Duration::from_secs(60);
    let Step::Record(released) = scene.run.step(now) else { panic!("it left a minute late") };
    assert!(matches!(released.fact, Fact::Released { .. }), "{released:?}");
    scene.run.recorded(released.id);
    let Step::Record(second) = scene.run.step(now) else { panic!() };
    let (Fact::Intent { request_id: one, .. }, Fact::Intent { request_id: other, .. }) =
        (&first.fact, &second.fact)
    else {
        panic!("{first:?} {second:?}")
    };
    assert_ne!(one, other);
    scene.run.admission(now, second.id, &effects_core::journal::Admission::Admitted);
    assert!(matches!(scene.run.step(now), Step::Send(_)));
}
