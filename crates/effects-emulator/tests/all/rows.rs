//! What a gateway has to emit so that every client of the family works, row by row, in the dialect
//! that is made for it.

use std::time::Duration;

use crate::common::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use effects_emulator::{ClockKind, Dialect, Emulator, Latency};
use serde_json::{Value, json};

const QUEUE: &str = "/model/v1/queue/spark_img_effects";

fn sdk() -> Emulator {
    let hour = Latency::fixed(Duration::from_secs(3600));
    echoing().dialect(Dialect::Sdk).clock(ClockKind::Virtual).latency(hour).start().unwrap()
}

fn params(emulator: &Emulator) -> Value {
    json!({"image_input1": upload(emulator, PHOTO), "template_id": "glass_ball"})
}

fn later(emulator: &Emulator) {
    emulator.advance(Duration::from_secs(3600)).unwrap();
}

#[test]
fn tasks_have_the_types_that_every_client_decodes() {
    let emulator = sdk();
    let mut body = request(&params(&emulator));
    // Unknown keys are ignored.
    for extra in ["moderation", "metadata", "dash_scope", "options", "id"] {
        body[extra] = json!({"of": "somebody else"});
    }
    let created = post(&emulator, CREATE, &body);
    assert_eq!(created.status, 200);
    let created = created.json();
    assert!(created["created_at"].is_u64() && created["status"] == "in_progress", "{created}");
    assert!(!created["id"].as_str().unwrap().is_empty());
    let id = created["id"].as_str().unwrap();

    let running = look(&emulator, id);
    assert_eq!((&running["status"], &running["progress"]), (&json!("in_progress"), &json!(0.0)));
    for absent in ["output", "usage", "error"] {
        assert_eq!(running.get(absent), None);
    }
    emulator.advance(Duration::from_secs(900)).unwrap();
    assert_eq!(look(&emulator, id)["progress"], 0.25);
    later(&emulator);
    let task = look(&emulator, id);
    assert_eq!(task["status"], "completed");
    assert_eq!(task["output"].as_array().unwrap().len(), 1);
    let content = task["output"][0]["content"][0].as_object().unwrap();
    assert_eq!(content["type"], "image");
    assert!(content["url"].is_string() && content["size"].is_u64() && content["jobId"].is_string());
    assert!(!content.contains_key("duration"));
    // The picture is at the same origin.
    let url = content["url"].as_str().unwrap();
    assert!(url.starts_with(emulator.base_url()), "{url}");
    assert_eq!(get(&emulator, path(&emulator, url)).status, 200);
    assert!(task["usage"]["cost"].is_string() && task["usage"]["discount"].is_number());
    let metadata = task["metadata"].as_object().unwrap();
    assert!(metadata.values().all(Value::is_number), "{metadata:?}");
}

#[test]
fn errors_are_a_union_with_numbers_and_the_queues_are_texts() {
    let emulator = sdk();
    let bad = json!({"image_input1": "u", "template_id": "Glass_Ball"});
    let task = look(&emulator, &create(&emulator, &bad));
    assert_eq!((&task["status"], &task["error"]["code"]), (&json!("failed"), &json!(3_009_003)));
    assert_eq!(task["error"]["message"], task["error"]["error_message"]);
    let refused = post(&emulator, CREATE, &json!([]));
    assert_eq!(refused.status, 400);
    let refused = refused.json();
    assert_eq!(refused["error"]["code"], 400);
    for text in [&refused["message"], &refused["error"]["message"], &refused["request_id"]] {
        assert!(text.is_string(), "{refused}");
    }
    assert_eq!(refused["error"]["error_message"], refused["message"]);

    let submitted = post(&emulator, QUEUE, &bad).json();
    let id = submitted["request_id"].as_str().unwrap();
    let response = get(&emulator, &format!("{QUEUE}/requests/{id}/response"));
    assert_eq!(response.status, 200);
    let response = response.json();
    assert_eq!(
        (&response["status"], &response["error"]["code"]),
        (&json!("COMPLETED"), &json!("3009003"))
    );
    let status = get(&emulator, &format!("{QUEUE}/requests/{id}/status")).json();
    assert_eq!((&status["status"], &status["error"]), (&json!("COMPLETED"), &response["error"]));
}

#[test]
fn the_queue_walks_from_submit_to_response() {
    let emulator = sdk();
    let submitted = post(&emulator, QUEUE, &params(&emulator)).json();
    let id = submitted["request_id"].as_str().unwrap();
    for url in ["status_url", "response_url", "cancel_url"] {
        assert!(submitted[url].as_str().unwrap().starts_with(emulator.base_url()), "{submitted}");
    }
    assert_eq!(get(&emulator, &format!("{QUEUE}/requests/{id}/response")).status, 202);
    later(&emulator);
    let response = get(&emulator, &format!("{QUEUE}/requests/{id}/response"));
    assert_eq!((response.status, &response.json()["status"]), (200, &json!("COMPLETED")));
    // The generation surface answers for it too.
    assert_eq!(look(&emulator, id)["status"], "completed");
}

#[test]
fn the_model_the_key_and_the_photo_come_in_several_forms() {
    let emulator = sdk();
    let mut body = request(&params(&emulator));
    body.as_object_mut().unwrap().remove("model");
    let key = format!("Key {}", emulator.api_key());
    let headers = [("Authorization", key.as_str()), ("X-Model", "spark_img_effects")];
    let created = send(&emulator, "POST", CREATE, &headers, body.to_string().as_bytes());
    assert_eq!(created.status, 200);
    let base64 = STANDARD.encode(PHOTO);
    let id = create(&emulator, &json!({"image_input1": base64, "template_id": "glass_ball"}));
    later(&emulator);
    assert_eq!(look(&emulator, &id)["status"], "completed");
}

#[test]
fn what_is_not_there_is_404_and_the_catalogue_needs_no_key() {
    let emulator = sdk();
    for probe in [
        "/model/v1/generation/task/d758n65e878c73cmdg20",
        "/model/v1/generation/d758n65e878c73cmdg20",
        "/model/v1/generation?id=d758n65e878c73cmdg20",
        "/model/v1/generation/sync",
        "/anything",
        &format!("{QUEUE}/requests/%ff/status"),
    ] {
        assert_eq!(get(&emulator, probe).status, 404, "{probe}");
    }
    let open = |path: &str| send(&emulator, "GET", path, &[], b"").json()["data"].clone();
    let listed = open("/api/v1/skill/models?page=1&page_size=20&include_curl=true");
    assert_eq!(listed["models"][0]["id"], "spark_img_effects");
    assert_eq!(listed["models"][0]["model_id"], "spark_img_effects");
    let spec = open("/api/v1/skill/models/spark_img_effects/spec");
    assert!(!spec["agent_prompt"].as_str().unwrap().is_empty());
    let ids = spec["parameters"][1]["constraints"]["enum"].as_array().unwrap();
    assert!(ids.len() == 30 && ids.iter().all(Value::is_string));
    let contract = open("/api/v1/skill/model-contracts/spark_img_effects");
    assert_eq!(contract["schema_version"], "model-contract.v1");
    assert_eq!(
        (&contract["protocol"], &contract["body_mode"]),
        (&json!("queue"), &json!("raw_json"))
    );
    assert_eq!(contract["endpoints"]["submit"]["method"], "POST");
    assert_eq!(contract["input_schema"]["properties"]["image_input1"]["format"], "image");
}
