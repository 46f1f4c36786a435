//! [`Gate`]: holds back a scripted server's answer until the test opens it. `tests/all/blocking_client.rs`
//! and `tests/all/async_client.rs` use it to act while a request is under way.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use effects_testkit::http::Behaviour;

/// Holds an answer back until it is opened or dropped.
#[derive(Debug)]
pub struct Gate(Sender<()>);

impl Gate {
    /// A gate, and a behaviour that waits for it.
    pub fn before(then: impl Into<Behaviour>) -> (Self, Behaviour) {
        let (sender, receiver) = channel();
        let (receiver, then): (Mutex<Receiver<()>>, Behaviour) =
            // A behaviour is shared by threads, which a receiver alone cannot be.
            (Mutex::new(receiver), then.into());
        let behaviour = Behaviour::with(move |_| {
            // Opened or dropped, it is the same.
            let _ = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
            then.clone()
        });
        (Self(sender), behaviour)
    }

    /// Lets the answer go.
    pub fn open(self) {
        drop(self.0);
    }
}
