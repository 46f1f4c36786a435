//! [`io_reason`]: the system's error of a connection, in words for a user. Both clients put it into what they
//! report of an exchange that failed, in place of their HTTP library's words.

use std::io;

/// What went wrong with a connection.
pub fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        // The system's words say neither what that means nor what to do.
        io::ErrorKind::ConnectionRefused => NOTHING_LISTENS.to_owned(),
        _ => error.to_string(),
    }
}

/// The answer of a machine on which no server has the port.
const NOTHING_LISTENS: &str = "nothing listens there (connection refused): look at the address, and the proxy's if there is one";
