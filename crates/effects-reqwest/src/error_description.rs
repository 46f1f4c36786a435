//! [`describe`]: the text of an error of the HTTP stack, with its causes and without the URL that reqwest
//! adds, which may hold a secret. `http_client.rs` and `submission.rs` report their failures with it.

use std::error::Error as StdError;
use std::io;

use effects_client::{certificate, io_reason};

/// The error with its causes, but without what reqwest says of it, which holds the URL: it may be a
/// permission.
pub(crate) fn describe(error: &(dyn StdError + 'static)) -> String {
    let (mut text, mut source) = match error.downcast_ref::<reqwest::Error>() {
        Some(error) if error.is_timeout() => ("timed out".to_owned(), error.source()),
        Some(error) => (String::new(), error.source()),
        None => (String::new(), Some(error)),
    };
    while let Some(cause) = source {
        // What wraps it says no more than that it is of a connection.
        if let Some(error) = cause.downcast_ref::<io::Error>()
            && error.kind() == io::ErrorKind::ConnectionRefused
        {
            return io_reason(error);
        }
        let cause_text = cause.to_string();
        // Some errors repeat their cause in their own describe.
        if !text.contains(&cause_text) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    if text.is_empty() { "the exchange failed".to_owned() } else { certificate::with_way_out(text) }
}
