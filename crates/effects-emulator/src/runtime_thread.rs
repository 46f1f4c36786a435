//! [`RuntimeThread`]: the thread that an emulator runs in, with a Tokio runtime of its own: it runs the
//! HTTP server (`server.rs`) until the emulator stops, goes on with the tasks that a restart
//! interrupted, and removes files that are too old. `EmulatorBuilder::start` spawns it, and returns
//! once it listens.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;

use crate::file_store::FILES_AT_ONCE;
use crate::isolation::IsolatedEmulators;
use crate::photo::MAX_LOOKUPS;
use crate::state::EmulatorState;
use crate::store::RestoredTask;
use crate::{lifecycle, server};

/// What the thread begins with.
pub(crate) struct RuntimeThread {
    pub(crate) state: Arc<EmulatorState>,
    pub(crate) listener: TcpListener,
    /// Tasks to go on with.
    pub(crate) unfinished: Vec<RestoredTask>,
    pub(crate) stopped: watch::Receiver<bool>,
}

impl RuntimeThread {
    /// The thread makes the runtime and lets it go, since none may be let go of within another.
    pub(crate) fn spawn(self) -> io::Result<(JoinHandle<()>, Handle)> {
        let (ready, started) = std::sync::mpsc::channel();
        let run = move || match self.listen() {
            // The receiver is gone only if the starting thread is, and then the server ends too.
            Err(error) => drop(ready.send(Err(error))),
            Ok((runtime, listener)) => {
                let _ = ready.send(Ok(runtime.handle().clone()));
                let rest = self.state.options.limits.stop_time;
                runtime.block_on(self.serve(listener));
                // Another emulator in the same folder must find it free. A painting that takes longer
                // ends on its own, unseen.
                runtime.shutdown_timeout(rest);
            }
        };
        let thread = std::thread::Builder::new().name(THREAD.to_owned());
        let thread = thread.spawn(run)?;
        let gone = |_| io::Error::other("the server's thread ended at once");
        // A start returns only once the runtime is up and listens, or with the reason why it does
        // not.
        let runtime = started.recv().map_err(gone).and_then(|word| word)?;
        Ok((thread, runtime))
    }

    fn listen(&self) -> io::Result<(Runtime, tokio::net::TcpListener)> {
        let runtime = runtime(self.state.options.limits.renders)?;
        // `from_std` registers with the runtime that is entered, and panics without one.
        let entered = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(self.listener.try_clone()?)?;
        drop(entered);
        Ok((runtime, listener))
    }

    async fn serve(self, listener: tokio::net::TcpListener) {
        // A copy of this listener serves. The original, kept open, would hold the port after a
        // stop.
        drop(self.listener);
        let state = self.state;
        let (again, unfinished) = (Arc::clone(&state), self.unfinished);
        // Beside the server: resumed tasks wait for places in the queue, and requests come
        // meanwhile.
        tokio::spawn(async move {
            for task in unfinished {
                lifecycle::resume(&again, task).await;
            }
        });
        let emulators = IsolatedEmulators::new(&state);
        let swept = emulators.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP_INTERVAL).await;
                swept.sweep();
            }
        });
        server::serve(listener, emulators, &state.options.limits, self.stopped).await;
    }
}

/// The runtime of an emulator that paints so many pictures at once.
pub(crate) fn runtime(renders: usize) -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(
            std::thread::available_parallelism().map_or(1, usize::from).min(MAX_WORKERS),
        )
        // None of the three takes more than its share, so that each finds a thread at once.
        .max_blocking_threads(renders.max(1) + MAX_LOOKUPS + FILES_AT_ONCE)
        .thread_name(THREAD)
        .enable_all()
        .build()
}

const THREAD: &str = "effects-emulator";

/// How often files that are too old are looked for, beside whenever one is kept.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// Threads that answer requests: each answers some ten thousand a second.
const MAX_WORKERS: usize = 4;
