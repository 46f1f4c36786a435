//! [`scenarios`]: a gateway that repeats the key in its answers; no client may keep or print it.
//! `tests/secrets.rs` plays it and looks for the key in the log; `tests/all/conformance.rs` plays it
//! over the Rust clients, `tests/all/python.rs` over the Python ones.
//!
//! There is little to check here: the check of every scenario looks for the key in everything that
//! a client prints.

use effects_core::ErrorKind;
use effects_testkit::http::{Behaviour, Response};

use crate::scenario::Scenario;
use crate::world::{KEY, TASK};

/// Every place a key can be repeated in.
pub fn scenarios() -> Vec<Scenario> {
    let mut all = in_creates();
    all.extend(in_looks());
    all.extend(in_escapes());
    all.extend(in_words_of_the_wire());
    all
}

fn in_creates() -> Vec<Scenario> {
    let refused = |name, answer: fn() -> Behaviour, kind| {
        Scenario::new(name, move |world| world.creates([answer()])).fails(kind)
    };
    vec![
        refused(
            "echoed in an error",
            || {
                let body = format!(
                    r#"{{"error":{{"code":"{KEY}","message":"no key {KEY} here"}},"request_id":"{KEY}"}}"#
                );
                Response::json(body).status(401).into()
            },
            ErrorKind::KeyRefused,
        ),
        refused(
            "echoed in a page",
            || Response::html(format!("<title>Bearer {KEY}</title>")).status(403).into(),
            ErrorKind::Forbidden,
        ),
        refused(
            "echoed in plain text",
            || Response::new(400).body(format!("{KEY}{KEY}")).into(),
            ErrorKind::Rejected,
        ),
        refused(
            "echoed in a header",
            || Response::json("{}").status(400).header("X-Request-Id", format!("r-{KEY}")).into(),
            ErrorKind::Rejected,
        ),
        refused(
            "echoed in a redirect",
            || Response::redirect(302, format!("https://example.com/{KEY}/login")).into(),
            ErrorKind::Redirected,
        ),
        refused(
            "echoed in garbage",
            || Response::json(format!("authorization: Bearer {KEY}")).into(),
            ErrorKind::OutcomeUnknown,
        ),
        refused(
            "echoed in no HTTP",
            || Behaviour::Raw(format!("authorization: Bearer {KEY}\r\n\r\n").into()),
            ErrorKind::OutcomeUnknown,
        ),
        refused(
            "echoed in a broken header",
            || Behaviour::Raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {KEY}\r\n\r\n").into()),
            ErrorKind::OutcomeUnknown,
        ),
        refused(
            "echoed in a broken status",
            || Behaviour::Raw(format!("HTTP/1.1 {KEY} OK\r\n\r\n").into()),
            ErrorKind::OutcomeUnknown,
        ),
    ]
}

