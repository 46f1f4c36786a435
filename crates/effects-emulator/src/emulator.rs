//! [`Emulator`] and [`EmulatorBuilder`]: an emulator inside this process, with threads of its own, which a
//! program starts, scripts, inspects and stops; [`StartError`]: why it did not start. Rust tests, examples
//! and benchmarks start one, and so do the Python package (`python/rust/emulator.rs`), `serve` (`effects
//! emulator`), and the commands with `--emulator` (`gateway.rs` of `effects-cli`).

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rust_decimal::Decimal;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::bad_option::BadOption;
use crate::clock::{ClockIsReal, ClockKind};
use crate::endpoint::Endpoint;
use crate::faults::{BadPlan, Fault, FaultPlan, MAX_SCRIPTED, Script};
use crate::inspection::{self, SeenTask};
use crate::latency::Latency;
use crate::options::{Dialect, Options, Pictures, Validation};
use crate::painter::{LocalPainter, Painter};
use crate::private;
use crate::record::Counts;
use crate::runtime_thread::RuntimeThread;
use crate::seen_request::SeenRequest;
use crate::state::{EmulatorState, Keep};
use crate::store::{self, StoreError};

/// A gateway on this machine, running until it is dropped.
///
/// It has threads and a runtime of its own, so it starts the same from blocking code and from
/// within any async runtime.
///
/// ```
/// use effects_emulator::Emulator;
///
/// let emulator = Emulator::start()?;
/// assert!(emulator.base_url().starts_with("http://127.0.0.1:"));
/// println!("EFFECTS_BASE_URL={} EFFECTS_API_KEY={}", emulator.base_url(), emulator.api_key());
/// # Ok::<(), effects_emulator::StartError>(())
/// ```
pub struct Emulator {
    state: Arc<EmulatorState>,
    runtime: Handle,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    process: u32,
}

impl Emulator {
    /// Starts an emulator on a free loopback port, with a fresh key, in memory.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the machine has no port or no thread to give.
    pub fn start() -> Result<Self, StartError> {
        Self::builder().start()
    }

    /// An emulator to be set up before it starts.
    pub fn builder() -> EmulatorBuilder {
        EmulatorBuilder::from(Options::default())
    }

    /// Where it answers: scheme, host and port, without a slash at the end.
    pub fn base_url(&self) -> &str {
        self.state.origin()
    }

    /// The key it accepts.
    pub fn api_key(&self) -> &str {
        self.state.keys.own()
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.state.address()
    }

    /// Moves a virtual clock on, and waits for the paintings of the tasks that are due by then.
    ///
    /// It blocks this thread until they are done.
    ///
    /// # Errors
    ///
    /// [`ClockIsReal`] when the emulator lives by the machine's clock.
    pub fn advance(&self, by: Duration) -> Result<(), ClockIsReal> {
        // Spawned, with a blocking channel for the answer: the caller may be inside a runtime of
        // its own, where `block_on` would panic.
        let (state, (done, word)) = (Arc::clone(&self.state), std::sync::mpsc::channel());
        self.runtime.spawn(async move {
            // The receiver waits below.
            let _ = done.send(state.advance(by).await);
        });
        // The channel closes without an answer only when the runtime is gone, and the paintings
        // with it.
        word.recv().unwrap_or(Ok(0)).map(drop)
    }

    /// Scripts what the next requests of an endpoint meet, after those scripted before; `None` is
    /// nothing amiss.
    ///
    /// # Errors
    ///
    /// [`BadPlan`] when one of them cannot happen at this endpoint, or there are more than 100,000;
    /// none is scripted then.
    pub fn next(
        &self,
        on: Endpoint,
        faults: impl IntoIterator<Item = Option<Fault>>,
    ) -> Result<(), BadPlan> {
        // The iterator may be endless: one fault more than is allowed is taken, which is refused.
        let faults = faults.into_iter().take(MAX_SCRIPTED + 1);
        self.state.faults.script(Script::on(on, faults))
    }

