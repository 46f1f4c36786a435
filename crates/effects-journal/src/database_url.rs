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

/// The URL of a database without its password, for logs, errors and lines to type again: with the
/// parameters that the driver takes alone, and as its scheme alone (`postgres://…`) where an unencoded
/// `@`, `?` or `:` leaves open which part is the password. What is no such URL stays as it is.
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
    shown_parts(&url[scheme.len()..])
        .map_or_else(|| format!("{scheme}…"), |shown| format!("{scheme}{shown}"))
}

/// What is shown of a URL after its scheme; `None` where it can be read in two ways, and what is a host
/// or a parameter in the one is a part of the password in the other.
fn shown_parts(rest: &str) -> Option<String> {
    let end = parameters_start(rest)?;
    let (before, query) = (&rest[..end], rest[end..].trim_start_matches('?'));
    let (login, location) = before.rsplit_once('@').unwrap_or(("", before));
    let user = login.split_once(':').map_or(login, |(user, _)| user);
    let is_misplaced = |part: &str| {
        let name = part.split('=').next().unwrap_or_default();
        decoded(name).to_ascii_lowercase().ends_with("password")
    };
    if !is_location(location)
        || user.contains(['?', '&'])
        || before.split(['?', '&']).skip(1).any(is_misplaced)
    {
        return None;
    }
    let at = if user.is_empty() { "" } else { "@" };
    // What comes after a second `?` is no part of a value: it may be a password.
    let is_kept = |part: &&str| is_shown_parameter(part) && !part.contains('?');
    let kept: Vec<&str> = query.split('&').filter(is_kept).collect();
    let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    Some(format!("{user}{at}{location}{query}"))
}

/// Where the parameters begin, or the text ends without any. A password may hold any letter, also one
/// that should have been written as %40, %2F or %3F.
fn parameters_start(rest: &str) -> Option<usize> {
    let question = rest.find('?');
    let (Some(first_at), Some(last_at)) = (rest.find('@'), rest.rfind('@')) else {
        return Some(question.unwrap_or(rest.len()));
    };
    if let Some(question) = question.filter(|it| *it < first_at && is_location(&rest[..*it])) {
        // `db:5432/x?user=me@corp` may as well be the user `db` with a password of `5432/x?user=me`.
        let has_login = !rest.starts_with('[') && rest[..last_at].contains(':');
        return (!has_login).then_some(question);
    }
    let Some(question) = rest[first_at..].find('?').map(|at| first_at + at) else {
        return Some(rest.len());
    };
    if question > last_at {
        return Some(question);
    }
    // `me:a@b?user=c@db/x` may as well have a password of `a@b?user=c`, where `db/x` can be a location.
    let after = rest[last_at + 1..].split('?').next().unwrap_or_default();
    let is_open = rest[..question].contains(':') && is_location(after);
    (!is_open && is_parameter(&rest[question + 1..])).then_some(question)
}

