//! What a test in any language can ask of the control API afterwards, and steer meanwhile: which
//! requests were about which task, whether they came as often as they should have, what is scripted
//! and not met yet, and how a task that runs is to end.

use std::time::Duration;

use crate::common::*;
use effects_core::Template;
use effects_emulator::{
    ClockKind, Counts, Emulator, Endpoint, Fault, FaultPlan, FaultRule, Keep, Latency, Pictures,
    Script,
};
use serde_json::{Value, json};

fn params(template: &str) -> Value {
    json!({"image_input1": "https://photos.invalid/p.jpg", "template_id": template})
}

fn stub() -> effects_emulator::EmulatorBuilder {
    Emulator::builder().pictures(Pictures::Stub)
}

/// An emulator on a virtual clock whose tasks take ten seconds.
fn slow() -> Emulator {
    let builder = stub().clock(ClockKind::Virtual);
    builder.latency(Latency::fixed(Duration::from_secs(10))).start().unwrap()
}

fn verify(emulator: &Emulator, body: &Value) -> Value {
    let answer = post(emulator, "/_emulator/verify", body);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn list(emulator: &Emulator, query: &str) -> Vec<Value> {
    let answer = get(emulator, &format!("/_emulator/{query}"));
    assert_eq!(answer.status, 200, "{query} {answer:?}");
    answer.json().as_array().unwrap().clone()
}

fn numbers(requests: &[Value]) -> Vec<u64> {
    requests.iter().map(|request| request["number"].as_u64().unwrap()).collect()
}

#[test]
fn requests_carry_their_task_their_body_hash_and_their_answer() {
    let emulator = stub().start().unwrap();
    let id = create(&emulator, &params("glass_ball"));
    let task = look(&emulator, &id);
    let seen = list(&emulator, "requests");
    let body = request(&params("glass_ball")).to_string();
    assert_eq!(seen[0]["body_hash"], Counts::name_of(body.as_bytes()));
    assert_eq!((&seen[0]["task"], &seen[1]["task"]), (&json!(id), &json!(id)));
    assert_eq!(seen[1]["body_hash"], Value::Null);
    let answer = &seen[1]["answer"];
    let answer_body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(answer_body, task);
    assert_eq!(answer["body_bytes"], answer["body"].as_str().unwrap().len());
    assert!(answer["milliseconds"].is_u64());
    let headers = answer["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["content-type", "application/json"])), "{headers:?}");
    // Of a picture the size is enough.
    let url = task["output"][0]["content"][0]["url"].as_str().unwrap();
    let picture = get(&emulator, path(&emulator, url));
    let seen = list(&emulator, "requests?endpoint=file");
    assert_eq!(seen[0]["task"], id);
    assert_eq!(seen[0]["answer"]["body"], "");
    assert_eq!(seen[0]["answer"]["body_bytes"], picture.body.len());
    // The key stands in no answer either.
    assert!(!format!("{seen:?}").contains(emulator.api_key()));
}

#[test]
fn an_answer_that_a_fault_has_changed_is_recorded_as_it_went_out() {
    let emulator = stub().start().unwrap();
    let faults = [Fault::Garbage, Fault::Truncate { keep: 0.5 }, Fault::status(503), Fault::lost()];
    emulator.next(Endpoint::Create, faults.map(Some)).unwrap();
    let body = request(&params("glass_ball")).to_string();
    let key = bearer(&emulator);
    for _ in 0..4 {
        // Some of the answers break off.
        let _ = try_send(&emulator, "POST", CREATE, &[("Authorization", &key)], body.as_bytes());
    }
    let seen = emulator.requests();
    let body = |at: usize| seen[at].answer.as_ref().map_or("", |answer| &answer.body);
    assert!(body(0).contains("<html>") && !body(0).contains("created_at"), "{}", body(0));
    assert!(body(1).contains("created_at"), "{}", body(1));
    assert!(body(2).contains("Service Unavailable"), "{}", body(2));
    assert_eq!((seen[2].status, &seen[2].task), (Some(503), &None));
    assert_eq!((seen[3].status, &seen[3].answer), (None, &None));
    // Accepted, and told to no client: the record knows the task all the same.
    let tasks = emulator.tasks();
    assert_eq!(tasks.len(), 3);
    let lost = tasks.iter().find(|task| Some(&task.id) == seen[3].task.as_ref());
    assert_eq!(lost.unwrap().requests, [4]);
}

#[test]
fn tasks_carry_their_requests_their_picture_and_their_cost() {
    let emulator = slow();
    let id = create(&emulator, &params("glass_ball"));
    let other = create(&emulator, &params("my_world"));
    look(&emulator, &id);
    let task = get(&emulator, &format!("/_emulator/tasks/{id}")).json();
    assert_eq!((&task["status"], &task["requests"]), (&json!("in_progress"), &json!([1, 3])));
    assert_eq!((&task["picture"], &task["cost"]), (&Value::Null, &Value::Null));
    emulator.advance(Duration::from_secs(10)).unwrap();
    let task = get(&emulator, &format!("/_emulator/tasks/{id}")).json();
    assert_eq!(task["cost"], "0.03");
    let url = task["picture"].as_str().unwrap();
    let picture = get(&emulator, path(&emulator, url));
    assert_eq!(picture.status, 200);
    let seen = emulator.requests().len();
    let shown = get(&emulator, &format!("/_emulator/tasks/{id}/picture"));
    assert_eq!((shown.body, emulator.requests().len()), (picture.body, seen));
    for none in ["none", "none/picture"] {
        assert_eq!(get(&emulator, &format!("/_emulator/tasks/{none}")).status, 404);
    }

    let ids = |query: &str| {
        let tasks = list(&emulator, query);
        tasks.iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids("tasks?template=my_world"), std::slice::from_ref(&other));
    assert_eq!(ids("tasks?status=in_progress").len(), 0);
    assert_eq!(ids("tasks?status=completed").len(), 2);
    assert_eq!(ids("tasks?limit=1").len(), 1);
    for wrong in ["tasks?status=done", "tasks?sttus=failed", "tasks?template=glas_ball"] {
        assert_eq!(get(&emulator, &format!("/_emulator/{wrong}")).status, 400, "{wrong}");
    }
}

#[test]
fn requests_are_listed_by_task_endpoint_status_template_and_time() {
    let emulator = slow();
    let ball = create(&emulator, &params("glass_ball"));
    create(&emulator, &params("my_world"));
    look(&emulator, &ball);
    get(&emulator, &format!("{CREATE}/task/none"));
    emulator.advance(Duration::from_secs(1)).unwrap();
    let now = get(&emulator, "/_emulator/").json()["now"].as_u64().unwrap();
    look(&emulator, &ball);
    let numbers = |query: &str| numbers(&list(&emulator, query));
    assert_eq!(numbers(&format!("requests?task={ball}")), [1, 3, 5]);
    assert_eq!(numbers("requests?endpoint=create"), [1, 2]);
    assert_eq!(numbers("requests?status=404"), [4]);
    assert_eq!(numbers("requests?template=my_world"), [2]);
    assert_eq!(numbers(&format!("requests?since={now}")), [5]);
    assert_eq!(numbers(&format!("requests?task={ball}&endpoint=task&after=3&limit=1")), [5]);
    for wrong in ["endpoint=nowhere", "status=ok", "sinse=1", "limit=-1"] {
        let answer = get(&emulator, &format!("/_emulator/requests?{wrong}"));
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(answer.json()["message"].as_str().unwrap().contains("query"), "{answer:?}");
    }
}

#[test]
fn a_test_verifies_that_requests_came_as_often_as_they_should_have() {
    let emulator = stub().start().unwrap();
    let id = create(&emulator, &params("glass_ball"));
    look(&emulator, &id);
    let paid_once = verify(
        &emulator,
        &json!({
            "match": {
                "endpoint": "create",
                "status": 200,
                "template": "glass_ball",
                "headers": {"Content-Type": "application/*"},
                "body": {"input": [{"params": {"template_id": "glass_ball"}}]},
            },
            "count": 1,
        }),
    );
    assert_eq!((&paid_once["verified"], &paid_once["found"]), (&json!(true), &json!(1)));
    assert_eq!(paid_once["matched"][0]["task"], id);

    let never = verify(
        &emulator,
        &json!({"match": {"method": "post", "path": "/model/v1/*", "status": 503}}),
    );
    assert_eq!((&never["verified"], &never["found"]), (&json!(false), &json!(0)));
    assert_eq!(never["message"], "0 matching requests, at least 1 wanted");
    let near = &never["near"][0];
    assert_eq!(near["request"]["number"], 1);
    assert_eq!(near["differs"], json!([{"field": "status", "wanted": 503, "found": 200}]));

    let body = request(&params("glass_ball")).to_string();
    let hash = Counts::name_of(body.as_bytes());
    for (asked, holds) in [
        (json!({"match": {"body_hash": hash}, "count": 1}), true),
        (json!({"match": {"task": id}, "count": 2}), true),
        (json!({"match": {"task": id, "status": 200.0}, "count": 2.0}), true),
        (json!({"match": {"task": id}, "at_least": 1, "at_most": 2}), true),
        (json!({"match": {"task": id}, "at_most": 1}), false),
        (json!({"match": {"task": id}, "count": 2, "at_least": 3}), false),
        (json!({"match": {"endpoint": "upload"}, "count": 0}), true),
        (json!({"match": {"body": {"model": "other"}}}), false),
        (json!({"match": {"authorized": false}}), false),
        (json!({"match": {"fault": "reset"}}), false),
        (json!({}), true),
    ] {
        assert_eq!(verify(&emulator, &asked)["verified"], holds, "{asked}");
    }
    for wrong in [json!({"match": {"endpont": "create"}}), json!({"count": -1}), json!([])] {
        assert_eq!(post(&emulator, "/_emulator/verify", &wrong).status, 400, "{wrong}");
    }
}

#[test]
fn what_is_scripted_and_not_met_is_listed_until_it_is_met() {
    let emulator = stub().start().unwrap();
    let scripts = [
        json!({"template": "my_world", "faults": [{"kind": "fail", "code": "3009095"}]}),
        json!({"key": "test_ok", "faults": [{"kind": "status", "status": 418}]}),
        json!({"key": emulator.api_key(), "on": "task", "faults": [null, {"kind": "stale"}]}),
    ];
    for script in &scripts {
        assert_eq!(post(&emulator, "/_emulator/next", script).status, 204, "{script}");
    }
    let left = list(&emulator, "next");
    assert_eq!(left.len(), 3);
    assert_eq!((&left[0]["on"], &left[0]["template"]), (&json!("create"), &json!("my_world")));
    assert_eq!(left[0]["faults"][0]["code"], "3009095");
    assert_eq!(left[2]["key"], "[redacted]");

    let ball = create(&emulator, &params("glass_ball"));
    let world = create(&emulator, &params("my_world"));
    assert_eq!(look(&emulator, &world)["status"], "failed");
    assert_eq!(look(&emulator, &ball)["status"], "in_progress");
    let with_test_key = || {
        let body = request(&params("glass_ball")).to_string();
        let headers = [("Authorization", "Bearer test_ok")];
        send(&emulator, "POST", CREATE, &headers, body.as_bytes()).status
    };
    assert_eq!((with_test_key(), with_test_key()), (418, 200));
    assert_eq!(list(&emulator, "next"), [] as [Value; 0]);
    assert!(emulator.scripted().is_empty());

    emulator
        .script(Script::on(Endpoint::Create, [None]).template(Template::GlassBall).key("k"))
        .unwrap();
    assert_eq!(emulator.scripted()[0].key.as_deref(), Some("k"));
    let key = bearer(&emulator);
    let forgotten = send(&emulator, "DELETE", "/_emulator/next", &[("Authorization", &key)], b"");
    assert_eq!((forgotten.status, emulator.scripted().len()), (204, 0));
    let wrong = json!({"template": "glas_ball", "faults": []});
    assert_eq!(post(&emulator, "/_emulator/next", &wrong).status, 400);
}

#[test]
fn a_running_task_is_finished_or_failed_by_its_id() {
    let emulator = slow();
    let [done, failed] = [(); 2].map(|()| create(&emulator, &params("glass_ball")));
    let end = |id: &str, how: &str, body: &Value| {
        let answer = post(&emulator, &format!("/_emulator/tasks/{id}/{how}"), body);
        (answer.status, answer.json())
    };
    let (status, task) = end(&done, "finish", &json!({}));
    assert_eq!((status, &task["status"]), (200, &json!("completed")));
    assert_eq!(look(&emulator, &done)["status"], "completed");
    let (status, task) = end(&failed, "fail", &json!({"code": "3009097", "message": "no photo"}));
    assert_eq!((status, &task["status"]), (200, &json!("failed")));
    assert_eq!(look(&emulator, &failed)["error"]["error_message"], "no photo");
    assert_eq!(emulator.spent().to_string(), "0.03");
    // What a client has seen is the end: another cannot be told.
    assert_eq!(end(&done, "fail", &json!({})).0, 409);
    assert_eq!(end(&failed, "finish", &json!({})).1["status"], "failed");
    assert_eq!(end("none", "fail", &json!({})).0, 404);
    assert_eq!(end("none", "finish", &json!({})).0, 404);
    assert_eq!(end(&done, "fail", &json!({"cod": "1"})).0, 400);
}

#[test]
fn a_task_that_is_still_to_be_painted_is_finished_with_its_picture() {
    let emulator = echoing().latency(Latency::fixed(Duration::from_secs(3600))).start().unwrap();
    let photo = upload(&emulator, PHOTO);
    let id = create(&emulator, &json!({"image_input1": photo, "template_id": "glass_ball"}));
    let answer = post(&emulator, &format!("/_emulator/tasks/{id}/finish"), &json!({}));
    assert_eq!(answer.json()["status"], "completed", "{answer:?}");
    let url = answer.json()["picture"].as_str().unwrap().to_owned();
    assert_eq!(get(&emulator, path(&emulator, &url)).body, PHOTO);
}

#[test]
fn a_reset_begins_the_plan_and_the_clock_anew_unless_they_are_to_be_kept() {
    let started = FaultPlan::none().with(FaultRule::on(Endpoint::Create, Fault::NoUrl).nth(1));
    let builder = stub().clock(ClockKind::Virtual).faults(started.clone());
    let emulator = builder.start().unwrap();
    let plan = || get(&emulator, "/_emulator/faults").json();
    let now = || get(&emulator, "/_emulator/").json()["now"].as_u64().unwrap();
    let began = now();
    let day = Duration::from_secs(24 * 3600);
    let change = || {
        emulator.follow(FaultPlan::seeded(9)).unwrap();
        emulator.next(Endpoint::Create, [Some(Fault::Garbage)]).unwrap();
        emulator.advance(day).unwrap();
    };

    change();
    let kept = json!({"keep": ["plan", "clock"]});
    assert_eq!(post(&emulator, "/_emulator/reset", &kept).status, 204);
    assert_eq!(plan()["seed"], 9);
    assert!(now() >= began + 24 * 3_600_000);
    assert_eq!(list(&emulator, "next").len(), 0);
    emulator.reset_but(&[Keep::Plan]);
    assert_eq!(plan()["seed"], 9);
    assert!(now() < began + 3_600_000);

    change();
    assert_eq!(post(&emulator, "/_emulator/reset", &json!({})).status, 204);
    assert_eq!(plan(), serde_json::to_value(&started).unwrap());
    assert!(now() < began + 3_600_000);
    let wrong = json!({"keep": ["tasks"]});
    assert_eq!(post(&emulator, "/_emulator/reset", &wrong).status, 400);
}

#[test]
fn a_virtual_clock_is_set_to_an_instant_that_is_not_over() {
    let emulator = slow();
    let id = create(&emulator, &params("glass_ball"));
    let due = get(&emulator, &format!("/_emulator/tasks/{id}")).json()["due"].clone();
    let answer = post(&emulator, "/_emulator/clock/advance", &json!({"to": due}));
    assert_eq!((answer.status, &answer.json()["now"]), (200, &due));
    assert_eq!(look(&emulator, &id)["status"], "completed");
    let over = due.as_u64().unwrap() - 1;
    for wrong in [json!({"to": over}), json!({"to": due, "seconds": 1}), json!({})] {
        let answer = post(&emulator, "/_emulator/clock/advance", &wrong);
        assert_eq!(answer.status, 400, "{wrong}");
    }
}

/// An emulator as a key of its own sees it.
struct World<'a>(&'a Emulator, &'static str);

impl Site for World<'_> {
    fn address(&self) -> std::net::SocketAddr {
        Emulator::address(self.0)
    }

    fn key(&self) -> String {
        format!("{}.{}", self.0.api_key(), self.1)
    }
}

#[test]
fn tests_that_share_an_emulator_have_a_world_for_each_key() {
    let builder = echoing().clock(ClockKind::Virtual).latency("10s".parse().unwrap());
    let emulator = builder.options(|options| options.isolate_keys = true).start().unwrap();
    let (one, other) = (World(&emulator, "test-1"), World(&emulator, "test-2"));
    let photo = upload(&one, PHOTO);
    let id = create(&one, &json!({"image_input1": photo, "template_id": "glass_ball"}));
    let list = |site: &World<'_>, what: &str| {
        let answer = get(site, &format!("/_emulator/{what}")).json();
        answer.as_array().unwrap().len()
    };
    assert_eq!((list(&one, "tasks"), list(&other, "tasks")), (1, 0));
    assert_eq!((list(&one, "requests"), list(&other, "requests")), (2, 0));
    assert_eq!((emulator.tasks().len(), emulator.requests().len()), (0, 0));
    assert_eq!(get(&other, &format!("{CREATE}/task/{id}")).status, 404);

    // Scripts, plans, clocks and resets are each world's own.
    let script = json!({"faults": [{"kind": "status", "status": 418}]});
    post(&other, "/_emulator/next", &script);
    post(&one, "/_emulator/clock/advance", &json!({"seconds": 10}));
    let now = |site: &World<'_>| get(site, "/_emulator/").json()["now"].as_u64().unwrap();
    assert!(now(&one) >= now(&other) + 5_000);
    post(&other, "/_emulator/reset", &json!({}));
    let task = look(&one, &id);
    assert_eq!(task["status"], "completed");
    // A picture is fetched without a key.
    let url = task["output"][0]["content"][0]["url"].as_str().unwrap();
    assert_eq!(send(&emulator, "GET", path(&emulator, url), &[], b"").body, PHOTO);

    let told = |emulator: &Emulator, key: &str| {
        let key = format!("Bearer {key}");
        let answer = send(emulator, "GET", "/_emulator/tasks", &[("Authorization", &key)], b"");
        (answer.status, answer.json()["message"].as_str().unwrap_or_default().to_owned())
    };
    let own = emulator.api_key();
    // As test frameworks name their tests.
    let named = format!("{own}.tests/test_a.py::TestB.test_c[1-2]");
    assert_eq!(told(&emulator, &named), (200, String::new()));
    for name in ["", "a b", &"a".repeat(257)] {
        let (status, message) = told(&emulator, &format!("{own}.{name}"));
        assert_eq!(status, 401);
        assert!(message.contains("1 to 256 visible ASCII characters"), "{message}");
    }
    let (status, message) = told(&emulator, &format!("{}.test-1", &own[..own.len() - 1]));
    assert_eq!(status, 401);
    assert!(message.contains("missing or wrong"), "{message}");
    let alone = Emulator::start().unwrap();
    let (status, message) = told(&alone, &format!("{}.test-1", alone.api_key()));
    assert_eq!(status, 401);
    assert!(message.contains("--isolate-keys"), "{message}");
    // What is kept in a folder is one emulator's.
    let folder = tempfile::tempdir().unwrap();
    let both = Emulator::builder().data_dir(folder.path());
    let error = both.options(|options| options.isolate_keys = true).start().unwrap_err();
    assert!(error.to_string().contains("isolate_keys"), "{error}");
}
