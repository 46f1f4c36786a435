//! [`scenarios`]: each [`Scenario`] in which a gateway words its answers otherwise than documented:
//! statuses, pictures, costs, warnings and failures in other spellings; also the sizes that a request asks
//! for, and base URLs with a path. Every client must read them alike: `tests/all/conformance.rs` plays them
//! over the Rust clients, `tests/all/python.rs` over the Python ones.

use effects_core::model::Draft;
use effects_core::{ErrorKind, ServiceCode};
use effects_testkit::http::Response;

use crate::face::Ask;
use crate::scenario::{Scenario, draft};
use crate::world::TASK;

/// Every dialect.
pub fn scenarios() -> Vec<Scenario> {
    let mut all = statuses();
    all.extend(outputs());
    all.extend(usages());
    all.extend(warnings());
    all.extend(failures());
    all.extend(odds_and_ends());
    all.extend(sizes());
    all.extend(places());
    all
}

/// A task that is seen running, then like this. `PICTURE` stands for the URL of the picture, `BARE` for
/// the same without its scheme, and `/ball.png` is the picture at the gateway.
fn completes(name: &'static str, body: &str) -> Scenario {
    let body = body.replace("TASK", TASK);
    Scenario::new(name, move |world| {
        world.creates([world.accepted()]);
        world.looks([world.running()]);
        // Twice, for outputs that name it twice.
        let (url, at_the_gateway) = (world.picture_url(), [world.served(), world.served()]);
        let body = body.replace("PICTURE", &url).replace("BARE", url.trim_start_matches("http:"));
        world.looks([Response::json(body)]);
        world.gateway.on("GET", "/ball.png", at_the_gateway);
    })
    .looks(2)
}

