//! The control API: what was seen, what is known, what comes next, what time it is.

use std::time::Duration;

use crate::common::*;
use effects_core::Template;
use effects_emulator::{
    ClockKind, Counts, Emulator, Endpoint, Latency, PaintFailure, Painter, Pictures,
};
use serde_json::{Value, json};

fn valid() -> Value {
    json!({"image_input1": "https://photos.invalid/p.jpg", "template_id": "glass_ball"})
}

#[test]
fn a_virtual_clock_finishes_tasks_only_when_it_is_advanced() {
    let latency: Latency = "10s,my_world=60s".parse().unwrap();
    let builder = Emulator::builder().pictures(Pictures::Stub).clock(ClockKind::Virtual);
    let emulator = builder.latency(latency).start().unwrap();
    let ball = create(&emulator, &valid());
    let mut params = valid();
    params["template_id"] = json!("my_world");
    let world = create(&emulator, &params);
    assert_eq!(look(&emulator, &ball)["progress"], 0.0);

    let answer = post(&emulator, "/_emulator/clock/advance", &json!({"seconds": 7.5}));
    assert_eq!(answer.status, 200);
    assert_eq!(look(&emulator, &ball)["progress"], 0.75);
    emulator.advance(Duration::from_secs_f64(2.5)).unwrap();
    assert_eq!(look(&emulator, &ball)["status"], "completed");
    assert_eq!(look(&emulator, &world)["status"], "in_progress");
    emulator.advance(Duration::from_secs(3600)).unwrap();
    assert_eq!(look(&emulator, &world)["status"], "completed");

    for body in [json!({"seconds": -1}), json!({"seconds": "x"}), json!({"second": 1}), json!([])] {
        assert_eq!(post(&emulator, "/_emulator/clock/advance", &body).status, 400, "{body}");
    }
    let real = Emulator::start().unwrap();
    let answer = post(&real, "/_emulator/clock/advance", &json!({"seconds": 1}));
    assert_eq!(answer.status, 409);
    assert!(real.advance(Duration::from_secs(1)).is_err());
}

#[test]
fn tasks_take_what_the_latency_of_their_template_says() {
    let latency: Latency = "7s,glass_ball=2s..9s,my_world=lognormal:12s:0.5".parse().unwrap();
    let builder = Emulator::builder().pictures(Pictures::Stub).clock(ClockKind::Virtual);
    let emulator = builder.latency(latency).start().unwrap();
    for template in ["glass_ball", "my_world", "felt_keychain"] {
        for _ in 0..40 {
            create(&emulator, &json!({"image_input1": "u", "template_id": template}));
        }
    }
    let took = |template: &str| {
        let tasks = emulator.tasks().into_iter();
        let of_it = tasks.filter(|task| task.template_id.as_deref() == Some(template));
        let mut took: Vec<u64> = of_it.map(|task| task.due - task.created).collect();
        took.sort_unstable();
        took
    };
    assert!(took("felt_keychain").iter().all(|took| *took == 7_000));
    let evenly = took("glass_ball");
    assert!(evenly.iter().all(|took| (2_000..=9_000).contains(took)), "{evenly:?}");
    assert!(evenly[0] < 3_500 && evenly[39] > 7_500, "{evenly:?}");
    let lognormal = took("my_world");
    assert!((9_000..16_000).contains(&lognormal[20]), "{lognormal:?}");
    assert!(lognormal[0] < 8_000 && lognormal[39] > 18_000, "{lognormal:?}");
}

#[test]
fn a_due_task_is_painted_before_the_advance_is_answered() {
    struct Slow;
    impl Painter for Slow {
        fn paint(
            &self,
            photo: &[u8],
            _: &Template,
            _: u32,
            _: u32,
        ) -> Result<Vec<u8>, PaintFailure> {
            std::thread::sleep(Duration::from_millis(30));
            Ok(photo.to_vec())
        }
    }
    let builder = Emulator::builder().painter(Slow).clock(ClockKind::Virtual);
    let emulator = builder.latency(Latency::fixed(Duration::from_secs(5))).start().unwrap();
    let photo = upload(&emulator, PHOTO);
    let params = json!({"image_input1": photo, "template_id": "glass_ball"});
    let ids: Vec<String> = (0..4).map(|_| create(&emulator, &params)).collect();
    post(&emulator, "/_emulator/clock/advance", &json!({"seconds": 5}));
    for id in ids {
        assert_eq!(look(&emulator, &id)["status"], "completed");
    }
    // A runtime of the caller's own is no hindrance.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let id = create(&emulator, &params);
    runtime.block_on(async { emulator.advance(Duration::from_secs(5)).unwrap() });
    assert_eq!(look(&emulator, &id)["status"], "completed");
}

