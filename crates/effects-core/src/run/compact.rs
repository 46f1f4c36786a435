//! Values that may be missing, in the room of those that are not: a hundred thousand runs wait in
//! one process, and each weighs what its fields do.

use crate::time::Time;

/// An `Option<Time>`: the end of time stands for none.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaybeTime(Time);

impl MaybeTime {
    pub(super) const NONE: Self = Self(Time::MAX);

    pub(super) fn get(self) -> Option<Time> {
        Some(self.0).filter(|time| *time != Time::MAX)
    }
}

impl From<Option<Time>> for MaybeTime {
    fn from(time: Option<Time>) -> Self {
        time.map_or(Self::NONE, Self)
    }
}

/// An `Option<f64>` of what is never "not a number", which stands for none.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaybeShare(f64);

impl MaybeShare {
    pub(super) const NONE: Self = Self(f64::NAN);

    pub(super) fn get(self) -> Option<f64> {
        Some(self.0).filter(|share| !share.is_nan())
    }
}

impl From<Option<f64>> for MaybeShare {
    fn from(share: Option<f64>) -> Self {
        share.map_or(Self::NONE, Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_there_and_what_is_missing_is_missing() {
        for time in [None, Some(Time::from_millis(0)), Some(Time::from_millis(u64::MAX - 1))] {
            assert_eq!(MaybeTime::from(time).get(), time);
        }
        for share in [None, Some(0.0), Some(0.4), Some(1.0)] {
            assert_eq!(MaybeShare::from(share).get(), share);
        }
    }
}
