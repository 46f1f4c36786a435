//! [`ScriptedServer`]: an HTTP server on a loopback port that does with each request the next [`Behaviour`]
//! a test has scripted, and records the requests it received. Tests of the Rust and Python clients, of the
//! command and of this crate start it; [`unused_address`] gives them an address where connections are
//! refused.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::behaviour::Behaviour;
use super::connection;
use super::request::ReceivedRequest;
use super::script::{ScriptRoute, ServerScript};

/// A server on an ephemeral loopback port that follows a script; see the
/// [module](super) for an example.
///
/// A request takes its behaviour from the script of its method and path ([`on`](Self::on)); if
/// there is none or it is used up, from the common script ([`then`](Self::then)); if that is used
/// up, from [`otherwise`](Self::otherwise), which begins as HTTP 404.
///
/// Dropping it ends every connection and every thread.
#[derive(Debug)]
pub struct ScriptedServer {
    address: SocketAddr,
    shared: Arc<ServerScript>,
    accepting: Option<JoinHandle<()>>,
}

impl ScriptedServer {
    /// Listens.
    ///
    /// # Errors
    ///
    /// Whatever keeps this machine from listening on its loopback address.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(ServerScript::default());
        let accepting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || accept(&listener, &shared))
        };
        Ok(Self { address, shared, accepting: Some(accepting) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, without a slash at its end.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of a path on it.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url())
    }

    /// Adds to the script of one method and path. A path that ends in `*` stands for every path
    /// that begins like it; the query does not count.
    pub fn on<B: Into<Behaviour>>(
        &self,
        method: &str,
        path: &str,
        behaviours: impl IntoIterator<Item = B>,
    ) {
        let behaviours = behaviours.into_iter().map(Into::into);
        let mut state = self.shared.lock();
        let found = state.routes.iter_mut().find(|r| r.method == method && r.path == path);
        match found {
            Some(route) => route.script.extend(behaviours),
            None => state.routes.push(ScriptRoute {
                method: method.to_owned(),
                path: path.to_owned(),
                script: behaviours.collect(),
            }),
        }
    }

    /// Adds to the common script.
    pub fn then(&self, behaviour: impl Into<Behaviour>) {
        self.shared.lock().script.push_back(behaviour.into());
    }

    /// What to do with every request that no script is left for.
    pub fn otherwise(&self, behaviour: impl Into<Behaviour>) {
        self.shared.lock().otherwise = behaviour.into();
    }

    /// Every request so far, in the order in which they were whole.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.lock().requests.clone()
    }

    /// The requests so far, once there are `count` of them or the limit is over.
    pub fn wait_for_requests(&self, count: usize, limit: Duration) -> Vec<ReceivedRequest> {
        let until = Instant::now() + limit;
        let mut state = self.shared.lock();
        while state.requests.len() < count {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.shared.wait(state, left);
        }
        state.requests.clone()
    }

    /// How many connections were opened so far.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// Lets go of every request that hangs now: their connections are closed.
    pub fn release(&self) {
        self.shared.lock().releases += 1;
        self.shared.changed.notify_all();
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        // Under the lock: a connection that is accepted from
        // now on is dropped, and every one before is in `open`.
        state.stopping = true;
        for stream in state.open.values() {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        // The threads need the lock to end.
        drop(state);
        self.shared.changed.notify_all();
        // `accept` has no time limit, so it is woken by what it waits for.
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(accepting) = self.accepting.take()
            && woken
        {
            // A panic of a connection's thread was printed where it happened.
            let _ = accepting.join();
        }
    }
}

/// An address on this machine where no program listens: connections to it are refused.
///
/// Its port is the system's to give to none: one that was free a moment ago may be the next test's
/// server, which would get the requests that this test means to fail.
pub fn unused_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, TCPMUX))
}

/// Below the ports that the system gives out, and served by no program of today.
const TCPMUX: u16 = 1;

/// The server's handle of a connection, given up when the connection's thread ends, by a panic
/// too: the socket is closed with the last handle.
struct OpenConnection<'a> {
    shared: &'a ServerScript,
    index: usize,
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.shared.lock().open.remove(&self.index);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<ServerScript>) {
    let mut threads = Vec::new();
    for stream in listener.incoming() {
        let mut state = shared.lock();
        if state.stopping {
            break;
        }
        let Ok(stream) = stream else { continue };
        let index = state.connections;
        state.connections += 1;
        // A second handle of the socket: by it `drop` ends a thread that waits in a read.
        if let Ok(handle) = stream.try_clone() {
            state.open.insert(index, handle);
        }
        drop(state);
        let shared = Arc::clone(shared);
        threads.push(thread::spawn(move || {
            let _open = OpenConnection { shared: &shared, index };
            connection::serve(&mut &stream, index, &shared);
        }));
    }
    // Joined, so that no thread of this server runs on into the next test.
    for thread in threads {
        // A panic was printed where it happened.
        let _ = thread.join();
    }
}
