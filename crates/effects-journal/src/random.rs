//! [`random_number`]: a random number from the operating system. From it come the id of each journal, the
//! id of each process at work on one (`Owner`), and the names of temporary files.

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
