//! [`serve`]: serves one connection of a `ScriptedServer`: reads its requests one after the other, takes
//! the next [`Behaviour`] for each from the [`ServerScript`], and carries it out (answers, cuts off, hangs,
//! resets). `server.rs` calls it for each connection, on a thread of its own.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use super::behaviour::{Behaviour, ConnectionEnd};
use super::request::{ReceivedRequest, RequestProgress, read};
use super::script::ServerScript;
use crate::response::Response;

/// Serves a connection to its end. Whatever goes wrong with it is the client's doing, or ours on
/// purpose, and ends it; the caller closes it.
pub(super) fn serve(stream: &mut &TcpStream, index: usize, shared: &ServerScript) {
    // Small answers must not wait for each other.
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::new();
    while let Ok(Some(arrived)) = next_request(stream, &mut buffer, index, shared) {
        let NextRequest { seen, unread, behaviour, releases } = arrived;
        // The end of the request is still in the socket, and a socket that is closed with unread bytes
        // resets the connection: the one way to a reset that `std` has.
        if is_reset(&behaviour) {
            wait_before_reset(&behaviour, shared);
            return;
        }
        // Read now, so that every other end of the connection is one in order.
        if !matches!(behaviour, Behaviour::Early { .. })
            && stream.read_exact(&mut vec![0; unread]).is_err()
        {
            return;
        }
        match perform(stream, behaviour, &BehaviourContext { seen: &seen, releases, shared }) {
            Ok(NextMove::Request) => {}
            Ok(NextMove::End) => break,
            Ok(NextMove::Reset) | Err(_) => return,
        }
    }
    // In order, also where the client sent more than was read.
    let _ = stream.shutdown(Shutdown::Write);
}

/// What a behaviour is carried out in.
struct BehaviourContext<'a> {
    seen: &'a ReceivedRequest,
    /// The last release before the request.
    releases: u64,
    shared: &'a ServerScript,
}

enum NextMove {
    Request,
    /// The end in order.
    End,
    /// The end by a reset: bytes of the client are left unread.
    Reset,
}

/// A request that is whole, or as whole as its behaviour wants it.
struct NextRequest {
    seen: ReceivedRequest,
    /// How many bytes of it are still in the socket: a socket closed with unread bytes resets the
    /// connection.
    unread: usize,
    behaviour: Behaviour,
    /// The last release before it.
    releases: u64,
}

fn next_request(
    stream: &mut &TcpStream,
    buffer: &mut Vec<u8>,
    index: usize,
    shared: &ServerScript,
) -> io::Result<Option<NextRequest>> {
    let mut sent_continue = false;
    // What to do with the request, where its head was enough to say that.
    let (mut has_asked_script, mut early_behaviour) = (false, None);
    let mut piece = vec![0; 64 * 1024];
    buffer.clear();
    loop {
        // Looked at and left in the socket, since what to do
        // with the request is not known before it is whole.
        let peeked = stream.peek(&mut piece)?;
        if peeked == 0 {
            return Ok(None);
        }
        let before = buffer.len();
        buffer.extend_from_slice(&piece[..peeked]);
        let (seen, unread) = match read(buffer, index) {
            RequestProgress::Whole(seen, length) => (seen, length - before),
            RequestProgress::NoHttp(seen) => (seen, peeked),
            RequestProgress::Partial { head } => {
                if let Some((mut seen, length)) = head {
                    // Once for each request, since what is early is taken from its script.
                    if !has_asked_script {
                        (has_asked_script, early_behaviour) = (true, shared.early_behaviour(&seen));
                    }
                    if let Some((Behaviour::Early { body_bytes, .. }, _)) = &early_behaviour
                        && buffer.len() - length >= *body_bytes
                    {
                        seen.body = buffer[length..].to_vec().into();
                        let (behaviour, releases) = shared.record_request(&seen, early_behaviour);
                        return Ok(Some(NextRequest { seen, unread: peeked, behaviour, releases }));
                    }
                    let expect = seen.header("expect").unwrap_or_default();
                    // A client that expects this holds its body back until then.
                    if expect.eq_ignore_ascii_case("100-continue") && !sent_continue {
                        sent_continue = true;
                        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
                    }
                }
                // More is to come, so these bytes are not the end that a reset needs.
                stream.read_exact(&mut piece[..peeked])?;
                continue;
            }
        };
        let (behaviour, releases) = shared.record_request(&seen, early_behaviour);
        return Ok(Some(NextRequest { seen, unread, behaviour, releases }));
    }
}

