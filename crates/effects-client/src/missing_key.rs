//! [`MissingKeyAdvice`]: what the error of a client without a key tells its user: how this program takes
//! one, where keys are made, and how it reaches a local gateway that needs none. `ClientBuilder::build`
//! ends its error with it; the command (`gateway.rs`) and the Python package (`setup.rs`) give their own
//! words.

use std::fmt;

/// How a program takes a key, and how it reaches a gateway that needs none, in its own words.
#[derive(Clone, Copy, Debug)]
pub struct MissingKeyAdvice {
    /// Continues "set EFFECTS_API_KEY, or …".
    pub give: &'static str,
    /// Continues "the local gateway needs none: …".
    pub local: &'static str,
}

impl Default for MissingKeyAdvice {
    fn default() -> Self {
        let local = "`effects_emulator::Emulator` starts one, and has its key";
        Self { give: "give one to `ClientBuilder::api_key`", local }
    }
}

impl fmt::Display for MissingKeyAdvice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { give, local } = self;
        write!(
            f,
            "set EFFECTS_API_KEY, or {give}; keys are made on the API key page of the service's site \
             (https://cloud.vtrix.ai). The local gateway needs none: {local}"
        )
    }
}
