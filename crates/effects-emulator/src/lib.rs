//! The `spark_img_effects` gateway on this machine: no key, no network, no bill.

mod clock;
mod control;
mod emulator;
mod endpoint;
mod faults;
mod gate;
mod gateway;
mod ids;
mod keys;
mod kind;
mod latency;
mod life;
mod options;
mod painter;
mod photo;
mod record;
mod rng;
mod serve;
mod server;
mod socket;
mod store;
mod studio;
mod surfaces;
mod task;
mod tasks;
mod vault;
mod wire;

pub use clock::{ClockIsReal, ClockKind};
pub use emulator::{Emulator, EmulatorBuilder, StartError};
pub use endpoint::Endpoint;
pub use faults::{
    BadPlan, ErrorBody, Fault, FaultPlan, FaultRule, Moment, RateLimit, RetryAfter, When,
};
pub use latency::{Latency, Spread};
pub use options::{BadOption, Dialect, Limits, Options, Pictures, Validation};
pub use painter::{PaintFailure, Painter};
pub use record::{Counts, SeenRequest};
pub use serve::serve;
pub use store::StoreError;