fn in_looks() -> Vec<Scenario> {
    vec![
        Scenario::new("echoed in every field of a task", |world| {
            world.creates([Response::json(format!(
                r#"{{"id":"{TASK}","status":"{KEY}","model":"{KEY}","request":{{"authorization":"Bearer {KEY}"}}}}"#
            ))]);
            world.looks([
                Behaviour::from(Response::json(format!(r#"{{"id":"{TASK}","status":"{KEY}"}}"#))),
                Response::json(format!(r#"{{"error":"{KEY}"}}"#)).status(500).into(),
                Response::html(format!("<title>{KEY}</title>")).into(),
                Behaviour::Raw(format!("HTTP/1.1 {KEY}\r\n\r\n").into()),
            ]);
            let fields = format!(
                r#""error":"{KEY}","metadata":{{"key":"{KEY}"}},"output":[{{"content":[{{"url":"{}","jobId":"{KEY}"}}]}}]"#,
                world.picture_url()
            );
            world.looks([Response::json(world.completed_with(&fields))]);
        })
        .looks(5),
        Scenario::new("echoed in a failed task", |world| {
            world.creates([world.accepted()]);
            world.looks([Response::json(format!(
                r#"{{"id":"{TASK}","status":"failed","error":{{"code":"{KEY}","error_message":"{KEY}"}}}}"#
            ))]);
        })
        .fails_with_task(ErrorKind::TaskFailed),
        Scenario::new("echoed in a picture's URL", |world| {
            let fields = format!(
                r#""output":[{{"content":[{{"url":"{}?key={KEY}"}}]}}]"#,
                world.picture_url()
            );
            world.creates([Response::json(world.completed_with(&fields))]);
        }),
        Scenario::new("echoed by a refused look", |world| {
            world.looks([Response::json(format!(r#"{{"error":"{KEY}"}}"#))
                .status(401)
                .header("X-Request-Id", KEY)]);
        })
        .waits()
        .fails_with_task(ErrorKind::KeyRefused),
    ]
}

/// A key written as escapes is the key to a reader that decodes it.
fn in_escapes() -> Vec<Scenario> {
    let with_key = |scenario: Scenario| {
        scenario.with(|setup, _| setup.api_key = ODD_KEY.to_owned()).then(|witness| {
            // That the key is not there could also mean that the text is not shown at all.
            let shown = &witness.ended.printed;
            assert!(shown.iter().any(|text| text.contains("[key]")), "it is not told: {shown:?}");
        })
    };
    let refused = |name, body: &'static str| {
        with_key(
            Scenario::new(name, move |world| world.creates([Response::json(body).status(401)]))
                .fails(ErrorKind::KeyRefused),
        )
    };
    let json = ODD_KEY_IN_JSON;
    vec![
        refused("echoed as an escape of JSON", r#"{"error":"no key odd\/k\u002by&1234"}"#),
        refused("echoed as every escape of JSON", r#"{"message":"\u006fdd\u002fk\u002By\u00261234"}"#),
        refused("echoed in JSON inside JSON", r#"{"error":"{\"key\":\"odd\\\/k+y&1234\"}"}"#),
        refused("echoed in a URL", r#"{"error":"GET /?key=odd%2Fk%2By%261234"}"#),
        refused("echoed in HTML inside JSON", r#"{"detail":"<b>odd/k&#43;y&amp;1234</b>"}"#),
        refused("echoed in a page, as HTML", "<title>odd/k&#x2b;y&amp;1234</title>"),
        refused("echoed where the line is cut", {
            let body = format!(r#"{{"error":"{} odd\/k+y&1234"}}"#, "x".repeat(150));
            body.leak()
        }),
        with_key(
            Scenario::new("echoed as escapes in every field of a task", move |world| {
                let fields = format!(
                    r#""model":"{json}","error":"{json}","metadata":{{"key":"{json}"}},"output":[{{"content":[{{"url":"{}","jobId":"{json}"}}]}}]"#,
                    world.picture_url()
                );
                world.creates([Response::json(world.completed_with(&fields))]);
            })
            .looks(0),
        ),
        with_key(
            Scenario::new("echoed as escapes in an answer that is almost JSON", move |world| {
                let body = format!(r#"{{"id":"{TASK}","key":"{json}",}}"#);
                world.creates([Response::json(body)]);
                world.looks([Response::json(format!(r#"{{"id":"{TASK}","status":"{json}"}}"#))]);
                world.looks([Response::json(format!(
                    r#"{{"id":"{TASK}","status":"failed","error":{{"code":"{json}","message":"{json}"}}}}"#
                ))]);
            })
            .fails_with_task(ErrorKind::TaskFailed),
        ),
    ]
}

/// A key that is a word of the wire: what is decoded is what the gateway said.
fn in_words_of_the_wire() -> Vec<Scenario> {
    let keys =
        // Field names, status words, a part of the task's id, and a content type.
        ["i", "id", "task", "status", "completed", "in_progress", "d758n65e878c73", "image/png"];
    let with_key = |key: &'static str| {
        let name: &'static str = format!("a word of the wire is the key: {key}").leak();
        Scenario::new(name, |world| {
            world.creates([world.accepted()]);
            world.looks([world.running(), world.completed()]);
        })
        .keyed_by_a_word(key)
        .looks(2)
    };
    keys.map(with_key).into()
}

/// A key that every encoding of a text writes in another way.
pub const ODD_KEY: &str = "odd/k+y&1234";
const ODD_KEY_IN_JSON: &str = r"odd\/k\u002By&1234";