fn is_reset(behaviour: &Behaviour) -> bool {
    match behaviour {
        Behaviour::Reset => true,
        Behaviour::Delay(_, behaviour) => is_reset(behaviour),
        _ => false,
    }
}

fn wait_before_reset(behaviour: &Behaviour, shared: &ServerScript) {
    if let Behaviour::Delay(delay, behaviour) = behaviour {
        shared.pause(*delay);
        wait_before_reset(behaviour, shared);
    }
}

fn perform(
    stream: &mut &TcpStream,
    behaviour: Behaviour,
    context: &BehaviourContext<'_>,
) -> io::Result<NextMove> {
    match behaviour {
        Behaviour::Respond(response) => {
            let mut bytes = response.head();
            // Its length is in the head all the same; a body would be read as the next answer.
            if context.seen.method != "HEAD" {
                bytes.extend(response.framed_body());
            }
            stream.write_all(&bytes)?;
            return Ok(if response.closes() { NextMove::End } else { NextMove::Request });
        }
        Behaviour::RespondThenReset(response) => {
            stream.write_all(&first_bytes(&response, usize::MAX))?;
            // Waits for the next request, and leaves it unread for the reset.
            let another = stream.peek(&mut [0])? > 0;
            return Ok(if another { NextMove::Reset } else { NextMove::End });
        }
        Behaviour::Early { response, end, .. } => {
            if let Some(response) = response {
                stream.write_all(&first_bytes(&response, usize::MAX))?;
            }
            match end {
                ConnectionEnd::Reset => return Ok(NextMove::Reset),
                ConnectionEnd::Drain => {
                    stream.shutdown(Shutdown::Write)?;
                    // Unread bytes would make a reset of it.
                    io::copy(stream, &mut io::sink())?;
                }
                ConnectionEnd::Stall => {
                    context.shared.wait_for_release(context.releases);
                    return Ok(NextMove::Reset);
                }
            }
        }
        Behaviour::Tunnel(address) => {
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
            relay(stream, &TcpStream::connect(address)?);
        }
        // A reset ends the connection before it comes to this.
        Behaviour::Close | Behaviour::Reset => {}
        Behaviour::Truncate { response, body_bytes } => {
            stream.write_all(&first_bytes(&response, body_bytes))?;
        }
        Behaviour::TruncateHead { response, bytes } => {
            let mut whole = response.head();
            whole.extend(response.framed_body());
            whole.truncate(bytes);
            stream.write_all(&whole)?;
        }
        Behaviour::Hang => context.shared.wait_for_release(context.releases),
        Behaviour::HangAfter { response, body_bytes } => {
            stream.write_all(&first_bytes(&response, body_bytes))?;
            context.shared.wait_for_release(context.releases);
        }
        Behaviour::Drip { response, piece, every } => {
            send_in_pieces(stream, &response, piece, every, context.shared)?;
            return Ok(if response.closes() { NextMove::End } else { NextMove::Request });
        }
        Behaviour::Delay(delay, behaviour) => {
            context.shared.pause(delay);
            return perform(stream, *behaviour, context);
        }
        Behaviour::Raw(bytes) => stream.write_all(&bytes)?,
        // One behind a delay; any other was decided before the end of the request was read.
        Behaviour::Decide(decide) => return perform(stream, (decide.0)(context.seen), context),
    }
    Ok(NextMove::End)
}

/// Relays bytes both ways until the client ends; that the server ends is relayed too.
fn relay(client: &TcpStream, server: &TcpStream) {
    let copy = |mut from: &TcpStream, mut to: &TcpStream| {
        // Whichever way it ends, the other side sees the end.
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    };
    thread::scope(|scope| {
        scope.spawn(|| copy(server, client));
        copy(client, server);
        // Ends the other copy, which waits for bytes of the server.
        let _ = server.shutdown(Shutdown::Both);
    });
}

fn first_bytes(response: &Response, body_bytes: usize) -> Vec<u8> {
    let mut bytes = response.head();
    let body = response.framed_body();
    bytes.extend_from_slice(&body[..body.len().min(body_bytes)]);
    bytes
}

fn send_in_pieces(
    stream: &mut &TcpStream,
    response: &Response,
    piece: usize,
    every: Duration,
    shared: &ServerScript,
) -> io::Result<()> {
    stream.write_all(&response.head())?;
    for bytes in response.framed_body().chunks(piece.max(1)) {
        // Head and body are written apart: each piece is a write of its own, and `nodelay` sends it at once.
        shared.pause(every);
        stream.write_all(bytes)?;
    }
    Ok(())
}
