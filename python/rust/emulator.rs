//! [`Gateway`]: a local gateway (the `Emulator` of `effects_emulator`) inside a Python process. The
//! Python class `Emulator` (`_emulator.py`) holds one: starts it, scripts its faults, reads what it saw,
//! and stops it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use effects_emulator::{
    ClockKind, Emulator, EmulatorBuilder, Endpoint, Fault, FaultPlan, Keep, Options, StartError,
};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::interruptible::off_thread;
use crate::policy::duration;

/// An emulator, until it is stopped.
#[pyclass(frozen, module = "spark_effects._native")]
#[derive(Debug)]
pub struct Gateway {
    running: Mutex<Option<(u32, Arc<Emulator>)>>,
    base_url: String,
    api_key: String,
}

/// The options, as Python says them.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
struct PlainOptions {
    host: Option<String>,
    port: u16,
    api_key: Option<String>,
    data_dir: Option<PathBuf>,
    latency: String,
    faults: Option<String>,
    virtual_clock: bool,
    pictures: String,
    dialect: String,
    validation: String,
    placeholder: bool,
    allow_private: bool,
    public_url: Option<String>,
    cors: Vec<String>,
    isolate_keys: bool,
    price: String,
    seed: u64,
}

impl PlainOptions {
    fn builder(self) -> Result<EmulatorBuilder, String> {
        fn text(error: impl std::fmt::Display) -> String {
            error.to_string()
        }
        let mut options = Options::default();
        if let Some(host) = self.host {
            options.host = host
                .parse()
                .map_err(|error| format!("host is '{host}': {error}, as 0.0.0.0 is"))?;
        }
        options.port = self.port;
        options.api_key = self.api_key;
        options.data_dir = self.data_dir;
        options.latency = self.latency.parse().map_err(text)?;
        if let Some(plan) = self.faults {
            options.faults = read_plan(&plan)?;
        }
        if self.virtual_clock {
            options.clock = ClockKind::Virtual;
        }
        options.pictures = self.pictures.parse().map_err(text)?;
        options.dialect = self.dialect.parse().map_err(text)?;
        options.validation = self.validation.parse().map_err(text)?;
        options.placeholder = self.placeholder;
        options.allow_private = self.allow_private;
        options.public_url = self.public_url;
        options.cors = self.cors;
        options.isolate_keys = self.isolate_keys;
        options.price = self.price.parse().map_err(|_| {
            format!("price is {:?}: give an amount in USD such as \"0.03\"", self.price)
        })?;
        options.seed = self.seed;
        Ok(EmulatorBuilder::from(options))
    }
}

/// A plan as JSON.
fn read_plan(json: &str) -> Result<FaultPlan, String> {
    let plan: FaultPlan = serde_json::from_str(json).map_err(|error| format!("faults: {error}"))?;
    plan.check().map_err(|error| format!("faults: {error}"))?;
    Ok(plan)
}

#[pymethods]
impl Gateway {
    #[new]
    fn new(py: Python<'_>, options: PlainOptions) -> PyResult<Self> {
        let builder = options.builder().map_err(PyValueError::new_err)?;
        // On another thread, so that Ctrl-C is answered while it starts.
        let started = off_thread(py, || builder.start())?;
        let emulator = started.map_err(|error| match error {
            StartError::Option(_) | StartError::Faults(_) => {
                PyValueError::new_err(error.to_string())
            }
            _ => PyRuntimeError::new_err(error.to_string()),
        })?;
        Ok(Self {
            base_url: emulator.base_url().to_owned(),
            api_key: emulator.api_key().to_owned(),
            running: Mutex::new(Some((std::process::id(), Arc::new(emulator)))),
        })
    }

    #[getter]
    fn base_url(&self) -> &str {
        &self.base_url
    }

    #[getter]
    fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Warnings for the program that started it.
    fn warnings(&self) -> PyResult<Vec<String>> {
        self.with(|emulator| emulator.warnings())
    }

    /// Scripts the next requests of an endpoint: a JSON list of faults, `null` for none.
    fn script(&self, endpoint: &str, faults: &str) -> PyResult<()> {
        let name = serde_json::Value::from(endpoint);
        let endpoint: Endpoint = serde_json::from_value(name)
            .map_err(|error| PyValueError::new_err(format!("endpoint: {error}")))?;
        let faults: Vec<Option<Fault>> = serde_json::from_str(faults)
            .map_err(|error| PyValueError::new_err(format!("faults: {error}")))?;
        self.with(|emulator| emulator.next(endpoint, faults))?
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// Follows another plan of faults, given as JSON.
    fn follow(&self, plan: &str) -> PyResult<()> {
        let plan = read_plan(plan).map_err(PyValueError::new_err)?;
        self.with(|emulator| emulator.follow(plan))?
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// Moves a virtual clock on by so many seconds.
    fn advance(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        let by = duration("seconds", seconds)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let emulator = self.emulator()?;
        // Paintings take their time.
        off_thread(py, move || emulator.advance(by))?
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }

    /// Every request seen, as JSON.
    fn requests(&self) -> PyResult<String> {
        self.with(|emulator| serde_json::to_string(&emulator.requests()))?
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }

    /// What was accepted, as JSON.
    fn counts(&self) -> PyResult<String> {
        self.with(|emulator| serde_json::to_string(&emulator.counts()))?
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }

    /// What its pictures have cost, in USD, as decimal text.
    fn spent(&self) -> PyResult<String> {
        self.with(|emulator| emulator.spent().to_string())
    }

    /// Forgets everything but its address, its key and what is to be kept, a JSON list.
    fn reset(&self, keep: &str) -> PyResult<()> {
        let keep: Vec<Keep> = serde_json::from_str(keep)
            .map_err(|error| PyValueError::new_err(format!("keep: {error}")))?;
        self.with(|emulator| emulator.reset_but(&keep))
    }

    /// Stops it; again is no error.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        let running = self.take();
        off_thread(py, move || drop(running))
    }
}

impl Gateway {
    fn with<T>(&self, act: impl FnOnce(&Emulator) -> T) -> PyResult<T> {
        self.emulator().map(|emulator| act(&emulator))
    }

    /// The emulator itself: a slow call on it must make no other call wait for the lock around it.
    fn emulator(&self) -> PyResult<Arc<Emulator>> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match running {
            Some((owner, emulator)) if owner == std::process::id() => Ok(emulator),
            Some(other) => {
                // A clone of the parent's, never dropped: the last drop of an emulator ends
                // threads, and they are not in this process.
                std::mem::forget(other);
                Err(PyRuntimeError::new_err(
                    "the emulator runs in the process that started it; this one can only use its \
                     base_url and api_key",
                ))
            }
            None => Err(PyRuntimeError::new_err("the emulator is stopped")),
        }
    }

    fn take(&self) -> Option<Arc<Emulator>> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        match running? {
            (owner, emulator) if owner == std::process::id() => Some(emulator),
            other => {
                // Its threads are another process's: there is nothing to stop here, and none to wait
                // for.
                std::mem::forget(other);
                None
            }
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let running = self.take();
        // The thread that drops it holds the interpreter's lock, and all others would wait with it. If
        // no thread can be started, they do.
        let ended = std::thread::Builder::new().spawn(move || drop(running));
        drop(ended);
    }
}
