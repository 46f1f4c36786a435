//! Everything has an end: bodies, photos, fetches, the queue, paintings, connections; and what is
//! fetched lies within reach.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use crate::common::*;
use effects_core::Template;
use effects_emulator::{Emulator, Endpoint, Fault, Limits, PaintFailure, Painter, Pictures};
use serde_json::{Value, json};

fn params(image: &str) -> Value {
    json!({"image_input1": image, "template_id": "glass_ball", "width": 512, "height": 512})
}

/// An emulator that paints nothing until it is let.
fn with_limits(change: impl FnOnce(&mut Limits)) -> effects_emulator::EmulatorBuilder {
    echoing().options(|options| change(&mut options.limits))
}

/// Waits at a barrier before each picture, and notes how many wait at once.
struct Waiting {
    start: Arc<Barrier>,
    at_once: AtomicUsize,
    max_at_once: Arc<AtomicUsize>,
}

impl Painter for Waiting {
    fn paint(&self, photo: &[u8], _: &Template, _: u32, _: u32) -> Result<Vec<u8>, PaintFailure> {
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.max_at_once.fetch_max(at_once, Ordering::SeqCst);
        self.start.wait();
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        Ok(photo.to_vec())
    }
}

#[test]
fn so_many_are_painted_at_once_so_many_wait_and_more_are_refused() {
    let (start, max_at_once) = (Arc::new(Barrier::new(3)), Arc::new(AtomicUsize::new(0)));
    let painter =
        Waiting { start: start.clone(), at_once: 0.into(), max_at_once: max_at_once.clone() };
    let builder = Emulator::builder().painter(painter).options(|options| {
        options.limits.renders = 2;
        options.limits.queue = 6;
    });
    let emulator = builder.start().unwrap();
    let photo = upload(&emulator, PHOTO);
    let ids: Vec<String> = (0..6).map(|_| create(&emulator, &params(&photo))).collect();
    let refused = post(&emulator, CREATE, &request(&params(&photo)));
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    // Two at the barrier, and the test itself.
    for _ in 0..3 {
        start.wait();
    }
    for id in &ids {
        assert_eq!(finish(&emulator, id)["status"], "completed");
    }
    assert_eq!(max_at_once.load(Ordering::SeqCst), 2);
    // A client that was refused finds room again, and has paid nothing meanwhile.
    assert_eq!(emulator.spent().to_string(), "0.18");
    let begun = Instant::now();
    while post(&emulator, CREATE, &request(&params("data:,"))).status == 429 {
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}

#[test]
fn photos_in_the_queue_have_a_sum_of_bytes() {
    let start = Arc::new(Barrier::new(2));
    let painter = Waiting { start: start.clone(), at_once: 0.into(), max_at_once: Arc::default() };
    let builder = Emulator::builder().painter(painter).options(|options| {
        options.limits.renders = 1;
        options.limits.queued_bytes = 100 * 1024;
    });
    let emulator = builder.start().unwrap();
    // Bytes after a picture's end are no harm to it.
    let padded = [PHOTO, &vec![0; 45_000]].concat();
    let image = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, padded);
    let id = create(&emulator, &params(&format!("data:image/png;base64,{image}")));
    let refused = post(&emulator, CREATE, &request(&params(&image)));
    assert_eq!(refused.status, 429);
    start.wait();
    assert_eq!(finish(&emulator, &id)["status"], "completed");
}

#[test]
fn bodies_are_limited_with_and_without_a_content_length() {
    let emulator = with_limits(|limits| limits.photo_bytes = 100_000).start().unwrap();
    let key = bearer(&emulator);
    for path in [
        CREATE,
        "/model/v1/queue/spark_img_effects",
        "/api/v1/storage/files",
        "/_emulator/next",
        "/model/v1/generation/task/x",
    ] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nConnection: close\r\n"
        );
        let request_head = format!("{head}Content-Length: 1000000000\r\n\r\n");
        let answer = raw(&emulator, request_head.as_bytes()).unwrap();
        assert!(
            answer.starts_with(b"HTTP/1.1 413"),
            "{path}: {}",
            String::from_utf8_lossy(&answer)
        );

        let mut stream = TcpStream::connect(emulator.address()).unwrap();
        write!(stream, "{head}Transfer-Encoding: chunked\r\n\r\n").unwrap();
        let chunk = [format!("{:x}\r\n", 10_000).as_bytes(), &[b'x'; 10_000], b"\r\n"].concat();
        // It is refused long before all of it is sent, and the answer waits for a client that sends on.
        for _ in 0..1_000 {
            stream.write_all(&chunk).unwrap();
        }
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 413"), "{path}");
    }
    let large = [PHOTO, &vec![0; 100_000]].concat();
    let body = [
        b"--edge\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n".as_slice(),
        &large,
        b"\r\n--edge--\r\n",
    ];
    let form = ("Content-Type", "multipart/form-data; boundary=edge");
    let headers = [("Authorization", key.as_str()), form];
    let answer = send(&emulator, "POST", "/api/v1/storage/files", &headers, &body.concat());
    assert_eq!(answer.status, 413);
}

