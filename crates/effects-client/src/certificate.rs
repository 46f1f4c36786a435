//! [`unsent`]: the answer of an exchange that never left this machine; a certificate that is not trusted
//! ends the run at once. [`with_way_out`] adds to the reason what to do about it. The HTTP clients of
//! both crates use them.

use effects_core::gateway::Answer;
use effects_core::wire::Trouble;

/// The answer of an exchange with the gateway that never left.
pub fn unsent(reason: String) -> Answer {
    if is_certificate(&reason) { Answer::Untrusted(reason) } else { Answer::NotSent(reason) }
}

/// What is wrong with a download that never left.
pub fn unsent_fetch(reason: String) -> Trouble {
    if is_certificate(&reason) {
        Trouble::Untrusted { reason }
    } else {
        Trouble::NotSent { reason }
    }
}

/// The reason why an exchange failed, with the way out where a certificate's issuer is not trusted.
pub fn with_way_out(reason: String) -> String {
    if !reason.contains("UnknownIssuer") {
        return reason;
    }
    format!(
        "{reason} (the certificate's issuer is not trusted here: name a PEM file with it in the environment's \
         SSL_CERT_FILE, or as ca_bundle)"
    )
}

/// Whether these are the words of rustls, which both clients use, for a certificate it refuses. What
/// wraps its error on the way does not say so by its type.
fn is_certificate(reason: &str) -> bool {
    reason.contains("invalid peer certificate")
}