/// Whether a text reads as `host[:port]`, or several with commas, and perhaps `/database`.
fn is_location(text: &str) -> bool {
    let has_port = |host: &str| {
        let after = match host.strip_prefix('[') {
            Some(address) => address.split_once(']').map(|(_, after)| after),
            None => Some(host.find(':').map_or("", |at| &host[at..])),
        };
        after.is_some_and(|after| {
            let port = after.strip_prefix(':').unwrap_or(after);
            port.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    let hosts = text.split('/').next().unwrap_or_default();
    !text.contains('&') && hosts.split(',').all(has_port)
}

/// Whether a text begins with a parameter: one that is shown, or a password.
fn is_parameter(text: &str) -> bool {
    let name = text.split_once('=').map(|(name, _)| decoded(name));
    is_shown_parameter(text) || name.is_some_and(|name| name == "password")
}

fn is_shown_parameter(part: &str) -> bool {
    part.split_once('=').is_some_and(|(name, _)| SHOWN_PARAMETERS.contains(&&*decoded(name)))
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

/// The parameters that the driver and `DatabaseSettings` take, but for the password. Another one may be
/// a part of it.
const SHOWN_PARAMETERS: [&str; 20] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "passfile",
    "port",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

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
            "postgres://me:a@b?user=s3cret@db/x",
            "postgres://db/x?password=s3cret&user=me@corp",
            "postgres://db/x?user=me@corp&password=s3cret",
            "postgres://db:5432/x?user=me@corp&password=s3cret",
            "postgres://db:5432/x?password=a@s3cret&b=1",
            "postgres://[::1]/x?password=a@s3cret",
            "postgres://me:5?s3cret@db",
            "postgres://me?x:s3cret@db",
            "postgres://me:s3cret/x",
            "postgres://me:a@db&password=s3cret",
            "postgres://me:a@db/x?foo=me@corp&password=a@s3cret",
            "postgres://db/x?sslmode=require?password=s3cret",
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
        assert_eq!(
            without_password("postgres://[::1]/x?user=me@corp&password=a@s3cret"),
            "postgres://[::1]/x?user=me@corp"
        );
        assert_eq!(
            without_password("postgres://db/x?user=me@corp&password=s3cret"),
            "postgres://db/x?user=me@corp"
        );
        assert_eq!(without_password("postgres://me:5?s3cret@db"), "postgres://…");
        assert_eq!(without_password("a:b@c.db"), "a:b@c.db");
    }

    #[test]
    fn no_password_is_shown_wherever_it_stands_in_a_url() {
        const PASSWORDS: [&str; 20] = [
            "s3cret",
            "a@s3cret",
            "s3cret@b",
            "a/s3cret",
            "a:s3cret",
            "a&s3cret",
            "a&b=s3cret",
            "a?s3cret",
            "a?b=s3cret",
            "5?s3cret",
            "5/x?s3cret",
            "5?b=s3cret",
            "a@b?s3cret",
            "a@b?c=s3cret",
            "a@s3cret?c=d",
            "s3cret?a@5/b:6&c=d",
            "a@b?user=s3cret",
            "a@b/x?user=s3cret&host=b",
            "a@5?sslmode=s3cret",
            "5@b?user=s3cret",
        ];
        const USERS: [&str; 4] = ["", "me", "me%40corp", "5432"];
        const HOSTS: [&str; 8] =
            ["", "db", "db:5432", "db.example", "[::1]", "[::1]:5432", "a:1,b:2", "%2Frun"];
        const DATABASES: [&str; 3] = ["", "/x", "/5"];
        const PARAMETERS: [&str; 6] =
            ["", "sslmode=require", "user=me@corp", "b=1", "host=/run", "c"];
        const NAMES: [&str; 4] = ["password", "pass%77ord", "PASSWORD", "sslpassword"];
        let hidden = |url: &str| {
            let shown = without_password(url);
            assert!(!shown.contains("s3cret"), "{url} is shown as {shown}");
        };
        for (host, database) in HOSTS.iter().flat_map(|host| DATABASES.map(|it| (host, it))) {
            for (password, parameter) in
                PASSWORDS.iter().flat_map(|it| PARAMETERS.map(|of| (it, of)))
            {
                let location = format!("{host}{database}");
                for user in USERS {
                    hidden(&format!("postgres://{user}:{password}@{location}?{parameter}"));
                    hidden(&format!("postgresql://{user}:{password}@{location}"));
                }
                for name in NAMES {
                    let given = format!("{name}={password}");
                    for login in ["", "me@", "me:s3cret@", "me:a?s3cret@", "me:a@s3cret@"] {
                        hidden(&format!("postgres://{login}{location}?{given}"));
                        hidden(&format!("postgres://{login}{location}?{given}&{parameter}"));
                        hidden(&format!("postgres://{login}{location}?{parameter}&{given}"));
                        hidden(&format!("postgres://{login}{location}&{given}?{parameter}"));
                    }
                }
            }
        }
    }
}