/// A client that sends all of its body before it looks for an answer gets one, on a connection that is
/// open both ways until then.
#[test]
fn a_body_that_is_too_large_is_read_to_its_end_before_it_is_refused() {
    let emulator = with_limits(|limits| limits.photo_bytes = 100_000).start().unwrap();
    let mut stream = TcpStream::connect(emulator.address()).unwrap();
    let key = bearer(&emulator);
    let head = format!(
        "POST {CREATE} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Length: 8000000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    for _ in 0..7 {
        stream.write_all(&[b'x'; 1_000_000]).unwrap();
    }
    let early = stream.read(&mut [0; 64]).unwrap_err();
    assert!(matches!(early.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{early}");
    stream.write_all(&[b'x'; 1_000_000]).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn large_bodies_wait_for_room_and_small_ones_do_not() {
    // A create that is answered with its finished task keeps its room while that is painted.
    let start = Arc::new(Barrier::new(2));
    let painter = Waiting { start: start.clone(), at_once: 0.into(), max_at_once: Arc::default() };
    let builder = Emulator::builder().painter(painter).options(|options| {
        options.limits.body_bytes = 300 * 1024;
    });
    let emulator = builder.start().unwrap();
    emulator.next(Endpoint::Create, [Some(Fault::Finished)]).unwrap();
    let padded = [PHOTO, &vec![0; 150_000]].concat();
    let image = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, padded);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| post(&emulator, CREATE, &request(&params(&image))));
        let begun = Instant::now();
        while emulator.requests().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::yield_now();
        }
        let large =
            scope.spawn(|| post(&emulator, CREATE, &request(&params(&"A".repeat(200_000)))));
        // Small ones pass meanwhile.
        for _ in 0..20 {
            assert_eq!(get(&emulator, "/nothing").status, 404);
            assert_eq!(post(&emulator, CREATE, &request(&params("data:,"))).status, 200);
        }
        assert!(!large.is_finished() && !first.is_finished(), "there was room for both");
        start.wait();
        assert_eq!(first.join().unwrap().json()["status"], "completed");
        assert_eq!(large.join().unwrap().status, 200);
    });
}

#[test]
fn connections_beyond_the_limit_wait_and_are_not_refused() {
    let emulator = with_limits(|limits| limits.connections = 2).start().unwrap();
    let hold = || TcpStream::connect(emulator.address()).unwrap();
    let (first, _second) = (hold(), hold());
    std::thread::scope(|scope| {
        let third = scope.spawn(|| get(&emulator, "/nothing").status);
        drop(first);
        assert_eq!(third.join().unwrap(), 404);
    });
}

/// A server on loopback whose every answer is these bytes, then silence; it counts who comes.
fn serve(answer: Vec<u8>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let came = Arc::new(AtomicUsize::new(0));
    let counter = came.clone();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            let mut request = [0; 2048];
            // Whatever was asked, and whether it still listens.
            let _ = stream.read(&mut request);
            let _ = stream.write_all(&answer);
            held.push(stream);
        }
    });
    (port, came)
}

