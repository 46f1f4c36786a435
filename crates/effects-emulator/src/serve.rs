//! [`serve`]: runs an emulator as a program of its own: starts it, calls back once it listens, and
//! stops it in good order at SIGTERM or Ctrl-C. `effects emulator` calls it, and other Rust programs
//! can; a program that does something else beside starts an `Emulator` itself.

use crate::emulator::{Emulator, EmulatorBuilder, StartError};

/// Runs an emulator until SIGTERM or Ctrl-C, then stops it gracefully.
///
/// `setup` is [`Options`](crate::Options) or an [`EmulatorBuilder`]. `ready` is called once it
/// listens: the place to print its address, its key and its [`warnings`](Emulator::warnings).
///
/// # Errors
///
/// [`StartError`] when it cannot start; nothing was printed then.
///
/// ```no_run
/// use effects_emulator::{Options, serve};
///
/// serve(Options::default(), |emulator| {
///     println!("{} {}", emulator.base_url(), emulator.api_key());
/// })?;
/// # Ok::<(), effects_emulator::StartError>(())
/// ```
pub fn serve(
    setup: impl Into<EmulatorBuilder>,
    ready: impl FnOnce(&Emulator),
) -> Result<(), StartError> {
    // For the signals alone: the emulator has a runtime on a thread of its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Threads)?;
    runtime.block_on(async {
        // Listening for the end comes first, so that none is missed between start and `ready`.
        let end = StopSignal::listen().map_err(StartError::Threads)?;
        let emulator = setup.into().start()?;
        ready(&emulator);
        end.wait().await;
        // It blocks this runtime's only thread, which has nothing else to do.
        emulator.stop();
        Ok(())
    })
}

#[cfg(unix)]
struct StopSignal {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl StopSignal {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct StopSignal;

#[cfg(not(unix))]
impl StopSignal {
    fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn wait(self) {
        // An error means that no handler could be installed. Then this returns at once, and the
        // emulator stops.
        let _ = tokio::signal::ctrl_c().await;
    }
}
