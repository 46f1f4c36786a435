//! [`EmulatorState`]: everything that one emulator has: options, tasks, files, faults, money, clock,
//! request record, render queue, and the store if it has a folder. `Emulator`, the middleware, all
//! handlers, the lifecycle of tasks and the painting jobs share it; each isolated key has a state of
//! its own. [`Keep`]: what a reset, by a Rust or Python test or by the control API, leaves as it is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use effects_core::Template;
use http::HeaderMap;
use http::header::HOST;
use http::uri::Authority;
use rust_decimal::Decimal;
use serde::Deserialize;
use tokio::sync::watch;

use crate::auth::ApiKeys;
use crate::body::BodyMemory;
use crate::changes::Changes;
use crate::clock::{ClockIsReal, EmulatorClock, millis};
use crate::faults::{FaultInjector, FaultPlan};
use crate::file_store::{Change, FileStore};
use crate::ids;
use crate::options::Options;
use crate::painter::Painter;
use crate::record::RequestRecord;
use crate::render_queue::RenderQueue;
use crate::seen_request::SeenRequest;
use crate::session::PageSession;
use crate::spending::{Movement, Spending};
use crate::store::{self, EmulatorStore, Restored, RestoredTask, StoreEntry, StoreError};
use crate::task::{EmulatedTask, WorkStage};
use crate::tasks::Tasks;
use crate::wire::task::AnswerContext;

/// The state of one emulator.
pub(crate) struct EmulatorState {
    pub(crate) options: Options,
    pub(crate) keys: ApiKeys,
    pub(crate) clock: EmulatorClock,
    pub(crate) tasks: Tasks,
    pub(crate) files: FileStore,
    pub(crate) renders: RenderQueue,
    pub(crate) faults: FaultInjector,
    pub(crate) record: RequestRecord,
    pub(crate) spending: Spending,
    pub(crate) store: Option<EmulatorStore>,
    pub(crate) bodies: BodyMemory,
    pub(crate) changes: Changes,
    pub(crate) session: PageSession,
    address: SocketAddr,
    origin: String,
    cost: String,
    accepted: AtomicU64,
    stop: watch::Receiver<bool>,
}

impl EmulatorState {
    /// The state of an emulator that listens on `address`, and the tasks that were not finished
    /// when its folder was last in use.
    pub(crate) fn open(
        options: Options,
        address: SocketAddr,
        painter: Arc<dyn Painter>,
        stop: watch::Receiver<bool>,
    ) -> Result<(Self, Vec<RestoredTask>), StoreError> {
        let opened = options.data_dir.as_deref().map(EmulatorStore::open).transpose()?;
        let (store, restored) =
            opened.map_or((None, Restored::default()), |(store, restored)| (Some(store), restored));
        // The key of an earlier start in this folder stays good, so clients need not be set up
        // again.
        let kept_key = options.api_key.clone().or(restored.api_key);
        let key = kept_key.unwrap_or_else(|| format!("emulator-{}", ids::random_id(32)));
        // A key that was given is not written down: it comes again with the options.
        if let Some(store) = store.as_ref().filter(|_| options.api_key.is_none()) {
            store.write(StoreEntry::Note(store::API_KEY, key.clone()));
        }
        let renders = RenderQueue::new(&options, address, painter);
        let state = Self {
            clock: EmulatorClock::start(options.clock, restored.clock),
            spending: Spending::new(restored.spent, options.price),
            store,
            ..Self::empty(options, key, address, renders, stop)
        };
        let now = state.clock.now();
        // Files may have been deleted from the folder since: their rows go as well.
        let gone = state.files.restore(restored.files, now)?;
        state.write(|| StoreEntry::Gone(gone));
        let (settled, unfinished): (Vec<_>, Vec<_>) =
            restored.tasks.into_iter().partition(|restored| restored.task.is_settled());
        for RestoredTask { id, task, .. } in settled {
            if let WorkStage::Painted(picture) = &task.stage {
                // A file's row does not have its task: which file is whose picture is known from
                // the tasks alone.
                state.files.set_task(&picture.file, &id);
            }
            // The limit may be lower than at the last start, and then the oldest are forgotten
            // here.
            state.forget(state.tasks.insert(&id, task, now));
        }
        // Inserted before requests are served, so that the first look after a restart finds them.
        for restored in &unfinished {
            state.restore(restored);
        }
        Ok((state, unfinished))
    }

