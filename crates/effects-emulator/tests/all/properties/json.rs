//! JSON of any shape, wherever JSON is taken.

use std::sync::LazyLock;

use effects_emulator::Emulator;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{cases, start};
use crate::common::*;

static EMULATOR: LazyLock<Emulator> = LazyLock::new(start);

/// What its control API is told would reach the tasks of others.
static CONTROLLED: LazyLock<Emulator> = LazyLock::new(start);

fn value(words: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let word = prop::sample::select(words);
    let key = prop_oneof![3 => word.clone().prop_map(str::to_owned), 1 => ".*"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Words of creates.
const CREATES: &[&str] = &[
    "model",
    "input",
    "params",
    "image_input1",
    "template_id",
    "width",
    "height",
    "glass_ball",
    "spark_img_effects",
    "webhook",
];

/// Words of the control API.
const CONTROLS: &[&str] = &[
    "on",
    "faults",
    "fault",
    "kind",
    "create",
    "task",
    "status",
    "reset",
    "hang",
    "when",
    "after",
    "seconds",
    "nth",
    "chance",
    "seed",
    "rate_limit",
    "requests",
    "balance",
    "keep",
    "template",
    "word",
    "body",
    "raw",
    "match",
    "count",
    "headers",
    "path",
    "plan",
    "key",
    "to",
    "message",
    "code",
    "fail",
    "bytes",
    "pause",
    "drip",
    "truncate",
];

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn creates_of_any_shape(
        body in value(CREATES), params in value(CREATES), queue in any::<bool>(),
    ) {
        let path = if queue { "/model/v1/queue/spark_img_effects" } else { CREATE };
        for body in [body, request(&params), params] {
            let answer = post(&*EMULATOR, path, &body);
            prop_assert!(answer.status < 500);
            if answer.status == 200 {
                let id = answer.json();
                let id = id["id"].as_str().or_else(|| id["request_id"].as_str()).unwrap().to_owned();
                prop_assert_eq!(&finish(&*EMULATOR, &id)["status"], "failed");
            }
        }
    }

    #[test]
    fn controls_of_any_shape(
        body in value(CONTROLS), fault in value(CONTROLS), on in prop::sample::select(CONTROLS),
    ) {
        let key = bearer(&*CONTROLLED);
        let headers = [("Authorization", key.as_str())];
        let scripted = json!({"on": on, "faults": [fault, Value::Null]});
        let planned = json!({"seed": 1, "fault": [fault], "balance": body});
        for body in [&body, &scripted, &planned, &json!({"seconds": body})] {
            let text = body.to_string();
            for (method, path) in [
                ("POST", "/_emulator/next"),
                ("POST", "/_emulator/verify"),
                ("POST", "/_emulator/tasks/none/fail"),
                ("PUT", "/_emulator/faults"),
                ("POST", "/_emulator/clock/advance"),
                ("POST", "/_emulator/reset"),
            ] {
                // The control API is never faulty, whatever it has just been told to do.
                let answer = send(&*CONTROLLED, method, path, &headers, text.as_bytes());
                prop_assert!(answer.status < 500, "{method} {path} {text}");
            }
        }
        prop_assert_eq!(get(&*CONTROLLED, "/_emulator/faults").status, 200);
    }
}
