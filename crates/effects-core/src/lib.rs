//! What is true of the `spark_img_effects` API whatever the I/O.

mod code;
mod size;
mod template;

pub use code::{Fault, ServiceCode};
pub use size::{DEFAULT_SIDE, SIDE_RANGE, Size};
pub use template::{Group, Template, UnknownTemplate, UnlistedTemplate};

/// The value of `model` in every request: the service's page, section "Parameters".
pub const MODEL: &str = "spark_img_effects";
