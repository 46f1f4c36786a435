//! [`Process`]: identifies a process that has a journal open, by boot, namespace of process ids, process
//! id and start time, and finds out whether another one of the same boot and namespace still runs (on
//! Linux; elsewhere, and between containers, that cannot be told). Each `Owner` has one, by which
//! `Transaction` frees the rows of a crashed process at once, where else they wait for the end of its
//! lease. It is the current process, unless `JournalBuilder` or `PostgresBuilder` is given another, as
//! tests do.

use std::fs;
use std::process;

/// A process that writes a journal, as other processes tell it from others.
///
/// Two processes of one place can see each other: a gone one is known to be gone at once. Those of
/// other machines, or where the system does not say, are believed for as long as their lease runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Process {
    /// The machine's name, for people.
    pub host: String,
    /// The place within which process ids are one process's: a boot of a machine and a namespace of
    /// process ids. Empty where the system does not say.
    pub place: String,
    /// The process id.
    pub id: u32,
    /// When it started, in the place's own measure: an id is given again to later processes. Empty
    /// where the system does not say.
    pub started: String,
}

impl Process {
    /// This process.
    pub fn current() -> Self {
        let id = process::id();
        Self { host: host(), place: place(), id, started: started(id).unwrap_or_default() }
    }

    /// Whether another process, known from a journal, is there; `None` if that cannot be told from
    /// here.
    pub(crate) fn sees(&self, other: &Self) -> Option<bool> {
        if self.place.is_empty() || self.place != other.place || other.started.is_empty() {
            return None;
        }
        Some(started(other.id).is_some_and(|started| started == other.started))
    }
}

/// When the process with this id started, in ticks since boot; `None` if there is none, or where
/// the system does not say. A zombie, which its parent has not waited for, counts as none.
fn started(id: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold anything; the state follows it, and is the third field.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    // The fourth field is the first that is left.
    let started = fields.nth(STARTED - 4)?;
    (!matches!(state, "Z" | "X")).then(|| started.to_owned())
}

fn host() -> String {
    let named = |name| {
        let named = std::env::var_os(name).filter(|name| !name.is_empty());
        named.map(|name| name.to_string_lossy().into_owned())
    };
    // The kernel's name first: `HOSTNAME` is a variable of the shell, and often not exported.
    fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .or_else(|| named("COMPUTERNAME"))
        .or_else(|| named("HOSTNAME"))
        .unwrap_or_else(|| "this machine".to_owned())
}

fn place() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    // In a container the same id is another process.
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    match (boot.trim(), namespace.to_str()) {
        ("", _) | (_, None | Some("")) => String::new(),
        (boot, Some(namespace)) => format!("{boot} {namespace}"),
    }
}

/// The place of the start time among the fields of `/proc/ID/stat`, counted from 1.
const STARTED: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_there_and_its_namesake_of_yesterday_is_not() {
        let this = Process::current();
        assert_eq!(this.sees(&this), Some(true));
        let namesake = Process { started: "1".to_owned(), ..this.clone() };
        assert_eq!(this.sees(&namesake), Some(false));
        let elsewhere = Process { place: "another boot".to_owned(), ..this.clone() };
        assert_eq!(this.sees(&elsewhere), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_dead_process_that_was_not_reaped_is_gone() {
        // It waits for input that never comes, so that it runs until it is killed.
        let mut child =
            process::Command::new("cat").stdin(process::Stdio::piped()).spawn().unwrap();
        let this = Process::current();
        let other =
            Process { id: child.id(), started: started(child.id()).unwrap(), ..this.clone() };
        assert_eq!(this.sees(&other), Some(true));
        child.kill().unwrap();
        // Killed, and not yet waited for: first dying, then a zombie, which waiting would bury.
        while this.sees(&other) == Some(true) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert_eq!(this.sees(&other), Some(false));
    }
}
