//! [`Size`]: the width and height asked for, in pixels, each optional; [`SIDE_RANGE`]: the sides that the
//! service accepts, and [`DEFAULT_SIDE`]: its choice where none is given. `EffectRequest` and the emulator
//! check requests by the range. Requests, jobs, journal rows, the prices of a budget, file names and the
//! command have a `Size`.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// Pixels a side may have: the service's page, `width` and `height`.
pub const SIDE_RANGE: RangeInclusive<u32> = 512..=2048;

/// Pixels of a side that the request leaves out: the service's page, `width` and `height`.
pub const DEFAULT_SIDE: u32 = 1328;

/// The sides asked for, in pixels, each left to the service when `None`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Size {
    /// Pixels across.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

impl Size {
    /// Whatever the service paints when nothing is said: [`DEFAULT_SIDE`] both ways.
    pub const DEFAULT: Self = Self { width: None, height: None };

    /// Both sides, in pixels. Whether they are in range is checked where a request is made.
    pub fn new(width: u32, height: u32) -> Self {
        Self { width: Some(width), height: Some(height) }
    }
}

/// `1024x768`, with the default where nothing was said.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |side: Option<u32>| side.unwrap_or(DEFAULT_SIDE);
        write!(f, "{}x{}", side(self.width), side(self.height))
    }
}
