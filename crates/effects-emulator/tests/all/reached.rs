//! How it is reached from elsewhere: links behind forwarded ports and proxies, and pages of other sites.

use crate::common::*;
use effects_emulator::{Emulator, Pictures};
use serde_json::{Value, json};

fn stub() -> effects_emulator::EmulatorBuilder {
    Emulator::builder().pictures(Pictures::Stub)
}

/// The picture's URL of a new task, asked for under this host.
fn link(emulator: &Emulator, host: &str) -> String {
    let params = json!({"image_input1": "u", "template_id": "glass_ball"});
    let id = create(emulator, &params);
    let key = bearer(emulator);
    let head = format!(
        "GET {CREATE}/task/{id} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {key}\r\n\
         Connection: close\r\n\r\n"
    );
    let answer = String::from_utf8(raw(emulator, head.as_bytes()).unwrap()).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let task: Value = serde_json::from_str(body).unwrap();
    task["output"][0]["content"][0]["url"].as_str().unwrap().to_owned()
}

#[test]
fn links_have_the_host_that_a_request_was_sent_to() {
    let emulator = stub().start().unwrap();
    for host in ["localhost:9000", "emulator:8600", "10.0.0.7"] {
        let link = link(&emulator, host);
        assert!(link.starts_with(&format!("http://{host}/files/")), "{link}");
    }
    // What is no host is not taken for one.
    assert!(link(&emulator, "a/b").starts_with(emulator.base_url()));
    // An upload is known by each name that it may have been given out under.
    let painting = echoing().start().unwrap();
    let photo = upload(&painting, PHOTO).replace("127.0.0.1", "forwarded.example");
    let params = json!({"image_input1": photo, "template_id": "glass_ball"});
    assert_eq!(finish(&painting, &create(&painting, &params))["status"], "completed");
}

#[test]
fn behind_a_proxy_links_have_the_public_url() {
    let public = |url: &str| {
        let url = url.to_owned();
        stub().options(|options| options.public_url = Some(url)).start().unwrap()
    };
    let emulator = public("https://mock.example/effects/");
    let link = link(&emulator, "10.0.0.7");
    assert!(link.starts_with("https://mock.example/effects/files/"), "{link}");
    // Its page opens under that name too.
    let emulator = public("http://mock.example:8600");
    let request = "GET / HTTP/1.1\r\nHost: mock.example:8600\r\nConnection: close\r\n\r\n";
    let answer = raw(&emulator, request.as_bytes()).unwrap();
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 200 "));
}

#[test]
fn pages_of_other_sites_may_ask_where_that_is_wanted() {
    let preflight = |emulator: &Emulator, origin: &str| {
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "authorization, content-type"),
        ];
        send(emulator, "OPTIONS", CREATE, &headers, b"")
    };
    let shop = "http://localhost:3000";
    let emulator = stub().options(|options| options.cors = vec![shop.to_owned()]).start().unwrap();
    let answer = preflight(&emulator, shop);
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, Some(shop)));
    let allowed = answer.header("access-control-allow-headers");
    assert_eq!(allowed, Some("authorization, content-type"));
    assert!(answer.header("access-control-allow-methods").unwrap().contains("POST"));
    let key = bearer(&emulator);
    let headers = [("Origin", shop), ("Authorization", key.as_str())];
    let tasks = send(&emulator, "GET", "/_emulator/tasks", &headers, b"");
    assert_eq!((tasks.status, tasks.header("access-control-allow-origin")), (200, Some(shop)));
    // The key is needed all the same, and a refusal can be read.
    let refused = send(&emulator, "GET", "/_emulator/tasks", &headers[..1], b"");
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, Some(shop)));

    let other = preflight(&emulator, "http://evil.example");
    assert_eq!(other.header("access-control-allow-origin"), None);
    let closed = stub().start().unwrap();
    assert_eq!(preflight(&closed, shop).header("access-control-allow-origin"), None);
    let open = stub().options(|options| options.cors = vec!["*".to_owned()]).start().unwrap();
    let any = preflight(&open, "http://any.example");
    assert_eq!(any.header("access-control-allow-origin"), Some("http://any.example"));
}
