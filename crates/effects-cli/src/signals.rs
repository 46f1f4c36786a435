//! Ctrl-C and SIGTERM, turned into calls on a thread of their own.

use std::io;

/// Calls `interrupted` at each SIGINT and SIGTERM, from a thread that lasts as long as the process.
#[cfg(unix)]
pub(crate) fn listen(interrupted: impl Fn() + Send + 'static) -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};

    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for _ in signals.forever() {
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
