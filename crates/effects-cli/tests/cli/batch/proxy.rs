//! A proxy before an emulator that writes other bills into the answers, and can hold one request
//! back.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use effects_testkit::http::{Behaviour, ReceivedRequest, Response, ScriptedServer};
use serde_json::Value;

/// A task that has ended, as the bill of it may depend on it.
pub(crate) struct Finished<'a> {
    /// Its place among the tasks, from 0, in the order of their creates.
    pub(crate) nth: usize,
    /// `image_input1`, `template_id`, `width` and `height`, as they were asked for.
    pub(crate) request: &'a Value,
}

impl Finished<'_> {
    pub(crate) fn template(&self) -> &str {
        self.request["template_id"].as_str().unwrap()
    }
}

/// The `usage` of a finished task; the answer has none where it is null.
pub(crate) type Bill = dyn Fn(&Finished<'_>) -> Value + Send + Sync;

/// A proxy whose every answer about a task that has ended, completed or failed, has this bill.
pub(crate) fn billing(gateway: SocketAddr, bill: Arc<Bill>) -> ScriptedServer {
    let created = Mutex::new(HashMap::<String, (usize, Value)>::new());
    let server = ScriptedServer::start().unwrap();
    server.otherwise(Behaviour::with(move |seen| {
        let Some((status, body)) = forward(gateway, seen) else { return Behaviour::Close };
        let Ok(mut answer) = serde_json::from_slice::<Value>(&body) else {
            return Response::new(status).body(body).into();
        };
        let id = answer["id"].as_str().unwrap_or_default().to_owned();
        let mut created = created.lock().unwrap();
        if seen.method == "POST" && status == 200 && !id.is_empty() {
            let request: Value = serde_json::from_slice(&seen.body).unwrap();
            let nth = created.len();
            created.entry(id.clone()).or_insert((nth, request["input"][0]["params"].clone()));
        }
        if let (Some("completed" | "failed"), Some((nth, request))) =
            (answer["status"].as_str(), created.get(&id))
        {
            match bill(&Finished { nth: *nth, request }) {
                Value::Null => drop(answer.as_object_mut().unwrap().remove("usage")),
                usage => answer["usage"] = usage,
            }
        }
        Response::json(answer.to_string()).status(status).into()
    }));
    server
}

/// A proxy that holds the first request of this path back until the sender says so.
pub(crate) fn holding(gateway: SocketAddr, path: &str, word: Receiver<()>) -> ScriptedServer {
    holding_nth(gateway, path, 1, word)
}

/// A proxy that holds this request of this path back, counted from 1, until the sender says so.
pub(crate) fn holding_nth(
    gateway: SocketAddr,
    path: &str,
    nth: usize,
    word: Receiver<()>,
) -> ScriptedServer {
    let server = ScriptedServer::start().unwrap();
    let (path, seen_so_far, word) = (path.to_owned(), AtomicUsize::new(0), Mutex::new(word));
    server.otherwise(Behaviour::with(move |seen| {
        if seen.method == "POST"
            && seen.target == path
            && seen_so_far.fetch_add(1, Ordering::SeqCst) + 1 == nth
        {
            // Also when the test is over.
            let _ = word.lock().unwrap().recv();
        }
        match forward(gateway, seen) {
            Some((status, body)) => {
                Response::new(status).header("Content-Type", "application/json").body(body).into()
            }
            None => Behaviour::Close,
        }
    }));
    server
}

/// The status and the body of the gateway's answer; none where the connection ends without one.
fn forward(gateway: SocketAddr, seen: &ReceivedRequest) -> Option<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(gateway).unwrap();
    let mut head = format!("{} {} HTTP/1.1\r\nConnection: close\r\n", seen.method, seen.target);
    for (name, value) in &seen.headers {
        if !name.eq_ignore_ascii_case("connection") {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(b"\r\n").ok()?;
    stream.write_all(&seen.body).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let status = std::str::from_utf8(&answer[9..12]).ok()?.parse().ok()?;
    Some((status, answer.split_off(end)))
}
