//! The page at `/`: who gets its cookie and what that opens, what it may load, and, where there is a
//! browser, everything a person does with it.
//!
//! The test in a browser is ignored unless asked for; `.ci/run` sets Chromium and the packages of
//! `tests/page/package.json` up and runs `cargo test -p effects-emulator --test all -- --ignored page_in_a_browser`.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::*;
use effects_emulator::{
    ClockKind, Emulator, EmulatorBuilder, Fault, FaultPlan, FaultRule, Latency, Pictures,
};
use serde_json::{Value, json};

fn stub() -> EmulatorBuilder {
    Emulator::builder().pictures(Pictures::Stub)
}

/// The cookie that the page gives out, as a browser sends it back.
fn cookie(answer: &Answer) -> Option<String> {
    let set = answer.header("set-cookie")?;
    assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{set}");
    Some(set.split(';').next().unwrap().to_owned())
}

#[test]
fn the_page_is_served_with_a_strict_policy_and_loads_only_what_is_its_own() {
    let emulator = stub().start().unwrap();
    let page = send(&emulator, "GET", "/", &[], b"");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let mut left = vec![String::from_utf8(page.body).unwrap()];
    let mut seen = Vec::new();
    while let Some(text) = left.pop() {
        let quoted = text.split(['"', '\'']).filter(|part| {
            part.starts_with("/page/") || (part.starts_with("./") && part.ends_with(".js"))
        });
        for name in quoted.map(|part| part.rsplit('/').next().unwrap().to_owned()) {
            if seen.contains(&name) {
                continue;
            }
            let file = send(&emulator, "GET", &format!("/page/{name}"), &[], b"");
            assert_eq!(file.status, 200, "{name}");
            assert_eq!(file.header("x-content-type-options"), Some("nosniff"), "{name}");
            left.push(String::from_utf8_lossy(&file.body).into_owned());
            seen.push(name);
        }
        let foreign = ["https://", "//cdn", "innerHTML", "eval("];
        assert!(foreign.iter().all(|no| !text.contains(no)), "{foreign:?} in {text:.200}");
    }
    assert!(seen.len() >= 9, "{seen:?}");
    assert_eq!(send(&emulator, "GET", "/page/../lib.rs", &[], b"").status, 404);
    // What a browser loads of the page is no request of a client's.
    assert!(emulator.requests().iter().all(|seen| seen.path.contains("lib.rs")));
}

#[test]
fn the_cookie_opens_the_emulator_to_its_own_page_alone() {
    let emulator = stub().start().unwrap();
    let page = send(&emulator, "GET", "/", &[], b"");
    let cookie = cookie(&page).unwrap();
    assert!(!cookie.contains(emulator.api_key()));
    let own = format!("http://{}", emulator.address());
    let tasks = |headers: &[(&str, &str)]| {
        let all = [&[("Cookie", cookie.as_str())], headers].concat();
        send(&emulator, "GET", "/_emulator/tasks", &all, b"").status
    };
    assert_eq!(tasks(&[]), 200);
    assert_eq!(tasks(&[("Origin", &own), ("Sec-Fetch-Site", "same-origin")]), 200);
    let foreign = [
        ("Origin", "http://evil.example"),
        ("Origin", "http://127.0.0.1:1"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ];
    for header in foreign {
        assert_eq!(tasks(&[header]), 403, "{header:?}");
    }
    // A client's own key is not bound to a page.
    let key = bearer(&emulator);
    let headers = [("Authorization", key.as_str()), ("Origin", "http://evil.example")];
    assert_eq!(send(&emulator, "GET", "/_emulator/tasks", &headers, b"").status, 200);
    let other = Emulator::start().unwrap();
    let headers = [("Cookie", cookie.as_str())];
    assert_eq!(send(&other, "GET", "/_emulator/tasks", &headers, b"").status, 401);

    // It stands for the key everywhere, and is written down nowhere.
    let body = request(&json!({"image_input1": "u", "template_id": "glass_ball"})).to_string();
    let created = send(&emulator, "POST", CREATE, &headers, body.as_bytes());
    assert_eq!(created.status, 200);
    let listed = get(&emulator, "/_emulator/requests").json().to_string();
    assert!(!listed.contains(cookie.split_once('=').unwrap().1), "{listed}");
}

#[test]
fn a_name_that_others_may_have_registered_opens_no_page() {
    let emulator = stub().start().unwrap();
    let request_from = |host: &str, rest: &str| {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{rest}\r\n");
        String::from_utf8(raw(&emulator, head.as_bytes()).unwrap()).unwrap().to_lowercase()
    };
    for host in ["localhost:9000", "127.0.0.1", "[::1]:8600"] {
        let answer = request_from(host, "");
        assert!(answer.contains(" 200 ") && answer.contains("set-cookie"), "{answer:.300}");
    }
    let answer = request_from("evil.example:8600", "");
    assert!(answer.contains(" 403 ") && !answer.contains("set-cookie"), "{answer:.300}");
}

#[test]
fn where_other_machines_reach_it_the_page_asks_for_the_key() {
    let emulator =
        stub().options(|options| options.host = IpAddr::V4(Ipv4Addr::UNSPECIFIED)).start().unwrap();
    let local = Local(&emulator);
    let page = send(&local, "GET", "/", &[], b"");
    assert_eq!((page.status, cookie(&page)), (200, None));
    assert_eq!(send(&local, "POST", "/_emulator/session", &[], b"").status, 401);
    let signed_in = post(&local, "/_emulator/session", &json!({}));
    let cookie = cookie(&signed_in).unwrap();
    let headers = [("Cookie", cookie.as_str())];
    assert_eq!(send(&local, "GET", "/_emulator/tasks", &headers, b"").status, 200);
}

/// An emulator that listens on every address, by this machine's own.
struct Local<'a>(&'a Emulator);

