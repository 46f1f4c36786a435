//! The `spark_img_effects` gateway on this machine: no key, no network, no bill.

mod clock;
mod emulator;
mod endpoint;
mod gate;
mod gateway;
mod ids;
mod keys;
mod latency;
mod life;
mod options;
mod painter;
mod photo;
mod rng;
mod serve;
mod server;
mod studio;
mod surfaces;
mod task;
mod tasks;
mod vault;
mod wire;

pub use clock::{ClockIsReal, ClockKind};
pub use emulator::{Emulator, EmulatorBuilder, StartError};
pub use endpoint::Endpoint;
pub use latency::{Latency, Spread};
pub use options::{BadOption, Dialect, Limits, Options, Pictures, Validation};
pub use painter::{PaintFailure, Painter};
pub use serve::serve;
