//! [`exchange_cases`]: the list of all that a network can do to a submission (no connection, broken TLS, a
//! proxy that refuses, an answer cut short and so on), each with the servers and proxies that do it and
//! what the HTTP stack must report: not sent, untrusted, lost or answered. `tests/all/exchanges.rs` plays
//! it over the stacks of both Rust clients, the cases of HTTP/2 over reqwest's alone.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use effects_client::Proxy;
use effects_testkit::http::{
    Behaviour, ConnectionEnd, Framing, Response, ScriptedServer, unused_address,
};

use super::http2_frames::{
    ENHANCE_YOUR_CALM, HTTP_1_1_REQUIRED, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM,
};
use super::tls_server::{TlsStream, listen, listen_tls, read_request, write_answer};
use super::{ExchangeCase, Expected, Network, http2_frames};
use crate::world::KEY;
use Expected::{Answered, Lost, NotSent, Untrusted};

/// Everything that can happen to a submission.
pub fn exchange_cases() -> Vec<ExchangeCase> {
    let mut all = without_a_connection();
    all.extend(without_a_tls_session());
    all.extend(behind_a_proxy());
    all.extend(after_the_request());
    all.extend(before_the_end_of_the_request());
    all.extend(over_http2());
    all
}

/// No name, no address that answers.
fn without_a_connection() -> Vec<ExchangeCase> {
    vec![
        case("the host's name is none", NotSent, || {
            // A label longer than 63 bytes: known to be none without asking anybody.
            Network::at(format!("https://{}.test", "x".repeat(64)))
        }),
        case("the connection is refused", NotSent, || {
            Network::at(format!("http://{}", unused_address()))
        }),
        case("the connection for TLS is refused", NotSent, || {
            Network::at(format!("https://{}", unused_address()))
        }),
    ]
}

/// A connection, and no TLS session on it.
fn without_a_tls_session() -> Vec<ExchangeCase> {
    let mut cases = vec![case("the certificate is a stranger's", Untrusted, || Network {
        trusts: false,
        ..Network::tls(&[], answers)
    })];
    for (name, _, play) in BROKEN_HANDSHAKES {
        cases.push(case(name, NotSent, move || {
            let address = listen(play);
            Network { trusts: true, ..Network::at(format!("https://{address}")) }
        }));
    }
    cases
}

type MakeBehaviour = fn() -> Behaviour;

