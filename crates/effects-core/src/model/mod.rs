//! The model `spark_img_effects`: [`EffectRequest`](crate::EffectRequest) (`request.rs`), a checked request
//! for one picture, with its template (`template.rs`), size (`size.rs`), photo URL (`reference.rs`), and
//! parameters that this library does not know (`extra_params.rs`). Rust programs, jobs, the command and the
//! Python package make requests, and both clients submit them; the emulator checks the requests it receives
//! by the templates and sizes.
//!
//! This is the only module that knows the model; support for another model of the same gateway is a
//! second module beside it.

pub(crate) mod extra_params;
pub(crate) mod reference;
pub(crate) mod request;
pub(crate) mod size;
pub(crate) mod template;

pub use request::{Checked, Draft, DraftImage};
pub use size::{DEFAULT_SIDE, SIDE_RANGE};
pub use template::UnlistedTemplate;

/// The value of `model` in every request: the service's page, section "Parameters".
pub const MODEL: &str = "spark_img_effects";
