//! [`io_reason`]: the system's error of a connection, in words for a user; [`no_tunnel`]: the same of a proxy
//! that opens no tunnel. Both clients put them into what they report of an exchange that failed, in place of
//! their HTTP library's words.

use std::io;

/// What went wrong with a connection.
pub fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        // The system's words say neither what that means nor what to do.
        io::ErrorKind::ConnectionRefused => NOTHING_LISTENS.to_owned(),
        _ => error.to_string(),
    }
}

/// What a proxy answered that opens no tunnel to the gateway: nothing was sent through it.
pub fn no_tunnel(answer: &str) -> String {
    let login = if answer.contains("407") { PROXY_WANTS_LOGIN } else { "" };
    format!("the proxy opens no tunnel: {answer}{login}")
}

/// What `HTTP 407` means, and what to do.
const PROXY_WANTS_LOGIN: &str =
    " (it wants a user name and password: give USER:PASSWORD@ before the host in its URL)";

/// The answer of a machine on which no server has the port.
const NOTHING_LISTENS: &str = "nothing listens there (connection refused): look at the address, and the proxy's if there is one";
