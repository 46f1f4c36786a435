//! Whatever is sent, the emulator answers or hangs up, never with 500 or above, and goes on.

#![allow(clippy::unwrap_used, reason = "what a helper cannot do fails its test")]

mod common;

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::*;
use effects_emulator::{Emulator, EmulatorBuilder};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

static EMULATOR: LazyLock<Emulator> = LazyLock::new(|| impatient().start().unwrap());

/// A client that promises more than it sends must not hold a test up.
fn impatient() -> EmulatorBuilder {
    let second = std::time::Duration::from_millis(200);
    echoing().options(|options| options.limits.request_time = second)
}

/// The status of an answer, if there is one.
fn status(answer: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(answer);
    text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

fn json_value() -> impl Strategy<Value = Value> {
    let key = prop_oneof![3 => prop::sample::select(WORDS).prop_map(str::to_owned), 1 => ".*"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        Just(json!("glass_ball")),
        Just(json!("spark_img_effects")),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

const WORDS: &[&str] =
    &["model", "input", "params", "image_input1", "template_id", "width", "height"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_that_are_no_http(bytes in vec(any::<u8>(), 0..600)) {
        // A broken connection is an answer to a broken request.
        let answer = raw_to_the_end(&*EMULATOR, &bytes).unwrap_or_default();
        prop_assert!(answer.is_empty() || status(&answer).is_some_and(|status| status < 500));
    }

    #[test]
    fn paths_methods_and_headers_of_any_kind(
        method in prop::sample::select(vec!["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW"]),
        start in prop::sample::select(vec![
            "/", "/files/", "/model/v1/generation", "/model/v1/generation/task/", "/model/v1/queue/",
            "/model/v1/queue/spark_img_effects/requests/", "/api/v1/skill/models", "/api/v1/storage/files",
            "/api/v1/skill/model-contracts/", "/_emulator/", "/_emulator/requests?after=", "/_emulator/next",
        ]),
        rest in vec(any::<u8>(), 0..60),
        escaped in any::<bool>(),
        header in vec(any::<u8>().prop_filter("ends a line", |byte| *byte >= 32 || *byte == 9), 0..60),
        body in vec(any::<u8>(), 0..200),
    ) {
        let rest: Vec<u8> = if escaped {
            rest.iter().flat_map(|byte| format!("%{byte:02x}").into_bytes()).collect()
        } else {
            rest.into_iter().filter(|byte| *byte > 32).collect()
        };
        let key = bearer(&*EMULATOR);
        let mut request = format!("{method} {start}").into_bytes();
        request.extend(rest);
        request.extend(format!(" HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nX-Odd: ").into_bytes());
        request.extend(header);
        request.extend(format!("\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes());
        request.extend(body);
        let answer = raw(&*EMULATOR, &request).unwrap_or_default();
        prop_assert!(status(&answer).is_some_and(|status| status < 500), "{}", String::from_utf8_lossy(&answer));
    }

    #[test]
    fn json_of_any_shape(body in json_value(), params in json_value(), queue in any::<bool>()) {
        let path = if queue { "/model/v1/queue/spark_img_effects" } else { CREATE };
        for body in [body, request(&params), params] {
            let answer = post(&*EMULATOR, path, &body);
            prop_assert!(answer.status < 500);
            if answer.status == 200 {
                let id = answer.json();
                let id = id["id"].as_str().or_else(|| id["request_id"].as_str()).unwrap().to_owned();
                prop_assert_eq!(&finish(&*EMULATOR, &id)["status"], "failed");
            }
            let control = post(&*EMULATOR, "/_emulator/clock/advance", &body);
            prop_assert!((400..500).contains(&control.status));
        }
    }

    #[test]
    fn photos_with_any_bytes_in_them(
        at in 0..PHOTO.len(), bytes in vec(any::<u8>(), 0..40), cut in any::<bool>(), whole in any::<bool>(),
    ) {
        let mut photo = if whole { PHOTO.to_vec() } else { Vec::new() };
        let at = at.min(photo.len());
        let end = if cut { photo.len() } else { (at + bytes.len()).min(photo.len()) };
        photo.splice(at..end, bytes);
        let image = format!("data:image/png;base64,{}", STANDARD.encode(&photo));
        let params = json!({"image_input1": image, "template_id": "glass_ball"});
        let task = finish(&*EMULATOR, &create(&*EMULATOR, &params));
        prop_assert!(task["status"] == "completed" || task["error"]["code"] == "3009096", "{}", task);
    }

    #[test]
    fn uploads_with_any_form(body in vec(any::<u8>(), 0..300), edge in "[ -~]{0,20}", framed in any::<bool>()) {
        let body = if framed {
            [b"--edge\r\n".as_slice(), &body, b"\r\n--edge--\r\n"].concat()
        } else {
            body
        };
        let key = bearer(&*EMULATOR);
        let form = format!("multipart/form-data; boundary={}", if framed { "edge" } else { &edge });
        let headers = [("Authorization", key.as_str()), ("Content-Type", form.as_str())];
        let answer = send(&*EMULATOR, "POST", "/api/v1/storage/files", &headers, &body);
        prop_assert!(answer.status < 500);
    }
}
