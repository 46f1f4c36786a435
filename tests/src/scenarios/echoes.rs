//! A gateway that repeats the key in whatever it answers: nothing of it may be kept or printed.
//!
//! There is nothing to check here: the check of every scenario looks for the key in everything that
//! a client prints.

use effects_core::ErrorKind;
use effects_testkit::http::{Behaviour, Response};

use crate::scenario::Scenario;
use crate::world::{KEY, TASK};

/// Every place a key can be repeated in.
pub fn scenarios() -> Vec<Scenario> {
    let mut all = in_creates();
    all.extend(in_looks());
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
