//! The misbehaving server, seen from a client that is nothing but a socket.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use effects_testkit::http::{
    Behaviour, ConnectionAfter, ConnectionEnd, Framing, ReceivedRequest, Response, ScriptedServer,
    unused_address,
};

fn server() -> ScriptedServer {
    ScriptedServer::start().unwrap()
}

fn connect(server: &ScriptedServer) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    // A bound for a broken test, not part of any.
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn get(server: &ScriptedServer, path: &str) -> TcpStream {
    let mut stream = connect(server);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    stream
}

/// Everything up to the end of the connection.
fn all(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn requests_are_recorded_whole_and_answered_in_the_order_of_the_scripts() {
    let server = server();
    server.on("POST", "/make", [Response::json("{}").status(201)]);
    server.on(
        "GET",
        "/task/*",
        [Response::new(204), Response::new(200).and(ConnectionAfter::Close)],
    );
    server.then(Response::new(418));

    let mut stream = connect(&server);
    stream
        .write_all(b"POST /make?x=1 HTTP/1.1\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello")
        .unwrap();
    stream.write_all(b"GET /task/1 HTTP/1.1\r\n\r\n").unwrap();
    stream.write_all(b"GET /else HTTP/1.1\r\n\r\n").unwrap();
    stream.write_all(b"GET /else HTTP/1.1\r\n\r\n").unwrap();
    stream.write_all(b"GET /task/2?q HTTP/1.1\r\n\r\n").unwrap();
    let text = all(stream);
    let statuses: Vec<&str> = text.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["201", "204", "418", "404", "200"]);

    let requests = server.requests();
    assert_eq!(requests.len(), 5);
    assert_eq!(requests[0].target, "/make?x=1");
    assert_eq!(requests[0].path(), "/make");
    assert_eq!(requests[0].header("x-a"), Some("b"));
    assert_eq!(requests[0].text(), "hello");
    assert!(requests.iter().all(|request| request.connection == 0));
    assert_eq!(server.connections(), 1);
}