    /// Follows another plan of faults from its beginning.
    ///
    /// # Errors
    ///
    /// [`BadPlan`] when it cannot be followed; the old one holds then.
    pub fn follow(&self, plan: FaultPlan) -> Result<(), BadPlan> {
        plan.check()?;
        self.state.faults.follow(plan);
        Ok(())
    }

    /// Every request seen, oldest first, the key redacted.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.state.requests(0)
    }

    /// Every task accepted, newest first.
    pub fn tasks(&self) -> Vec<SeenTask> {
        inspection::tasks(&self.state)
    }

    /// How often each create was accepted.
    pub fn counts(&self) -> Counts {
        self.state.record.counts()
    }

    /// What its pictures have cost, in USD.
    pub fn spent(&self) -> Decimal {
        self.state.spending.spent()
    }

    /// Begins anew: forgets every task, file and request, what was spent and what was scripted,
    /// follows the plan of faults it was started with, and has a virtual clock show the machine's
    /// time again. Its address and its key stay.
    pub fn reset(&self) {
        self.state.reset(&[]);
    }

    /// The same, but keeps what is named.
    ///
    /// ```
    /// use effects_emulator::{Emulator, Keep};
    ///
    /// let emulator = Emulator::start()?;
    /// emulator.reset_but(&[Keep::Plan, Keep::Clock]);
    /// # Ok::<(), effects_emulator::StartError>(())
    /// ```
    pub fn reset_but(&self, keep: &[Keep]) {
        self.state.reset(keep);
    }

    /// What is scripted and was not met by a request yet: a test can assert that there is none.
    pub fn scripted(&self) -> Vec<Script> {
        // The key is given so that a script which names it is shown redacted.
        self.state.faults.scripts(self.api_key())
    }

    /// Scripts requests of one template or key: [`next`](Self::next) with more to choose by.
    ///
    /// # Errors
    ///
    /// [`BadPlan`], as [`next`](Self::next).
    pub fn script(&self, script: Script) -> Result<(), BadPlan> {
        self.state.faults.script(script)
    }

    /// What the person who started it should know: that other machines can reach it, say.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let address = self.address();
        if !address.ip().is_loopback() {
            warnings.push(format!(
                "listening on {address}: other machines can reach this emulator, and it fetches \
                 photos for every client that has its key"
            ));
        }
        let folder = self.state.options.data_dir.as_deref();
        // The database holds the key, and the names of the files open them to everybody who knows
        // them.
        for path in folder.map(|at| [store::database(at), store::files(at)]).into_iter().flatten() {
            if private::is_open_to_others(&path) {
                warnings.push(format!(
                    "other users of this machine can look into {}, where the emulator keeps what is \
                     not for them: give it a folder that holds nothing else",
                    path.display()
                ));
            }
        }
        warnings
    }

    /// Stops it, from any thread: no new connections, exchanges under way come to their ends within
    /// [`Limits::stop_time`](crate::Limits::stop_time), paintings within another. Its port and its
    /// folder are free then. Dropping it does the same; in a process forked from the one that
    /// started it, neither does anything.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // The threads live in the process that started them. A forked one has a copy of this, and
        // would wait for ever; it starts an emulator of its own if it needs one.
        if self.process != std::process::id() {
            return;
        }
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic of the server's was printed when it happened; a drop must not add another.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("base_url", &self.base_url()).finish_non_exhaustive()
    }
}

/// Sets an emulator up. Every method sets the field of [`Options`] of the same name.
#[derive(Clone)]
pub struct EmulatorBuilder {
    options: Options,
    painter: Arc<dyn Painter>,
}

impl From<Options> for EmulatorBuilder {
    fn from(options: Options) -> Self {
        Self { options, painter: Arc::new(LocalPainter) }
    }
}

impl EmulatorBuilder {
    /// Changes any option, for those without a method of their own.
    #[must_use]
    pub fn options(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    /// The port to listen on; 0 takes any free one.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        self.options(|options| options.port = port)
    }

