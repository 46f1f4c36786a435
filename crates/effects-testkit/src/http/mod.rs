//! [`ScriptedServer`] (`server.rs`): an HTTP server on this machine for tests: it answers, delays, cuts off
//! or resets each request as the next [`Behaviour`] (`behaviour.rs`) of its script says, and keeps each
//! request as a [`ReceivedRequest`] (`request.rs`). Tests of the command, of the Rust and Python clients
//! and of this crate start it in place of the service, a picture host, a proxy or a webhook's receiver.
//!
//! It listens on an ephemeral loopback port, does with each request what the script
//! says next, and keeps every request it saw. It is plain `std::net` on threads, because a server
//! made of an HTTP library would refuse to do most of what a [`Behaviour`] describes.
//!
//! ```
//! use std::io::{Read, Write};
//! use effects_testkit::http::{Behaviour, Response, ScriptedServer};
//!
//! let server = ScriptedServer::start()?;
//! server.on("POST", "/model/v1/generation", [Response::json(r#"{"id":"task-1"}"#)]);
//! server.then(Behaviour::Close);
//!
//! // Any client would do; this one is written by hand.
//! let mut client = std::net::TcpStream::connect(server.address())?;
//! client.write_all(b"POST /model/v1/generation HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")?;
//! let mut answer = [0; 15];
//! client.read_exact(&mut answer)?;
//! assert_eq!(&answer, b"HTTP/1.1 200 OK");
//!
//! let requests = server.requests();
//! assert_eq!((requests[0].method.as_str(), &requests[0].body[..]), ("POST", &b"{}"[..]));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! On the wire:
//!
//! | behaviour | on the wire |
//! |---|---|
//! | [`Behaviour::Close`] | the whole request is read, then the connection ends in order (FIN) |
//! | [`Behaviour::Reset`] | the whole request arrives, then the connection is reset (RST) |
//! | [`Behaviour::Early`] | the answer, if any, before the request is whole, then FIN or RST |
//! | [`Behaviour::RespondThenReset`] | an answer, and a reset as the next request comes |
//! | [`Behaviour::Truncate`] | a promised length, fewer bytes, the end |
//! | [`Behaviour::Hang`] | nothing, until [`release`](ScriptedServer::release) or the client's own limit |
//! | [`unused_address`] | no socket listens on it: the connection is refused |

mod behaviour;
mod connection;
mod request;
mod script;
mod server;

pub use crate::response::{ConnectionAfter, Framing, Response};
pub use behaviour::{Behaviour, ConnectionEnd, Decide};
pub use request::ReceivedRequest;
pub use server::{ScriptedServer, unused_address};
