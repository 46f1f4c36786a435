//! [`EffectRequest`](crate::EffectRequest) (`request.rs`) and its parts: the model `spark_img_effects`,
//! its templates (`template.rs`) and sizes (`size.rs`), the photo's URL (`reference.rs`) and parameters
//! that this library does not know (`extra_params.rs`). Both clients submit it; the emulator and the
//! renderer use the templates.
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
