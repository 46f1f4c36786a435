//! [`scenarios`]: each way for the create of a task to be answered, refused or lost; a mistake here
//! costs money. `tests/all/conformance.rs` plays it over the Rust clients, `tests/all/python.rs` over
//! the Python ones; `tests/secrets.rs` plays it and looks for the key in the log.

use std::time::Duration;

use effects_core::{ErrorKind, Repeat};
use effects_testkit::http::{Behaviour, ConnectionAfter, Framing, Response};

use crate::face::Ask;
use crate::scenario::{Scenario, draft};
use crate::world::{ScenarioWorld, TASK, task_path};

/// The whole table.
pub fn scenarios() -> Vec<Scenario> {
    let mut all = accepted();
    all.extend(accepted_oddly());
    all.extend(finished_at_once());
    all.extend(refused());
    all.extend(redirected());
    all.extend(unknown());
    all.extend(lost());
    all.extend(repeated());
    all.extend(never_left());
    all.extend(by_the_callers_leave());
    all
}

/// The task exists: its id stands in any of the places where gateways put it.
fn accepted() -> Vec<Scenario> {
    let bodies = [
        ("accepted with an id", format!(r#"{{"id":"{TASK}","status":"in_progress"}}"#)),
        ("accepted with an id alone", format!(r#"{{"id":"{TASK}"}}"#)),
        ("accepted with a task_id", format!(r#"{{"task_id":"{TASK}"}}"#)),
        // The queue of the same gateway names a task so.
        ("accepted with a request_id", format!(r#"{{"request_id":"{TASK}","status":"IN_QUEUE"}}"#)),
        ("accepted in an envelope", format!(r#"{{"code":0,"data":{{"id":"{TASK}"}}}}"#)),
        (
            "accepted in an envelope with a task_id",
            format!(r#"{{"status":{{"code":200,"message":"ok"}},"data":{{"task_id":"{TASK}"}}}}"#),
        ),
        ("accepted with null for an error", format!(r#"{{"id":"{TASK}","error":null}}"#)),
        ("accepted with a byte order mark", format!("\u{feff}{{\"id\":\"{TASK}\"}}")),
    ];
    let in_words = bodies.into_iter().map(|(name, body)| {
        Scenario::new(name, move |world| {
            world.creates([Response::json(body.clone())]);
            world.looks([world.running(), world.completed()]);
        })
        .looks(2)
    });
    // Any 2xx is a success: what was made is in the body.
    let in_status = [
        ("accepted as created", 201),
        ("accepted for later", 202),
        ("accepted with an odd 2xx", 299),
    ];
    let in_status = in_status.into_iter().map(|(name, status)| {
        Scenario::new(name, move |world| {
            world.creates([world.accepted().status(status)]);
            world.looks([world.completed()]);
        })
        .looks(1)
    });
    let in_framing = [
        ("accepted in chunks", Framing::Chunked(3)),
        ("accepted up to the end of the connection", Framing::UntilClose),
    ];
    let in_framing = in_framing.into_iter().map(|(name, framing)| {
        Scenario::new(name, move |world| {
            world.creates([world.accepted().framed(framing)]);
            world.looks([world.completed().framed(framing)]);
            world.downloads([world.served().framed(framing)]);
        })
        .looks(1)
    });
    // HTTP lets any number of interim answers come first (RFC 9110, section 15.2).
    let after_hints = Scenario::new("accepted after an interim answer", |world| {
        let body = format!(r#"{{"id":"{TASK}"}}"#);
        let bytes = format!(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        world.creates([Behaviour::Raw(bytes.into())]);
        world.looks([world.completed()]);
    });
    in_words.chain(in_status).chain(in_framing).chain([after_hints]).collect()
}

/// The id is there, in an answer that says something else beside it or does not come whole: it is
/// what was paid for, so it is saved and followed.
fn accepted_oddly() -> Vec<Scenario> {
    let followed = |name, answer: Behaviour| {
        Scenario::new(name, move |world| {
            world.creates([answer.clone()]);
            world.looks([world.running(), world.completed()]);
        })
        .looks(2)
    };
    let in_words = |name, body: String| followed(name, Response::json(body).into());
    let running = format!(r#"{{"id":"{TASK}","status":"in_progress""#);
    let bare = format!(r#"{{"id":"{TASK}"}}"#);
    let (whole, named) = (bare.len(), Response::json(bare));
    // The gateway's words for a task that outlasts a synchronous request.
    let timed_out = Response::json(format!(
        r#"{{"id":"{TASK}","status":"in_progress","error":{{"code":"SYNC_TIMEOUT","message":"slow"}}}}"#
    ));
    // 4,095 bytes: ids of up to 4 KiB are taken.
    let long: &'static str = "long-".repeat(819).leak();
    vec![
        in_words("accepted: NaN beside the id", format!(r#"{running},"progress":NaN}}"#)),
        in_words(
            "accepted: a line break inside a text",
            format!("{running},\"message\":\"a\nb\"}}"),
        ),
        in_words("accepted: a comma too many", format!("{running},}}")),
        in_words("accepted: cut after the id", running.clone()),
        followed("accepted: bytes that are no text", {
            let mut body = running.clone().into_bytes();
            body.extend_from_slice(b",\"message\":\"caf\xe9\"}");
            Response::json(body).into()
        }),
        followed(
            "accepted: broken off after the id",
            // Cut right behind the id, with which both answers begin.
            Behaviour::Truncate { response: timed_out.clone().status(200), body_bytes: whole },
        ),
        followed(
            "accepted: reset after the id, in chunks",
            Behaviour::Truncate {
                response: timed_out.clone().status(200).framed(Framing::Chunked(8)),
                body_bytes: 2 * whole,
            },
        ),
        followed("accepted: 504 that shows the task", timed_out.clone().status(504).into()),
        followed("accepted: 500 with an id", named.clone().status(500).into()),
        followed("accepted: 408 with an id", named.clone().status(408).into()),
        followed("accepted: 303 with an id", named.status(303).into()),
        // A 4xx other than 408 has to show the task, since its error may have an id of its own.
        followed("accepted: 409 that shows the task", timed_out.status(409).into()),
        Scenario::new("accepted under an id of 4 KiB", move |world| {
            world.creates([Response::json(format!(r#"{{"id":"{long}"}}"#))]);
            world.gateway.on("GET", &task_path(long), [world.completed()]);
        })
        .task(long),
    ]
}

/// A create can be over before it is looked at.
fn finished_at_once() -> Vec<Scenario> {
    vec![
        Scenario::new("completed at once", |world| {
            world.creates([world.completed()]);
        })
        .looks(0)
        .then(|witness| assert_eq!(witness.cost().as_deref(), Some("0.03"))),
        Scenario::new("failed at once", |world| {
            world.creates([Response::json(format!(
                r#"{{"id":"{TASK}","status":"failed","error":{{"code":"3009003","error_message":"no such template"}}}}"#
            ))]);
        })
        .fails_with_task(ErrorKind::TaskFailed)
        .looks(0)
        .then(|witness| {
            let failure = witness.failure();
            assert_eq!(failure.code.as_deref(), Some("3009003"));
            assert!(failure.message.contains("no such template"), "{failure:?}");
        }),
    ]
}

/// No task was made, and asking again would not help.
fn refused() -> Vec<Scenario> {
    let statuses = [
        ("a bad request", 400, ErrorKind::Rejected),
        ("a refused key", 401, ErrorKind::KeyRefused),
        ("no credit", 402, ErrorKind::OutOfCredit),
        ("no permission", 403, ErrorKind::Forbidden),
        ("no such model", 404, ErrorKind::Rejected),
        ("a wrong method", 405, ErrorKind::Rejected),
        ("a conflict", 409, ErrorKind::Rejected),
        ("too much", 413, ErrorKind::Rejected),
        ("a teapot", 418, ErrorKind::Rejected),
        ("an unprocessable request", 422, ErrorKind::Rejected),
        ("a legal reason", 451, ErrorKind::Rejected),
        // A status without a meaning of its own counts as its class does (RFC 9110, section 15).
        ("the last of the 4xx", 499, ErrorKind::Rejected),
    ];
    let by_status = statuses.into_iter().map(|(name, status, kind)| {
        Scenario::new(name, move |world| {
            let body = r#"{"error":{"code":1234,"message":"says the service"},"request_id":"r-1"}"#;
            world.creates([Response::json(body).status(status)]);
        })
        .fails(kind)
        .then(move |witness| {
            let failure = witness.failure();
            assert_eq!(failure.status, Some(status));
            assert_eq!(failure.code.as_deref(), Some("1234"));
            assert_eq!(failure.request_id.as_deref(), Some("r-1"));
            assert!(failure.message.contains("says the service"), "{failure:?}");
            assert!(failure.message.contains("nothing is billed"), "{failure:?}");
        })
    });
    let bodies = [
        (
            // Documented for this status are a want of balance and of permission: the
            // words tell which it is.
            "403 for want of balance",
            403,
            r#"{"message":"Insufficient balance"}"#,
            ErrorKind::OutOfCredit,
        ),
        (
            "403 for want of credits",
            403,
            r#"{"error":{"code":1,"message":"Not enough CREDITS left"}}"#,
            ErrorKind::OutOfCredit,
        ),
        ("403 in plain text", 403, "insufficient balance", ErrorKind::OutOfCredit),
        (
            "402 in an envelope",
            402,
            r#"{"status":{"code":402,"message":"Insufficient credits","error_code":40201},"data":null}"#,
            ErrorKind::OutOfCredit,
        ),
        ("402 without a body", 402, "", ErrorKind::OutOfCredit),
        ("401 with a bare word", 401, r#"{"error":"Missing Token"}"#, ErrorKind::KeyRefused),
        ("401 in HTML", 401, "<title>Unauthorized</title>", ErrorKind::KeyRefused),
        // The gateway speaks JSON, so a page means that the URL is not the gateway's.
        ("404 in HTML", 404, "<html><title>Not Found</title></html>", ErrorKind::NoSuchEndpoint),
        ("405 without a body", 405, "", ErrorKind::NoSuchEndpoint),
        (
            // Only listed codes (`docs/money.md`) make a 2xx without a task a refusal;
            // else it is unknown.
            "200 with a code of the service's",
            200,
            r#"{"error":{"code":"3009001","error_message":"Missing image_input1"}}"#,
            ErrorKind::Rejected,
        ),
        (
            "200 with a code of the balance's",
            200,
            r#"{"code":40203,"message":"top up","data":null}"#,
            ErrorKind::OutOfCredit,
        ),
        (
            "200 with a status for its code",
            200,
            r#"{"code":422,"message":"bad parameters","data":null}"#,
            ErrorKind::Rejected,
        ),
        (
            "200 with an envelope of 402",
            200,
            r#"{"status":{"code":402,"message":"top up"},"data":null}"#,
            ErrorKind::OutOfCredit,
        ),
        (
            "200 with an envelope of 401",
            200,
            r#"{"status":{"code":401,"message":"who?"},"data":null}"#,
            ErrorKind::KeyRefused,
        ),
    ];
    let by_body = bodies.into_iter().map(|(name, status, body, kind)| {
        Scenario::new(name, move |world| world.creates([Response::new(status).body(body)]))
            .fails(kind)
            .looks(0)
    });
    let named_in_header = Scenario::new("refused under a name in a header", |world| {
        let answer = Response::json("{}").status(400).header("X-Request-Id", "gateway-7");
        world.creates([answer]);
    })
    .fails(ErrorKind::Rejected)
    .then(|witness| assert_eq!(witness.failure().request_id.as_deref(), Some("gateway-7")));
    let invalid = Scenario::new("invalid: nothing is sent", |_| {})
        .asks(|_| {
            let mut draft = draft();
            // Two faults at once: both are told, each under its code.
            (draft.template_id, draft.width) = (Some("glas_ball".to_owned()), Some(4096));
            Ask::Effect(draft)
        })
        .fails(ErrorKind::InvalidRequest)
        .posts(0)
        .looks(0)
        .then(|witness| {
            let message = &witness.failure().message;
            for words in ["glass_ball", "4096", "3009003", "3009004"] {
                assert!(message.contains(words), "{message}");
            }
        });
    by_status.chain(by_body).chain([named_in_header, invalid]).collect()
}

/// The key is never sent after a redirect.
fn redirected() -> Vec<Scenario> {
    let statuses = [
        ("redirected by 301", 301),
        ("redirected by 302", 302),
        ("redirected by 307", 307),
        ("redirected by 308", 308),
    ];
    let all = statuses.into_iter().map(|(name, status)| {
        Scenario::new(name, move |world| {
            // A query may be a permission, so it is not shown.
            let target = world.elsewhere.url("/model/v1/generation?session=secret-session");
            world.creates([Response::redirect(status, target)]);
            world.elsewhere.otherwise(world.accepted());
        })
        .fails(ErrorKind::Redirected)
        .then(|witness| {
            assert!(witness.world.elsewhere.requests().is_empty(), "the redirect was followed");
            let failure = witness.failure();
            let elsewhere = witness.world.elsewhere.base_url();
            assert!(failure.message.contains(&elsewhere), "{failure:?}");
            assert!(!failure.message.contains("secret-session"), "{failure:?}");
        })
    });
    let nowhere = Scenario::new("redirected nowhere", |world| {
        world.creates([Response::new(302).body("lost?")]);
    })
    .fails(ErrorKind::Redirected);
    all.chain([nowhere]).collect()
}

/// There may be a task: nothing is sent again, and the names to find it by are told.
fn unknown() -> Vec<Scenario> {
    // Login and query may be permissions, so neither is shown.
    let there = "https://me:hunter2@elsewhere.example/model/v1/generation/task/t-1?key=secret";
    let answers: Vec<(&str, Response)> = vec![
        ("unknown: 408", Response::json(r#"{"error":"slow"}"#).status(408)),
        ("unknown: 500", Response::json(r#"{"error":"broken"}"#).status(500)),
        ("unknown: 501", Response::new(501)),
        ("unknown: 502 in HTML", Response::html("<title>502 Bad Gateway</title>").status(502)),
        ("unknown: 503 without a word", Response::new(503)),
        ("unknown: 503 with Retry-After", Response::new(503).header("Retry-After", "1")),
        // Something between may say this after the request went through to the gateway.
        ("unknown: 503 of a cache that asks to wait", {
            Response::html("<title>503 Backend fetch failed</title>")
                .status(503)
                .header("Retry-After", "5")
                .header("Via", "1.1 varnish")
        }),
        ("unknown: 503 with words and Retry-After", {
            Response::json(r#"{"message":"busy"}"#).status(503).header("Retry-After", "1")
        }),
        ("unknown: 503 with a detail and Retry-After", {
            Response::json(r#"{"detail":"busy"}"#).status(503).header("Retry-After", "0")
        }),
        ("unknown: 504 with an id of the exchange", {
            Response::json(r#"{"error":{"code":"SYNC_TIMEOUT"},"request_id":"r-9"}"#).status(504)
        }),
        ("unknown: 599", Response::new(599)),
        ("unknown: 200 with garbage", Response::json("\u{1}\u{2}garbage")),
        ("unknown: 200 with HTML", Response::html("<html><title>Sign in</title></html>")),
        ("unknown: 200 with nothing", Response::json("")),
        ("unknown: 200 with half a JSON", Response::json(r#"{"id":"d758n65e"#)),
        ("unknown: 200 with a list", Response::json("[]")),
        ("unknown: 200 with an empty object", Response::json("{}")),
        ("unknown: 200 with a status and no id", Response::json(r#"{"status":"in_progress"}"#)),
        ("unknown: 200 with an empty id", Response::json(r#"{"id":"","status":"in_progress"}"#)),
        ("unknown: 204", Response::new(204)),
        ("unknown: 200 with a time-out inside", {
            Response::json(r#"{"status":{"code":504,"message":"slow"},"data":null}"#)
        }),
        ("unknown: 200 with a breakdown inside", Response::json(r#"{"error":{"code":"500"}}"#)),
        ("unknown: 200 with a bad gateway inside", {
            Response::json(r#"{"code":502,"message":"Bad Gateway"}"#)
        }),
        ("unknown: 200 with a bare error", Response::json(r#"{"error":"no task for you"}"#)),
        ("unknown: 200 with a detail", Response::json(r#"{"detail":"webhook not supported"}"#)),
        ("unknown: 200 with an unlisted code", {
            Response::json(r#"{"code":1002,"message":"bad parameters","data":null}"#)
        }),
        // Words prove no refusal, only codes do.
        ("unknown: 200 in words of balance", {
            Response::json(r#"{"error":"insufficient balance"}"#)
        }),
        ("unknown: 304", Response::new(304)),
    ];
    let pointing = [
        ("unknown: processed, look there", Response::redirect(303, there)),
        ("unknown: processed, as it was said before", Response::redirect(302, there)),
        ("unknown: created there", Response::redirect(201, there)),
        ("unknown: accepted there", Response::redirect(202, there).body("{}")),
    ];
    let pointing = pointing.into_iter().map(|(name, answer)| (name, answer, true));
    let all = answers.into_iter().map(|(name, answer)| (name, answer, false)).chain(pointing);
    all.map(|(name, answer, points)| {
        Scenario::new(name, move |world| world.creates([answer.clone()]))
            .fails(ErrorKind::OutcomeUnknown)
            .looks(0)
            .then(move |witness| {
                let message = &witness.failure().message;
                // Told, so that a person can look there.
                let place = "https://elsewhere.example/model/v1/generation/task/t-1";
                assert_eq!(message.contains(place), points, "{message}");
                assert!(!message.contains("secret") && !message.contains("hunter2"), "{message}");
            })
    })
    .collect()
}

/// Whatever goes wrong after the first byte: the answer is lost, the task may exist.
fn lost() -> Vec<Scenario> {
    let after = |cut: fn(Response) -> Behaviour| {
        move |world: &ScenarioWorld| world.creates([cut(world.accepted())])
    };
    let quick = |scenario: Scenario| {
        // Short, since these scenarios last until it is over.
        let scenario =
            scenario.policy(|policy| policy.request_timeout = Duration::from_millis(700));
        scenario.then(|witness| {
            let message = &witness.failure().message;
            // A library's own words for it; a stack of the caller's has its own.
            assert!(!message.contains("timeout: "), "{message}");
        })
    };
    let scenarios = vec![
        Scenario::new("lost: closed after acceptance", after(|_| Behaviour::Close)),
        Scenario::new("lost: reset after acceptance", after(|_| Behaviour::Reset)),
        Scenario::new(
            "lost: half a head",
            after(|response| Behaviour::TruncateHead { response, bytes: 12 }),
        ),
        Scenario::new(
            "lost: half a body",
            // Nine bytes end within the id, so that none can be saved.
            after(|response| Behaviour::Truncate { response, body_bytes: 9 }),
        ),
        Scenario::new(
            "lost: half a chunked body",
            after(|response| Behaviour::Truncate {
                response: response.framed(Framing::Chunked(8)),
                body_bytes: 20,
            }),
        ),
        Scenario::new(
            "lost: no HTTP",
            after(|_| Behaviour::Raw("220 smtp.example.com\r\n".into())),
        ),
        Scenario::new("lost: an endless answer", |world| {
            // The clients read at most 8 MiB of an answer.
            let long = vec![b' '; 9 * 1024 * 1024];
            world.creates([Response::json(long)]);
        }),
        quick(Scenario::new("lost: no answer in time", after(|_| Behaviour::Hang))),
        quick(Scenario::new(
            "lost: half an answer in time",
            after(|response| Behaviour::HangAfter { response, body_bytes: 9 }),
        )),
        quick(Scenario::new(
            "lost: an answer too slow",
            after(|response| Behaviour::Drip {
                response,
                piece: 1,
                // Too slow also for a client that a busy machine wakes so late that it reads on.
                every: Duration::from_millis(300),
            }),
        )),
    ];
    scenarios.into_iter().map(|s| s.fails(ErrorKind::OutcomeUnknown).looks(0)).collect()
}

/// Refused for now, so repeated.
fn repeated() -> Vec<Scenario> {
    let busy =
        |status: u16| Response::json(r#"{"error":{"code":1002,"message":"busy"}}"#).status(status);
    let then_accepted = |name, answers: Vec<Response>| {
        let posts = answers.len() + 1;
        Scenario::new(name, move |world| {
            world.creates(answers.clone());
            world.creates([world.accepted()]);
            world.looks([world.completed()]);
        })
        .posts(posts)
        .looks(1)
        .then(|witness| {
            // A service that knows the key would then make one task of all attempts.
            let keys = witness.posts.iter().map(|seen| seen.header("idempotency-key"));
            let first = witness.posts[0].header("idempotency-key");
            assert!(keys.into_iter().all(|key| key == first), "one submission, one key");
        })
    };
    let a_second = |scenario: Scenario| {
        scenario.then(|witness| assert!(witness.elapsed >= Duration::from_secs(1), "too early"))
    };
    // By the answer's own date, which is years past: this machine's clock plays no part.
    let dated = busy(503)
        .header("Date", "Wed, 21 Oct 2015 07:28:00 GMT")
        .header("Retry-After", "Wed, 21 Oct 2015 07:28:01 GMT");
    vec![
        then_accepted("repeated: 425", vec![busy(425)]),
        then_accepted("repeated: eight times 429", vec![busy(429); 8]),
        a_second(then_accepted(
            "repeated: 429 after a second",
            vec![busy(429).header("Retry-After", "1")],
        )),
        a_second(then_accepted(
            "repeated: 503 after a second",
            vec![busy(503).header("Retry-After", "1")],
        )),
        a_second(then_accepted("repeated: 503 after a second by its own date", vec![dated])),
        then_accepted("repeated: 503 after no time", vec![busy(503).header("Retry-After", "0")]),
        then_accepted("repeated: 503 that says it is too busy", vec![busy(503)]),
        then_accepted(
            "repeated: 429 inside 200",
            vec![Response::json(r#"{"status":{"code":429,"message":"slow"},"data":null}"#)],
        ),
        then_accepted(
            "repeated: believed up to a cap",
            vec![busy(429).header("Retry-After", "86400")],
        )
        .policy(|policy| policy.retry_after_most = Duration::from_millis(50)),
        Scenario::new("throttled to the end", move |world| {
            world.gateway.otherwise(busy(429).header("Retry-After", "3600"));
        })
        .policy(|policy| policy.wait_timeout = Duration::from_millis(150))
        .fails(ErrorKind::RateLimited)
        .then(|witness| {
            assert_eq!(witness.failure().retry_after, Some(Duration::from_secs(3600)));
            assert_eq!(witness.failure().status, Some(429));
        }),
        Scenario::new("refused after a throttle", move |world| {
            world.creates([busy(429), Response::json(r#"{"error":"no"}"#).status(400)]);
        })
        .fails(ErrorKind::Rejected)
        .posts(2),
        Scenario::new("lost after a throttle", move |world| {
            world.creates([Behaviour::from(busy(429)), Behaviour::Reset]);
        })
        .fails(ErrorKind::OutcomeUnknown)
        .posts(2),
        Scenario::new("sent on a connection the server has given up", move |world| {
            world.creates([
                busy(429).and(ConnectionAfter::CloseUnannounced),
                busy(429).and(ConnectionAfter::Close),
                world.accepted(),
            ]);
            world.looks([world.completed()]);
        })
        // Long enough for the end of the connection to be noticed: a client that has noticed
        // connects anew, and one that has not cannot know what became of the POST.
        .policy(|policy| {
            let wait = Duration::from_millis(200);
            (policy.retry.first, policy.retry.most) = (wait, wait);
        })
        .posts(3),
    ]
}

/// What provably never left is repeated, and ends as such.
fn never_left() -> Vec<Scenario> {
    vec![
        Scenario::new("connection refused, then accepted", |world| {
            world.creates([world.accepted()]);
            world.looks([world.completed()]);
        })
        .refused_at_first()
        .posts(1),
        Scenario::new("connection refused to the end", |_| {})
            .with(|setup, world| {
                setup.base_url = format!("http://{}", world.closed);
                // Time for several attempts, which the error counts.
                setup.policy.wait_timeout = Duration::from_millis(500);
            })
            .fails(ErrorKind::Transport)
            .posts(0)
            .then(|witness| {
                let message = &witness.failure().message;
                assert!(message.contains("never left this machine"), "{message}");
                assert!(message.contains("attempts"), "{message}");
            }),
        Scenario::new("no such name", |_| {})
            .with(|setup, _| {
                // The domain `invalid` is reserved for names that never exist (RFC 6761).
                setup.base_url = "http://no-such-host.invalid".to_owned();
                setup.allow_http = true;
                setup.policy.wait_timeout = Duration::from_millis(50);
            })
            .fails(ErrorKind::Transport)
            .posts(0),
        Scenario::new("no TLS", |_| {})
            .with(|setup, world| {
                setup.base_url = world.gateway.base_url().replace("http:", "https:");
                setup.policy.wait_timeout = Duration::from_millis(50);
            })
            .fails(ErrorKind::Transport)
            .posts(0),
        Scenario::new("a TLS handshake that hangs", |world| {
            world.gateway.otherwise(Behaviour::Hang);
        })
        .with(|setup, world| {
            setup.base_url = world.gateway.base_url().replace("http:", "https:");
            setup.connect_timeout = Duration::from_millis(200);
            setup.policy.wait_timeout = Duration::from_millis(50);
        })
        .fails(ErrorKind::Transport)
        .posts(0),
    ]
}

/// The caller may decide otherwise.
fn by_the_callers_leave() -> Vec<Scenario> {
    vec![
        Scenario::new("never repeated: 429", |world| world.creates([Response::new(429)]))
            .policy(|policy| policy.repeat = Repeat::Never)
            .fails(ErrorKind::RateLimited),
        Scenario::new("never repeated: refused", |_| {})
            .with(|setup, world| setup.base_url = format!("http://{}", world.closed))
            .policy(|policy| policy.repeat = Repeat::Never)
            .fails(ErrorKind::Transport)
            .posts(0),
        Scenario::new("always repeated: lost", |world| {
            world.creates([Behaviour::Reset, Behaviour::from(world.accepted())]);
            world.looks([world.completed()]);
        })
        .policy(|policy| policy.repeat = Repeat::Always)
        .posts(2),
        // The first submission may have made a task, of which the second one's refusal
        // says nothing.
        Scenario::new("always repeated: lost, then refused, is still unknown", |world| {
            world.creates([Behaviour::Reset, Behaviour::from(Response::json("{}").status(400))]);
        })
        .policy(|policy| policy.repeat = Repeat::Always)
        .posts(2)
        .fails(ErrorKind::OutcomeUnknown),
    ]
}
