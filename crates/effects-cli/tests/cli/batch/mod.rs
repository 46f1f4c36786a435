//! Batches and their journal, against the emulator.

mod journal;
mod manifest;
mod money;
mod plan;
#[cfg(unix)]
mod recovery;
pub(crate) mod site;
mod stops;
