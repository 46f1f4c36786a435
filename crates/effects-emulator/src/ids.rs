//! [`random_id`]: random names that cannot be guessed: task ids (`lifecycle.rs`), file names
//! (`file_store.rs`), an emulator's key (`state.rs`), the token of the page's cookie (`session.rs`), and
//! the request ids of refusals (`middleware.rs`).

/// A name of `length` characters in the alphabet of the service's ids, five random bits each.
///
/// The service's ids are twenty characters of lower-case base 32; at that length a guess has one
/// chance in 2^100.
pub(crate) fn random_id(length: usize) -> String {
    let mut bytes = vec![0; length];
    // The operating system's generator cannot fail once the machine is up, and a predictable name
    // would open every picture to a guess: there is no sensible way on.
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    // 32 divides 256, so each letter is as likely as any other.
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_length_and_the_alphabet_and_differ() {
        let (one, two) = (random_id(20), random_id(20));
        assert_eq!(one.len(), 20);
        assert!(one.bytes().all(|byte| ALPHABET.contains(&byte)));
        assert_ne!(one, two);
    }
}
