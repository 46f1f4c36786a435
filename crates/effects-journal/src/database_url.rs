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
    let (location, query) = rest.split_once('?').map_or((rest, None), |(a, b)| (a, Some(b)));
    // A password may hold any letter, also one that should have been written as %40 or %2F.
    let location = match location.rsplit_once('@') {
        None => location.to_owned(),
        Some((login, location)) => {
            let user = login.split_once(':').map_or(login, |(user, _)| user);
            if user.is_empty() { location.to_owned() } else { format!("{user}@{location}") }
        }
    };
    let kept = query.unwrap_or_default().split('&');
    let kept: Vec<&str> =
        kept.filter(|it| !it.is_empty() && !it.starts_with("password=")).collect();
    let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    format!("{scheme}{location}{query}")
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
        ] {
            let shown = without_password(url);
            assert!(!shown.contains("s3cret") && shown.contains("://"), "{shown}");
        }
        assert_eq!(
            without_password("postgres://db/x?sslmode=require"),
            "postgres://db/x?sslmode=require"
        );
        assert_eq!(without_password("a:b@c.db"), "a:b@c.db");
    }
}
