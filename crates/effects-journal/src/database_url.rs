//! [`is_database_url`]: whether the name of a journal is a `postgres://` URL and not a file; by this
//! the command and the Python package choose the kind of journal. [`without_password`]: the URL without
//! its password, as the command, the Python package and `DatabaseSettings` show it in messages, errors
//! and lines to run again.

/// Whether a journal's name is the URL of a Postgres database, and not a file.
///
/// ```
/// use effects_journal::is_database_url;
///
/// assert!(is_database_url("postgres://studio@db.example/photos"));
/// assert!(!is_database_url("run.db"));
/// ```
pub fn is_database_url(name: &str) -> bool {
    SCHEMES.iter().any(|scheme| name.starts_with(scheme))
}

/// The URL of a database without its password, for logs, errors and lines to type again. What is no
/// such URL stays as it is.
///
/// ```
/// use effects_journal::without_password;
///
/// let shown = without_password("postgres://studio:secret@db.example/photos?password=secret");
/// assert_eq!(shown, "postgres://studio@db.example/photos");
/// ```
pub fn without_password(url: &str) -> String {
    let Some(scheme) = SCHEMES.iter().find(|scheme| url.starts_with(**scheme)) else {
        return url.to_owned();
    };
    let rest = &url[scheme.len()..];
    // A password may hold any letter, also one that should have been written as %40, %2F or %3F. So the
    // login ends at the last @ before the parameters, which begin after the first @.
    let has_name = |(at, _): &(usize, &str)| {
        let parameter = rest[at + 1..].split(['=', '&']).next();
        *at > rest.find('@').unwrap_or_default()
            && parameter.is_some_and(|name| !name.contains('@'))
    };
    let end = rest.match_indices('?').find(has_name).map_or(rest.len(), |(at, _)| at);
    let shown = match rest[..end].rsplit_once('@') {
        None => rest.to_owned(),
        Some((login, location)) => {
            let user = login.split_once(':').map_or(login, |(user, _)| user);
            let at = if user.is_empty() { "" } else { "@" };
            format!("{user}{at}{location}{}", &rest[end..])
        }
    };
    let (location, query) = shown.split_once('?').unwrap_or((&shown, ""));
    let is_kept = |part: &&str| {
        let name = decoded(part.split('=').next().unwrap_or_default());
        !part.is_empty() && !name.to_ascii_lowercase().ends_with("password")
    };
    let kept: Vec<&str> = query.split('&').filter(is_kept).collect();
    let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    format!("{scheme}{location}{query}")
}

/// A parameter's name or value with its `%XX` read.
pub(crate) fn decoded(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let code = code.and_then(|two| u8::from_str_radix(two, 16).ok());
        match (first, code) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_password_is_shown_whatever_it_holds() {
        for url in [
            "postgres://me:s3cret@db/x",
            "postgresql://me:s3cret@/x?host=/run&password=s3cret",
            "postgres://me:a@s3cret/b@db:5433/x?sslmode=require",
            "postgres://:s3cret@db",
            "postgresql://me@db/x?pass%77ord=s3cret&sslmode=require",
            "postgresql://me@db/x?%70assword=s3cret",
            "postgresql://me@db/x?sslpassword=s3cret",
            "postgres://me:a?s3cret@db/x",
            "postgres://me:a?b=s3cret@db/x?sslmode=require",
            "postgres://me:a@b?s3cret@db/x",
            "postgres://db/x?password=s3cret&user=me@corp",
            "postgres://db/x?user=me@corp&password=s3cret",
        ] {
            let shown = without_password(url);
            assert!(!shown.contains("s3cret") && shown.contains("://"), "{shown}");
        }
        assert_eq!(
            without_password("postgres://db/x?sslmode=require"),
            "postgres://db/x?sslmode=require"
        );
        assert_eq!(
            without_password("postgres://me:s3cret@db/x?user=me@corp&host=/run"),
            "postgres://me@db/x?user=me@corp&host=/run"
        );
        assert_eq!(without_password("a:b@c.db"), "a:b@c.db");
    }
}
