//! [`Emulator`]: the `spark_img_effects` gateway on this machine, which answers as the service does and
//! paints with a local renderer: no key of the service, no network, no bill. Rust tests and examples start
//! one in their own process, and so do the Python package and the commands with `--emulator`; `effects
//! emulator` runs one as a server ([`serve()`]), for clients in any language.
//!
//! Code that is written against the API can be run here as a whole, with what the paid service never
//! lets a test do: faults on request, the passage of time, a record of every request.
//!
//! ```
//! use effects_emulator::{Emulator, Endpoint, Fault, FaultPlan, FaultRule, Pictures};
//!
//! let plan = FaultPlan::none().with(FaultRule::on(Endpoint::Create, Fault::lost()).nth(1));
//! let emulator = Emulator::builder().pictures(Pictures::Stub).faults(plan).start()?;
//!
//! // … point a client at emulator.base_url() with emulator.api_key(), let it run, then:
//! assert!(emulator.counts().by_body.values().all(|paid| *paid == 1));
//! # Ok::<(), effects_emulator::StartError>(())
//! ```
//!
//! # What it is not
//!
//! Its pictures are painted by a local renderer: a stand-in, not the generative model. Its tasks'
//! `metadata` says so.
//!
//! # Surfaces
//!
//! | surface | requests |
//! |---|---|
//! | generation | `POST /model/v1/generation`, `GET /model/v1/generation/task/{id}` |
//! | queue | `POST /model/v1/queue/{model}`, `GET …/requests/{id}/status`, `GET …/response`, `PUT …/cancel` |
//! | catalogue | `GET /api/v1/skill/models`, `…/models/{id}/spec`, `…/model-contracts/{id}` (no key) |
//! | storage | `POST /api/v1/storage/files`, a form with a field `file` |
//! | files | `GET /files/{name}`: pictures and uploads (no key, names that cannot be guessed) |
//! | page | `GET /`: for a person with a browser; its own files alone, live by server-sent events |
//! | account | `GET /api/v1/user/balance`, `POST /model/v1/generation/precharge` |
//! | description | `GET /openapi.json`: all of this as OpenAPI 3.1; `GET /healthz` (no key) |
//! | control | `/_emulator/…`: requests, verify, tasks, counts, next, faults, clock, events, reset |
//!
//! The control API takes and gives JSON:
//!
//! | request | does |
//! |---|---|
//! | `GET /_emulator/` | says what this is and what it has done |
//! | `GET /_emulator/requests` | lists every request seen with its answer, the key redacted; `?after=` a number, `task=`, `template=`, `endpoint=`, `status=`, `since=` milliseconds, `limit=`; `authorized` is false for those answered 401 |
//! | `POST /_emulator/verify` | counts requests: `{"match": {"endpoint": "create", "template": "glass_ball"}, "count": 1}`; lists those that matched and those that nearly did |
//! | `GET /_emulator/tasks` | lists tasks, newest first; `?status=`, `template=`, `since=`, `limit=` |
//! | `GET /_emulator/tasks/{id}` | shows one, with its picture, its cost and the numbers of its requests |
//! | `GET /_emulator/tasks/{id}/picture` | its picture, which is no request of a client's |
//! | `POST /_emulator/tasks/{id}/finish` | makes a running task due now |
//! | `POST /_emulator/tasks/{id}/fail` | ends a running task: `{"code": "3009095", "message": "…"}` |
//! | `GET /_emulator/counts` | counts accepted creates by body and by idempotency key |
//! | `POST /_emulator/next` | scripts the next requests: `{"on": "create", "faults": [{"kind": "no-url"}, null]}`, of one `template` or `key` if it names one |
//! | `GET`, `DELETE /_emulator/next` | lists what is scripted and was not met yet, forgets it |
//! | `GET`, `PUT /_emulator/faults` | shows the [`FaultPlan`], sets another |
//! | `POST /_emulator/clock/advance` | moves a virtual clock: `{"seconds": 5}`, or `{"to": 1764000000000}` |
//! | `POST /_emulator/reset` | begins anew, plan and clock too: `{"keep": ["plan", "clock"]}` keeps them |
//!
//! # Keys that choose an outcome
//!
//! Where it listens on loopback, keys such as these open it too, and each create made with one
//! meets its fault: `test_ok`, `test_fail_3009095` (any code), `test_status_503` (any status),
//! `test_balance`, `test_throttled`, `test_reset`, `test_lost`, `test_hang`, `test_hang_after`,
//! `test_truncate`, `test_garbage`, `test_drip`, `test_no_url`, `test_wrong_size`,
//! `test_wrong_sides`, `test_expired_link`, `test_missing`, `test_never`, `test_finished`.
//!
//! # Limits
//!
//! Everything has an end, set in [`Limits`]: bodies, photos, the queue (429 beyond it), paintings at
//! once, tasks and files remembered, requests recorded, connections. Photos are fetched from public
//! addresses alone, from loopback too where it listens there itself, and from private networks if
//! [`Options::allow_private`] says so.
//!
//! The key is looked at first. Of a request without an accepted one only the head is read: it is
//! answered at once, recorded apart from those with a key, and marked if it was refused. Bodies that
//! come too slowly, and connections that have never carried the key, make way when others need
//! what they hold.

mod auth;
mod bad_option;
mod body;
mod changes;
mod clock;
mod control;
mod cors;
mod emulator;
mod endpoint;
mod faults;
mod file_kind;
mod file_store;
mod ids;
mod inspection;
mod isolation;
mod latency;
mod lifecycle;
mod middleware;
mod openapi;
mod options;
mod painter;
mod painting;
mod photo;
mod private;
mod record;
mod render_queue;
mod rng;
mod routes;
mod runtime_thread;
mod seen_request;
mod serve;
mod server;
mod session;
mod settle;
mod socket;
mod spending;
mod state;
mod store;
mod surfaces;
mod task;
mod tasks;
mod template_id;
mod whole_numbers;
mod wire;

pub use bad_option::BadOption;
pub use clock::{ClockIsReal, ClockKind};
pub use emulator::{Emulator, EmulatorBuilder, StartError};
pub use endpoint::Endpoint;
pub use faults::{
    BadPlan, ErrorBody, Fault, FaultPlan, FaultRule, Moment, RateLimit, RetryAfter, Script, When,
};
pub use inspection::{SeenFailure, SeenTask};
pub use latency::{Latency, Spread};
pub use openapi::openapi;
pub use options::{Dialect, Limits, Options, Pictures, Validation};
pub use painter::{PaintFailure, Painter};
pub use record::Counts;
pub use seen_request::{SeenAnswer, SeenRequest};
pub use serve::serve;
pub use state::Keep;
pub use store::StoreError;

/// The README's snippets compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
