//! The queue surface and the catalogue.

use std::time::{Duration, Instant};

use crate::common::*;
use effects_emulator::{ClockKind, Emulator, Endpoint, Fault, Latency, Pictures};
use serde_json::{Value, json};

const QUEUE: &str = "/model/v1/queue/spark_img_effects";

fn valid() -> Value {
    json!({"image_input1": "https://photos.invalid/p.jpg", "template_id": "glass_ball"})
}

/// An emulator on a virtual clock whose tasks take ten seconds.
fn slow() -> Emulator {
    let builder = Emulator::builder().pictures(Pictures::Stub).clock(ClockKind::Virtual);
    builder.latency(Latency::fixed(Duration::from_secs(10))).start().unwrap()
}

fn submit(emulator: &Emulator, params: &Value) -> Value {
    let answer = post(emulator, QUEUE, params);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[test]
fn a_request_runs_through_the_queue_to_its_picture() {
    let emulator = slow();
    let submitted = submit(&emulator, &valid());
    let id = submitted["request_id"].as_str().unwrap();
    assert!(id.starts_with("mmsu_"));
    let urls = ["status_url", "response_url"].map(|name| submitted[name].as_str().unwrap());
    let [status, response] = urls.map(|url| path(&emulator, url));

    let running = get(&emulator, status);
    assert_eq!(running.status, 200);
    assert!(["IN_QUEUE", "IN_PROGRESS"].contains(&running.json()["status"].as_str().unwrap()));
    let running = get(&emulator, response);
    assert_eq!(running.status, 202);
    assert_eq!(running.json()["request_id"], id);

    emulator.advance(Duration::from_secs(10)).unwrap();
    let finished = get(&emulator, status).json();
    assert_eq!(finished["status"], "COMPLETED");
    assert_eq!(finished["metrics"]["inference_time"], 10.0);
    let answer = get(&emulator, response);
    assert_eq!(answer.status, 200);
    let answer = answer.json();
    assert_eq!((&answer["status"], answer.get("error")), (&json!("COMPLETED"), None));
    let output = &answer["outputs"][0];
    assert_eq!(output["type"], "image");
    assert_eq!(output["width"], 8);
    let picture = get(&emulator, path(&emulator, output["url"].as_str().unwrap()));
    assert_eq!(output["file_size"], picture.body.len());
    assert_eq!(picture.header("content-type"), output["content_type"].as_str());

    // The generation surface knows ids of the queue's too.
    assert_eq!(look(&emulator, id)["status"], "completed");
    assert_eq!(emulator.counts().accepted, 1);
}

#[test]
fn a_failure_is_in_status_and_response_and_both_are_200() {
    let emulator = slow();
    let mut params = valid();
    params["template_id"] = json!("glas_ball");
    let id = submit(&emulator, &params)["request_id"].as_str().unwrap().to_owned();
    for end in ["status", "response"] {
        let answer = get(&emulator, &format!("{QUEUE}/requests/{id}/{end}"));
        assert_eq!(answer.status, 200);
        let answer = answer.json();
        assert_eq!(answer["status"], "COMPLETED");
        assert_eq!(answer["error"]["code"], "3009003");
        assert_eq!(answer["error_type"], "REQUEST_INVALID");
    }
}

#[test]
fn a_request_is_cancelled_once_and_only_while_it_runs() {
    let emulator = slow();
    let id = submit(&emulator, &valid())["request_id"].as_str().unwrap().to_owned();
    let key = bearer(&emulator);
    let cancel = |id: &str| {
        let path = format!("{QUEUE}/requests/{id}/cancel");
        let answer = send(&emulator, "PUT", &path, &[("Authorization", &key)], b"");
        (answer.status, answer.json()["status"].as_str().unwrap().to_owned())
    };
    assert_eq!(cancel(&id), (202, "CANCELLATION_REQUESTED".to_owned()));
    let answer = get(&emulator, &format!("{QUEUE}/requests/{id}/response")).json();
    assert_eq!(
        (&answer["status"], &answer["error_type"]),
        (&json!("COMPLETED"), &json!("CANCELED"))
    );
    assert_eq!(cancel(&id), (400, "ALREADY_COMPLETED".to_owned()));
    assert_eq!(cancel("mmsu_none"), (404, "NOT_FOUND".to_owned()));
}

#[test]
fn what_the_queue_does_not_take_is_refused_in_its_own_form() {
    let emulator = slow();
    let mut params = valid();
    params["webhook_url"] = json!("http://a.example");
    let answer = post(&emulator, QUEUE, &params);
    assert_eq!((answer.status, answer.json()), (400, json!({"detail": "webhook not supported"})));
    let answer = post(&emulator, "/model/v1/queue/vtrix_3d", &valid());
    assert_eq!((answer.status, answer.json()), (404, json!({"detail": "App not found: vtrix_3d"})));
    assert_eq!(get(&emulator, &format!("{QUEUE}/requests/mmsu_none/status")).status, 404);
    assert_eq!(send(&emulator, "POST", QUEUE, &[], b"{}").status, 401);
}

#[test]
fn looks_at_the_queue_meet_faults_as_well() {
    let emulator = Emulator::builder().pictures(Pictures::Stub).start().unwrap();
    let id = submit(&emulator, &valid())["request_id"].as_str().unwrap().to_owned();
    emulator.next(Endpoint::QueueResponse, [Some(Fault::Stale)]).unwrap();
    let word = Fault::Word { status: "DONE".to_owned() };
    emulator.next(Endpoint::QueueStatus, [Some(word)]).unwrap();
    let requests = format!("{QUEUE}/requests/{id}");
    assert_eq!(get(&emulator, &format!("{requests}/response")).status, 202);
    assert_eq!(get(&emulator, &format!("{requests}/status")).json()["status"], "DONE");
    assert_eq!(get(&emulator, &format!("{requests}/response")).status, 200);
}

#[test]
fn a_painting_that_was_cancelled_leaves_nothing_and_costs_nothing() {
    let emulator = echoing().latency(Latency::fixed(Duration::from_secs(3600))).start().unwrap();
    let photo = upload(&emulator, PHOTO);
    let params = json!({"image_input1": photo, "template_id": "glass_ball"});
    let id = submit(&emulator, &params)["request_id"].as_str().unwrap().to_owned();
    let path = format!("{QUEUE}/requests/{id}/cancel");
    let key = bearer(&emulator);
    assert_eq!(send(&emulator, "PUT", &path, &[("Authorization", &key)], b"").status, 202);
    let start = Instant::now();
    while look(&emulator, &id)["status"] != "failed" {
        assert!(start.elapsed() < Duration::from_secs(20));
    }
    assert_eq!(look(&emulator, &id)["error"]["code"], "CANCELED");
    let nothing = rust_decimal::Decimal::ZERO;
    while emulator.spent() != nothing {
        assert!(start.elapsed() < Duration::from_secs(20));
    }
    // A constant picture is there from the start, and paid for when it is seen.
    let emulator = slow();
    let id = submit(&emulator, &valid())["request_id"].as_str().unwrap().to_owned();
    let key = bearer(&emulator);
    let path = format!("{QUEUE}/requests/{id}/cancel");
    assert_eq!(send(&emulator, "PUT", &path, &[("Authorization", &key)], b"").status, 202);
    assert_eq!(emulator.spent(), nothing);
    assert_eq!(emulator.tasks()[0].status, "failed");
}

#[test]
fn the_catalogue_lists_specifies_and_contracts_without_a_key() {
    let emulator = slow();
    let open = |path: &str| {
        let answer = send(&emulator, "GET", path, &[], b"");
        assert_eq!(answer.status, 200, "{path}");
        answer.json()
    };
    let list = open("/api/v1/skill/models?page=1&page_size=20&type=image&keywords=effects");
    assert_eq!(list["status"]["code"], 200);
    assert_eq!(list["data"]["models"][0]["id"], "spark_img_effects");
    assert_eq!(list["data"]["total"], 1);
    assert_eq!(open("/api/v1/skill/models?type=video")["data"]["total"], 0);
    assert_eq!(open("/api/v1/skill/models?page=2")["data"]["models"], json!([]));

    let spec = open("/api/v1/skill/models/spark_img_effects/spec");
    let endpoint = spec["data"]["api"]["endpoint"].as_str().unwrap();
    assert_eq!(endpoint, format!("{}{CREATE}", emulator.base_url()));
    let ids = spec["data"]["parameters"][1]["constraints"]["enum"].as_array().unwrap();
    assert_eq!(ids.len(), 30);
    assert!(ids.iter().all(Value::is_string));
    assert!(!spec["data"]["agent_prompt"].as_str().unwrap().is_empty());

    let contract = open("/api/v1/skill/model-contracts/spark_img_effects");
    let data = &contract["data"];
    assert_eq!(data["schema_version"], "model-contract.v1");
    assert_eq!((&data["protocol"], &data["body_mode"]), (&json!("queue"), &json!("raw_json")));
    assert_eq!(data["endpoints"]["submit"], json!({"method": "POST", "path": QUEUE}));
    assert_eq!(data["input_schema"]["properties"]["image_input1"]["format"], "image");

    for path in ["models/vtrix_3d/spec", "model-contracts/vtrix_3d"] {
        let answer = send(&emulator, "GET", &format!("/api/v1/skill/{path}"), &[], b"");
        assert_eq!(answer.status, 404, "{path}");
        let answer = answer.json();
        assert_eq!((&answer["status"]["code"], &answer["data"]), (&json!(404), &Value::Null));
    }
}

#[test]
fn the_seaart_clients_find_the_model_and_how_to_use_it() {
    let emulator = slow();
    let open =
        |path: &str| send(&emulator, "GET", &format!("/model/v1/models/skill/{path}"), &[], b"");
    let found = open("search?q=spark+effects&type=image&limit=5").json();
    assert_eq!(
        (&found["hits"][0]["id"], &found["limit"]),
        (&json!("spark_img_effects"), &json!(5))
    );
    assert_eq!(
        (&found["query"], &found["estimatedTotalHits"]),
        (&json!("spark effects"), &json!(1))
    );
    assert_eq!(open("search?q=video").json()["hits"], json!([]));
    let skill = open("spark_img_effects");
    assert_eq!(skill.header("content-type"), Some("text/markdown; charset=utf-8"));
    let skill = String::from_utf8(skill.body).unwrap();
    // The body to fill in is one that is accepted, and each parameter and template is named.
    let (_, rest) = skill.split_once("```json\n").unwrap();
    let body: Value = serde_json::from_str(rest.split_once("```").unwrap().0).unwrap();
    assert_eq!(post(&emulator, CREATE, &body).status, 200);
    for named in ["image_input1", "width", "512 to 2048", "Mid-Autumn_Festival_individual"] {
        assert!(skill.contains(named), "{skill}");
    }
    let spec = send(&emulator, "GET", "/api/v1/skill/models/spark_img_effects/spec", &[], b"");
    assert_eq!(spec.json()["data"]["agent_prompt"], skill);
    assert_eq!(open("vtrix_3d").status, 404);
}

#[test]
fn requests_wait_in_line_and_their_logs_say_what_happened() {
    struct Never;
    impl effects_emulator::Painter for Never {
        fn paint(
            &self,
            _: &[u8],
            _: &effects_core::Template,
            _: u32,
            _: u32,
        ) -> Result<Vec<u8>, effects_emulator::PaintFailure> {
            std::thread::sleep(Duration::from_millis(200));
            Ok(PHOTO.to_vec())
        }
    }
    let builder = Emulator::builder().painter(Never);
    let emulator = builder.options(|options| options.limits.renders = 1).start().unwrap();
    let params = json!({"image_input1": upload(&emulator, PHOTO), "template_id": "glass_ball"});
    // Four photos are had ahead of the one painter, and five requests take them.
    let ids: Vec<String> = (0..8)
        .map(|_| submit(&emulator, &params)["request_id"].as_str().unwrap().to_owned())
        .collect();
    let status = |id: &String| get(&emulator, &format!("{QUEUE}/requests/{id}/status")).json();
    let last = status(&ids[7]);
    assert_eq!(last["status"], "IN_QUEUE", "{last}");
    let position = last["queue_position"].as_u64().unwrap();
    assert!((1..=7).contains(&position), "{last}");
    assert!(status(&ids[6])["queue_position"].as_u64().unwrap() < position);
    assert_eq!(last["logs"].as_array().unwrap().len(), 1);
    let begun = Instant::now();
    let mut words = Vec::new();
    loop {
        let now = status(&ids[7]);
        let word = now["status"].as_str().unwrap().to_owned();
        if words.last() != Some(&word) {
            words.push(word);
        }
        if words.last().is_some_and(|word| word == "COMPLETED") {
            let logs = now["logs"].as_array().unwrap();
            assert_eq!(logs[0]["message"], "the request is queued");
            assert_eq!(logs[1]["message"], "the picture is painted");
            assert!(logs[1]["timestamp"].as_str().unwrap().ends_with('Z'));
            break;
        }
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(words, ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]);
}

#[test]
fn what_the_queue_does_not_have_it_says_in_its_own_words() {
    let emulator = slow();
    let answer = post(&emulator, &format!("{QUEUE}/sync"), &valid());
    assert_eq!((answer.status, answer.json()), (404, json!({"detail": "Not Found"})));
    let id = submit(&emulator, &valid())["request_id"].as_str().unwrap().to_owned();
    let answer = get(&emulator, &format!("{QUEUE}/requests/{id}/status/stream"));
    let words = json!({"detail": "SSE streaming not supported"});
    assert_eq!((answer.status, answer.json()), (400, words));
}

#[test]
fn a_stub_picture_has_the_size_that_its_answer_gives() {
    let emulator = Emulator::builder().pictures(Pictures::Stub).start().unwrap();
    let id = submit(&emulator, &valid())["request_id"].as_str().unwrap().to_owned();
    let output =
        get(&emulator, &format!("{QUEUE}/requests/{id}/response")).json()["outputs"][0].clone();
    let picture = get(&emulator, path(&emulator, output["url"].as_str().unwrap())).body;
    let picture = image::load_from_memory(&picture).unwrap();
    assert_eq!(
        (&output["width"], &output["height"]),
        (&json!(picture.width()), &json!(picture.height()))
    );
}

#[test]
fn a_cancelled_task_has_a_number_for_clients_that_read_numbers() {
    let builder = Emulator::builder().pictures(Pictures::Stub).clock(ClockKind::Virtual);
    let builder = builder.dialect(effects_emulator::Dialect::Sdk);
    let emulator = builder.latency(Latency::fixed(Duration::from_secs(10))).start().unwrap();
    let id = submit(&emulator, &valid())["request_id"].as_str().unwrap().to_owned();
    let path = format!("{QUEUE}/requests/{id}/cancel");
    let key = bearer(&emulator);
    assert_eq!(send(&emulator, "PUT", &path, &[("Authorization", &key)], b"").status, 202);
    assert_eq!(look(&emulator, &id)["error"]["code"], 499);
    // The queue's codes are text in every dialect.
    let response = get(&emulator, &format!("{QUEUE}/requests/{id}/response")).json();
    assert_eq!(response["error"]["code"], "CANCELED");
}

#[test]
fn the_balance_and_the_price_are_true() {
    let plan = effects_emulator::FaultPlan::none().balance("0.05".parse().unwrap());
    let builder = Emulator::builder().pictures(Pictures::Stub).faults(plan);
    let emulator = builder.start().unwrap();
    let balance = || get(&emulator, "/api/v1/user/balance").json()["data"]["balance"].clone();
    assert_eq!(balance(), "0.05");
    let asked = post(&emulator, &format!("{CREATE}/precharge"), &request(&valid())).json();
    assert_eq!((&asked["status"], &asked["data"]["cost"]), (&json!("success"), &json!("0.03")));
    assert_eq!(balance(), "0.05");
    create(&emulator, &valid());
    assert_eq!(balance(), "0.02");
    let refused = post(&emulator, CREATE, &request(&valid()));
    assert_eq!(refused.status, 402);
    // The one who asks the service about it needs the exchange's name.
    assert_eq!(refused.json()["request_id"], refused.header("x-request-id").unwrap());
    let unknown =
        post(&emulator, &format!("{CREATE}/precharge"), &json!({"model": "other"})).json();
    assert_eq!((&unknown["status"], &unknown["data"]["cost"]), (&json!("failed"), &Value::Null));
    assert_eq!(send(&emulator, "GET", "/api/v1/user/balance", &[], b"").status, 401);
}

#[test]
fn a_picture_is_fetched_in_parts() {
    let emulator = slow();
    let url = upload(&emulator, PHOTO);
    let part =
        |range: &str| send(&emulator, "GET", path(&emulator, &url), &[("Range", range)], b"");
    let first = part("bytes=0-9");
    assert_eq!((first.status, &first.body[..]), (206, &PHOTO[..10]));
    let content_range = format!("bytes 0-9/{}", PHOTO.len());
    assert_eq!(first.header("content-range"), Some(content_range.as_str()));
    assert_eq!([first.body, part("bytes=10-").body].concat(), PHOTO);
    let beyond = part("bytes=100000-");
    let content_range = format!("bytes */{}", PHOTO.len());
    assert_eq!(
        (beyond.status, beyond.header("content-range")),
        (416, Some(content_range.as_str()))
    );
    let whole = send(&emulator, "GET", path(&emulator, &url), &[], b"");
    assert_eq!((whole.status, whole.header("accept-ranges")), (200, Some("bytes")));
}
