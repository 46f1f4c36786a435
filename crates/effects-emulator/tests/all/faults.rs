//! Each fault, as a client meets it over a socket.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::common::*;
use effects_core::Template;
use effects_emulator::{
    Emulator, Endpoint, ErrorBody, Fault, FaultPlan, FaultRule, Moment, Pictures, RateLimit,
    RetryAfter,
};
use serde_json::{Value, json};

fn stub() -> Emulator {
    Emulator::builder().pictures(Pictures::Stub).start().unwrap()
}

fn valid() -> Value {
    json!({"image_input1": "https://photos.invalid/p.jpg", "template_id": "glass_ball"})
}

/// A create that meets a fault, and how many tasks there are afterwards.
fn try_create(emulator: &Emulator) -> (std::io::Result<Answer>, usize) {
    let key = bearer(emulator);
    let body = request(&valid()).to_string();
    let answer = try_send(emulator, "POST", CREATE, &[("Authorization", &key)], body.as_bytes());
    (answer, tasks(emulator))
}

fn tasks(emulator: &Emulator) -> usize {
    get(emulator, "/_emulator/tasks").json().as_array().unwrap().len()
}

fn inject(emulator: &Emulator, on: Endpoint, fault: Fault) {
    emulator.next(on, [Some(fault)]).unwrap();
}

#[test]
fn a_status_comes_in_any_form_and_nothing_is_accepted() {
    let emulator = stub();
    let pointers = [
        (ErrorBody::Union, "/error/error_message"),
        (ErrorBody::Message, "/message"),
        (ErrorBody::ErrorText, "/error"),
        (ErrorBody::ErrorNumber, "/error/error_message"),
        (ErrorBody::ErrorMessage, "/error/message"),
        (ErrorBody::ErrorWord, "/error/message"),
        (ErrorBody::Detail, "/detail"),
        (ErrorBody::Envelope, "/status/message"),
        (ErrorBody::Sync, "/error/message"),
        (ErrorBody::Billing, "/message"),
    ];
    for (body, pointer) in pointers {
        inject(&emulator, Endpoint::Create, Fault::status_with(503, body.clone(), None));
        let (answer, accepted) = try_create(&emulator);
        let answer = answer.unwrap();
        assert_eq!((answer.status, accepted), (503, 0));
        assert_eq!(answer.json().pointer(pointer), Some(&json!("Service Unavailable")), "{body:?}");
        assert_eq!(answer.header("retry-after"), None);
    }
    let odd = [
        (ErrorBody::Html, "text/html", "<!doctype html>"),
        (ErrorBody::Text, "text/plain", "Bad Gateway"),
        (ErrorBody::Empty, "text/plain", ""),
        (ErrorBody::Raw("[1]".to_owned()), "application/json", "[1]"),
    ];
    for (body, media_type, start) in odd {
        inject(&emulator, Endpoint::Task, Fault::status_with(502, body, None));
        let answer = get(&emulator, &format!("{CREATE}/task/none"));
        assert_eq!((answer.status, answer.header("content-type")), (502, Some(media_type)));
        assert!(answer.body.starts_with(start.as_bytes()));
    }
}

#[test]
fn retry_after_comes_in_both_forms_and_a_redirect_points_somewhere() {
    let emulator = stub();
    let after = |after| Fault::status_with(429, ErrorBody::Union, Some(after));
    inject(&emulator, Endpoint::Create, after(RetryAfter::Seconds(3)));
    assert_eq!(try_create(&emulator).0.unwrap().header("retry-after"), Some("3"));
    inject(&emulator, Endpoint::Create, after(RetryAfter::Date(3)));
    let answer = try_create(&emulator).0.unwrap();
    let date = |name| httpdate::parse_http_date(answer.header(name).unwrap()).unwrap();
    let wait = date("retry-after").duration_since(date("date")).unwrap();
    assert!((2..=4).contains(&wait.as_secs()), "{wait:?}");

    inject(&emulator, Endpoint::Create, Fault::redirect(307, "http://elsewhere.invalid/"));
    let answer = try_create(&emulator).0.unwrap();
    assert_eq!(
        (answer.status, answer.header("location")),
        (307, Some("http://elsewhere.invalid/"))
    );
}

#[test]
fn a_connection_is_reset_or_closed_before_or_after_the_task_is_accepted() {
    for (when, accepted) in [(Moment::Before, 0), (Moment::After, 1)] {
        let emulator = stub();
        inject(&emulator, Endpoint::Create, Fault::Reset { when });
        let (answer, tasks) = try_create(&emulator);
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(tasks, accepted);
        assert_eq!(emulator.counts().accepted, accepted as u64);

        let emulator = stub();
        inject(&emulator, Endpoint::Create, Fault::Close { when });
        let (answer, tasks) = try_create(&emulator);
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(tasks, accepted);
        let seen = emulator.requests();
        assert_eq!((seen[0].status, seen[0].fault), (None, Some("close")));
    }
}

