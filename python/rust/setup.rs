//! [`Setup`]: the settings of a Python client, as `_client.py` gives them; `Engine` builds its
//! `SharedBudget` from them and, anew in each process, the Rust client. [`PlainMoney`] is what is left of
//! the client's budget as plain values: `Engine` gives it to a pickled copy of the client, whose `Setup`
//! brings it back.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;

use effects_client::MissingKeyAdvice;
use effects_core::{BaseUrl, Error, ErrorKind};
use effects_reqwest::{Client, ClientBuilder, Proxy};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use rust_decimal::Decimal;

use crate::hooks::{HookCaller, Hooks};
use crate::policy::duration;
use crate::shared_budget::{Money, SharedBudget};
use crate::value::task_id;

/// The settings, as they came.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Setup {
    pub api_key: Option<String>,
    /// What returns the key, where it is no text.
    pub ask_key: Option<Py<PyAny>>,
    pub base_url: Option<String>,
    pub allow_http: bool,
    pub connect_timeout: f64,
    pub uploads: Option<String>,
    pub proxy: Option<String>,
    pub ca_bundle: Option<PathBuf>,
    pub client_cert: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
    pub cassette: Option<PathBuf>,
    pub budget: Option<String>,
    pub price: Option<String>,
    /// What is left of the budget of the client that this one is a copy of.
    pub money: Option<PlainMoney>,
    pub journal: Option<PathBuf>,
    /// Functions that are called with exchanges and events.
    pub hooks: Option<Hooks>,
}

/// Without the key, and without a proxy's password.
impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl Setup {
    /// A client with these settings, and what else the environment says; of this gateway, if it is given.
    pub fn build(&self, base: Option<&BaseUrl>) -> Result<Client, Error> {
        let advice = MissingKeyAdvice {
            give: "give one with api_key=",
            local: "`with Emulator() as emulator: client = emulator.client()`",
        };
        let mut builder = ClientBuilder::<Client>::from_env()
            .missing_key_advice(advice)
            .allow_http(self.allow_http)
            .connect_timeout(duration("connect_timeout", self.connect_timeout)?);
        if let Some(key) = &self.api_key {
            builder = builder.api_key(key);
        }
        if let Some(ask) = &self.ask_key {
            let ask = Python::attach(|py| ask.clone_ref(py));
            builder = builder.api_key_from(move || ask_for_key(&ask));
        }
        if let Some(url) = base.map(BaseUrl::to_string).or_else(|| self.base_url.clone()) {
            builder = builder.base_url(url);
        }
        if let Some(uploads) = &self.uploads {
            builder = builder.uploads(uploads.parse()?);
        }
        if let Some(proxy) = &self.proxy {
            // An empty text is no proxy at all, whatever the environment says.
            let direct = proxy.is_empty();
            builder = builder.proxy(if direct { Proxy::Direct } else { Proxy::Url(proxy.clone()) });
        }
        if let Some(path) = &self.ca_bundle {
            builder = builder.ca_bundle(path);
        }
        let hooks = self.hooks.as_ref();
        let hooks = hooks.map(|hooks| Python::attach(|py| hooks.clone_ref(py)));
        let wants_events = hooks.as_ref().is_some_and(Hooks::wants_events);
        let hook_caller = HookCaller::new(hooks);
        if wants_events {
            let hook_caller = hook_caller.clone();
            builder = builder.on_event(move |event| hook_caller.on_event(event));
        }
        if let Some(path) = &self.client_cert {
            builder = builder.client_cert(path);
        }
        if let Some(path) = &self.client_key {
            builder = builder.client_key(path);
        }
        if let Some(path) = &self.cassette {
            builder = builder.cassette(path);
        }
        builder.on_exchange(hook_caller).build()
    }

    /// Whether the environment has to say where the key is.
    pub fn asks_environment_for_key(&self) -> bool {
        self.api_key.is_none() && self.ask_key.is_none()
    }

    /// The money it may spend, if it has a budget.
    pub fn shared_budget(&self) -> Result<Option<Arc<SharedBudget>>, Error> {
        let given = self.price.as_deref().map(money).transpose()?;
        let kept = self.money.as_ref().map(|plain| read_money(plain, given)).transpose()?;
        let limit = self.budget.as_deref().map(money).transpose()?;
        // A copy of a client has what was left of its budget, and not the whole limit anew.
        Ok(kept.or(limit.map(|limit| Money::of(limit, given))).map(SharedBudget::of))
    }
}

thread_local! {
    /// The Ctrl-C that came while this thread was asked for a key.
    static INTERRUPT: Cell<Option<PyErr>> = const { Cell::new(None) };
}

/// The Ctrl-C because of which a client was not built on this thread: it is no error of the client's.
pub(crate) fn interrupt_while_asked() -> Option<PyErr> {
    INTERRUPT.take()
}

/// Calls what returns the key. The error for what it raises never shows what it returned.
fn ask_for_key(ask: &Py<PyAny>) -> Result<String, Error> {
    let missing =
        |why: String| Error::new(ErrorKind::MissingKey, format!("there is no API key: {why}"));
    let asked = Python::try_attach(|py| {
        let key = ask.call0(py).map_err(|error| {
            let why = format!("api_key() raised {error}");
            if error.is_instance_of::<PyKeyboardInterrupt>(py) {
                INTERRUPT.set(Some(error));
            }
            why
        })?;
        let kind = || key.bind(py).get_type().to_string();
        key.extract::<String>(py).map_err(|_| format!("api_key() returned {}: return text", kind()))
    });
    asked.unwrap_or_else(|| Err("Python is about to end".to_owned())).map_err(missing)
}

/// Decimal text as money.
pub(crate) fn money(text: &str) -> Result<Decimal, Error> {
    text.parse().map_err(|error| {
        Error::new(ErrorKind::Misconfigured, format!("{text:?} is no sum of USD: {error}"))
    })
}

/// The money of a client as it travels: its limit, what is spent, the price of one, how many may be
/// billed, the tasks whose cost is to come, and whether one came without.
pub(crate) type PlainMoney = (String, String, Option<String>, u32, Vec<String>, bool);

/// Money that is about to travel.
pub(crate) fn plain_money(money: &Money) -> PlainMoney {
    // `Money::for_other_process` has left nothing under way and nothing allotted, so neither travels.
    let tasks = money.tasks.iter().map(|task| task.as_str().to_owned()).collect();
    let price = money.price.map(|price| price.to_string());
    (
        money.limit.to_string(),
        money.spent.to_string(),
        price,
        money.doubtful,
        tasks,
        money.unreadable,
    )
}

fn read_money(
    (limit, spent, price, doubtful, tasks, unreadable): &PlainMoney,
    given: Option<Decimal>,
) -> Result<Money, Error> {
    Ok(Money {
        spent: money(spent)?,
        price: price.as_deref().map(money).transpose()?,
        doubtful: *doubtful,
        unreadable: *unreadable,
        tasks: tasks.iter().map(|task| task_id(task)).collect::<Result<_, _>>()?,
        ..Money::of(money(limit)?, given)
    })
}
