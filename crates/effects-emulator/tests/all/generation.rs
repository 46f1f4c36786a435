//! The generation surface over real HTTP: create, look, fetch the picture.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::common::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use effects_core::Template;
use effects_emulator::{Dialect, Emulator, Latency, PaintFailure, Painter, Pictures, Validation};
use serde_json::{Value, json};

fn params(image: &str) -> Value {
    json!({"image_input1": image, "template_id": "glass_ball", "width": 512, "height": 512})
}

#[test]
fn a_task_runs_to_its_picture() {
    let emulator = echoing().start().unwrap();
    let photo = upload(&emulator, PHOTO);
    let answer = post(&emulator, CREATE, &request(&params(&photo)));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let created = answer.json();
    let id = created["id"].as_str().unwrap();
    assert_eq!(id.len(), 20);
    assert_eq!(created["status"], "in_progress");
    assert_eq!(created["model"], "spark_img_effects");
    assert!(created["created_at"].as_u64().unwrap() > 1_700_000_000);

    let task = finish(&emulator, id);
    assert_eq!(task["status"], "completed");
    assert_eq!(task["progress"], 1.0);
    assert_eq!(task["usage"], json!({"cost": "0.03", "discount": 1}));
    assert!(task["metadata"]["local_stand_in"].as_str().unwrap().contains("not the generative"));
    assert_eq!(task.get("error"), None);
    let content = &task["output"][0]["content"][0];
    assert_eq!(content["type"], "image");
    assert_eq!(content["size"], PHOTO.len());
    assert!(content["jobId"].is_string());

    let url = content["url"].as_str().unwrap();
    let picture = send(&emulator, "GET", path(&emulator, url), &[], b"");
    assert_eq!(picture.status, 200);
    assert_eq!(picture.body, PHOTO);
    assert_eq!(picture.header("content-type"), Some("image/png"));
    assert_eq!(picture.header("content-length"), Some(PHOTO.len().to_string().as_str()));
    assert_eq!(picture.header("access-control-allow-origin"), None);
}

#[test]
fn the_model_may_come_in_a_header() {
    let emulator = Emulator::builder().pictures(Pictures::Stub).start().unwrap();
    let body = json!({"input": [{"params": params("https://a.example/p.jpg")}]}).to_string();
    let key = bearer(&emulator);
    let headers = [("Authorization", key.as_str()), ("X-model", "spark_img_effects")];
    assert_eq!(send(&emulator, "POST", CREATE, &headers, body.as_bytes()).status, 200);
    let without = send(&emulator, "POST", CREATE, &headers[..1], body.as_bytes());
    assert_eq!(without.status, 400);
    assert!(without.json()["message"].as_str().unwrap().contains("X-Model"));
    let other = post(&emulator, CREATE, &json!({"model": "vtrix_3d", "input": []}));
    assert_eq!(other.status, 400);
}

#[test]
fn no_key_no_answer() {
    let emulator = Emulator::start().unwrap();
    for key in ["", "Bearer wrong", "Basic dGVzdA=="] {
        let headers = [("Authorization", key), ("X-Request-Id", "mine")];
        let answer = send(&emulator, "POST", CREATE, &headers, b"{}");
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("x-request-id"), Some("mine"));
        let body = answer.json();
        assert_eq!(body["request_id"], "mine");
        assert_eq!(body["error"]["code"], "UNAUTHORIZED");
        assert_eq!(body["message"], body["error"]["message"]);
        assert_eq!(body["message"], body["error"]["error_message"]);
        let task = format!("{CREATE}/task/d758n65e878c73cmdg20");
        assert_eq!(send(&emulator, "GET", &task, &headers[..1], b"").status, 401);
    }
    let key = format!("Key {}", emulator.api_key());
    let answer = send(&emulator, "POST", CREATE, &[("Authorization", &key)], b"{}");
    assert_eq!(answer.status, 400);
}

#[test]
fn what_is_not_there_is_404() {
    let emulator = Emulator::start().unwrap();
    for path in [
        "/model/v1/generation/task/d758n65e878c73cmdg20",
        "/model/v1/generation/d758n65e878c73cmdg20",
        "/files/00000000000000000000000000000000.png",
        "/files/../key",
        "/files/%2e%2e%2fkey",
        "/nothing",
    ] {
        let answer = get(&emulator, path);
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.json()["error"]["code"], "NOT_FOUND", "{path}");
    }
    // The longest id there can be, each byte percent-encoded.
    let longest = format!("/model/v1/generation/task/{}", "%C3".repeat(4_096));
    assert_eq!(get(&emulator, &longest).json()["error"]["code"], "NOT_FOUND");
}