    /// An emulator of this name beside this one, at the same address: it shares the painter, and
    /// nothing that a test could see.
    pub(crate) fn isolated(&self, name: &str) -> Self {
        let renders = self.renders.isolated(&self.options, self.address);
        // The whole `KEY.NAME` is this emulator's own key, as its clients send it.
        let key = format!("{}.{name}", self.keys.own());
        let state =
            Self::empty(self.options.clone(), key, self.address, renders, self.stop.clone());
        // No database of its own knows its files, which are in the folder of the main one's.
        Self { files: state.files.ending_with_its_files(), ..state }
    }

    /// A gateway that has seen nothing and keeps nothing across restarts.
    fn empty(
        options: Options,
        key: String,
        address: SocketAddr,
        renders: RenderQueue,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            keys: ApiKeys::new(key, address.ip().is_loopback()),
            clock: EmulatorClock::start(options.clock, 0),
            tasks: Tasks::new(options.limits.tasks),
            files: FileStore::new(&options.limits, options.data_dir.as_deref().map(store::files)),
            renders,
            faults: FaultInjector::new(options.faults.clone(), options.seed),
            record: RequestRecord::new(options.limits.requests),
            spending: Spending::new(Decimal::ZERO, options.price),
            store: None,
            bodies: BodyMemory::new(options.limits.body_bytes),
            changes: Changes::new(),
            session: PageSession::new(address, public_host(options.public_url.as_deref())),
            address,
            origin: format!("http://{}", reached_at(address)),
            // Every answer about a completed task has it as text, so it is formatted once.
            cost: options.price.to_string(),
            accepted: AtomicU64::new(0),
            stop,
            options,
        }
    }

    /// Scheme, host and port it is reached at from this machine.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The price of a picture, as text.
    pub(crate) fn cost(&self) -> &str {
        &self.cost
    }

    /// Scheme, host and port for links in an answer: those that it was started with, or the host
    /// that the request was sent to, which is right behind a forwarded port as well.
    pub(crate) fn origin_for(&self, headers: &HeaderMap) -> String {
        if let Some(url) = &self.options.public_url {
            return url.trim_end_matches('/').to_owned();
        }
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        // The header is the client's own text: what is no host would break the links.
        match host.filter(|host| host.parse::<Authority>().is_ok_and(|at| !at.host().is_empty())) {
            // The emulator speaks no TLS; a proxy that does is what `public_url` is for.
            Some(host) => format!("http://{host}"),
            None => self.origin.clone(),
        }
    }

    /// When a task accepted now may be seen finished.
    pub(crate) fn due(&self, template: &Template, now: u64) -> u64 {
        // The number of the task is what its latency is drawn from, so equal runs have equal
        // latencies.
        let count = self.accepted.fetch_add(1, Ordering::Relaxed);
        now + millis(self.options.latency.sample(template, self.options.seed, count))
    }

    /// Counts a look at a task and returns what `answer_for` makes of it; `None` without a task of this id.
    pub(crate) fn look<R>(
        &self,
        id: &str,
        headers: &HeaderMap,
        answer_for: impl FnOnce(&EmulatedTask, AnswerContext<'_>) -> R,
    ) -> Option<R> {
        let origin = &*self.origin_for(headers);
        let (now, dialect, cost) = (self.clock.now(), self.options.dialect, &*self.cost);
        let context = AnswerContext { now, dialect, origin, cost };
        // Counted and answered under one lock: of two looks at once each has a count of its own.
        self.tasks.with(id, |task| task.look().then(|| answer_for(task, context))).flatten()
    }

    /// Moves a virtual clock on, and waits for the paintings of the tasks that are due by then: a
    /// task that time has finished must not depend on how fast this machine paints.
    pub(crate) async fn advance(&self, by: Duration) -> Result<u64, ClockIsReal> {
        let now = self.clock.advance(by)?;
        self.write(|| StoreEntry::Note(store::CLOCK, now.to_string()));
        self.changes.other();
        // Files that are too old by the new time go now; the sweep every 30 s goes by the machine's
        // clock.
        self.sweep();
        self.renders.wait_until_painted(|_, due| due <= now).await;
        Ok(now)
    }

    /// Begins anew: forgets every task, file and request, what was spent and what was scripted,
    /// follows the plan it was started with, and has a virtual clock show the machine's time.
    pub(crate) fn reset(&self, keep: &[Keep]) {
        // Tasks go first: a painting under way finds its task gone and pays nothing after
        // `spending.clear()`.
        self.tasks.clear();
        self.files.clear();
        let plan = if keep.contains(&Keep::Plan) {
            FaultPlan::clone(&self.faults.plan())
        } else {
            self.options.faults.clone()
        };
        self.faults.unscript();
        // A plan that is kept is followed anew as well, since its counts begin again.
        self.faults.follow(plan);
        self.record.clear();
        self.spending.clear();
        // The next test draws the same latencies as the first did.
        self.accepted.store(0, Ordering::Relaxed);
        self.write(|| StoreEntry::Cleared);
        if !keep.contains(&Keep::Clock) {
            let now = self.clock.restart();
            self.write(|| StoreEntry::Note(store::CLOCK, now.to_string()));
        }
        // Last, so that a watcher which now reads everything finds nothing of before.
        self.changes.reset();
    }

    /// Lets go of files that are too old.
    pub(crate) fn sweep(&self) {
        let gone = self.files.sweep(self.clock.now());
        if !gone.is_empty() {
            self.write(|| StoreEntry::Gone(gone));
        }
    }

    /// Remembers something if anything is to be remembered.
    pub(crate) fn write(&self, entry: impl FnOnce() -> StoreEntry) {
        if let Some(store) = &self.store {
            store.write(entry());
        }
    }

    /// Remembers a task that was not finished when the folder was last in use.
    fn restore(&self, restored: &RestoredTask) {
        let task = EmulatedTask { stage: WorkStage::Queued, ..restored.task.clone() };
        self.renders.add(&restored.id, task.due);
        self.forget(self.tasks.insert(&restored.id, task, self.clock.now()));
        // What was reserved is reserved still, whatever the balance is now.
        self.spending.book(Movement::Reserve(None));
    }

    /// Lets go of what belonged to forgotten tasks.
    pub(crate) fn forget(&self, forgotten: Vec<(Box<str>, EmulatedTask)>) {
        if forgotten.is_empty() {
            return;
        }
        let mut files = Vec::new();
        let mut ids = Vec::new();
        for (id, task) in forgotten {
            ids.push(id);
            if let WorkStage::Painted(picture) = task.stage {
                // Without its task no answer names the picture any more.
                self.files.remove(&picture.file);
                files.push(picture.file);
            }
        }
        self.write(|| StoreEntry::Forgotten(ids));
        self.write(|| StoreEntry::Gone(files));
    }

    /// Keeps a file, and remembers what is kept and what had to go.
    pub(crate) async fn keep(&self, bytes: Bytes) -> std::io::Result<Change> {
        let change = self.files.keep(bytes, self.clock.now()).await?;
        // The bytes lie in the folder before the row is written: a row never names half a file, and
        // a start deletes a file without a row.
        self.write(|| StoreEntry::Kept(change.kept.clone()));
        if !change.gone.is_empty() {
            self.write(|| StoreEntry::Gone(change.gone.clone()));
        }
        Ok(change)
    }

    /// Waits until everything written so far is safe.
    pub(crate) async fn wait_for_commit(&self) {
        if let Some(store) = &self.store {
            // An error is ignored: on a full disk creates are refused with the reason, and a task
            // that runs goes on to its end. It begins again when the folder is next opened.
            let _ = store.wait_for_commit().await;
        }
    }

    /// The requests after a number, oldest first, the key redacted.
    pub(crate) fn requests(&self, after: u64) -> Vec<SeenRequest> {
        self.requests_where(after, |_| true)
    }

    /// The same, of some numbers alone.
    pub(crate) fn requests_where(
        &self,
        after: u64,
        wanted: impl Fn(u64) -> bool,
    ) -> Vec<SeenRequest> {
        let entries = self.record.entries(after);
        let wanted = entries.iter().filter(|entry| wanted(entry.number));
        wanted.map(|entry| entry.seen(self.keys.own())).collect()
    }

    /// Waits until the emulator is to stop.
    pub(crate) async fn stopping(&self) {
        // A dropped sender counts as a stop.
        let _ = self.stop.clone().wait_for(|stop| *stop).await;
    }

    /// Whether it is to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        // A dropped sender counts as a stop.
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }
}

/// What a reset leaves as it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Keep {
    /// The plan of faults that is followed now, which begins anew.
    Plan,
    /// What a virtual clock shows.
    Clock,
}

/// Host and port of a URL, as browsers write them into the header `Host`.
fn public_host(url: Option<&str>) -> Option<String> {
    let url = url::Url::parse(url?).ok()?;
    // Both the parser and browsers leave out the port that the scheme has anyway.
    Some(url[url::Position::BeforeHost..url::Position::AfterPort].to_owned())
}

/// Where a server on this machine is reached that listens at this address.
fn reached_at(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        // The unspecified address means every interface to a listener; not every system connects to
        // it.
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