#[test]
fn every_request_is_listed_without_its_key() {
    let emulator = Emulator::builder().pictures(Pictures::Stub).start().unwrap();
    let id = create(&emulator, &valid());
    look(&emulator, &id);
    let secret = "Bearer sk-somebodys-real-key";
    send(&emulator, "GET", "/nothing?a=1", &[("Authorization", secret), ("X-Mark", "m")], b"");

    let listed = get(&emulator, "/_emulator/requests").json();
    assert_eq!(listed.as_array().unwrap().len(), 3);
    let all = listed.to_string();
    assert!(!all.contains(emulator.api_key()) && !all.contains("sk-somebodys"), "{all}");
    assert_eq!(listed[0]["endpoint"], "create");
    assert_eq!(listed[0]["body"], request(&valid()).to_string());
    assert_eq!(listed[1]["path"], format!("{CREATE}/task/{id}"));
    assert_eq!((&listed[2]["path"], &listed[2]["status"]), (&json!("/nothing?a=1"), &json!(404)));
    let headers = listed[2]["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["x-mark", "m"])), "{headers:?}");
    let rest = get(&emulator, "/_emulator/requests?after=1&limit=1").json();
    assert_eq!((rest.as_array().unwrap().len(), &rest[0]["number"]), (1, &json!(2)));
    assert_eq!(get(&emulator, "/_emulator/requests?after=x").status, 400);
}

#[test]
fn creates_are_counted_by_body_and_by_idempotency_key() {
    let emulator = Emulator::builder().pictures(Pictures::Stub).start().unwrap();
    let key = bearer(&emulator);
    let headers = [("Authorization", key.as_str()), ("Idempotency-Key", "once")];
    let body = request(&valid()).to_string();
    send(&emulator, "POST", CREATE, &headers, body.as_bytes());
    send(&emulator, "POST", CREATE, &headers[..1], body.as_bytes());
    send(&emulator, "POST", CREATE, &headers, b"{");
    let counts = get(&emulator, "/_emulator/counts").json();
    assert_eq!((&counts["accepted"], &counts["creates_seen"]), (&json!(2), &json!(3)));
    assert_eq!(counts["by_body"][Counts::name_of(body.as_bytes())], 2);
    assert_eq!(counts["by_idempotency_key"], json!({"once": 1}));
    assert_eq!(emulator.counts().by_body.len(), 1);
}

#[test]
fn the_next_requests_are_scripted_and_a_plan_is_set_over_http() {
    let emulator = Emulator::builder().pictures(Pictures::Stub).start().unwrap();
    let script = json!({"faults": [{"kind": "fail", "code": "3009098"}, null]});
    assert_eq!(post(&emulator, "/_emulator/next", &script).status, 204);
    let statuses =
        [(); 2].map(|()| look(&emulator, &create(&emulator, &valid()))["status"].clone());
    assert_eq!(statuses, ["failed", "completed"]);
    for wrong in [
        json!({"on": "task", "faults": [{"kind": "no-url"}]}),
        json!({"on": "create", "faults": [{"kind": "no-url", "seconds": 3}]}),
        json!({"on": "nowhere", "faults": []}),
        json!({"faults": "all"}),
    ] {
        assert_eq!(post(&emulator, "/_emulator/next", &wrong).status, 400, "{wrong}");
    }
    let key = bearer(&emulator);
    let set = |plan: &Value| {
        let body = plan.to_string();
        send(&emulator, "PUT", "/_emulator/faults", &[("Authorization", &key)], body.as_bytes())
            .status
    };
    let plan = json!({"seed": 3, "fault": [{"on": "create", "kind": "no-url", "every": 2}]});
    assert_eq!(set(&plan), 204);
    let shown = get(&emulator, "/_emulator/faults").json();
    assert_eq!(shown["fault"], plan["fault"]);
    assert_eq!(set(&json!({"fault": [{"on": "create", "kind": "stale"}]})), 400);
    let urls = [(); 2].map(|()| {
        let task = look(&emulator, &create(&emulator, &valid()));
        task["output"][0]["content"][0]["url"].is_string()
    });
    assert_eq!(urls, [true, false]);
}

#[test]
fn a_reset_forgets_everything_but_the_key_and_the_plan() {
    let emulator = Emulator::builder().pictures(Pictures::Stub).start().unwrap();
    let id = create(&emulator, &valid());
    let photo = upload(&emulator, PHOTO);
    assert_eq!(emulator.spent().to_string(), "0.03");
    let listed = get(&emulator, "/_emulator/tasks").json();
    assert_eq!(listed[0]["id"], id);
    assert_eq!(listed[0]["template_id"], "glass_ball");
    assert_eq!(get(&emulator, "/_emulator/").json()["tasks"], 1);

    assert_eq!(post(&emulator, "/_emulator/reset", &json!({})).status, 204);
    assert_eq!(get(&emulator, "/_emulator/").json()["tasks"], 0);
    assert_eq!(get(&emulator, &format!("{CREATE}/task/{id}")).status, 404);
    assert_eq!(get(&emulator, path(&emulator, &photo)).status, 404);
    assert_eq!(emulator.spent().to_string(), "0");
    assert_eq!(emulator.counts(), Counts::default());
    assert!(emulator.requests().iter().all(|seen| seen.endpoint != Endpoint::Create));
}

#[test]
fn the_control_api_needs_the_key() {
    let emulator = Emulator::start().unwrap();
    for path in ["/_emulator/", "/_emulator/requests", "/_emulator/tasks", "/_emulator/counts"] {
        assert_eq!(send(&emulator, "GET", path, &[], b"").status, 401, "{path}");
    }
    assert_eq!(send(&emulator, "POST", "/_emulator/reset", &[], b"").status, 401);
}

#[test]
fn the_emulator_describes_itself_and_says_that_it_is_well() {
    let emulator = Emulator::start().unwrap();
    let document = send(&emulator, "GET", "/openapi.json", &[], b"").json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"][0]["url"], emulator.base_url());
    let operations = document["paths"].as_object().unwrap().values();
    let operations: usize = operations.map(|at| at.as_object().unwrap().len()).sum();
    assert!(operations >= 30, "{operations}");
    // Each reference leads to what it names.
    let text = document.to_string();
    for name in text.split("#/components/schemas/").skip(1) {
        let name = name.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
    let kinds = document["components"]["schemas"]["Fault"]["oneOf"].as_array().unwrap();
    assert_eq!(kinds.len(), 18);
    let health = send(&emulator, "GET", "/healthz", &[], b"");
    assert_eq!((health.status, health.json()), (200, json!({"status": "ok"})));
    assert_eq!(emulator.requests(), []);
}
