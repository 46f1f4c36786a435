//! A client of bare sockets: it sends what it is told and shows what came back, byte for byte.
mod described;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use effects_core::Template;
use effects_emulator::{Emulator, EmulatorBuilder, PaintFailure, Painter};
use serde_json::{Value, json};

/// Somewhere an emulator answers.
pub(crate) trait Site {
    fn address(&self) -> SocketAddr;
    fn key(&self) -> String;
}

impl Site for Emulator {
    fn address(&self) -> SocketAddr {
        Self::address(self)
    }

    fn key(&self) -> String {
        self.api_key().to_owned()
    }
}

/// An answer, as it came over the wire.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The last answer of a connection that ended; `None` if there is none, or it was cut short.
    fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status: u16 = head.split(' ').nth(1)?.parse().ok()?;
        if status < 200 {
            return Self::read(&bytes[end + 4..]);
        }
        let answer = Self { status, head, body: bytes[end + 4..].to_vec() };
        let promised = answer.header("content-length").and_then(|length| length.parse().ok());
        let is_cut = promised.is_some_and(|promised: usize| answer.body.len() < promised);
        (!is_cut).then_some(answer)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Sends bytes on a connection of their own and reads until it ends. What is answered is held against
/// the description of the emulator.
pub(crate) fn raw(emulator: &impl Site, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let answer = unchecked(emulator, bytes, false)?;
    described::check(emulator, bytes, &answer);
    Ok(answer)
}

/// The same, and says that nothing more will come.
pub(crate) fn raw_to_the_end(emulator: &impl Site, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let answer = unchecked(emulator, bytes, true)?;
    described::check(emulator, bytes, &answer);
    Ok(answer)
}

fn unchecked(emulator: &impl Site, bytes: &[u8], says_the_end: bool) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(emulator.address())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(bytes)?;
    if says_the_end {
        stream.shutdown(Shutdown::Write)?;
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// One exchange; an error if the connection broke or the answer was cut short.
pub(crate) fn try_send(
    emulator: &impl Site,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Answer> {
    let host = emulator.address();
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "POST" {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    let answer = raw(emulator, &[request.as_bytes(), body].concat())?;
    Answer::read(&answer).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

pub(crate) fn send(
    emulator: &impl Site,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    try_send(emulator, method, path, headers, body).unwrap()
}

/// A GET with the emulator's key.
pub(crate) fn get(emulator: &impl Site, path: &str) -> Answer {
    send(emulator, "GET", path, &[("Authorization", &bearer(emulator))], b"")
}

/// A POST of JSON with the emulator's key.
pub(crate) fn post(emulator: &impl Site, path: &str, body: &Value) -> Answer {
    let key = bearer(emulator);
    let headers = [("Authorization", key.as_str()), ("Content-Type", "application/json")];
    send(emulator, "POST", path, &headers, body.to_string().as_bytes())
}

pub(crate) fn bearer(emulator: &impl Site) -> String {
    format!("Bearer {}", emulator.key())
}

/// The body of a create.
pub(crate) fn request(params: &Value) -> Value {
    json!({"model": "spark_img_effects", "input": [{"params": params}]})
}

/// Creates a task and gives its id.
pub(crate) fn create(emulator: &impl Site, params: &Value) -> String {
    let answer = post(emulator, CREATE, &request(params));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

pub(crate) fn look(emulator: &impl Site, id: &str) -> Value {
    let answer = get(emulator, &format!("{CREATE}/task/{id}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Looks until the task is finished.
pub(crate) fn finish(emulator: &impl Site, id: &str) -> Value {
    let start = Instant::now();
    loop {
        let task = look(emulator, id);
        if task["status"] != "in_progress" {
            return task;
        }
        assert!(start.elapsed() < PATIENCE, "still running: {task}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Uploads bytes and gives their URL.
pub(crate) fn upload(emulator: &impl Site, bytes: &[u8]) -> String {
    let head =
        "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"p.png\"\r\n\r\n";
    let body = [head.as_bytes(), bytes, b"\r\n--edge--\r\n"].concat();
    let key = bearer(emulator);
    let headers =
        [("Authorization", key.as_str()), ("Content-Type", "multipart/form-data; boundary=edge")];
    let answer = send(emulator, "POST", "/api/v1/storage/files", &headers, &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    let url = answer.json()["url"].as_str().unwrap().to_owned();
    assert_eq!(answer.json()["data"]["url"], json!(url));
    url
}

/// The path of a URL of the emulator's.
pub(crate) fn path<'a>(emulator: &impl Site, url: &'a str) -> &'a str {
    url.strip_prefix(&format!("http://{}", emulator.address())).unwrap()
}

/// An emulator whose pictures are the photos themselves.
pub(crate) fn echoing() -> EmulatorBuilder {
    Emulator::builder().painter(Echo)
}

/// Gives the photo back as it came.
pub(crate) struct Echo;

impl Painter for Echo {
    fn paint(&self, photo: &[u8], _: &Template, _: u32, _: u32) -> Result<Vec<u8>, PaintFailure> {
        Ok(photo.to_vec())
    }
}

/// A photo: eight by eight grey pixels.
pub(crate) const PHOTO: &[u8] = include_bytes!("../../../src/stub.png");
pub(crate) const CREATE: &str = "/model/v1/generation";
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