#[test]
fn bad_parameters_fail_the_task_or_the_request() {
    let cases = [
        (json!({}), "3009001"),
        (json!({"image_input1": "u"}), "3009002"),
        (json!({"image_input1": "u", "template_id": "glas_ball"}), "3009003"),
        (json!({"image_input1": "u", "template_id": "glass_ball", "width": 2049}), "3009004"),
    ];
    let in_task = Emulator::start().unwrap();
    let in_http = Emulator::builder().validation(Validation::Http).start().unwrap();
    let in_numbers = Emulator::builder().dialect(Dialect::Sdk).start().unwrap();
    for (params, code) in cases {
        let task = finish(&in_task, &create(&in_task, &params));
        assert_eq!(task["status"], "failed");
        assert_eq!(task["error"]["code"], code);
        assert!(task["error"]["error_message"].is_string());
        assert_eq!(task["error"].get("message"), None);
        assert_eq!(task.get("output"), None);
        assert_eq!(task.get("usage"), None);

        let refused = post(&in_http, CREATE, &request(&params));
        assert_eq!(refused.status, 400);
        assert_eq!(refused.json()["error"]["code"], code);

        let task = finish(&in_numbers, &create(&in_numbers, &params));
        assert_eq!(task["error"]["code"], code.parse::<u64>().unwrap());
        assert_eq!(task["error"]["message"], task["error"]["error_message"]);
    }
}

#[test]
fn photos_come_from_data_urls_base64_and_loopback() {
    let emulator = echoing().start().unwrap();
    // Base64 as short as this picture's still counts as a photo, not as a path.
    let base64 = STANDARD.encode(PHOTO);
    let server = serve_photo(2);
    let elsewhere = [
        format!("data:image/png;base64,{base64}"),
        base64,
        format!("{server}/photo"),
        format!("{server}/redirect"),
    ];
    for image in elsewhere {
        let task = finish(&emulator, &create(&emulator, &params(&image)));
        assert_eq!(task["status"], "completed", "{image} {task}");
        assert_eq!(task["output"][0]["content"][0]["size"], PHOTO.len());
    }
}

#[test]
fn a_photo_that_cannot_be_had_fails_the_task_and_names_its_host() {
    let emulator = echoing().start().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = serve_photo(2);
    for (image, host) in [
        (format!("http://{closed}/p.jpg"), "127.0.0.1"),
        ("http://photos.invalid/p.jpg".to_owned(), "photos.invalid"),
        ("http://192.168.1.1/p.jpg".to_owned(), "192.168.1.1"),
        ("http://169.254.169.254/latest/meta-data".to_owned(), "169.254.169.254"),
        ("http://[::ffff:10.0.0.1]/p.jpg".to_owned(), "[::ffff:a00:1]"),
        (format!("{server}/missing"), "127.0.0.1"),
        (format!("{server}/inside"), "127.0.0.1"),
        (format!("{}/files/none.png", emulator.base_url()), "127.0.0.1"),
        ("photo.jpg".to_owned(), "neither"),
    ] {
        let task = finish(&emulator, &create(&emulator, &params(&image)));
        assert_eq!(task["error"]["code"], "3009097", "{image} {task}");
        let message = task["error"]["error_message"].as_str().unwrap();
        assert!(message.contains(host), "{image} {message}");
    }
}

#[test]
fn what_is_no_photo_fails_with_its_own_code() {
    let mut limits = echoing();
    limits = limits.options(|options| options.limits.photo_pixels = 63);
    let small = limits.start().unwrap();
    let emulator = echoing().start().unwrap();
    let text = upload(&emulator, b"hello");
    let cut = upload(&emulator, &PHOTO[..20]);
    for image in [text, cut, "data:image/png;base64,????".to_owned()] {
        let task = finish(&emulator, &create(&emulator, &params(&image)));
        assert_eq!(task["error"]["code"], "3009096", "{image} {task}");
    }
    let photo = upload(&small, PHOTO);
    let task = finish(&small, &create(&small, &params(&photo)));
    assert_eq!(task["error"]["code"], "3009096");
    assert!(task["error"]["error_message"].as_str().unwrap().contains("8x8"), "{task}");
}