/// A proxy that a tunnel is asked of.
fn behind_a_proxy() -> Vec<ExchangeCase> {
    let refusals: [(&'static str, MakeBehaviour); 9] = [
        ("the proxy asks for a password", || Response::new(407).into()),
        ("the proxy forbids the tunnel", || Response::new(403).into()),
        ("the proxy reaches no server", || Response::new(502).into()),
        ("the proxy closes instead of answering", || Behaviour::Close),
        ("the proxy resets instead of answering", || Behaviour::Reset),
        ("the proxy never answers", || Behaviour::Hang),
        ("the proxy speaks no HTTP", || Behaviour::Raw("hello\r\n\r\n".into())),
        ("the proxy opens a tunnel and drops it", || {
            Behaviour::Raw("HTTP/1.1 200 OK\r\n\r\n".into())
        }),
        ("the proxy opens a tunnel to no server", || Behaviour::Tunnel(unused_address())),
    ];
    let mut cases = vec![case("the proxy refuses connections", NotSent, || {
        let proxy = Proxy::Url(format!("http://{}", unused_address()));
        Network { proxy, ..Network::at("https://gateway.example.com".to_owned()) }
    })];
    // Behind a proxy the request leaves only in a TLS session with the gateway, which
    // none of these gets.
    for (name, behaviour) in refusals {
        cases.push(case(name, NotSent, move || Network::proxied(behaviour(), None)));
    }
    cases.push(case("the certificate behind the proxy is a stranger's", Untrusted, || {
        Network { trusts: false, ..Network::tls(&[], answers) }.through_a_tunnel()
    }));
    for (_, name, play) in BROKEN_HANDSHAKES {
        cases.push(case(name, NotSent, move || {
            let address = listen(play);
            Network { trusts: true, ..Network::proxied(Behaviour::Tunnel(address), Some(address)) }
        }));
    }
    cases.extend([
        case("the gateway behind a proxy answers", Answered(200), || {
            Network::tls(&[], answers).through_a_tunnel()
        }),
        case("the gateway behind a proxy closes", Lost, || {
            Network::tls(&[], closes).through_a_tunnel()
        }),
    ]);
    cases
}

/// A request that was sent to its end.
fn after_the_request() -> Vec<ExchangeCase> {
    let answer = || Response::json(r#"{"id":"t"}"#);
    vec![
        // Whatever comes next, the gateway may have made the task: none of this is `NotSent`.
        case("the gateway answers", Answered(200), move || Network::plain(answer().into())),
        case("the gateway behind TLS answers", Answered(200), || Network::tls(&[], answers)),
        case("a long request is answered", Answered(200), move || Network::plain(answer().into()))
            .long(),
        case("a long request behind TLS is answered", Answered(200), || {
            Network::tls(&[], |stream| {
                read_request(stream, usize::MAX)?;
                write_answer(stream, 200)
            })
        })
        .long(),
        case("the gateway closes", Lost, || Network::plain(Behaviour::Close)),
        case("the gateway behind TLS closes", Lost, || Network::tls(&[], closes)),
        case("the gateway resets", Lost, || Network::plain(Behaviour::Reset)),
        case("the gateway never answers", Lost, || Network::plain(Behaviour::Hang)),
        case("the answer's head is cut short", Lost, move || {
            Network::plain(Behaviour::TruncateHead { response: answer(), bytes: 20 })
        }),
        case("the answer's body is cut short", Lost, move || {
            Network::plain(Behaviour::Truncate { response: answer(), body_bytes: 4 })
        }),
        case("the answer's body is not there", Lost, move || {
            Network::plain(answer().framed(Framing::ClaimedLength(50)).into())
        }),
        case("the answer is no HTTP", Lost, || Network::plain(Behaviour::Raw("hello\r\n".into()))),
    ]
}

/// A request that could not be sent to its end: an answer that came is an answer.
fn before_the_end_of_the_request() -> Vec<ExchangeCase> {
    let too_large = || Response::new(413).header("Connection", "close").body("too large");
    let no_key = || Response::new(401).header("Connection", "close").body(r#"{"error":"who?"}"#);
    let early = |response: Response, body_bytes, end| {
        move || Network::plain(Behaviour::early(response.clone(), body_bytes, end))
    };
    let cut = |body_bytes, end| move || Network::plain(Behaviour::cut(body_bytes, end));
    let behind_tls = |status: u16| {
        move || {
            Network::tls(&[], move |stream| {
                // A small part of the body: the rest is still on its way when the answer comes.
                read_request(stream, 1_000)?;
                write_answer(stream, status)
            })
        }
    };
    vec![
        // A long request is still being written when the answer comes; a short one has
        // left by then.
        case("too large, told at the head, then a reset", Answered(413), {
            early(too_large(), 0, ConnectionEnd::Reset)
        })
        .long(),
        case("too large, told after a while, then a reset", Answered(413), {
            early(too_large(), 1_000_000, ConnectionEnd::Reset)
        })
        .long(),
        case("too large, told at the head, then an end in order", Answered(413), {
            early(too_large(), 0, ConnectionEnd::Drain)
        })
        .long(),
        case("the key is refused at the head, then a reset", Answered(401), {
            early(no_key(), 0, ConnectionEnd::Reset)
        })
        .long(),
        case("the key is refused at the head of a short request", Answered(401), {
            early(no_key(), 0, ConnectionEnd::Reset)
        }),
        case("the key is refused at the head, then an end in order", Answered(401), {
            early(no_key(), 0, ConnectionEnd::Drain)
        })
        .long(),
        case("too large, told behind TLS, then a reset", Answered(413), behind_tls(413)).long(),
        case("the key is refused behind TLS, then a reset", Answered(401), behind_tls(401)).long(),
        case("too large, told behind a proxy and TLS, then a reset", Answered(413), move || {
            behind_tls(413)().through_a_tunnel()
        })
        .long(),
        case("too large, told at the head, and no more is read", Answered(413), move || {
            // A client that writes before it reads does so for four fifths of the time.
            let behaviour = Behaviour::early(too_large(), 0, ConnectionEnd::Stall);
            Network { limit: Duration::from_secs(10), ..Network::plain(behaviour) }
        })
        .long(),
        case(
            "no more is read than the head, and nothing is told",
            Lost,
            cut(0, ConnectionEnd::Stall),
        )
        .long(),
        case("reset at the head", Lost, cut(0, ConnectionEnd::Reset)).long(),
        case("reset in the middle of the body", Lost, cut(1_000_000, ConnectionEnd::Reset)).long(),
        case("ended in the middle of the body", Lost, cut(1_000_000, ConnectionEnd::Drain)).long(),
        case("a short request reset at its head", Lost, cut(0, ConnectionEnd::Reset)),
        case("half an early answer, then a reset", Lost, move || {
            // Fifty bytes are announced, and nine come.
            let response = too_large().framed(Framing::ClaimedLength(50));
            Network::plain(Behaviour::early(response, 1_000, ConnectionEnd::Reset))
        })
        .long(),
        case("reset in the middle of the body behind TLS", Lost, || {
            Network::tls(&[], |stream| read_request(stream, 1_000))
        })
        .long(),
    ]
}

/// What HTTP/2 says of a request's fate (RFC 9113, sections 6.8 and 8.7).
fn over_http2() -> Vec<ExchangeCase> {
    let after = |act: fn(&mut TlsStream, u32) -> io::Result<()>| {
        move || {
            Network::tls(&["h2"], move |stream| {
                let id = http2_frames::read_request(stream, true)?;
                act(stream, id)
            })
        }
    };
    let early = |act: fn(&mut TlsStream, u32) -> io::Result<()>| {
        move || {
            Network::tls(&["h2"], move |stream| {
                // Only the head. What follows is drained afterwards, since closing a socket with
                // bytes unread resets it, and a reset may overtake the answer.
                let id = http2_frames::read_request(stream, false)?;
                act(stream, id)?;
                http2_frames::drain(stream)
            })
        }
    };
    let cases = vec![
        case("HTTP/2: answered", Answered(200), {
            after(|stream, id| {
                http2_frames::write_answer(stream, id, 200)?;
                http2_frames::drain(stream)
            })
        }),
        case("HTTP/2: the stream is refused", NotSent, {
            after(|stream, id| {
                http2_frames::write_reset(stream, id, REFUSED_STREAM)?;
                http2_frames::drain(stream)
            })
        }),
        case("HTTP/2: a long request's stream is refused at its head", NotSent, {
            early(|stream, id| http2_frames::write_reset(stream, id, REFUSED_STREAM))
        })
        .long(),
        case("HTTP/2: the gateway goes away before the stream", NotSent, {
            after(|stream, _| {
                // The number is that of the last stream which may have been acted on,
                // so 0 means none.
                http2_frames::write_go_away(stream, 0, NO_ERROR)?;
                http2_frames::drain(stream)
            })
        }),
        case("HTTP/2: the gateway goes away before the stream, and closes", NotSent, {
            after(|stream, _| http2_frames::write_go_away(stream, 0, ENHANCE_YOUR_CALM))
        }),
        // A server may lower the number with a second frame, and never raise it.
        case("HTTP/2: the gateway goes away twice, at last before the stream", NotSent, {
            after(|stream, id| {
                http2_frames::write_go_away(stream, id, NO_ERROR)?;
                http2_frames::write_go_away(stream, 0, NO_ERROR)?;
                http2_frames::drain(stream)
            })
        }),
        case("HTTP/2: a long request meets a gateway that goes away", NotSent, {
            early(|stream, _| http2_frames::write_go_away(stream, 0, NO_ERROR))
        })
        .long(),
        case("HTTP/2: the gateway goes away after the stream, and closes", Lost, {
            after(|stream, id| http2_frames::write_go_away(stream, id, NO_ERROR))
        }),
        case("HTTP/2: the gateway goes away after the stream with an error, and closes", Lost, {
            after(|stream, id| http2_frames::write_go_away(stream, id, INTERNAL_ERROR))
        }),
        case("HTTP/2: the gateway goes away after the stream, and answers", Answered(200), {
            after(|stream, id| {
                http2_frames::write_go_away(stream, id, NO_ERROR)?;
                http2_frames::write_answer(stream, id, 200)?;
                http2_frames::drain(stream)
            })
        }),
        case("HTTP/2: the stream is reset", Lost, {
            after(|stream, id| {
                http2_frames::write_reset(stream, id, INTERNAL_ERROR)?;
                http2_frames::drain(stream)
            })
        }),
        // Only a refused stream and a GOAWAY before it prove that nothing was done.
        case("HTTP/2: the stream is reset for want of HTTP/1.1", Lost, {
            after(|stream, id| {
                http2_frames::write_reset(stream, id, HTTP_1_1_REQUIRED)?;
                http2_frames::drain(stream)
            })
        }),
        case("HTTP/2: the gateway closes", Lost, after(|_, _| Ok(()))),
        case("HTTP/2: too large, told at the head", Answered(413), {
            early(|stream, id| {
                http2_frames::write_answer(stream, id, 413)?;
                http2_frames::write_reset(stream, id, NO_ERROR)
            })
        })
        .long(),
    ];
    cases.into_iter().map(|case| ExchangeCase { needs_http2: true, ..case }).collect()
}

type TcpHandshake = fn(TcpStream) -> io::Result<()>;

/// What a server does instead of a TLS handshake, and the names of that: met directly, and behind a
/// proxy.
const BROKEN_HANDSHAKES: [(&str, &str, TcpHandshake); 5] = [
    ("the handshake is closed", "the handshake behind a proxy is closed", |_| Ok(())),
    (
        "the handshake is closed in its middle",
        "the handshake behind a proxy is closed in its middle",
        |mut stream| stream.read(&mut [0; 4096]).map(drop),
    ),
    (
        "the handshake is answered in plain text",
        "the handshake behind a proxy is answered in plain text",
        |mut stream| {
            // However much of the hello came: what is sent back does not depend on it.
            let _came = stream.read(&mut [0; 4096])?;
            write_answer(&mut stream, 400)
        },
    ),
    (
        "the handshake is answered with an alert",
        "the handshake behind a proxy is answered with an alert",
        |mut stream| {
            // However much of the hello came: what is sent back does not depend on it.
            let _came = stream.read(&mut [0; 4096])?;
            // A fatal alert of TLS 1.2: handshake failure.
            stream.write_all(&[21, 3, 3, 0, 2, 2, 40])
        },
    ),
    (
        "the handshake is never answered",
        "the handshake behind a proxy is never answered",
        |mut stream| io::copy(&mut stream, &mut io::sink()).map(drop),
    ),
];

/// Reads a request and answers it.
fn answers(stream: &mut TlsStream) -> io::Result<()> {
    read_request(stream, usize::MAX)?;
    write_answer(stream, 200)
}

/// Reads a request and closes.
fn closes(stream: &mut TlsStream) -> io::Result<()> {
    read_request(stream, usize::MAX)
}

fn case(
    name: &'static str,
    expected: Expected,
    network: impl Fn() -> Network + 'static,
) -> ExchangeCase {
    let network = Box::new(network);
    ExchangeCase { name, expected, network, body_bytes: 300, needs_http2: false }
}

impl ExchangeCase {
    /// With a request longer than all buffers on its way.
    fn long(self) -> Self {
        Self { body_bytes: 16_000_000, ..self }
    }
}

impl Network {
    /// A gateway at this URL, or nothing.
    fn at(base_url: String) -> Self {
        Self {
            base_url,
            proxy: Proxy::Direct,
            trusts: false,
            limit: LIMIT,
            arrived: Box::new(|| 0),
            leaked: Box::new(|| false),
            _servers: Box::new(()),
        }
    }

    /// A gateway that does this with every request.
    fn plain(behaviour: Behaviour) -> Self {
        let server = Arc::new(server(behaviour));
        let counted = Arc::clone(&server);
        Self {
            arrived: Box::new(move || counted.requests().len()),
            ..Self::at(server.base_url()).holding(server)
        }
    }

    /// A gateway behind TLS that plays each connection so.
    fn tls(
        protocols: &[&str],
        play: impl Fn(&mut TlsStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let (address, handshakes) = listen_tls(protocols, play);
        Self { trusts: true, ..Self::at(format!("https://{address}")).counting(handshakes) }
    }

    /// A proxy that does this with each CONNECT, and a gateway behind it.
    fn proxied(behaviour: Behaviour, gateway: Option<SocketAddr>) -> Self {
        let base_url = match gateway {
            Some(gateway) => format!("https://{gateway}"),
            None => "https://gateway.example.com".to_owned(),
        };
        Self::at(base_url).through(behaviour)
    }

    /// The same gateway behind a proxy.
    fn through_a_tunnel(self) -> Self {
        let address = self.base_url.trim_start_matches("https://").parse();
        let address = address.expect("a gateway behind TLS has an address");
        self.through(Behaviour::Tunnel(address))
    }

    fn through(self, behaviour: Behaviour) -> Self {
        let proxy = Arc::new(server(behaviour));
        let watched = Arc::clone(&proxy);
        Self {
            proxy: Proxy::Url(proxy.base_url()),
            // The key is for the gateway behind it.
            leaked: Box::new(move || format!("{:?}", watched.requests()).contains(KEY)),
            ..self.holding(proxy)
        }
    }

    fn counting(self, handshakes: Arc<AtomicUsize>) -> Self {
        Self { arrived: Box::new(move || handshakes.load(Ordering::SeqCst)), ..self }
    }

    fn holding(self, server: Arc<ScriptedServer>) -> Self {
        Self { _servers: Box::new((self._servers, server)), ..self }
    }
}

fn server(behaviour: Behaviour) -> ScriptedServer {
    let server = ScriptedServer::start().expect("loopback has a port to give");
    server.otherwise(behaviour);
    server
}

/// Of an exchange. What hangs hangs as long; everything else is over long before.
const LIMIT: Duration = Duration::from_secs(3);
