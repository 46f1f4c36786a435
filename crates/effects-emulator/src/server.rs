//! [`serve`]: accepts connections and answers the HTTP requests on them until it is told to stop.
//! The emulator's runtime thread (`runtime_thread.rs`) runs it.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::clock::millis;
use crate::faults::Cut;
use crate::isolation::IsolatedEmulators;
use crate::middleware::Mark;
use crate::options::Limits;
use crate::socket::{ConnectionState, Socket};

/// Serves until `stop` says so, then lets the exchanges under way come to their ends.
pub(crate) async fn serve(
    listener: TcpListener,
    worlds: IsolatedEmulators,
    limits: &Limits,
    mut stop: watch::Receiver<bool>,
) {
    // At least one: with a limit of 0 no connection would ever be served.
    let places = Arc::new(Semaphore::new(limits.connections.max(1)));
    let mut connections = JoinSet::new();
    // Weak, so that the list does not keep alive the state of connections that have ended.
    let mut lines: Vec<Weak<ConnectionState>> = Vec::new();
    loop {
        let accepted = tokio::select! {
            () = stop_requested(&mut stop) => break,
            accepted = accept(&listener, &places, &lines) => accepted,
        };
        // A `JoinSet` keeps its finished tasks until they are joined.
        while connections.try_join_next().is_some() {}
        // At most `connections` of them are alive, so a clean-up removes about half of the list:
        // over many connections it costs each a constant.
        if lines.len() > 2 * limits.connections {
            lines.retain(|line| line.strong_count() > 0);
        }
        let Some((stream, place)) = accepted else { continue };
        let line = Arc::new(ConnectionState::new());
        lines.push(Arc::downgrade(&line));
        let (worlds, stop, limits) = (worlds.clone(), stop.clone(), limits.clone());
        connections.spawn(async move {
            converse(stream, line, &worlds, &limits, stop).await;
            // Dropped inside the task, which owns the place until its connection has ended.
            drop(place);
        });
    }
    // From here on new connections are refused, while those under way come to their ends.
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    lines: &[Weak<ConnectionState>],
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    match listener.accept().await {
        Ok((stream, _)) => {
            if let Ok(place) = places.clone().try_acquire_owned() {
                return Some((stream, place));
            }
            // It is accepted and waits, instead of being refused. Meanwhile further ones wait in
            // the system's backlog.
            Some((stream, place_of_another(places, lines).await?))
        }
        Err(error) => {
            // A client that is gone already needs no answer. Anything else, such as a lack of
            // file descriptors, passes when other connections end.
            if error.kind() != io::ErrorKind::ConnectionAborted {
                give_up_longest(lines);
                tokio::time::sleep(OUT_OF_RESOURCES).await;
            }
            None
        }
    }
}

/// A place that becomes free: another connection ends, or the one makes way that has kept an
/// exchange waiting for the longest time and has never carried an accepted key.
async fn place_of_another(
    places: &Arc<Semaphore>,
    lines: &[Weak<ConnectionState>],
) -> Option<OwnedSemaphorePermit> {
    loop {
        tokio::select! {
            place = places.clone().acquire_owned() => return place.ok(),
            () = tokio::time::sleep(BETWEEN_SEARCHES) => {}
        }
        if give_up_longest(lines) {
            // Connections are accepted one at a time, so no other takes the place that becomes
            // free.
            return places.clone().acquire_owned().await.ok();
        }
    }
}

/// Gives up the connection that has said nothing for the longest time, if its client is unknown and
/// had the time to say something.
fn give_up_longest(lines: &[Weak<ConnectionState>]) -> bool {
    let lines = lines.iter().filter_map(Weak::upgrade);
    let idle = lines.filter_map(|line| Some((line.idle_and_unknown()?, line)));
    let longest = idle.max_by_key(|(idle, _)| *idle);
    // `give_up` fails if a request has come over the connection since it was looked at.
    longest.is_some_and(|(idle, line)| idle >= millis(TIME_TO_ASK) && line.give_up())
}

/// All exchanges of one connection.
async fn converse(
    stream: TcpStream,
    line: Arc<ConnectionState>,
    worlds: &IsolatedEmulators,
    limits: &Limits,
    mut stop: watch::Receiver<bool>,
) {
    // Without this an answer may wait for the acknowledgement of the one before. A connection that
    // refuses the option works all the same.
    let _ = stream.set_nodelay(true);
    let socket = Socket::new(stream, Arc::clone(&line));
    let heard = &line;
    let service = service_fn(|request: http::Request<Incoming>| async move {
        let Some(_busy) = heard.busy() else {
            // The connection was given up at this moment, and ends without an answer.
            return std::future::pending().await;
        };
        let response = worlds.answer(request).await;
        // Marked before the answer is handed to hyper: the mark decides how the connection ends
        // after it.
        heard.mark(response.extensions().get::<Mark>().copied().unwrap_or_default());
        if let Some(cut) = response.extensions().get::<Cut>() {
            // The `select` below sees the cut and ends the connection, which drops this future.
            heard.cut(*cut == Cut::Reset);
            std::future::pending::<()>().await;
        }
        Ok::<_, Infallible>(response)
    });
    let connection = http1::Builder::new()
        .max_buf_size(MOST_HEAD)
        .serve_connection(TokioIo::new(socket), service);
    tokio::pin!(connection);
    // An error here means that the client ended the connection, which needs no action.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = line.was_cut() => {}
        () = line.is_idle(limits.request_time) => {}
        () = stop_requested(&mut stop) => {
            // A client that still sends what was refused would hold up the stop.
            line.hurry();
            // hyper ends an idle connection at once, and another after the exchange under way.
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                _ = connection.as_mut() => {}
                () = line.was_cut() => {}
                // What takes longer is cut off when this future, and the connection with it, is
                // dropped.
                () = tokio::time::sleep(limits.stop_time) => {}
            }
        }
    }
}

/// Waits until `stop` says so. A dropped sender counts as that.
async fn stop_requested(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Bytes of a request's head; a longer one is answered 431.
const MOST_HEAD: usize = 64 * 1024;

// `accept` fails at once for as long as descriptors are lacking: without a pause the loop would
// spin.
const OUT_OF_RESOURCES: Duration = Duration::from_millis(50);

/// How long a connection has to come to the end of a request's head before it makes way, if there
/// is no place for another.
const TIME_TO_ASK: Duration = Duration::from_secs(1);

/// How often one is looked for that has had this time.
const BETWEEN_SEARCHES: Duration = Duration::from_millis(50);
