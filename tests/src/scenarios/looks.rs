//! [`scenarios`]: polls of a task that fail, are slow or are answered with a time to wait: a client waits
//! for what can pass, and ends with an error that has the task's id where it cannot.
//! `tests/all/conformance.rs` plays the list over the Rust clients, `tests/all/python.rs` over the Python
//! ones; `tests/secrets.rs` plays it and looks for the key in the log.

use std::time::Duration;

use effects_core::{ErrorKind, Pace, Status};
use effects_testkit::http::{Behaviour, ConnectionAfter, Framing, Response};

use crate::scenario::Scenario;
use crate::world::{ScenarioWorld, TASK};

/// Everything that can happen to a look.
pub fn scenarios() -> Vec<Scenario> {
    let mut all = passing();
    all.extend(slow());
    all.extend(asked_to_wait());
    all.extend(final_at_once());
    all.extend(refused());
    all.extend(not_found());
    all.extend(the_end_of_the_wait());
    all.extend(resumed());
    all.extend(single_looks());
    all
}

/// Two of the same fault, then the task, completed.
fn survives(name: &'static str, fault: impl Into<Behaviour>) -> Scenario {
    let fault = fault.into();
    Scenario::new(name, move |world| {
        world.creates([world.accepted()]);
        // Before the task was seen, and after.
        world.looks([fault.clone(), world.running().into(), fault.clone()]);
        world.looks([world.completed()]);
    })
    .looks(4)
}

