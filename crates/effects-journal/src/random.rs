//! [`random_number`]: a random number from the operating system, which no other process draws. The schemas
//! (`schema.rs`, `postgres/schema.rs`) make the id of a new journal of it, `Owner` the id of each open
//! journal, and `EmptyFile` the name of a temporary file.

use std::io;

/// A number that cannot be guessed and that no other process draws: also not one that was forked from this one,
/// since nothing of it is kept in memory.
///
/// # Errors
///
/// The system gives none. There is no other source that could be trusted with what must be unique.
pub(crate) fn random_number() -> io::Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}