#[test]
fn a_painter_that_breaks_down_fails_the_task_alone() {
    struct Clumsy;
    impl Painter for Clumsy {
        fn paint(
            &self,
            _: &[u8],
            template: &Template,
            _: u32,
            _: u32,
        ) -> Result<Vec<u8>, PaintFailure> {
            assert_ne!(*template, Template::GlassBall, "this one is too slippery");
            Err(PaintFailure::new("not in the mood"))
        }
    }
    let emulator = Emulator::builder().painter(Clumsy).start().unwrap();
    let photo = upload(&emulator, PHOTO);
    let task = finish(&emulator, &create(&emulator, &params(&photo)));
    assert_eq!(task["error"]["code"], "3009095");
    let params = json!({"image_input1": photo, "template_id": "my_world"});
    let task = finish(&emulator, &create(&emulator, &params));
    assert_eq!(task["error"]["code"], "3009096");
    assert!(task["error"]["error_message"].as_str().unwrap().contains("not in the mood"));
}

#[test]
fn a_placeholder_stands_in_for_what_cannot_be_fetched() {
    let emulator = Emulator::builder().placeholder(true).start().unwrap();
    let task = finish(&emulator, &create(&emulator, &params("http://photos.invalid/p.jpg")));
    assert_eq!(task["status"], "completed", "{task}");
    let url = task["output"][0]["content"][0]["url"].as_str().unwrap();
    let card = effects_render::test_card(512, 512).unwrap();
    let painted = effects_render::paint(&card, "glass_ball", 512, 512).unwrap().png;
    assert_eq!(get(&emulator, path(&emulator, url)).body, painted);

    // What was had and is no photo stays an error.
    let task = finish(&emulator, &create(&emulator, &params("data:image/png;base64,aGVsbG8=")));
    assert_eq!(task["error"]["code"], "3009096", "{task}");
}

#[test]
fn a_photo_that_breaks_off_fails_the_task_with_the_reason() {
    let emulator = Emulator::start().unwrap();
    // The head is whole, so it passes for a photo until it is decoded.
    let cut = format!("data:image/png;base64,{}", STANDARD.encode(&PHOTO[..PHOTO.len() - 30]));
    let task = finish(&emulator, &create(&emulator, &params(&cut)));
    assert_eq!(task["error"]["code"], "3009096", "{task}");
    let message = task["error"]["error_message"].as_str().unwrap();
    assert!(message.contains("cannot be decoded") && !message.contains('{'), "{message}");
}

#[test]
fn listening_everywhere_it_warns_and_knows_its_files_under_every_name() {
    let builder = echoing().options(|options| options.host = "0.0.0.0".parse().unwrap());
    let emulator = builder.start().unwrap();
    assert!(emulator.warnings()[0].contains("other machines"), "{:?}", emulator.warnings());
    assert_eq!(emulator.base_url(), format!("http://127.0.0.1:{}", emulator.address().port()));
    // Links carry the name that the client has called it by.
    let name = "emulator.example:8600";
    let key = bearer(&emulator);
    let form = "--edge\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n";
    let body = [form.as_bytes(), PHOTO, b"\r\n--edge--\r\n"].concat();
    let request = format!(
        "POST /api/v1/storage/files HTTP/1.1\r\nHost: {name}\r\nAuthorization: {key}\r\nConnection: close\r\n\
         Content-Type: multipart/form-data; boundary=edge\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = raw(&emulator, &[request.as_bytes(), &body].concat()).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let url = serde_json::from_str::<Value>(body).unwrap()["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with(&format!("http://{name}/files/")), "{url}");
    let task = finish(&emulator, &create(&emulator, &params(&url)));
    assert_eq!(task["status"], "completed", "{task}");
    // Test keys, which are public, open nothing where other machines can connect.
    let headers = [("Authorization", "Bearer test_ok")];
    assert_eq!(send(&emulator, "POST", CREATE, &headers, b"{}").status, 401);
}