    /// The key to accept, in place of a fresh one.
    #[must_use]
    pub fn api_key(self, key: impl Into<String>) -> Self {
        self.options(|options| options.api_key = Some(key.into()))
    }

    /// The folder to keep tasks, files and spend in.
    #[must_use]
    pub fn data_dir(self, folder: impl Into<PathBuf>) -> Self {
        self.options(|options| options.data_dir = Some(folder.into()))
    }

    /// How long tasks take beyond their painting.
    #[must_use]
    pub fn latency(self, latency: Latency) -> Self {
        self.options(|options| options.latency = latency)
    }

    /// What goes wrong.
    #[must_use]
    pub fn faults(self, plan: FaultPlan) -> Self {
        self.options(|options| options.faults = plan)
    }

    /// The clock tasks live by.
    #[must_use]
    pub fn clock(self, clock: ClockKind) -> Self {
        self.options(|options| options.clock = clock)
    }

    /// Painted pictures or one constant picture.
    #[must_use]
    pub fn pictures(self, pictures: Pictures) -> Self {
        self.options(|options| options.pictures = pictures)
    }

    /// How answers are spelt.
    #[must_use]
    pub fn dialect(self, dialect: Dialect) -> Self {
        self.options(|options| options.dialect = dialect)
    }

    /// Where a request with bad parameters fails.
    #[must_use]
    pub fn validation(self, validation: Validation) -> Self {
        self.options(|options| options.validation = validation)
    }

    /// Whether a test card stands in for a photo that cannot be fetched.
    #[must_use]
    pub fn placeholder(self, placeholder: bool) -> Self {
        self.options(|options| options.placeholder = placeholder)
    }

    /// Who paints, in place of the local renderer.
    #[must_use]
    pub fn painter(mut self, painter: impl Painter) -> Self {
        self.painter = Arc::new(painter);
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// [`StartError`] when an option or the plan cannot be followed, the address cannot be listened
    /// on, the folder cannot be used, or the machine has no thread to give.
    pub fn start(self) -> Result<Emulator, StartError> {
        // What is wrong with options and plan is said before a port and a folder are taken.
        self.options.check().map_err(StartError::Option)?;
        self.options.faults.check().map_err(StartError::Faults)?;
        let wanted = SocketAddr::new(self.options.host, self.options.port);
        let listen = |source| StartError::Listen { address: wanted, source };
        // Bound on this thread, so that a port in use is an error of this call.
        let listener = TcpListener::bind(wanted).map_err(listen)?;
        // Tokio takes over only a listener that does not block.
        listener.set_nonblocking(true).map_err(listen)?;
        // Asked for again: port 0 has become a free one.
        let address = listener.local_addr().map_err(listen)?;
        let (stop, stopped) = watch::channel(false);
        // For the words of an error alone. Without a folder no store is opened, so the empty path
        // is never shown.
        let folder = self.options.data_dir.clone().unwrap_or_default();
        let opened = EmulatorState::open(self.options, address, self.painter, stopped.clone());
        let (state, unfinished) = opened.map_err(|source| StartError::Store { folder, source })?;
        let state = Arc::new(state);
        let host = RuntimeThread { state: Arc::clone(&state), listener, unfinished, stopped };
        let (thread, runtime) = host.spawn().map_err(StartError::Threads)?;
        Ok(Emulator { state, runtime, stop, thread: Some(thread), process: std::process::id() })
    }
}

impl fmt::Debug for EmulatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmulatorBuilder").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Why an emulator did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// An option cannot be.
    #[error("{0}")]
    Option(#[source] BadOption),
    /// The plan of faults cannot be followed.
    #[error("{0}")]
    Faults(#[source] BadPlan),
    /// The folder cannot be used.
    #[error("cannot keep state in {}: {source}", folder.display())]
    Store {
        /// The folder asked for.
        folder: PathBuf,
        /// What is in the way.
        source: StoreError,
    },
    /// The machine has no thread to give.
    #[error("cannot start the emulator's threads: {0}")]
    Threads(#[source] io::Error),
}
