//! What clients without a key, and slow ones, may hold: nothing that others need.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::common::*;
use effects_emulator::{ClockKind, Emulator, Endpoint, Latency, Limits, Pictures};
use serde_json::{Value, json};

const UPLOAD: &str = "/api/v1/storage/files";

/// A connection on which nothing is waited for without end.
fn connect(emulator: &Emulator) -> TcpStream {
    let stream = TcpStream::connect(emulator.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The head of the answer that comes next on a connection.
fn head_of_answer(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        let read = stream.read(&mut byte).unwrap();
        assert_eq!(read, 1, "the end of the connection after {:?}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap().to_lowercase()
}

/// A create whose reference is this many bytes long.
fn create_of(bytes: usize) -> Value {
    request(&json!({"image_input1": "A".repeat(bytes), "template_id": "glass_ball"}))
}

fn stub() -> effects_emulator::EmulatorBuilder {
    Emulator::builder().pictures(Pictures::Stub)
}

fn with_limits(change: impl FnOnce(&mut Limits)) -> effects_emulator::EmulatorBuilder {
    stub().options(|options| change(&mut options.limits))
}

#[test]
fn keyless_requests_are_refused_by_their_heads_and_delay_no_other() {
    let emulator = stub().start().unwrap();
    let paths = [CREATE, "/model/v1/queue/spark_img_effects", UPLOAD, "/_emulator/next"];
    let framings =
        ["Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", "Content-Length: 26000000\r\n\r\n{"];
    let keys = ["", "Authorization: Bearer wrong\r\n"];
    // More than there would be room for, if room were kept for what each of them may yet send.
    let mut open = Vec::new();
    for at in 0..22 {
        let mut stream = connect(&emulator);
        let (path, key) = (paths[at % 4], keys[at % 2]);
        let framing = framings[at / 4 % 2];
        write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\n{key}{framing}").unwrap();
        open.push(stream);
    }
    for stream in &mut open {
        let head = head_of_answer(stream);
        assert!(head.starts_with("http/1.1 401 "), "{head}");
        // What is left of the body is not waited for, so nothing can follow on this connection.
        assert!(head.contains("connection: close"), "{head}");
    }
    assert_eq!(post(&emulator, CREATE, &create_of(200_000)).status, 200);
    // All of them still drip.
    assert!(open.iter_mut().all(|stream| stream.write_all(b"1\r\n{\r\n").is_ok()));
}

#[test]
fn a_client_that_asks_before_it_sends_a_body_is_refused_at_once() {
    let emulator = with_limits(|limits| limits.photo_bytes = 100_000).start().unwrap();
    let own = format!("Authorization: {}\r\n", bearer(&emulator));
    for (key, status) in [("", "401"), (own.as_str(), "413")] {
        let mut stream = connect(&emulator);
        let head = "POST /model/v1/generation HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n";
        write!(stream, "{head}{key}Content-Length: 5000000\r\n\r\n").unwrap();
        assert!(head_of_answer(&mut stream).starts_with(&format!("http/1.1 {status} ")));
    }
}

#[test]
fn a_client_that_reads_only_after_it_has_written_finds_its_refusal() {
    let emulator = with_limits(|limits| limits.photo_bytes = 100_000).start().unwrap();
    let own = format!("Authorization: {}\r\n", bearer(&emulator));
    for (path, key, status) in [
        (UPLOAD, "", "401"),
        ("/_emulator/next", "Authorization: Bearer test_ok\r\n", "401"),
        ("/nowhere", "", "404"),
        (UPLOAD, &own, "413"),
    ] {
        for chunked in [false, true] {
            let mut stream = connect(&emulator);
            let body = vec![b'x'; 8_000_000];
            let framing =
                if chunked { "Transfer-Encoding: chunked" } else { "Content-Length: 8000000" };
            write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\n{key}{framing}\r\n\r\n").unwrap();
            if chunked {
                write!(stream, "{:x}\r\n", body.len()).unwrap();
            }
            stream.write_all(&body).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        }
    }
    // So does one whose head is too large to be read to its end.
    let mut stream = connect(&emulator);
    write!(stream, "GET / HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n", "x".repeat(2_000_000))
        .unwrap();
    assert!(head_of_answer(&mut stream).starts_with("http/1.1 431 "));
}

#[test]
fn a_refused_request_without_a_body_keeps_its_connection() {
    let emulator = stub().start().unwrap();
    let mut stream = connect(&emulator);
    for _ in 0..3 {
        write!(stream, "GET /_emulator/ HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let head = head_of_answer(&mut stream);
        assert!(head.starts_with("http/1.1 401 ") && !head.contains("connection: close"), "{head}");
        let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
    }
}

#[test]
fn keyless_requests_are_marked_and_push_no_others_out_of_the_record() {
    let emulator = with_limits(|limits| limits.requests = 16).start().unwrap();
    for _ in 0..3 {
        create(&emulator, &json!({"image_input1": "u", "template_id": "glass_ball"}));
    }
    for at in 0..60 {
        let wrong = [("Authorization", "Bearer wrong")];
        let keyless = if at % 2 == 0 { &wrong[..] } else { &[] };
        send(&emulator, "POST", CREATE, keyless, b"{\"some\": \"body\"}");
        send(&emulator, "POST", "/nowhere", keyless, b"{\"some\": \"body\"}");
    }
    let seen = emulator.requests();
    assert!(seen.len() <= 32, "{} requests", seen.len());
    let creates: Vec<_> = seen.iter().filter(|seen| seen.status == Some(200)).collect();
    let numbers: Vec<u64> = creates.iter().map(|seen| seen.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert!(creates.iter().all(|seen| seen.authorized && !seen.body.is_empty()));
    let of_status = |status| seen.iter().filter(move |seen| seen.status == Some(status));
    assert!(of_status(401).count() > 0 && of_status(404).count() > 0);
    for refused in of_status(401) {
        assert_eq!((refused.endpoint, refused.authorized), (Endpoint::Create, false));
        assert_eq!((&*refused.body, refused.body_bytes), ("", 0));
    }
    // Where no key is needed a request without one is as good as any.
    assert!(of_status(404).all(|seen| seen.authorized));
    assert_eq!(numbers_of(&seen), sorted(numbers_of(&seen)));
    let requests = get(&emulator, "/_emulator/requests?after=3").json();
    let marks: Vec<&Value> =
        requests.as_array().unwrap().iter().map(|seen| &seen["authorized"]).collect();
    assert!(marks.contains(&&json!(true)) && marks.contains(&&json!(false)), "{marks:?}");
    // What came to a create is counted, let in or not.
    assert_eq!(emulator.counts().creates_seen, 63);
}

fn numbers_of(seen: &[effects_emulator::SeenRequest]) -> Vec<u64> {
    seen.iter().map(|seen| seen.number).collect()
}

fn sorted(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    numbers
}

#[test]
fn bodies_that_come_slowly_make_way_for_others() {
    let emulator = with_limits(|limits| limits.body_bytes = 300 * 1024).start().unwrap();
    let head =
        format!("POST {CREATE} HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n", bearer(&emulator));
    let mut slow = connect(&emulator);
    // It has room for all of its body, and takes its time over the second half.
    write!(slow, "{head}Content-Length: 290000\r\n\r\n{}", " ".repeat(100_000)).unwrap();
    let mut small = connect(&emulator);
    // These are not even large yet, and have none.
    write!(small, "{head}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n").unwrap();
    // Again where the emulator reads this one before the slow one, which then has its room after it.
    let begun = Instant::now();
    slow.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    while slow.peek(&mut [0]).is_err() {
        assert!(begun.elapsed() < PATIENCE, "the slow one keeps its room");
        assert_eq!(post(&emulator, CREATE, &create_of(200_000)).status, 200);
    }
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    let refused = head_of_answer(&mut slow);
    assert!(refused.starts_with("http/1.1 429 ") && refused.contains("retry-after: "), "{refused}");
    // Where no other body waits for room, one may take its time.
    let rest = create_of(0).to_string();
    write!(small, "{:x}\r\n{}\r\n0\r\n\r\n", rest.len() - 1, &rest[1..]).unwrap();
    assert!(head_of_answer(&mut small).starts_with("http/1.1 200 "));
}

#[test]
fn connections_that_ask_nothing_make_way_for_one_more() {
    let emulator = with_limits(|limits| limits.connections = 3).start().unwrap();
    let mut known = connect(&emulator);
    let request = format!(
        "GET /model/v1/generation/task/x HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n\r\n",
        bearer(&emulator)
    );
    known.write_all(request.as_bytes()).unwrap();
    assert!(head_of_answer(&mut known).starts_with("http/1.1 404 "));
    // One says nothing, the other does not come to the end of its head.
    let (mut silent, mut slow) = (connect(&emulator), connect(&emulator));
    write!(slow, "GET /nowhere HTTP/1.1\r\nX-Slow: ").unwrap();
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut more = connect(&emulator);
        more.write_all(request.as_bytes()).unwrap();
        assert!(head_of_answer(&mut more).starts_with("http/1.1 404 "));
        // It stays: the next takes the place of another.
        kept.push(more);
    }
    for stream in [&mut silent, &mut slow] {
        // Closed, in good order or with a reset.
        assert!(matches!(stream.read(&mut [0; 64]), Ok(0) | Err(_)));
    }
    // A connection that has carried the key is waited for.
    let mut rest = [0; 4096];
    let _ = known.read(&mut rest).unwrap();
    known.write_all(request.as_bytes()).unwrap();
    assert!(head_of_answer(&mut known).starts_with("http/1.1 404 "));
}

#[test]
fn a_connection_ends_whose_client_does_not_ask_in_time_or_does_not_read_its_answer() {
    let emulator = with_limits(|limits| {
        limits.connections = 1;
        limits.request_time = Duration::from_millis(300);
    });
    let emulator = emulator.start().unwrap();
    let mut slow = connect(&emulator);
    write!(slow, "GET /nowhere HTTP/1.1\r\nX-Slow: ").unwrap();
    assert!(matches!(slow.read(&mut [0; 64]), Ok(0) | Err(_)));
    // More than the system keeps for a client that does not read.
    let photo = [PHOTO, &vec![7; 24 * 1024 * 1024]].concat();
    let url = upload(&emulator, &photo);
    let mut deaf = connect(&emulator);
    let (target, key) = (path(&emulator, &url), bearer(&emulator));
    write!(deaf, "GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n\r\n").unwrap();
    // It has carried the key, so its place is waited for.
    assert_eq!(get(&emulator, "/_emulator/counts").status, 200);
    drop(deaf);
}

#[test]
fn an_emulator_stops_though_a_client_still_sends_what_was_refused() {
    let emulator = with_limits(|limits| limits.stop_time = PATIENCE).start().unwrap();
    let mut stream = connect(&emulator);
    write!(stream, "POST {CREATE} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{{").unwrap();
    assert!(head_of_answer(&mut stream).starts_with("http/1.1 401 "));
    let (stopped, word) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        emulator.stop();
        stopped.send(()).unwrap();
    });
    assert!(word.recv_timeout(PATIENCE / 2).is_ok(), "it waits for the rest of the body");
    drop(stream);
}

#[test]
fn creates_that_are_refused_leave_the_latencies_of_others_alone() {
    let durations = |refused: bool| {
        let plan = effects_emulator::FaultPlan::none();
        let builder =
            stub().clock(ClockKind::Virtual).latency("1s..1000s".parse::<Latency>().unwrap());
        let emulator = builder.faults(plan).start().unwrap();
        for _ in 0..5 {
            let params = json!({"image_input1": "u", "template_id": "glass_ball"});
            if refused {
                let mut broke = effects_emulator::FaultPlan::none();
                broke.balance = Some("0".parse().unwrap());
                emulator.follow(broke).unwrap();
                assert_eq!(post(&emulator, CREATE, &request(&params)).status, 402);
                emulator.follow(effects_emulator::FaultPlan::none()).unwrap();
            }
            create(&emulator, &params);
        }
        let mut tasks = emulator.tasks();
        tasks.sort_by_key(|task| task.due - task.created);
        tasks.iter().map(|task| task.due - task.created).collect::<Vec<_>>()
    };
    assert_eq!(durations(true), durations(false));
}

#[test]
fn photos_of_hosts_that_do_not_answer_hold_up_no_others() {
    // Connections are made with it, and nothing comes back.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let builder = echoing().options(|options| {
        options.limits.renders = 1;
        options.limits.fetch_time = Duration::from_secs(3600);
        options.limits.stop_time = Duration::from_millis(1);
    });
    let emulator = builder.start().unwrap();
    let url = format!("http://{}/p.png", silent.local_addr().unwrap());
    let params = |image: &str| json!({"image_input1": image, "template_id": "glass_ball"});
    let waiting: Vec<String> = (0..100).map(|_| create(&emulator, &params(&url))).collect();
    let uploaded = upload(&emulator, PHOTO);
    let inline = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, PHOTO);
    for image in [uploaded, format!("data:image/png;base64,{inline}")] {
        let task = finish(&emulator, &create(&emulator, &params(&image)));
        assert_eq!(task["status"], "completed", "{task}");
    }
    assert!(waiting.iter().all(|id| look(&emulator, id)["status"] == "in_progress"));
}

#[test]
fn a_connection_that_is_given_up_in_the_middle_of_a_body_is_recorded_and_let_go() {
    let emulator = with_limits(|limits| limits.body_bytes = 100 * 1024).start().unwrap();
    let head =
        format!("POST {CREATE} HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n", bearer(&emulator));
    let mut stream = connect(&emulator);
    write!(stream, "{head}Content-Length: 99000\r\n\r\n{}", " ".repeat(90_000)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    // The room that it had is there for the next.
    assert_eq!(post(&emulator, CREATE, &create_of(90_000)).status, 200);
}