fn statuses() -> Vec<Scenario> {
    let output = r#""output":[{"content":[{"type":"image","url":"PICTURE"}]}]"#;
    // Words that clients of this gateway family know (`docs/reference/service.md`), and other spellings.
    let words = [
        ("status completed", "completed"),
        ("status succeeded", "succeeded"),
        ("status success", "success"),
        ("status done", "done"),
        ("status COMPLETED", "COMPLETED"),
        ("status Succeeded", "Succeeded"),
    ];
    let done = words.into_iter().map(|(name, word)| {
        completes(name, &format!(r#"{{"id":"TASK","status":"{word}",{output}}}"#))
    });
    let words = [
        ("status in_progress", "in_progress"),
        ("status processing", "processing"),
        ("status pending", "pending"),
        ("status queued", "queued"),
        ("status in_queue", "in_queue"),
        ("status submitted", "submitted"),
        ("status IN_QUEUE", "IN_QUEUE"),
        // An unknown word counts as running, and only the end of the wait ends it.
        ("status unheard of", "waiting_for_the_muse"),
    ];
    let running = words.into_iter().map(|(name, word)| {
        let body = format!(r#"{{"id":"{TASK}","status":"{word}"}}"#);
        Scenario::new(name, move |world| {
            world.creates([Response::json(body.clone())]);
            world.looks([Response::json(body.clone()), world.completed()]);
        })
        .looks(2)
    });
    let words = [
        ("status failed", "failed"),
        ("status error", "error"),
        ("status cancelled", "cancelled"),
        ("status canceled", "canceled"),
        ("status FAILED", "FAILED"),
        // These two are a guess (`docs/reference/service.md`).
        ("status expired", "expired"),
        ("status rejected", "Rejected"),
    ];
    let failed = words.into_iter().map(|(name, word)| {
        let body = format!(r#"{{"id":"{TASK}","status":"{word}"}}"#);
        Scenario::new(name, move |world| {
            world.creates([world.accepted()]);
            world.looks([Response::json(body.clone())]);
        })
        .looks(1)
        .fails_with_task(ErrorKind::TaskFailed)
    });
    done.chain(running).chain(failed).collect()
}

fn outputs() -> Vec<Scenario> {
    let done = r#""id":"TASK","status":"completed""#;
    let with = |name, fields: &str| completes(name, &format!("{{{done},{fields}}}"));
    vec![
        with("output in groups", r#""output":[{"content":[{"type":"image","url":"PICTURE"}]}]"#),
        // Seen in one early client alone.
        with("output as one object", r#""output":{"status":"done","content":[{"type":"image","url":"PICTURE"}],"metadata":{}}"#),
        with("output with groups without content", r#""output":[{},{"metadata":{}},{"content":null},{"content":[{"url":"PICTURE"}]}]"#),
        // The form of the gateway's queue.
        with("outputs, flat", r#""outputs":[{"type":"image","url":"PICTURE"}]"#),
        with("content without a type", r#""output":[{"content":[{"url":"PICTURE"}]}]"#),
        with("content of type image_url", r#""output":[{"content":[{"type":"image_url","url":"PICTURE"}]}]"#),
        with("content beside other content", r#""output":[{"content":[{"type":"text","text":"hm"},{"type":"video","url":"https://example.com/v.mp4"},{"type":"image","url":"PICTURE"}]}]"#),
        with("content with unknown keys", r#""output":[{"content":[{"type":"image","url":"PICTURE","img_id":7,"duration":1.5,"chunk_index":0,"metadata":{"a":[1]}}],"metadata":{}}]"#),
        with("content with a size in text", r#""output":[{"content":[{"type":"image","url":"PICTURE","size":"100000","jobId":7}]}]"#)
            .then(|witness| {
                let effect = witness.ended.effect.as_ref().expect("it is completed");
                assert_eq!(effect.pictures[0].size, Some(100_000));
                assert_eq!(effect.pictures[0].job_id.as_deref(), Some("7"));
            }),
        with("two pictures", r#""output":[{"content":[{"type":"image","url":"PICTURE"},{"type":"image","url":"PICTURE"}]}]"#)
            .then(|witness| assert_eq!(witness.ended.pictures.len(), 2)),
        with("output as a list of links", r#""output":["PICTURE","PICTURE"]"#)
            .then(|witness| assert_eq!(witness.ended.pictures.len(), 2)),
        with("output as a link", r#""output":"PICTURE""#),
        with("content as a list of links", r#""output":[{"content":["PICTURE"]}]"#),
        with("outputs as a list of links", r#""outputs":["PICTURE"]"#),
        with("content with a link from the root", r#""output":[{"content":[{"type":"image","url":"/ball.png"}]}]"#)
            .then(|witness| {
                let effect = witness.ended.effect.as_ref().expect("it is completed");
                assert_eq!(effect.pictures[0].url, witness.world.gateway.url("/ball.png"));
            }),
        with("content with a link from the folder", r#""output":[{"content":[{"url":"ball.png"}]}]"#),
        with("content with a link without a scheme", r#""output":[{"content":[{"url":"BARE"}]}]"#),
        with("output as links that are not whole", r#""output":["/ball.png","BARE"]"#)
            .then(|witness| assert_eq!(witness.ended.pictures.len(), 2)),
        completes("in an envelope", r#"{"code":0,"message":"ok","data":{"id":"TASK","status":"completed","output":[{"content":[{"url":"PICTURE"}]}]}}"#),
        completes("without an id", r#"{"status":"completed","output":[{"content":[{"url":"PICTURE"}]}]}"#),
        completes("without a status", r#"{"id":"TASK","output":[{"content":[{"url":"PICTURE"}]}]}"#),
    ]
}

fn usages() -> Vec<Scenario> {
    let costs: [(&str, &str, Option<&str>); 4] = [
        ("cost as text", r#"{"cost":"0.0300","discount":1}"#, Some("0.0300")),
        ("cost as a number", r#"{"cost":0.1,"discount":"0.5"}"#, Some("0.1")),
        (
            // A float of 64 bits would make 0.1 of it.
            "cost as a number no float holds",
            r#"{"cost":0.1000000000000000055}"#,
            Some("0.1000000000000000055"),
        ),
        ("cost with an exponent", r#"{"cost":3e-2}"#, Some("0.03")),
    ];
    let none = [
        ("cost null", r#"{"cost":null}"#),
        ("cost missing", r#"{"quantity":1,"unit_price":"0.03"}"#),
    ];
    let unreadable = [
        ("cost empty", r#"{"cost":"","discount":null}"#, ""),
        ("cost that is no number", r#"{"cost":"free"}"#, "free"),
        ("cost with its currency", r#"{"cost":"0.02 USD"}"#, "0.02 USD"),
        // A cost outside of 0 to 10,000 USD is not believed, and counted as unknown.
        ("cost below zero", r#"{"cost":"-0.02"}"#, "-0.02"),
        (
            "cost beyond belief",
            r#"{"cost":70000000000000000000000000000}"#,
            "70000000000000000000000000000",
        ),
    ];
    let with = |name, usage: &str| {
        completes(
            name,
            &format!(
                r#"{{"id":"TASK","status":"completed","usage":{usage},"output":[{{"content":[{{"url":"PICTURE"}}]}}]}}"#
            ),
        )
    };
    let known = costs.into_iter().map(|(name, usage, cost)| {
        with(name, usage).then(move |witness| assert_eq!(witness.cost().as_deref(), cost))
    });
    let none = none.into_iter().map(|(name, usage)| {
        with(name, usage).then(|witness| {
            assert_eq!((witness.cost(), witness.unreadable_cost()), (None, None));
        })
    });
    let unreadable = unreadable.into_iter().map(|(name, usage, sent)| {
        with(name, usage).reports("cannot be read").then(move |witness| {
            assert_eq!((witness.cost(), witness.unreadable_cost()), (None, Some(sent)));
        })
    });
    known.chain(none).chain(unreadable).collect()
}

fn warnings() -> Vec<Scenario> {
    let output = r#""output":[{"content":[{"url":"PICTURE"}]}]"#;
    vec![
        completes("completed with an error beside the picture", &format!(
            r#"{{"id":"TASK","status":"completed","error":{{"code":3009098,"message":"hiccup"}},{output}}}"#
        ))
        .then(|witness| {
            let warning = witness.ended.effect.as_ref().and_then(|effect| effect.warning.as_ref());
            let warning = warning.expect("the error is kept");
            assert_eq!(warning.code, Some(ServiceCode::StatusCheck));
            assert_eq!(warning.message, "hiccup");
        }),
        completes("completed with null for an error", &format!(
            r#"{{"id":"TASK","status":"completed","error":null,{output}}}"#
        ))
        .then(|witness| {
            assert!(witness.ended.effect.as_ref().is_some_and(|effect| effect.warning.is_none()));
        }),
    ]
}

/// The forms of an error inside a task.
fn failures() -> Vec<Scenario> {
    let forms: [(&str, &str, Option<&str>, &str); 8] = [
        (
            "error with a code in text",
            r#"{"code":"3009097","error_message":"upstream"}"#,
            Some("3009097"),
            "upstream",
        ),
        (
            // The service's page has a text here, and tests of its clients have numbers.
            "error with a code as a number",
            r#"{"code":3009097,"error_message":"upstream"}"#,
            Some("3009097"),
            "upstream",
        ),
        (
            "error with a message",
            r#"{"code":110001,"message":"other words"}"#,
            Some("110001"),
            "other words",
        ),
        (
            // `error_message` is what the service's page has, so it comes first.
            "error with both",
            r#"{"code":3009095,"error_message":"first","message":"second"}"#,
            Some("3009095"),
            "first",
        ),
        ("error with a detail", r#"{"detail":"in detail"}"#, None, "in detail"),
        ("error in plain words", r#""just words""#, None, "just words"),
        (
            "error with a code alone",
            r#"{"code":"3009099"}"#,
            Some("3009099"),
            "Service unavailable",
        ),
        ("error null", "null", None, "no reason given"),
    ];
    let all = forms.into_iter().map(|(name, error, code, words)| {
        let body = format!(r#"{{"id":"{TASK}","status":"failed","error":{error}}}"#);
        Scenario::new(name, move |world| {
            world.creates([world.accepted()]);
            world.looks([Response::json(body.clone())]);
        })
        .fails_with_task(ErrorKind::TaskFailed)
        .then(move |witness| {
            assert_eq!(witness.failure().code.as_deref(), code);
            assert!(witness.failure().message.contains(words), "{:?}", witness.failure());
        })
    });
    all.collect()
}

fn odds_and_ends() -> Vec<Scenario> {
    let running = |name, fields: &str| {
        let body = format!(r#"{{"id":"{TASK}","status":"in_progress",{fields}}}"#);
        Scenario::new(name, move |world| {
            world.creates([world.accepted()]);
            world.looks([Response::json(body.clone()), world.completed()]);
        })
        .looks(2)
    };
    vec![
        // A number above 1 is taken for per cent.
        running("progress in per cent", r#""progress":40"#).reports("40 %"),
        running("progress as a share", r#""progress":0.4"#).reports("40 %"),
        running("progress beyond the end", r#""progress":4000"#).reports("100 %"),
        running("progress that is no number", r#""progress":"soon""#),
        running("created_at as text", r#""created_at":"2025-11-24T16:00:00Z""#),
        running("created_at with a fraction", r#""created_at":1764000000.5"#),
        running("created_at of another kind", r#""created_at":{"seconds":1}"#),
        running("an empty error", r#""error":"""#),
        running("odd fields", r#""foo":[1,{"bar":null}],"queue_position":3"#),
        Scenario::new("odd fields are kept", |world| {
            world.creates([world.accepted()]);
            let fields = format!(
                r#""odd":{{"cost":0.10}},"output":[{{"content":[{{"url":"{}"}}]}}],"metadata":{{"completed_at":4.2}}"#,
                world.picture_url()
            );
            world.looks([Response::json(world.completed_with(&fields))]);
        })
        .then(|witness| {
            let effect = witness.ended.effect.as_ref().expect("it is completed");
            assert!(effect.raw.as_str().contains(r#""odd":{"cost":0.10}"#));
            let metadata = effect.metadata.as_ref().map(effects_core::wire::RawJson::as_str);
            assert_eq!(metadata, Some(r#"{"completed_at":4.2}"#));
        }),
    ]
}

/// `width` and `height` are on the wire only if given; the check of every POST compares bytes.
fn sizes() -> Vec<Scenario> {
    let asking = |name, adjust: fn(&mut Draft)| {
        Scenario::new(name, |world| {
            world.creates([world.completed()]);
        })
        .asks(move |_| {
            let mut draft = draft();
            adjust(&mut draft);
            Ask::Effect(draft)
        })
    };
    vec![
        asking("no size", |_| {}),
        asking("a width", |draft| draft.width = Some(512)),
        asking("a height", |draft| draft.height = Some(2048)),
        asking("a size", |draft| (draft.width, draft.height) = (Some(1024), Some(768))),
        // What is asked for is sent, though the service would take the same by itself.
        asking("the default size, on purpose", |draft| {
            (draft.width, draft.height) = (Some(1328), Some(1328));
        }),
        asking("a template of mixed case", |draft| {
            draft.template_id = Some("Spring_Festival_traditional_Chinese_architecture".to_owned());
        }),
        asking("an unlisted template", |draft| {
            draft.template_id = Some("brand_new".to_owned());
            draft.allow_unlisted = true;
        }),
    ]
}

/// The base URL may have a path, and a slash at its end.
fn places() -> Vec<Scenario> {
    let below = |name, path: &'static str| {
        let prefix = path.trim_end_matches('/');
        Scenario::new(name, move |world| {
            let create = format!("{prefix}/model/v1/generation");
            world.gateway.on("POST", &create, [world.accepted()]);
            let task = format!("{prefix}/model/v1/generation/task/{TASK}");
            world.gateway.on("GET", &task, [world.running(), world.completed()]);
        })
        .with(move |setup, world| setup.base_url = world.gateway.url(path))
        .looks(2)
    };
    // An id is any text: it must not lead to another path of the gateway.
    let odd_id = Scenario::new("an id that needs encoding", |world| {
        world.creates([Response::json(r#"{"id":"a/b?c#d%e"}"#)]);
        world.gateway.on(
            "GET",
            "/model/v1/generation/task/a%2Fb%3Fc%23d%25e",
            [Response::json(r#"{"id":"a/b?c#d%e","status":"failed"}"#)],
        );
    })
    .task("a/b?c#d%e")
    .fails_with_task(ErrorKind::TaskFailed)
    .looks(1);
    vec![
        below("below a path", "/proxy/v2"),
        below("below a path with a slash", "/proxy/"),
        below("below a slash", "/"),
        odd_id,
    ]
}
