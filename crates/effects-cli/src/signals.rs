//! [`listen`]: calls a function at each Ctrl-C, SIGTERM and SIGHUP (unless SIGHUP is ignored, as under
//! `nohup`), on a thread of its own; where the system is no Unix, it does nothing. `interruptible.rs` calls
//! it for commands with one task, and `batch/run.rs`, `effects resume` and `effects reorder` for many.
//! [`received`] counts them: by it the hooks of a batch learn of a Ctrl-C while they are waited for.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

/// Calls `interrupted` at each SIGINT, SIGTERM and SIGHUP, from a thread that lasts as long as the
/// process. A SIGHUP that is ignored, as under `nohup`, stays ignored.
#[cfg(unix)]
pub(crate) fn listen(interrupted: impl Fn() + Send + 'static) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    let mut wanted = vec![SIGINT, SIGTERM];
    if !hang_up_is_ignored() {
        wanted.push(SIGHUP);
    }
    let mut signals = signal_hook::iterator::Signals::new(wanted)?;
    // On a thread, since a signal's own handler may neither lock nor send.
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for _ in signals.forever() {
            RECEIVED.fetch_add(1, Ordering::SeqCst);
            interrupted();
        }
    })?;
    Ok(())
}

/// Elsewhere Ctrl-C ends the process at once, as the system does it.
#[cfg(not(unix))]
pub(crate) fn listen(_interrupted: impl Fn() + Send + 'static) -> io::Result<()> {
    Ok(())
}

/// How many signals [`listen`] has received in this process.
pub(crate) fn received() -> u32 {
    RECEIVED.load(Ordering::SeqCst)
}

static RECEIVED: AtomicU32 = AtomicU32::new(0);

/// Whether this process ignores SIGHUP, by the mask of ignored signals that the system keeps.
#[cfg(target_os = "linux")]
fn hang_up_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Signal N is bit N - 1 of the mask.
    mask.is_some_and(|mask| mask & 1 << (signal_hook::consts::SIGHUP - 1) != 0)
}

/// Where the system does not say so, `nohup` is known by having taken stderr off the terminal.
#[cfg(all(unix, not(target_os = "linux")))]
fn hang_up_is_ignored() -> bool {
    use std::io::IsTerminal;

    !io::stderr().is_terminal()
}
