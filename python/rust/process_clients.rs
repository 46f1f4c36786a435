//! [`ProcessClients`]: the Rust clients behind one `Engine`, under each policy that its calls bring, and the
//! budget that they share. Connections, drivers and what waits for money do not survive `fork()`: in a child,
//! the first call makes new clients, and counts what is left of the budget for itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use effects_client::is_replay;
use effects_core::{BaseUrl, Error, ErrorKind, Policy};
use effects_reqwest::Client;
use pyo3::prelude::*;

use crate::failure;
use crate::interruptible::off_thread;
use crate::policy::NativePolicy;
use crate::setup::{self, Setup};
use crate::shared_budget::SharedBudget;

/// The clients of this process, and the budget that it counts.
#[derive(Debug)]
pub(crate) struct ProcessClients {
    setup: Arc<Setup>,
    base: Arc<BaseUrl>,
    /// What belongs to this process: connections and drivers do not survive `fork()`.
    process_state: Mutex<Option<ProcessState>>,
    /// What may be spent in all, and the process that counts.
    shared_budget: Mutex<Option<(u32, Arc<SharedBudget>)>>,
}

/// What is of one process.
#[derive(Debug)]
struct ProcessState {
    process: u32,
    client: Client,
    /// The same client under each policy: its runs are driven together.
    clients: Vec<(Arc<Policy>, Client)>,
}

impl ProcessState {
    fn of(client: Client) -> Self {
        Self { process: std::process::id(), client, clients: Vec::new() }
    }

    fn is_here(&self) -> bool {
        self.process == std::process::id()
    }

    /// The client under this policy.
    fn client_under(&mut self, policy: &Arc<Policy>) -> Client {
        // Most calls bring the policy of their client: comparing the pointers spares comparing its
        // fields.
        let same = |of: &Arc<Policy>| Arc::ptr_eq(of, policy) || **of == **policy;
        if let Some((_, client)) = self.clients.iter().find(|(of, _)| same(of)) {
            return client.clone();
        }
        let client = self.client.with_policy(Arc::clone(policy));
        if self.clients.len() >= MAX_CLIENTS {
            // A client without runs is cheap to make again. Forgetting one that drives runs would
            // give the next call of its policy a second driver.
            self.clients.retain(|(_, client)| client.runs_under_way() > 0);
        }
        // Where every call has a policy of its own, each has a driver of its own.
        if self.clients.len() < MAX_CLIENTS {
            self.clients.push((Arc::clone(policy), client.clone()));
        }
        client
    }
}

/// In a fork, drivers and connections belong to a thread of the parent's, and so does what waits for the
/// budget: they are forgotten, not dropped.
impl Drop for ProcessClients {
    fn drop(&mut self) {
        let process = std::process::id();
        let state = self.process_state.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if state.as_ref().is_some_and(|state| !state.is_here()) {
            std::mem::forget(state);
        }
        let budget = self.shared_budget.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if budget.as_ref().is_some_and(|(owner, _)| *owner != process) {
            std::mem::forget(budget);
        }
    }
}

impl ProcessClients {
    /// The clients of a setup.
    ///
    /// # Errors
    ///
    /// What is wrong with the setup, or with asking for its key.
    pub fn new(py: Python<'_>, setup: Arc<Setup>) -> PyResult<Self> {
        let client = build_client(py, &setup, None)?;
        let base_url = client.base_url().to_string();
        // Building the client has read it, and decided whether plain http is allowed: `true` asks no more.
        let base = BaseUrl::parse(&base_url, true).map_err(|error| {
            let error = Error::new(ErrorKind::Misconfigured, error.to_string());
            failure::exception(py, &error)
        })?;
        let base = Arc::new(base);
        let shared_budget =
            setup.shared_budget().map_err(|error| failure::exception(py, &error))?;
        let process_state = Mutex::new(Some(ProcessState::of(client)));
        let shared_budget =
            Mutex::new(shared_budget.map(|shared_budget| (std::process::id(), shared_budget)));
        Ok(Self { setup, base, process_state, shared_budget })
    }

    /// Where the gateway is.
    pub fn base(&self) -> &Arc<BaseUrl> {
        &self.base
    }

    /// The client of this process.
    pub fn client(&self, py: Python<'_>) -> PyResult<Client> {
        self.with_state(py, |state| state.client.clone())
    }

    /// The client of this process under this policy, for one call that begins now.
    pub fn client_with(&self, py: Python<'_>, policy: &NativePolicy) -> PyResult<Client> {
        self.with_state(py, |state| state.client_under(&policy.of_call(&state.client)))
    }

    /// Does this with what belongs to this process.
    fn with_state<T>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut ProcessState) -> T,
    ) -> PyResult<T> {
        loop {
            if let Some(state) = &mut *self.process_state()
                && state.is_here()
            {
                return Ok(work(state));
            }
            // Without the mutex: what gives the key may let go of the interpreter's lock, and a thread
            // that takes that lock and then waits for the mutex would never let go of it.
            let made = ProcessState::of(build_client(py, &self.setup, Some(&self.base))?);
            let mut held = self.process_state();
            // Another thread may have been faster: its client may have runs already.
            if !held.as_ref().is_some_and(ProcessState::is_here) {
                // Forgotten, not dropped: a parent's connections end in a thread that is not in this
                // process.
                std::mem::forget(held.replace(made));
            }
        }
    }

    fn process_state(&self) -> MutexGuard<'_, Option<ProcessState>> {
        self.process_state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The money of this process: a fork counts for itself.
    pub fn shared_budget(&self, _holds_the_lock: Python<'_>) -> Option<Arc<SharedBudget>> {
        let mut held = self.shared_budget.lock().unwrap_or_else(PoisonError::into_inner);
        let (owner, shared_budget) = held.as_ref()?;
        let process = std::process::id();
        if *owner == process {
            return Some(Arc::clone(shared_budget));
        }
        let own = SharedBudget::of(shared_budget.forked());
        // Forgotten, not dropped: a parent's waiters are in a thread that is not in this process.
        std::mem::forget(held.replace((process, Arc::clone(&own))));
        Some(own)
    }

    /// Lets go of the connections; what is under way keeps its own to its end.
    pub fn close(&self) {
        // In a fork, what is held is the parent's: it is forgotten, as in `drop`.
        if let Some(state) = self.process_state().take()
            && !state.is_here()
        {
            std::mem::forget(state);
        }
    }
}

/// The client of a setup, at the gateway that an earlier one of it had: the environment may change; the
/// gateway may not.
fn build_client(
    py: Python<'_>,
    setup: &Arc<Setup>,
    base: Option<&Arc<BaseUrl>>,
) -> PyResult<Client> {
    let built = if setup.asks_environment_for_key() {
        // A program may print it, or a keyring ask a person: other threads run meanwhile, and Ctrl-C is
        // answered.
        let (setup, base) = (Arc::clone(setup), base.cloned());
        off_thread(py, move || setup.build(base.as_deref()))?
    } else {
        setup.build(base.map(Arc::as_ref))
    };
    let client = built.map_err(|error| {
        setup::interrupt_while_asked().unwrap_or_else(|| failure::exception(py, &error))
    })?;
    if base.is_some_and(|base| is_replay(client.base_url().origin()) && !is_replay(base.origin())) {
        // Its journal and its budget would take the replay for what is paid.
        let why = "the process that this one was forked from has recorded this client's cassette: make \
            another client here to replay it";
        return Err(failure::exception(py, &Error::new(ErrorKind::Misconfigured, why)));
    }
    Ok(client)
}

/// Open batches of one client: as many policies as are used side by side.
const MAX_CLIENTS: usize = 32;
