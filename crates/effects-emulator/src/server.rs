//! Accepting connections and answering on them, until told to stop.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::faults::Cut;
use crate::options::Limits;
use crate::socket::{Line, Socket};
use crate::surfaces::Surfaces;

/// Serves until `stop` says so, then lets the exchanges under way come to their ends.
pub(crate) async fn serve(
    listener: TcpListener,
    surfaces: Surfaces,
    limits: &Limits,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(limits.connections.max(1)));
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = told(&mut stop) => break,
            accepted = accept(&listener, &places) => accepted,
        };
        while connections.try_join_next().is_some() {}
        let Some((stream, place)) = stream else { continue };
        let (surfaces, stop, limits) = (surfaces.clone(), stop.clone(), limits.clone());
        connections.spawn(async move {
            converse(stream, &surfaces, &limits, stop).await;
            drop(place);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The next connection, once there is room for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            // A client that is gone already is nobody's loss. Anything else, such as a lack of
            // file descriptors, passes when other connections end.
            if error.kind() != io::ErrorKind::ConnectionAborted {
                tokio::time::sleep(OUT_OF_RESOURCES).await;
            }
            None
        }
    }
}

/// All exchanges of one connection.
async fn converse(
    stream: TcpStream,
    surfaces: &Surfaces,
    limits: &Limits,
    mut stop: watch::Receiver<bool>,
) {
    // Without this an answer may wait for the acknowledgement of the one before. A connection that
    // refuses the option works all the same.
    let _ = stream.set_nodelay(true);
    let line = Arc::new(Line::new());
    let socket = Socket { stream, line: Arc::clone(&line) };
    let heard = &line;
    let service = service_fn(|request: http::Request<Incoming>| async move {
        let _busy = heard.busy();
        let response = surfaces.answer(request).await;
        if let Some(cut) = response.extensions().get::<Cut>() {
            // The conversation ends when it hears of it, and this future with it.
            heard.cut(*cut == Cut::Reset);
            std::future::pending::<()>().await;
        }
        Ok::<_, Infallible>(response)
    });
    let connection = http1::Builder::new()
        .max_buf_size(MOST_HEAD)
        .serve_connection(TokioIo::new(socket), service);
    tokio::pin!(connection);
    // How a conversation ends is the client's to tell: here an error changes nothing.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = line.was_cut() => {}
        () = line.is_idle(limits.request_time) => {}
        () = told(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                _ = connection.as_mut() => {}
                () = line.was_cut() => {}
                () = tokio::time::sleep(limits.stop_time) => {}
            }
        }
    }
}

/// Waits until `stop` says so. Whoever could say it being gone says it too.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Bytes of a request's head; a longer one is answered 431.
const MOST_HEAD: usize = 64 * 1024;

const OUT_OF_RESOURCES: Duration = Duration::from_millis(50);
