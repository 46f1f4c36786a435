//! [`count_of`]: a count and what it counts, in words: `1 row`, `2 rows`. The command makes most of its
//! messages with a count by it; `effects-core`, `effects-jobs` and `effects-journal` make theirs, too.

/// So many of a thing: `1 row`, `2 rows`. The thing is named in the singular, by a word whose plural ends in s.
///
/// ```
/// use effects_core::count_of;
///
/// assert_eq!((count_of(1, "row"), count_of(0, "row")), ("1 row".into(), "0 rows".into()));
/// ```
#[must_use]
pub fn count_of(count: u64, thing: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{ending}")
}
