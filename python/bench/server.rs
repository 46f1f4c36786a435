//! The gateway as the benchmark needs it: it answers at once, completes every task at its n-th look,
//! and uses nothing but the standard library, so that `rustc -O` builds it in a second or two.
//!
//! `server LOOKS` prints its base URL and serves until it is killed. `GET /created` tells how many
//! tasks it has made.

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

fn main() -> Result<(), Box<dyn Error>> {
    let looks = env::args().nth(1).ok_or("usage: server LOOKS")?.parse()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    let gateway = Arc::new(Gateway { looks, tasks: Mutex::default() });
    for stream in listener.incoming() {
        let (stream, gateway) = (stream?, Arc::clone(&gateway));
        // A client that hangs up ends its thread, and nothing else.
        thread::Builder::new()
            .stack_size(128 * 1024)
            .spawn(move || talk(&stream, &gateway).ok())?;
    }
    Ok(())
}

struct Gateway {
    looks: u64,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    created: u64,
    /// The looks at each task that is not completed yet.
    looked: HashMap<u64, u64>,
}

impl Gateway {
    fn answer(&self, method: &str, path: &str) -> (&'static str, String) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if path == "/created" {
            return ("200 OK", tasks.created.to_string());
        }
        if method == "POST" {
            tasks.created += 1;
            let id = tasks.created;
            tasks.looked.insert(id, 0);
            return ("200 OK", running(id));
        }
        let number = path.strip_prefix(TASK).and_then(|id| u64::from_str_radix(id, 16).ok());
        let Some((id, looked)) = number.and_then(|id| Some((id, tasks.looked.get_mut(&id)?)))
        else {
            return ("404 Not Found", r#"{"message":"no such task"}"#.to_owned());
        };
        *looked += 1;
        if *looked < self.looks {
            return ("200 OK", running(id));
        }
        tasks.looked.remove(&id);
        ("200 OK", completed(id))
    }
}

fn talk(mut stream: &TcpStream, gateway: &Gateway) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let (mut first, mut line) = (String::new(), String::new());
    loop {
        first.clear();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let (mut length, mut last) = (0, false);
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let header = line.trim_end().to_ascii_lowercase();
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            last |= header == "connection: close";
            if header.is_empty() {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length])?;
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let (status, body) = gateway.answer(method, path);
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n");
        let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes())?;
        if last {
            return Ok(());
        }
    }
}

fn running(id: u64) -> String {
    format!(
        r#"{{"id":"{id:020x}","model":"spark_img_effects","created_at":1764000000,"status":"in_progress","progress":0.4}}"#
    )
}

fn completed(id: u64) -> String {
    format!(
        r#"{{"id":"{id:020x}","model":"spark_img_effects","created_at":1764000000,"status":"completed","progress":1,"output":[{{"content":[{{"type":"image","url":"https://files.example.com/{id}.png","size":123456,"jobId":"job-{id}"}}]}}],"usage":{{"cost":"0.03","discount":1}},"metadata":{{"in_queue_at":0.1,"upload_at":0.5,"completed_at":4.2}}}}"#
    )
}

const TASK: &str = "/model/v1/generation/task/";
