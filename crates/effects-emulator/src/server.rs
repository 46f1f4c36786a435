//! [`serve`]: the HTTP server of an emulator: accepts connections up to a limit, has
//! `IsolatedEmulators` answer the requests on each, and at a stop lets the exchanges under way end.
//! Where the limit is reached, it closes the connection that was idle for the longest time and never
//! brought an accepted key. The emulator's runtime thread (`runtime_thread.rs`) runs it.

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
use crate::middleware::AnsweredRequest;
use crate::options::Limits;
use crate::socket::{ConnectionState, Socket};

/// Serves until `stop` says so, then lets the exchanges under way come to their ends.
pub(crate) async fn serve(
    listener: TcpListener,
    emulators: IsolatedEmulators,
    limits: &Limits,
    mut stop: watch::Receiver<bool>,
) {
    // At least one: with a limit of 0 no connection would ever be served.
    let connection_permits = Arc::new(Semaphore::new(limits.connections.max(1)));
    let mut connections = JoinSet::new();
    // Weak, so that the list does not keep alive the state of connections that have ended.
    let mut states: Vec<Weak<ConnectionState>> = Vec::new();
    loop {
        let accepted = tokio::select! {
            () = stop_requested(&mut stop) => break,
            accepted = accept(&listener, &connection_permits, &states) => accepted,
        };
        // A `JoinSet` keeps its finished tasks until they are joined.
        while connections.try_join_next().is_some() {}
        // At most `connections` of them are alive, so a clean-up removes about half of the list:
        // over many connections it costs each a constant.
        if states.len() > 2 * limits.connections {
            states.retain(|state| state.strong_count() > 0);
        }
        let Some((stream, permit)) = accepted else { continue };
        let state = Arc::new(ConnectionState::new());
        states.push(Arc::downgrade(&state));
        let (emulators, stop, limits) = (emulators.clone(), stop.clone(), limits.clone());
        connections.spawn(async move {
            serve_connection(stream, state, &emulators, &limits, stop).await;
            // Dropped inside the task, which owns the permit until its connection has ended.
            drop(permit);
        });
    }
    // From here on new connections are refused, while those under way come to their ends.
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The next connection, once there is a permit for it.
async fn accept(
    listener: &TcpListener,
    connection_permits: &Arc<Semaphore>,
    states: &[Weak<ConnectionState>],
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    match listener.accept().await {
        Ok((stream, _)) => {
            if let Ok(permit) = connection_permits.clone().try_acquire_owned() {
                return Some((stream, permit));
            }
            // It is accepted and waits, instead of being refused. Meanwhile further ones wait in
            // the system's backlog.
            Some((stream, wait_for_permit(connection_permits, states).await?))
        }
        Err(error) => {
            // A client that is gone already needs no answer. Anything else, such as a lack of
            // file descriptors, passes when other connections end.
            if error.kind() != io::ErrorKind::ConnectionAborted {
                close_longest_idle(states);
                tokio::time::sleep(ACCEPT_RETRY_PAUSE).await;
            }
            None
        }
    }
}

/// A permit that becomes free: another connection ends, or the one makes way that has kept an
/// exchange waiting for the longest time and has never carried an accepted key.
async fn wait_for_permit(
    connection_permits: &Arc<Semaphore>,
    states: &[Weak<ConnectionState>],
) -> Option<OwnedSemaphorePermit> {
    loop {
        tokio::select! {
            permit = connection_permits.clone().acquire_owned() => return permit.ok(),
            () = tokio::time::sleep(SEARCH_INTERVAL) => {}
        }
        if close_longest_idle(states) {
            // Connections are accepted one at a time, so no other takes the permit that becomes
            // free.
            return connection_permits.clone().acquire_owned().await.ok();
        }
    }
}

/// Gives up the connection that has said nothing for the longest time, if its client is unknown and
/// had the time to say something.
fn close_longest_idle(states: &[Weak<ConnectionState>]) -> bool {
    let states = states.iter().filter_map(Weak::upgrade);
    let idle = states.filter_map(|state| Some((state.idle_and_unknown()?, state)));
    let longest = idle.max_by_key(|(idle, _)| *idle);
    // `give_up` fails if a request has come over the connection since it was looked at.
    longest.is_some_and(|(idle, state)| idle >= millis(REQUEST_HEAD_TIME) && state.give_up())
}

/// All exchanges of one connection.
async fn serve_connection(
    stream: TcpStream,
    state: Arc<ConnectionState>,
    emulators: &IsolatedEmulators,
    limits: &Limits,
    mut stop: watch::Receiver<bool>,
) {
    // Without this an answer may wait for the acknowledgement of the one before. A connection that
    // refuses the option works all the same.
    let _ = stream.set_nodelay(true);
    let socket = Socket::new(stream, Arc::clone(&state));
    let exchange_state = &state;
    let service = service_fn(|request: http::Request<Incoming>| async move {
        let Some(_busy) = exchange_state.begin_exchange() else {
            // The connection was given up at this moment, and ends without an answer.
            return std::future::pending().await;
        };
        let response = emulators.answer(request).await;
        // Noted before the answer is handed to hyper: it decides how the connection ends
        // after it.
        exchange_state.note_answered(
            response.extensions().get::<AnsweredRequest>().copied().unwrap_or_default(),
        );
        if let Some(cut) = response.extensions().get::<Cut>() {
            // The `select` below sees the cut and ends the connection, which drops this future.
            exchange_state.cut(*cut == Cut::Reset);
            std::future::pending::<()>().await;
        }
        Ok::<_, Infallible>(response)
    });
    let connection = http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(socket), service);
    tokio::pin!(connection);
    // An error here means that the client ended the connection, which needs no action.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = state.wait_for_cut() => {}
        () = state.wait_until_idle(limits.request_time) => {}
        () = stop_requested(&mut stop) => {
            // A client that still sends what was refused would hold up the stop.
            state.stop_discarding();
            // hyper ends an idle connection at once, and another after the exchange under way.
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                _ = connection.as_mut() => {}
                () = state.wait_for_cut() => {}
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
const MAX_HEAD_BYTES: usize = 64 * 1024;

// `accept` fails at once for as long as descriptors are lacking: without a pause the loop would
// spin.
const ACCEPT_RETRY_PAUSE: Duration = Duration::from_millis(50);

/// How long a connection has to come to the end of a request's head before it makes way, if there
/// is no permit for another.
const REQUEST_HEAD_TIME: Duration = Duration::from_secs(1);

/// How often one is looked for that has had this time.
const SEARCH_INTERVAL: Duration = Duration::from_millis(50);
