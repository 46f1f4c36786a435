//! [`Identity`]: the hash by which a journal knows a row, so that a batch that is run again finds its rows
//! and pays for none twice. [`RowDraft`](super::RowDraft) makes it from the row's key, or from what the row
//! asks for and how often an equal row came before; a single run's row has a random one. Each
//! [`JournalStore`](super::JournalStore) finds rows by it, and the command's batches write it to their
//! `manifest.jsonl`. The hash of a row's photo (`Row::likeness`) is of this type, too.

use std::fmt;

use sha2::{Digest, Sha256};

use effects_core::{Origin, TaskId};

/// By what a row is known again when its batch is run again: a hash that nothing can be read from.
///
/// ```
/// use effects_jobs::Identity;
///
/// let once = Identity::unique(*b"sixteen bytes of");
/// assert_eq!(once.to_string().len(), 64);
/// assert_ne!(once, Identity::unique(*b"other 16 bytes !"));
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Identity([u8; 32]);

impl Identity {
    /// The identity of a row that is to be no other caller's: of a single run, which is paid again when
    /// the same command is given again. The bytes come from the system's source of randomness.
    pub fn unique(bytes: [u8; 16]) -> Self {
        Self::hashed("effects unique 1", &[&bytes])
    }

    /// The identity of a row that is a task's alone: of a task that is there, and whose row is
    /// another's by now.
    pub fn of_task(origin: &Origin, task: &TaskId) -> Self {
        Self::hashed("effects task 1", &[origin.to_string().as_bytes(), task.as_str().as_bytes()])
    }

    /// The identity that is shown as these 64 hexadecimal digits.
    pub fn from_digits(digits: &str) -> Option<Self> {
        // `from_str_radix` would take a sign for a digit.
        let digit = |byte: u8| Some(char::from(byte).to_digit(16)? as u8);
        let byte = |pair: &[u8; 2]| Some((digit(pair[0])? << 4) | digit(pair[1])?);
        let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
        let bytes = pairs.iter().map(byte).collect::<Option<Vec<u8>>>()?;
        rest.is_empty().then_some(Self::from_bytes(bytes.try_into().ok()?))
    }

    /// The identity with these bytes: for stores that read one back.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash of some parts, none of which can run into the next.
    pub(super) fn hashed(kind: &str, parts: &[&[u8]]) -> Self {
        // The lengths keep `ab`, `c` apart from `a`, `bc`. Another kind or layout would make every
        // row in existing journals an unknown one, which is paid for again.
        let mut hash = Sha256::new();
        for part in std::iter::once(&kind.as_bytes()).chain(parts) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_are_read_as_an_identity() {
        let digits = Identity::from_bytes([15; 32]).to_string();
        assert_eq!(Identity::from_digits(&digits), Some(Identity::from_bytes([15; 32])));
        for wrong in ["", &digits[1..], &digits[2..], &digits.replace("0f", "+f"), &"ü".repeat(32)]
        {
            assert_eq!(Identity::from_digits(wrong), None, "{wrong}");
        }
    }
}