#[test]
fn a_hang_answers_nothing_until_it_closes_or_the_emulator_stops() {
    let emulator = stub();
    inject(&emulator, Endpoint::Create, Fault::Hang { when: Moment::After, seconds: 0.05 });
    let (answer, tasks) = try_create(&emulator);
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(tasks, 1);

    inject(&emulator, Endpoint::Task, Fault::Hang { when: Moment::Before, seconds: 3600.0 });
    let mut stream = TcpStream::connect(emulator.address()).unwrap();
    let key = bearer(&emulator);
    write!(stream, "GET {CREATE}/task/x HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n\r\n")
        .unwrap();
    let start = Instant::now();
    while emulator.requests().iter().all(|seen| seen.endpoint != Endpoint::Task) {
        assert!(start.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
    emulator.stop();
    // Whatever the end is, it comes, and without an answer.
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty());
}

#[test]
fn a_body_is_cut_short_or_garbled_or_dripped() {
    let emulator = stub();
    let id = create(&emulator, &valid());
    let path = format!("{CREATE}/task/{id}");
    let whole = get(&emulator, &path).body;

    inject(&emulator, Endpoint::Task, Fault::Truncate { keep: 0.5 });
    let key = bearer(&emulator);
    let host = emulator.address();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {key}\r\n\r\n");
    let answer = raw(&emulator, request.as_bytes()).unwrap();
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.to_lowercase().contains(&format!("content-length: {}", whole.len())), "{head}");
    assert_eq!(body.as_bytes(), &whole[..whole.len() / 2]);

    inject(&emulator, Endpoint::Task, Fault::Garbage);
    let answer = get(&emulator, &path);
    assert_eq!(answer.status, 200);
    assert!(serde_json::from_slice::<Value>(&answer.body).is_err());

    inject(&emulator, Endpoint::Task, Fault::Drip { bytes: 50, pause: 0.001 });
    let answer = get(&emulator, &path);
    assert_eq!(answer.body, whole);
    assert_eq!(answer.header("content-length"), Some(whole.len().to_string().as_str()));

    inject(&emulator, Endpoint::Task, Fault::Slow { seconds: 0.05 });
    let start = Instant::now();
    assert_eq!(get(&emulator, &path).body, whole);
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[test]
fn a_task_fails_with_any_code() {
    let emulator = stub();
    let codes = effects_core::ServiceCode::LISTED;
    for code in &codes {
        inject(&emulator, Endpoint::Create, Fault::fail(code.clone()));
        let task = look(&emulator, &create(&emulator, &valid()));
        assert_eq!(task["status"], "failed");
        assert_eq!(task["error"]["code"], code.as_str());
        assert_eq!(task["error"]["error_message"], code.meaning().unwrap());
    }
    assert_eq!(emulator.spent().to_string(), "0");
    // The same with nothing but a key.
    let headers = [("Authorization", "Bearer test_fail_3009099")];
    let body = request(&valid()).to_string();
    let created = send(&emulator, "POST", CREATE, &headers, body.as_bytes()).json();
    let path = format!("{CREATE}/task/{}", created["id"].as_str().unwrap());
    let task = send(&emulator, "GET", &path, &headers, b"").json();
    assert_eq!(task["error"]["code"], "3009099");
    let control = send(&emulator, "GET", "/_emulator/requests", &headers, b"");
    assert_eq!(control.status, 401);
}

#[test]
fn a_completed_task_lacks_its_url_or_lies_about_its_size_or_its_link_is_dead() {
    let emulator = stub();
    let content = |fault| {
        inject(&emulator, Endpoint::Create, fault);
        let task = look(&emulator, &create(&emulator, &valid()));
        assert_eq!(task["status"], "completed");
        task["output"][0]["content"][0].clone()
    };
    assert_eq!(content(Fault::NoUrl).get("url"), None);
    let lie = content(Fault::WrongSize);
    let picture = get(&emulator, path(&emulator, lie["url"].as_str().unwrap()));
    assert_ne!(lie["size"], picture.body.len());
    let dead = content(Fault::ExpiredLink { seconds: 0.0 });
    let url = dead["url"].as_str().unwrap();
    assert_eq!(get(&emulator, path(&emulator, url)).status, 403);
    let alive = content(Fault::ExpiredLink { seconds: 3600.0 });
    let url = alive["url"].as_str().unwrap();
    assert_eq!(get(&emulator, path(&emulator, url)).status, 200);
}

#[test]
fn a_picture_has_other_sides_than_were_asked_for() {
    struct Sides;
    impl effects_emulator::Painter for Sides {
        fn paint(
            &self,
            _: &[u8],
            _: &Template,
            width: u32,
            height: u32,
        ) -> Result<Vec<u8>, effects_emulator::PaintFailure> {
            Ok(format!("{width}x{height}").into_bytes())
        }
    }
    let emulator = Emulator::builder().painter(Sides).start().unwrap();
    let photo = upload(&emulator, PHOTO);
    let params = |height: u32| json!({"image_input1": photo, "template_id": "my_world", "width": 512, "height": height});
    for (height, painted) in [(512, "512x1024"), (1024, "1024x512")] {
        inject(&emulator, Endpoint::Create, Fault::WrongSides);
        let task = finish(&emulator, &create(&emulator, &params(height)));
        let url = task["output"][0]["content"][0]["url"].as_str().unwrap();
        let picture = get(&emulator, path(&emulator, url)).body;
        assert_eq!(String::from_utf8(picture).unwrap(), painted);
    }
}

#[test]
fn a_task_is_missing_at_first_or_looks_stale_or_has_another_word() {
    let emulator = stub();
    inject(&emulator, Endpoint::Create, Fault::Missing { looks: 2 });
    let id = create(&emulator, &valid());
    let path = format!("{CREATE}/task/{id}");
    let statuses: Vec<u16> = (0..3).map(|_| get(&emulator, &path).status).collect();
    assert_eq!(statuses, [404, 404, 200]);

    inject(&emulator, Endpoint::Task, Fault::Stale);
    assert_eq!(look(&emulator, &id)["status"], "in_progress");
    inject(&emulator, Endpoint::Task, Fault::Word { status: "COMPLETED".to_owned() });
    let task = look(&emulator, &id);
    assert_eq!(task["status"], "COMPLETED");
    assert!(task["output"].is_array());

    inject(&emulator, Endpoint::Create, Fault::Take { seconds: 3600.0 });
    let id = create(&emulator, &valid());
    inject(&emulator, Endpoint::Task, Fault::Word { status: "marinating".to_owned() });
    let task = look(&emulator, &id);
    assert_eq!((&task["status"], task.get("output")), (&json!("marinating"), None));
    assert_eq!(look(&emulator, &id)["status"], "in_progress");
}

#[test]
fn a_create_may_be_answered_with_the_finished_task() {
    let emulator = echoing().start().unwrap();
    let photo = upload(&emulator, PHOTO);
    inject(&emulator, Endpoint::Create, Fault::Finished);
    let params = json!({"image_input1": photo, "template_id": "glass_ball"});
    let answer = post(&emulator, CREATE, &request(&params)).json();
    assert_eq!(answer["status"], "completed");
    assert!(answer["output"][0]["content"][0]["url"].is_string());
}

#[test]
fn a_balance_is_spent_and_a_key_has_its_rate() {
    let plan = FaultPlan::none().balance("0.07".parse().unwrap());
    let emulator = Emulator::builder().pictures(Pictures::Stub).faults(plan).start().unwrap();
    create(&emulator, &valid());
    create(&emulator, &valid());
    assert_eq!(emulator.spent().to_string(), "0.06");
    let refused = try_create(&emulator).0.unwrap();
    assert_eq!(refused.status, 402);
    assert!(refused.json()["status"]["message"].as_str().unwrap().contains("Insufficient credits"));
    assert_eq!(refused.json()["status"]["error_code"], 40201);

    let limit = RateLimit { requests: 2, seconds: 600.0, on: Some(Endpoint::Create) };
    emulator.follow(FaultPlan::none().rate_limit(limit)).unwrap();
    create(&emulator, &valid());
    let id = create(&emulator, &valid());
    let refused = try_create(&emulator).0.unwrap();
    assert_eq!(refused.status, 429);
    let wait: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((290..=300).contains(&wait), "{wait}");
    assert_eq!(look(&emulator, &id)["status"], "completed");
}

#[test]
fn a_plan_from_toml_follows_endpoint_template_and_count() {
    let plan: FaultPlan = r#"
        seed = 1
        [[fault]]
        on = "create"
        template = "my_world"
        nth = 2
        kind = "fail"
        code = "3009095"
        [[fault]]
        on = "task"
        template = "my_world"
        first = 1
        kind = "status"
        status = 503
    "#
    .parse()
    .unwrap();
    let emulator = Emulator::builder().pictures(Pictures::Stub).faults(plan).start().unwrap();
    let mut other = valid();
    other["template_id"] = json!("my_world");
    let ids = [&valid(), &other, &valid(), &other, &other].map(|params| create(&emulator, params));
    let path = |id: &str| format!("{CREATE}/task/{id}");
    assert_eq!(get(&emulator, &path(&ids[0])).status, 200);
    assert_eq!(get(&emulator, &path(&ids[1])).status, 503);
    let statuses = ids.map(|id| look(&emulator, &id)["status"].as_str().unwrap().to_owned());
    assert_eq!(statuses, ["completed", "completed", "completed", "failed", "completed"]);
    let wrong = FaultPlan::none().with(FaultRule::on(Endpoint::Task, Fault::NoUrl));
    assert!(Emulator::builder().faults(wrong.clone()).start().is_err());
    assert!(emulator.follow(wrong).is_err());
    assert!(emulator.next(Endpoint::File, [Some(Fault::Stale)]).is_err());
}
