//! [`UnreachablePhotos`]: warns, once for each host, of photos whose URL is on a private host, where a
//! service that is not on this machine cannot fetch them. The photo is submitted all the same. A client has
//! one for its runs (in its `Settings`), and each `JobContext` one for its jobs.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use effects_core::{Origin, Reference};

use crate::telemetry;

/// Warns of photos at hosts that are private, once of each host.
#[derive(Debug, Default)]
pub struct UnreachablePhotos(Mutex<HashSet<String>>);

impl UnreachablePhotos {
    /// Warns if a photo is where this gateway cannot fetch it from. A gateway on this machine can.
    pub fn warn_of(&self, photo: &Reference, gateway: &Origin) {
        if gateway.is_loopback() {
            return;
        }
        if let Some(host) = photo.private_host()
            && let Some(warning) = photo.warning()
            && self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(host)
        {
            telemetry::warn(&warning);
        }
    }
}
