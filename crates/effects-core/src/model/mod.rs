//! The model `spark_img_effects`: its templates, its sizes, and the request that it takes.
//!
//! [`EffectRequest`](request::EffectRequest) is one picture to make. This is the only module that knows
//! the model; support for another model of the same gateway is a second module beside it.

pub(crate) mod reference;
pub(crate) mod request;
pub(crate) mod size;
pub(crate) mod template;

/// The value of `model` in every request: the service's page, section "Parameters".
pub const MODEL: &str = "spark_img_effects";
