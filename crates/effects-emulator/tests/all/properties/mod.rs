//! Whatever is sent, the emulator answers or hangs up, never with 500 or above, and goes on: bytes,
//! paths and headers, JSON, images, at every endpoint of every surface.

mod images;
mod json;
mod requests;

use std::net::Ipv4Addr;

use crate::common::echoing;
use effects_emulator::Emulator;
use proptest::prelude::ProptestConfig;

/// An emulator for one property, since some forget what others look at. It answers at all addresses,
/// and so believes the `Host` of each request.
fn start() -> Emulator {
    // A client that promises more than it sends must not hold a test up.
    let moment = std::time::Duration::from_millis(200);
    let impatient = |options: &mut effects_emulator::Options| {
        options.limits.request_time = moment;
        options.host = Ipv4Addr::UNSPECIFIED.into();
        // Whatever a fault plan is made to say, a test waits for no real hang.
        options.limits.stop_time = moment;
    };
    echoing().options(impatient).start().unwrap()
}

/// The status of an answer, if there is one.
fn status(answer: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(answer);
    text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Every endpoint: a method it knows and its path up to what a client makes up, and from there on.
const ENDPOINTS: &[(&str, &str, &str)] = &[
    ("POST", "/model/v1/generation", ""),
    ("GET", "/model/v1/generation/task/", ""),
    ("POST", "/model/v1/queue/", ""),
    ("POST", "/model/v1/queue/spark_img_effects", ""),
    ("GET", "/model/v1/queue/spark_img_effects/requests/", "/status"),
    ("GET", "/model/v1/queue/spark_img_effects/requests/", "/response"),
    ("PUT", "/model/v1/queue/spark_img_effects/requests/", "/cancel"),
    ("GET", "/model/v1/queue/", "/requests/mmsu_x/status"),
    ("GET", "/api/v1/skill/models?", ""),
    ("GET", "/api/v1/skill/models/", "/spec"),
    ("GET", "/api/v1/skill/model-contracts/", ""),
    ("POST", "/api/v1/storage/files", ""),
    ("GET", "/files/", ""),
    ("GET", "/_emulator/", ""),
    ("GET", "/_emulator/requests?after=", ""),
    ("GET", "/_emulator/requests?limit=", ""),
    ("GET", "/_emulator/tasks?limit=", ""),
    ("GET", "/_emulator/counts", ""),
    ("POST", "/_emulator/next", ""),
    ("PUT", "/_emulator/faults", ""),
    ("GET", "/_emulator/faults", ""),
    ("POST", "/_emulator/clock/advance", ""),
    ("POST", "/_emulator/reset", ""),
    ("GET", "/", ""),
];