#[test]
fn no_page_of_a_browser_gets_in() {
    let emulator = Emulator::builder().pictures(Pictures::Stub).start().unwrap();
    let origin = ("Origin", "http://evil.example");
    let asks = [origin, ("Access-Control-Request-Method", "POST")];
    let preflight = send(&emulator, "OPTIONS", CREATE, &asks, b"");
    let key = bearer(&emulator);
    let listed =
        send(&emulator, "GET", "/api/v1/skill/models", &[origin, ("Authorization", &key)], b"");
    for answer in [preflight, listed] {
        assert!(!answer.head.to_lowercase().contains("access-control"), "{}", answer.head);
    }
    // A name that points here opens nothing with a key that everybody knows.
    let request = format!(
        "POST {CREATE} HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer test_ok\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    let answer = raw(&emulator, request.as_bytes()).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 401"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn a_head_has_an_end() {
    let emulator = Emulator::start().unwrap();
    let long = "x".repeat(100_000);
    let request = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n");
    // The rest of the request may be answered with a reset once the connection is given up.
    let answer = raw(&emulator, request.as_bytes()).unwrap_or_default();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"));
    assert_eq!(get(&emulator, "/nothing").status, 404);
}

#[test]
fn a_stub_fetches_nothing_and_paints_nothing() {
    let emulator = Emulator::builder().pictures(Pictures::Stub).start().unwrap();
    let task = look(&emulator, &create(&emulator, &params("http://photos.invalid/p.jpg")));
    assert_eq!(task["status"], "completed");
    let url = task["output"][0]["content"][0]["url"].as_str().unwrap();
    assert_eq!(get(&emulator, path(&emulator, url)).body, PHOTO);
}

#[test]
fn latency_keeps_a_task_running() {
    let hour = Latency::fixed(Duration::from_secs(3600));
    let emulator = Emulator::builder().pictures(Pictures::Stub).latency(hour).start().unwrap();
    let task = look(&emulator, &create(&emulator, &params("http://photos.invalid/p.jpg")));
    assert_eq!(task["status"], "in_progress");
    assert!(task["progress"].as_f64().unwrap() < 0.1);
}

#[test]
fn too_much_is_refused_and_the_queue_has_an_end() {
    let emulator = echoing().options(|options| options.limits.queue = 0).start().unwrap();
    let answer = post(&emulator, CREATE, &request(&params("http://photos.invalid/p.jpg")));
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.json()["error"]["code"], "RATE_LIMIT_EXCEEDED");

    let emulator = echoing().options(|options| options.limits.photo_bytes = 900).start().unwrap();
    let image = "A".repeat(100_000);
    assert_eq!(post(&emulator, CREATE, &request(&params(&image))).status, 413);
}

#[test]
fn a_client_that_hangs_up_has_its_task_all_the_same() {
    let emulator = Emulator::builder().pictures(Pictures::Stub).start().unwrap();
    let key = bearer(&emulator);
    let body = request(&params("http://photos.invalid/p.jpg")).to_string();
    let length = body.len();
    let mut stream = TcpStream::connect(emulator.address()).unwrap();
    write!(
        stream,
        "POST {CREATE} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    // Once it has been seen whole, the client waits for the answer no longer.
    let start = Instant::now();
    while emulator.requests().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
    drop(stream);
    while emulator.counts().accepted == 0 {
        assert!(start.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
    assert_eq!(get(&emulator, "/_emulator/tasks").json().as_array().unwrap().len(), 1);
}

#[test]
fn a_connection_that_says_nothing_or_speaks_too_slowly_is_let_go() {
    let brief = Duration::from_millis(50);
    let start = echoing().options(|options| options.limits.request_time = brief).start();
    let emulator = start.unwrap();
    for beginning in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\n"] {
        let answer = raw(&emulator, beginning.as_bytes()).unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&answer), "", "{beginning}");
    }
    let key = bearer(&emulator);
    for (authorization, status) in
        [(format!("Authorization: {key}\r\n"), 408), (String::new(), 404)]
    {
        let head = format!("GET /files/x HTTP/1.1\r\nHost: x\r\n{authorization}");
        let answer = raw(&emulator, format!("{head}Content-Length: 5\r\n\r\nabc").as_bytes());
        let answer = String::from_utf8(answer.unwrap()).unwrap();
        // Without a key the body is not waited for at all.
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

#[test]
fn it_starts_and_stops_within_a_runtime_too() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let address = runtime.block_on(async {
        let emulator = Emulator::start().unwrap();
        let address = emulator.address();
        emulator.stop();
        address
    });
    assert!(TcpStream::connect(address).is_err());
}

/// A server on loopback that answers this many requests a path: a photo, a redirect to it, a
/// redirect into a private network, and 404.
fn serve_photo(exchanges: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().take(exchanges * 4) {
            let mut stream = stream.unwrap();
            let mut request = [0; 2048];
            let read = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let answer = if request.starts_with("GET /photo ") {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", PHOTO.len());
                [head.as_bytes(), b"Connection: close\r\n\r\n", PHOTO].concat()
            } else {
                let to = match request.split(' ').nth(1) {
                    Some("/redirect") => "302 Found\r\nLocation: /photo",
                    Some("/inside") => "302 Found\r\nLocation: http://10.0.0.1/",
                    _ => "404 Not Found",
                };
                format!("HTTP/1.1 {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into()
            };
            stream.write_all(&answer).unwrap();
        }
    });
    origin
}