/// Faults that pass.
fn passing() -> Vec<Scenario> {
    let task = || Response::json(format!(r#"{{"id":"{TASK}","status":"in_progress"}}"#));
    let error = |status| Response::json(r#"{"error":{"code":1,"message":"oh"}}"#).status(status);
    vec![
        survives("a look: closed", Behaviour::Close),
        survives("a look: reset", Behaviour::Reset),
        survives("a look: half a head", Behaviour::TruncateHead { response: task(), bytes: 20 }),
        survives("a look: half a body", Behaviour::Truncate { response: task(), body_bytes: 7 }),
        survives("a look: no HTTP", Behaviour::Raw("nonsense\r\n\r\n".into())),
        survives("a look: 408", error(408)),
        survives("a look: 425", error(425)),
        survives("a look: 429", error(429)),
        survives("a look: 500", error(500)),
        survives("a look: 502 in HTML", Response::html("<title>502</title>").status(502)),
        survives("a look: 503", error(503)),
        survives("a look: 504", error(504)),
        survives("a look: 599", Response::new(599)),
        survives("a look: HTML", Response::html("<html><title>Sign in</title></html>")),
        survives("a look: nothing", Response::json("")),
        survives("a look: garbage", Response::json("\u{0}\u{1}")),
        survives("a look: half a JSON", Response::json(r#"{"id":"d758n65e878"#)),
        survives("a look: half a JSON, whole in HTTP", {
            Response::json(r#"{"id":"d7"#).framed(Framing::UntilClose)
        }),
        survives("a look: a list", Response::json("[1,2]")),
        survives("a look: an empty object", Response::json("{}")),
        survives("a look: 204", Response::new(204)),
        survives("a look: an error under 200", error(200)),
        survives("a look: 503 in an envelope under 200", {
            Response::json(r#"{"status":{"code":503,"message":"later"},"data":null}"#)
        }),
        survives(
            "a look: a connection given up unannounced",
            task().and(ConnectionAfter::CloseUnannounced),
        ),
        survives("a look: a connection given up", task().and(ConnectionAfter::Close)),
        survives("a look: an upper-case status", Response::json(r#"{"status":"IN_PROGRESS"}"#)),
        survives("a look: a status without an id", Response::json(r#"{"status":"queued"}"#)),
        survives("a look: an unknown status", status("polishing")),
        survives("a look: an unknown status is told", status("Polishing"))
            .reports("unknown status"),
        survives("a look: trouble is told", error(500)).reports("looking at task"),
    ]
}

/// A look that hangs ends with its time limit, and is made again.
fn slow() -> Vec<Scenario> {
    let quick = |scenario: Scenario| {
        scenario.policy(|policy| policy.request_timeout = Duration::from_millis(700))
    };
    let once = |name, fault: fn(Response) -> Behaviour| {
        quick(Scenario::new(name, move |world| {
            world.creates([world.accepted()]);
            world.looks([fault(world.running()), world.completed().into()]);
        }))
        .looks(2)
    };
    vec![
        once("a look: no answer in time", |_| Behaviour::Hang),
        once("a look: half an answer in time", |response| Behaviour::HangAfter {
            response,
            body_bytes: 5,
        }),
        once("a look: an answer too slow", |response| Behaviour::Drip {
            response,
            piece: 1,
            every: Duration::from_millis(300),
        }),
    ]
}

/// `Retry-After`, in both its forms, up to a cap.
fn asked_to_wait() -> Vec<Scenario> {
    let once = |name, fault: Response| {
        Scenario::new(name, move |world| {
            world.creates([world.accepted()]);
            world.looks([fault.clone(), world.completed()]);
        })
        .looks(2)
    };
    let a_second = |scenario: Scenario| {
        scenario.then(|witness| assert!(witness.elapsed >= Duration::from_secs(1), "too early"))
    };
    // By the answer's own date, which is years past: this machine's clock plays no part.
    let dated = Response::new(503)
        .header("Date", "Wed, 21 Oct 2015 07:28:00 GMT")
        .header("Retry-After", "Wed, 21 Oct 2015 07:28:01 GMT");
    vec![
        a_second(once("a look: 429 for a second", Response::new(429).header("Retry-After", "1"))),
        a_second(once("a look: 503 for a second by its own date", dated)),
        once("a look: 429 for a day, believed up to a cap", {
            Response::new(429).header("Retry-After", "86400")
        })
        .policy(|policy| policy.retry_after_most = Duration::from_millis(50)),
        once("a look: 429 for nonsense", Response::new(429).header("Retry-After", "soon")),
    ]
}

/// Looking again would not help: it ends at once, and with the id.
fn final_at_once() -> Vec<Scenario> {
    let ends = |name, answer: Response, kind| {
        Scenario::new(name, move |world| {
            world.creates([world.accepted()]);
            world.looks([world.running(), answer.clone()]);
        })
        .fails_with_task(kind)
        .looks(2)
    };
    let plain = |status: u16| Response::json(r#"{"error":"no"}"#).status(status);
    vec![
        ends("a look: 401", plain(401), ErrorKind::KeyRefused),
        ends("a look: 403", plain(403), ErrorKind::Forbidden),
        ends("a look: 403 for want of balance", {
            Response::json(r#"{"message":"insufficient balance"}"#).status(403)
        }, ErrorKind::OutOfCredit),
        ends("a look: 401 in an envelope under 200", {
            Response::json(r#"{"status":{"code":401,"message":"who?"},"data":null}"#)
        }, ErrorKind::KeyRefused),
        ends("a look: failed", {
            Response::json(format!(
                r#"{{"id":"{TASK}","status":"failed","error":{{"code":3009095,"message":"inside"}}}}"#
            ))
        }, ErrorKind::TaskFailed)
        .then(|witness| {
            assert_eq!(witness.failure().code.as_deref(), Some("3009095"));
            assert!(witness.failure().message.contains("inside"), "{witness:?}");
        }),
        ends("a look: completed without a picture", {
            Response::json(format!(r#"{{"id":"{TASK}","status":"completed","output":[]}}"#))
        }, ErrorKind::NoPicture),
        ends("a look: completed with a picture without a URL", {
            Response::json(format!(
                r#"{{"id":"{TASK}","status":"completed","output":[{{"content":[{{"type":"image","url":""}}]}}]}}"#
            ))
        }, ErrorKind::NoPicture),
        ends("a look: completed with an error and no picture", {
            Response::json(format!(
                r#"{{"id":"{TASK}","status":"completed","error":{{"code":"3009096","error_message":"unreadable"}}}}"#
            ))
        }, ErrorKind::TaskFailed),
    ]
}

/// What refuses a look without being the gateway's own word on the key: it is told once, and lasts
/// until the wait ends.
fn refused() -> Vec<Scenario> {
    let json = |status: u16| Response::json(r#"{"error":"no"}"#).status(status);
    // A firewall in front of the gateway answers with such pages, and they pass.
    let page = |status: u16| Response::html("<title>Just a moment...</title>").status(status);
    let redirected = |name, status| {
        Scenario::new(name, move |world| {
            world.creates([world.accepted()]);
            let elsewhere = Response::redirect(status, world.elsewhere.url("/task"));
            world.looks([elsewhere, world.running(), world.completed()]);
            world.elsewhere.otherwise(world.completed());
        })
        .looks(3)
        .then(|witness| assert!(witness.world.elsewhere.requests().is_empty()))
    };
    let lasts = |name, answer: Response| {
        Scenario::new(name, move |world| {
            world.creates([world.accepted()]);
            world.looks([world.running()]);
            world.gateway.otherwise(answer.clone());
        })
        .policy(|policy| policy.wait_timeout = Duration::from_secs(1))
        .fails_with_task(ErrorKind::WaitTimeout)
    };
    vec![
        redirected("a look: 302", 302),
        redirected("a look: 307", 307),
        survives("a look: 304", Response::new(304)),
        survives("a look: 400", json(400)),
        survives("a look: 402", json(402)),
        survives("a look: 407 in HTML", page(407)),
        survives("a look: 409", json(409)),
        survives("a look: 410", json(410)),
        survives("a look: 418", json(418)),
        survives("a look: 451", json(451)),
        survives("a look: 401 in HTML", page(401)),
        survives("a look: 403 in HTML", page(403)),
        survives("a look: 403 without a body", Response::new(403)),
        survives("a look: a challenge is told", page(403)).reports("Just a moment..."),
        lasts("a look: 403 in HTML to the end", page(403))
            .then(|witness| assert_eq!(witness.failure().status, Some(403))),
        lasts("a look: 410 to the end", json(410))
            .then(|witness| assert_eq!(witness.failure().status, Some(410))),
    ]
}

/// A task may be unknown for a while after its submission, and not for longer.
fn not_found() -> Vec<Scenario> {
    let missing = || Response::json(r#"{"error":"task not found"}"#).status(404);
    vec![
        survives("a look: 404 within the grace", missing()),
        survives("a look: 404 in an envelope within the grace", {
            Response::json(r#"{"status":{"code":404,"message":"not found"},"data":null}"#)
        }),
        survives("a look: 404 after the grace", missing())
            .policy(|policy| policy.not_found_grace = Duration::ZERO),
        // No wait of a second is long enough to say that a task which was made is gone.
        Scenario::new("a look: 404 to the end of the wait", move |world| {
            world.creates([world.accepted()]);
            world.gateway.otherwise(missing());
        })
        .policy(|policy| {
            policy.not_found_grace = Duration::ZERO;
            policy.wait_timeout = Duration::from_secs(1);
        })
        .fails_with_task(ErrorKind::WaitTimeout)
        .then(|witness| assert_eq!(witness.failure().status, Some(404))),
    ]
}

/// A task with this word for its status.
fn status(word: &str) -> Response {
    Response::json(format!(r#"{{"id":"{TASK}","status":"{word}"}}"#))
}

/// The wait ends with one last look, and then it is only the wait that is over.
fn the_end_of_the_wait() -> Vec<Scenario> {
    let ending = |name, arrange: fn(&ScenarioWorld)| {
        Scenario::new(name, move |world| {
            world.creates([world.accepted()]);
            arrange(world);
        })
        .policy(|policy| policy.wait_timeout = Duration::from_secs(1))
    };
    vec![
        ending("the wait ends", |world| world.gateway.otherwise(world.running()))
            .fails_with_task(ErrorKind::WaitTimeout)
            .then(|witness| {
                assert!(witness.looks.len() > 1, "{:?}", witness.looks);
                assert!(witness.failure().message.contains("still running"), "{witness:?}");
            }),
        // Whether it is final is a guess, so it counts as running, and the error says
        // what the word was.
        ending("the wait ends at a word that sounds final", |world| {
            world.gateway.otherwise(status("archived"));
        })
        .fails_with_task(ErrorKind::WaitTimeout)
        .reports("\"archived\"")
        .then(|witness| {
            let message = &witness.failure().message;
            assert!(message.contains("the service calls it \"archived\""), "{message}");
        }),
        ending("the wait ends at a word that sounds like work", |world| {
            world.gateway.otherwise(status("polishing"));
        })
        .fails_with_task(ErrorKind::WaitTimeout)
        .then(|witness| {
            let message = &witness.failure().message;
            assert!(
                message.contains("still running") && message.contains("polishing"),
                "{message}"
            );
        }),
        ending("the wait ends under a path", |world| world.gateway.otherwise(world.running()))
            .with(|setup, world| setup.base_url = world.gateway.url("/proxy/v2/"))
            .fails_with_task(ErrorKind::WaitTimeout),
        // With an hour between looks there is none but the last.
        ending("the last look finds the picture", |world| {
            world.looks([world.completed()]);
        })
        .policy(|policy| policy.pace = Pace::fixed(Duration::from_secs(3600)))
        .in_one_run()
        .looks(1),
        ending("the last look is one", |world| world.gateway.otherwise(world.running()))
            .policy(|policy| policy.pace = Pace::fixed(Duration::from_secs(3600)))
            .fails_with_task(ErrorKind::WaitTimeout)
            .in_one_run()
            .looks(1),
        ending("the last look comes after a throttle longer than the wait", |world| {
            world.looks([Response::new(429).header("Retry-After", "3600"), world.completed()]);
        })
        .looks(2),
        ending("the last look goes wrong", |world| {
            world.looks([world.running()]);
            world.gateway.otherwise(Response::new(502));
        })
        .fails_with_task(ErrorKind::WaitTimeout)
        .then(|witness| assert!(witness.failure().message.contains("502"), "{witness:?}")),
        ending("the last look hangs", |world| world.looks([Behaviour::Hang]))
            .policy(|policy| {
                policy.pace = Pace::fixed(Duration::from_secs(3600));
                policy.request_timeout = Duration::from_millis(700);
            })
            .fails_with_task(ErrorKind::WaitTimeout)
            .in_one_run()
            .looks(1),
    ]
}

/// A task submitted before, by whomever.
fn resumed() -> Vec<Scenario> {
    vec![
        Scenario::new("resumed", |world| {
            world.looks([world.running(), world.completed()]);
        })
        .waits()
        .looks(2),
        // That this task was ever made is not known, unlike that of one's own submission.
        Scenario::new("resumed: the gateway does not know it", |world| {
            world.gateway.otherwise(Response::json("{}").status(404));
        })
        .waits()
        .policy(|policy| policy.wait_timeout = Duration::from_millis(100))
        .fails_with_task(ErrorKind::TaskNotFound),
        Scenario::new("resumed: the gateway is away to the end", |world| {
            world.gateway.otherwise(Response::new(502));
        })
        .waits()
        .policy(|policy| policy.wait_timeout = Duration::from_millis(100))
        .fails_with_task(ErrorKind::Transport),
        Scenario::new("resumed: connection refused, then accepted", |world| {
            world.looks([world.completed()]);
        })
        .waits()
        .refused_at_first()
        .looks(1),
    ]
}

/// One look outside any run.
fn single_looks() -> Vec<Scenario> {
    vec![
        Scenario::new("one look", |world| world.looks([world.running()]))
            .only_looks()
            .looks(1)
            .then(|witness| assert_eq!(witness.ended.status, Some(Status::InProgress))),
        Scenario::new("one look, repeated through trouble", |world| {
            world.looks([Behaviour::Reset, Response::new(503).into(), world.completed().into()]);
        })
        .only_looks()
        .looks(3)
        .then(|witness| assert_eq!(witness.ended.status, Some(Status::Completed))),
        Scenario::new("one look: refused key", |world| {
            world.looks([Response::json(r#"{"error":"who?"}"#).status(401)]);
        })
        .only_looks()
        .fails_with_task(ErrorKind::KeyRefused)
        .looks(1),
    ]
}