#[test]
fn chunked_and_expectant_requests_are_put_together() {
    let server = server();
    server.otherwise(Response::new(200).and(ConnectionAfter::Close));
    let mut stream = connect(&server);
    stream
        .write_all(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        .unwrap();
    assert!(all(stream).starts_with("HTTP/1.1 200"));

    let mut stream = connect(&server);
    stream
        .write_all(b"POST / HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        .unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"xyz").unwrap();
    assert!(all(stream).starts_with("HTTP/1.1 200"));

    let bodies: Vec<String> = server.requests().iter().map(ReceivedRequest::text).collect();
    assert_eq!(bodies, ["abcde", "xyz"]);
}

#[test]
fn a_long_body_arrives_whole() {
    let server = server();
    server.otherwise(Response::new(200).and(ConnectionAfter::Close));
    let mut stream = connect(&server);
    let body = vec![7; 3_000_000];
    write!(stream, "POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len()).unwrap();
    stream.write_all(&body).unwrap();
    assert!(all(stream).starts_with("HTTP/1.1 200"));
    assert_eq!(server.requests()[0].body, body);
}

#[test]
fn a_close_is_an_end_and_a_reset_is_an_error() {
    let server = server();
    server.then(Behaviour::Close);
    assert_eq!(all(get(&server, "/")), "");

    server.then(Behaviour::Reset);
    server.then(Behaviour::Reset.after(Duration::from_millis(1)));
    for _ in 0..2 {
        let mut stream = get(&server, "/");
        let error = stream.read(&mut [0; 16]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn answers_are_cut_where_the_script_says() {
    let server = server();
    let response = Response::new(200).header("X-Test", "1").body("0123456789");
    server.then(Behaviour::Truncate { response: response.clone(), body_bytes: 4 });
    server.then(Behaviour::TruncateHead { response: response.clone(), bytes: 12 });
    server.then(
        response.clone().framed(Framing::ClaimedLength(20)).and(ConnectionAfter::CloseUnannounced),
    );
    server.then(response.framed(Framing::UntilClose));

    let cut = all(get(&server, "/"));
    assert!(cut.contains("Content-Length: 10\r\n") && cut.ends_with("\r\n\r\n0123"), "{cut}");
    assert_eq!(all(get(&server, "/")), "HTTP/1.1 200");
    assert!(all(get(&server, "/")).contains("Content-Length: 20\r\n"));
    let whole = all(get(&server, "/"));
    assert!(!whole.contains("Length") && whole.ends_with("0123456789"), "{whole}");
}

#[test]
fn garbage_chunks_drips_and_redirects_go_out_as_they_are() {
    let server = server();
    server.then(Behaviour::Raw("SSH-2.0-nonsense\r\n".into()));
    let chunked =
        Response::json("{\"a\":1}").framed(Framing::Chunked(4)).and(ConnectionAfter::Close);
    server.then(chunked.clone());
    let every = Duration::from_millis(1);
    server.then(Behaviour::Drip { response: chunked, piece: 2, every });
    server.then(Response::redirect(302, "https://elsewhere.example/").and(ConnectionAfter::Close));

    assert_eq!(all(get(&server, "/")), "SSH-2.0-nonsense\r\n");
    for _ in 0..2 {
        assert!(all(get(&server, "/")).ends_with("4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n"));
    }
    assert!(all(get(&server, "/")).contains("302 Found\r\nLocation: https://elsewhere.example/"));
}

#[test]
fn what_hangs_is_let_go_by_hand_and_by_the_end_of_the_server() {
    let server = server();
    let response = Response::new(200).body("0123456789");
    server.then(Behaviour::HangAfter { response, body_bytes: 3 });
    server.then(Behaviour::Hang);

    let begun = get(&server, "/");
    assert_eq!(server.wait_for_requests(1, Duration::from_secs(20)).len(), 1);
    let mut first = [0; 8];
    (&begun).read_exact(&mut first).unwrap();
    server.release();
    assert!(all(begun).ends_with("\r\n\r\n012"));

    let hanging = get(&server, "/");
    assert_eq!(server.wait_for_requests(2, Duration::from_secs(20)).len(), 2);
    drop(server);
    assert_eq!(all(hanging), "");
}

#[test]
fn a_behaviour_can_depend_on_the_request() {
    let server = server();
    server.otherwise(Behaviour::with(|seen| {
        Response::new(200)
            .body(format!("you asked for {}", seen.target))
            .and(ConnectionAfter::Close)
            .into()
    }));
    assert!(all(get(&server, "/me")).ends_with("you asked for /me"));
}

#[test]
fn what_is_no_http_is_recorded_and_answered_like_the_rest() {
    let server = server();
    server.then(Behaviour::Close);
    let mut stream = connect(&server);
    stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(all(stream), "");
    assert_eq!(server.requests()[0].body.len(), 11);
}

#[test]
fn no_server_listens_at_an_unused_address() {
    let error = TcpStream::connect(unused_address()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

/// The answer, and the error that the connection ends with, if it is one.
fn answer_and_end(mut stream: TcpStream) -> (String, Option<ErrorKind>) {
    let mut text = Vec::new();
    let end = stream.read_to_end(&mut text).err().map(|error| error.kind());
    (String::from_utf8_lossy(&text).into_owned(), end)
}

#[test]
fn an_early_answer_comes_before_the_request_is_whole() {
    let server = server();
    let too_large = || Response::new(413).body("too large").and(ConnectionAfter::Close);
    for (end, error) in
        [(ConnectionEnd::Reset, Some(ErrorKind::ConnectionReset)), (ConnectionEnd::Drain, None)]
    {
        for sent in [3, 10] {
            server.then(Behaviour::early(too_large(), 3, end));
            let mut stream = connect(&server);
            stream.write_all(b"PUT /file HTTP/1.1\r\nContent-Length: 10\r\n\r\n").unwrap();
            stream.write_all(&b"0123456789"[..sent]).unwrap();
            if end == ConnectionEnd::Drain {
                stream.shutdown(Shutdown::Write).unwrap();
            }
            let (text, ended) = answer_and_end(stream);
            assert!(text.starts_with("HTTP/1.1 413"), "{text:?}");
            assert!(text.ends_with("too large"), "{text:?}");
            assert_eq!(ended, error);
        }
    }
    assert!(server.requests().iter().all(|seen| seen.body.len() >= 3));

    server.then(Behaviour::cut(3, ConnectionEnd::Reset));
    let mut stream = connect(&server);
    stream.write_all(b"PUT /file HTTP/1.1\r\nContent-Length: 10\r\n\r\n012").unwrap();
    assert_eq!(answer_and_end(stream), (String::new(), Some(ErrorKind::ConnectionReset)));
}

#[test]
fn a_connection_is_reset_as_its_next_request_comes() {
    let server = server();
    server.then(Behaviour::RespondThenReset(Response::new(204)));
    let mut stream = get(&server, "/");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 204");
    stream.write_all(b"GET /again HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(answer_and_end(stream).1, Some(ErrorKind::ConnectionReset));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_tunnel_relays_both_ways() {
    let (proxy, target) = (server(), server());
    proxy.on("CONNECT", "target:80", [Behaviour::Tunnel(target.address())]);
    target.otherwise(Response::new(200).body("hello").and(ConnectionAfter::Close));
    let mut stream = connect(&proxy);
    stream.write_all(b"CONNECT target:80 HTTP/1.1\r\n\r\n").unwrap();
    let established = b"HTTP/1.1 200 Connection established\r\n\r\n";
    let mut answer = vec![0; established.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, established);
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(all(stream).ends_with("hello"));
}
