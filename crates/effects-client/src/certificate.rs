//! What the HTTP clients report of an exchange that failed: [`unsent`] where it never left, [`lost`] where
//! it may have arrived; of downloads [`unsent_fetch`] and [`lost_fetch`]. Each finds a refused certificate
//! by the words of rustls and reports it as `Untrusted`, which ends a run at once unless it has seen its
//! task. `effects-ureq` and `effects-reqwest` use them on reasons to which [`with_way_out`] has added what to
//! do about the certificate.

use effects_core::gateway::Answer;
use effects_core::wire::ExchangeError;

/// The answer of an exchange with the gateway that never left.
pub fn unsent(reason: String) -> Answer {
    if is_certificate(&reason) { Answer::Untrusted(reason) } else { Answer::NotSent(reason) }
}

/// The answer of an exchange with the gateway that left, or began to, and failed. A server that refuses a
/// client's certificate says so after the client believes the TLS session to be there, and has then read
/// nothing of the request (RFC 8446, section 4.4.2.4).
pub fn lost(reason: String) -> Answer {
    if is_refusal(&reason) { Answer::Untrusted(reason) } else { Answer::Lost(reason) }
}

/// What is wrong with a download that left, or began to.
pub fn lost_fetch(reason: String) -> ExchangeError {
    match lost(reason) {
        Answer::Untrusted(reason) => ExchangeError::Untrusted { reason },
        Answer::Lost(reason) | Answer::NotSent(reason) => ExchangeError::Lost { reason },
        answer => ExchangeError::Lost { reason: format!("{answer:?}") },
    }
}

/// What is wrong with a download that never left.
pub fn unsent_fetch(reason: String) -> ExchangeError {
    if is_certificate(&reason) {
        ExchangeError::Untrusted { reason }
    } else {
        ExchangeError::NotSent { reason }
    }
}

/// The reason why an exchange failed, with the way out where a certificate is refused.
pub fn with_way_out(reason: String) -> String {
    if !is_certificate(&reason) {
        return reason;
    }
    let found = WAYS_OUT.iter().find(|(words, _)| reason.contains(words));
    found.map(|(_, way_out)| format!("{reason} ({way_out})")).unwrap_or(reason)
}

/// Whether these are the words of rustls, which both clients use, for a certificate it refuses. What
/// wraps its error on the way does not say so by its type.
fn is_certificate(reason: &str) -> bool {
    reason.contains("invalid peer certificate") || is_refusal(reason)
}

/// Whether these are the words of rustls for a server that refuses the certificate of the client, or
/// misses it.
fn is_refusal(reason: &str) -> bool {
    REFUSALS.iter().any(|alert| reason.contains(&format!("received fatal alert: {alert}")))
}

/// The alerts by which TLS refuses a certificate: such a session never comes to be.
const REFUSALS: [&str; 8] = [
    "CertificateRequired",
    "BadCertificate",
    "UnsupportedCertificate",
    "CertificateRevoked",
    "CertificateExpired",
    "CertificateUnknown",
    "UnknownCA",
    "AccessDenied",
];

/// What to do about a certificate, by rustls's word for what is wrong with it.
const WAYS_OUT: [(&str, &str); 8] = [
    (
        "received fatal alert: CertificateRequired",
        "the server asks for a client certificate: name its PEM file as client_cert (--client-cert, \
         EFFECTS_CLIENT_CERT)",
    ),
    (
        // After the alert above, since the first entry that is found counts.
        "received fatal alert: ",
        "the server does not accept the client certificate: name another one as client_cert, with its chain \
         up to an authority that the server trusts",
    ),
    (
        "UnknownIssuer",
        "the certificate's issuer is not trusted here: name a PEM file with it in the environment's \
         SSL_CERT_FILE, or as ca_bundle",
    ),
    (
        "BadSignature",
        "an issuer of the same name is trusted here, and has another key: name a PEM file with the \
         certificate's own issuer in the environment's SSL_CERT_FILE, or as ca_bundle",
    ),
    (
        "CaUsedAsEndEntity",
        "the server shows a certificate authority's own certificate, which no client takes for a server's: \
         make the server one without it, for example with `openssl req -x509 -addext \
         basicConstraints=critical,CA:FALSE`, and name its PEM file in the environment's SSL_CERT_FILE, or \
         as ca_bundle",
    ),
    (
        "not valid for name",
        "the certificate is of another host: write the base URL with a name that is in it",
    ),
    (
        "certificate expired",
        "the server needs a new certificate, unless the clock of this machine is wrong",
    ),
    (
        "certificate not valid yet",
        "the clock of this machine is wrong, or the server's certificate is of tomorrow",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refused_certificate_has_its_way_out() {
        for (why, way_out) in [
            ("UnknownIssuer", "SSL_CERT_FILE"),
            ("BadSignature", "SSL_CERT_FILE"),
            ("Other(OtherError(CaUsedAsEndEntity))", "CA:FALSE"),
            ("certificate not valid for name \"a\"; certificate is only valid for b", "base URL"),
            ("certificate expired: verification time 2 (UNIX)", "new certificate"),
            ("certificate not valid yet: verification time 2 (UNIX)", "clock"),
        ] {
            let advice = with_way_out(format!("invalid peer certificate: {why}"));
            assert!(advice.contains(why) && advice.contains(way_out), "{advice}");
        }
        assert_eq!(with_way_out("connection refused".to_owned()), "connection refused");
    }

    #[test]
    fn a_refused_client_certificate_has_its_way_out_once() {
        let described = with_way_out("received fatal alert: CertificateRequired".to_owned());
        for answer in [lost(described.clone()), unsent(described.clone())] {
            assert!(matches!(answer, Answer::Untrusted(reason) if reason == described));
        }
    }
}
