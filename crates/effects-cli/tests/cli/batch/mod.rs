//! Batches and their journal, against the emulator.

mod costs;
mod journal;
mod journals;
mod manifest;
mod money;
mod outage;
mod outputs;
#[cfg(target_os = "linux")]
mod photos;
mod plan;
mod proxy;
#[cfg(unix)]
mod recovery;
pub(crate) mod site;
mod stops;