impl Site for Local<'_> {
    fn address(&self) -> std::net::SocketAddr {
        (Ipv4Addr::LOCALHOST, self.0.address().port()).into()
    }

    fn key(&self) -> String {
        self.0.api_key().to_owned()
    }
}

/// The events of a stream, as they come.
struct Events(TcpStream, String);

impl Events {
    fn open(emulator: &Emulator) -> Self {
        use std::io::Write;
        let mut stream = TcpStream::connect(emulator.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let key = bearer(emulator);
        let head =
            format!("GET /_emulator/events HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        Self(stream, String::new())
    }

    /// The next event for which something holds.
    fn wait_until(&mut self, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            while let Some((event, rest)) = self.1.split_once("\n\n") {
                let data = event.split_once("data: ").map(|(_, data)| data.to_owned());
                self.1 = rest.to_owned();
                // A comment is a sign of life and no event.
                let Some(data) = data else { continue };
                let event: Value = serde_json::from_str(&data).unwrap();
                if holds(&event) {
                    return event;
                }
            }
            let mut bytes = [0; 16 * 1024];
            let read = self.0.read(&mut bytes).unwrap();
            assert!(read > 0, "the stream ended: {}", self.1);
            self.1.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
    }
}

#[test]
fn changes_are_sent_as_they_happen() {
    let latency = Latency::fixed(Duration::from_secs(10));
    let emulator = stub().clock(ClockKind::Virtual).latency(latency).start().unwrap();
    let mut events = Events::open(&emulator);
    assert_eq!(events.wait_until(|_| true)["anew"], true);
    let params = json!({"image_input1": "u", "template_id": "glass_ball"});
    let id = create(&emulator, &params);
    let of_task = |status: &'static str, id: String| {
        move |event: &Value| {
            let tasks = event["tasks"].as_array().unwrap();
            tasks.iter().any(|task| task["id"] == id && task["status"] == status)
        }
    };
    events.wait_until(of_task("in_progress", id.clone()));
    look(&emulator, &id);
    events.wait_until(|event| {
        let requests = event["requests"].as_array().unwrap();
        requests.iter().any(|seen| seen["endpoint"] == "task" && seen["status"] == 200)
    });
    // Time finishes a task, and says nothing itself.
    emulator.advance(Duration::from_secs(10)).unwrap();
    events.wait_until(of_task("completed", id));
    let plan =
        FaultPlan::none().with(FaultRule::on(effects_emulator::Endpoint::Create, Fault::lost()));
    emulator.follow(plan).unwrap();
    emulator.reset();
    let anew = events.wait_until(|event| event["anew"] == true);
    assert_eq!((&anew["about"]["tasks"], &anew["about"]["spent"]), (&json!(0), &json!("0")));
    // A watcher keeps no emulator from stopping.
    let begun = std::time::Instant::now();
    emulator.stop();
    assert!(begun.elapsed() < Duration::from_millis(1_500), "{:?}", begun.elapsed());
}

#[test]
fn a_look_is_painted_small_of_an_uploaded_photo_and_costs_nothing() {
    let emulator = Emulator::start().unwrap();
    let name = upload(&emulator, PHOTO).rsplit('/').next().unwrap().to_owned();
    let answer = get(&emulator, &format!("/_emulator/looks/glass_ball?photo={name}"));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("image/jpeg")));
    let sides = image::load_from_memory(&answer.body).unwrap();
    assert_eq!((sides.width(), sides.height()), (192, 192));
    assert_eq!((emulator.spent().to_string(), emulator.tasks().len()), ("0".to_owned(), 0));
    for (path, status) in [
        (format!("glas_ball?photo={name}"), 404),
        ("glass_ball?photo=none.png".to_owned(), 404),
        ("glass_ball".to_owned(), 400),
    ] {
        assert_eq!(get(&emulator, &format!("/_emulator/looks/{path}")).status, status, "{path}");
    }
    let notes = upload(&emulator, b"no photo").rsplit('/').next().unwrap().to_owned();
    assert_eq!(get(&emulator, &format!("/_emulator/looks/glass_ball?photo={notes}")).status, 400);
    let looks = get(&emulator, "/_emulator/looks").json();
    assert_eq!(looks["templates"].as_array().unwrap().len(), 30);
}

#[test]
#[ignore = "needs Chromium, Node and the packages of tests/page, which `.ci/run` installs"]
fn page_in_a_browser() {
    let set = |name: &str| {
        std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: see `.ci/run`"))
    };
    let (modules, chromium) = (set("PAGE_TESTS_MODULES"), set("PAGE_TESTS_CHROMIUM"));
    let painting = Emulator::start().unwrap();
    let latency = Latency::fixed(Duration::from_secs(60));
    let timed = stub().clock(ClockKind::Virtual).latency(latency).start().unwrap();
    let crowded = stub().start().unwrap();
    for _ in 0..1_000 {
        create(&crowded, &json!({"image_input1": "u", "template_id": "glass_ball"}));
    }
    let outer =
        stub().options(|options| options.host = IpAddr::V4(Ipv4Addr::UNSPECIFIED)).start().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page/page.test.mjs");
    let mut node = Command::new("node");
    node.arg("--test").arg(script);
    node.env("PAGE_TESTS_MODULES", modules).env("PAGE_TESTS_CHROMIUM", chromium);
    node.env("PAINTING", painting.base_url()).env("VIRTUAL", timed.base_url());
    node.env("CROWDED", crowded.base_url());
    node.env("OUTER", outer.base_url()).env("OUTER_KEY", outer.api_key());
    let output = node.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
}
