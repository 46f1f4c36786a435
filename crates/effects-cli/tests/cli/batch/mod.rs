//! Batches and their journal, against the emulator.

mod costs;
#[cfg(unix)]
mod counted;
mod folder_manifest;
mod folders;
#[cfg(unix)]
mod hooks;
mod journal;
mod journals;
mod long_runs;
mod manifest;
mod money;
mod orders;
mod outage;
mod outputs;
mod params;
#[cfg(target_os = "linux")]
#[cfg(unix)]
mod pasted_lines;
mod photos;
mod plan;
mod proxy;
mod pruned;
mod rebuilt;
#[cfg(unix)]
mod recovery;
mod reorder;
mod report_page;
pub(crate) mod site;
mod stops;
#[cfg(unix)]
mod two_journals;
mod watch;