#[test]
fn a_fetch_has_an_end_in_bytes_and_in_time() {
    let builder = with_limits(|limits| {
        limits.photo_bytes = 50_000;
        limits.fetch_time = Duration::from_millis(300);
    });
    let emulator = builder.start().unwrap();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n";
    let request_head = format!("{head}Content-Length: 50001\r\n\r\n").into_bytes();
    let untold = [head.as_bytes(), b"\r\n", &vec![0; 60_000]].concat();
    let silent = format!("{head}Content-Length: 100\r\n\r\n").into_bytes();
    for (answer, why) in [
        (request_head, "larger than"),
        (untold, "larger than"),
        (silent, "no answer within"),
        (vec![], "no answer within"),
    ] {
        let (port, came) = serve(answer);
        let image = format!("http://127.0.0.1:{port}/p.png");
        let task = finish(&emulator, &create(&emulator, &params(&image)));
        assert_eq!(task["error"]["code"], "3009097", "{task}");
        let message = task["error"]["error_message"].as_str().unwrap();
        assert!(message.contains(why) && message.contains("127.0.0.1"), "{message}");
        assert_eq!(came.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn a_photo_that_was_compressed_on_the_way_is_measured_as_it_unfolds() {
    let compressed = |bytes: usize| {
        let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        coder.write_all(&vec![0; bytes]).unwrap();
        let body = coder.finish().unwrap();
        let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length:";
        [format!("{head} {}\r\n\r\n", body.len()).as_bytes(), &body].concat()
    };
    let emulator = with_limits(|limits| limits.photo_bytes = 50_000).start().unwrap();
    for (bytes, code, why) in [
        (50_000, "3009096", "is not a picture"),
        (50_001, "3009097", "larger than 50000 bytes"),
        (20_000_000, "3009097", "larger than 50000 bytes"),
    ] {
        let (port, _) = serve(compressed(bytes));
        let image = format!("http://127.0.0.1:{port}/p.png");
        let task = finish(&emulator, &create(&emulator, &params(&image)));
        let error = &task["error"];
        let message = error["error_message"].as_str().unwrap();
        assert!(error["code"] == code && message.contains(why), "{bytes} {error}");
    }
}

#[test]
fn a_fetch_that_hangs_is_given_up_when_the_emulator_stops() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let builder = with_limits(|limits| {
        limits.fetch_time = Duration::from_secs(3600);
        limits.stop_time = Duration::from_secs(3600);
    });
    let emulator = builder.start().unwrap();
    let url = format!("http://{}/p.png", silent.local_addr().unwrap());
    create(&emulator, &params(&url));
    let (mut stream, _) = silent.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    emulator.stop();
    let mut request = String::new();
    stream.read_to_string(&mut request).unwrap();
    assert!(request.is_empty() || request.starts_with("GET /p.png HTTP/1.1\r\n"), "{request}");
}

#[test]
fn an_emulator_for_others_fetches_nothing_from_its_own_machine() {
    let everywhere = |options: &mut effects_emulator::Options| {
        options.host = Ipv4Addr::UNSPECIFIED.into();
    };
    let emulator = echoing().options(everywhere).start().unwrap();
    let (port, came) = serve(Vec::new());
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "localhost",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[fd00::1]",
        "[fe80::1]",
        "169.254.169.254",
        "10.0.0.1",
        "100.64.0.1",
    ] {
        let image = format!("http://{host}:{port}/p.png");
        let task = finish(&emulator, &create(&emulator, &params(&image)));
        assert_eq!(task["error"]["code"], "3009097", "{image} {task}");
        let message = task["error"]["error_message"].as_str().unwrap();
        assert!(message.contains("does not fetch from"), "{image} {message}");
    }
    assert_eq!(came.load(Ordering::SeqCst), 0);
    // Unless it is allowed to.
    let allowed = |options: &mut effects_emulator::Options| {
        options.allow_private = true;
        options.limits.fetch_time = Duration::from_millis(100);
    };
    let emulator = echoing().options(allowed).start().unwrap();
    let image = format!("http://localhost:{port}/p.png");
    finish(&emulator, &create(&emulator, &params(&image)));
    assert_eq!(came.load(Ordering::SeqCst), 1);
}

#[test]
fn an_exchange_under_way_comes_to_its_end_when_the_emulator_stops() {
    let emulator = Emulator::builder().pictures(Pictures::Stub).start().unwrap();
    let id = create(&emulator, &params("https://photos.invalid/p.jpg"));
    let slow = Fault::Slow { seconds: 3600.0 };
    emulator.next(Endpoint::Task, [Some(slow)]).unwrap();
    let mut stream = TcpStream::connect(emulator.address()).unwrap();
    let key = bearer(&emulator);
    write!(stream, "GET {CREATE}/task/{id} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n\r\n")
        .unwrap();
    let begun = Instant::now();
    while emulator.requests().iter().all(|seen| seen.fault != Some("slow")) {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
    // From whatever thread.
    std::thread::spawn(move || emulator.stop()).join().unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("completed"), "{answer}");
}
