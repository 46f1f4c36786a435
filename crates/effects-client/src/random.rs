//! Randomness from the operating system, drawn anew each time: [`fresh_seed`] for each run, single poll,
//! upload and download, [`random_name`] for temporary files and other names that must be unique,
//! `random_bytes` for single rows of a journal. Both clients, this crate, the command and programs that
//! drive runs themselves draw it here.
//!
//! Nothing of it is kept in memory, since a fork copies memory, and what two processes then drew
//! from it would be the same: a key under which both submit, a name under which both write.

use std::io;

use effects_core::{Error, ErrorKind, Seed};

/// Bytes that cannot be guessed and that no other process draws.
///
/// # Errors
///
/// The system gives none. There is no other source that could be trusted with what must be unique.
pub(crate) fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// What makes a file name unique: 16 hexadecimal digits.
///
/// # Errors
///
/// The system gives no random bytes.
pub fn random_name() -> io::Result<String> {
    Ok(format!("{:016x}", u64::from_le_bytes(random_bytes()?)))
}

/// A seed that cannot be guessed: drawn anew for each run, which takes the names of its submission from it.
///
/// # Errors
///
/// [`ErrorKind::Transport`] when the system gives no random bytes: nothing was sent.
pub fn fresh_seed() -> Result<Seed, Error> {
    random_bytes().map(Seed::from_bytes).map_err(|error| {
        let message = format!("the system gives no random bytes ({error}); nothing was sent");
        Error::new(ErrorKind::Transport, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_comes_twice() {
        let (one, two) = (random_name().unwrap(), random_name().unwrap());
        assert_eq!((one.len(), one != two), (16, true), "{one}");
        assert_ne!(fresh_seed().unwrap(), fresh_seed().unwrap());
    }
}
