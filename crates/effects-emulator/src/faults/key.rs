//! [`fault_of_key`]: the fault that a test key such as `test_status_503` names, which each create with that
//! key meets; for programs whose only setting is the key. `ApiKeys` (`auth.rs`) looks up each key that is
//! not the emulator's own, where test keys are accepted.

use super::body::{ErrorBody, RetryAfter};
use super::fault::{Fault, Moment};

/// The fault that every create with this key meets; `Some(None)` for a key that is good and meets
/// none, `None` for a key that is none of these.
pub(crate) fn fault_of_key(key: &str) -> Option<Option<Fault>> {
    let words = key.strip_prefix("test_")?;
    let number = |prefix: &str| words.strip_prefix(prefix).filter(|rest| is_number(rest));
    if let Some(code) = number("fail_") {
        return Some(Some(Fault::fail(code)));
    }
    if let Some(status) = number("status_").and_then(|status| status.parse().ok()) {
        // The range that plans are held to: the faults of keys are not checked again.
        return (200..=599).contains(&status).then(|| Some(Fault::status(status)));
    }
    // As long as a `hang` that names no seconds.
    let seconds = 3600.0;
    Some(match words {
        "ok" => None,
        "balance" => Some(Fault::balance()),
        "throttled" => {
            let after = Some(RetryAfter::Seconds(1));
            Some(Fault::status_with(429, ErrorBody::Union, after))
        }
        "reset" => Some(Fault::Reset { when: Moment::Before }),
        "lost" => Some(Fault::lost()),
        "hang" => Some(Fault::Hang { when: Moment::Before, seconds }),
        "hang_after" => Some(Fault::Hang { when: Moment::After, seconds }),
        "truncate" => Some(Fault::Truncate { keep: 0.5 }),
        "garbage" => Some(Fault::Garbage),
        "drip" => Some(Fault::Drip { bytes: 16, pause: 0.1 }),
        "no_url" => Some(Fault::NoUrl),
        "wrong_size" => Some(Fault::WrongSize),
        "wrong_sides" => Some(Fault::WrongSides),
        "expired_link" => Some(Fault::ExpiredLink { seconds: 0.0 }),
        "missing" => Some(Fault::Missing { looks: 2 }),
        // A year is the longest time that a fault may name.
        "never" => Some(Fault::Take { seconds: 31_536_000.0 }),
        "finished" => Some(Fault::Finished),
        _ => return None,
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;

    #[test]
    fn keys_name_faults_that_can_happen_to_a_create() {
        let names = [
            "fail_3009095",
            "status_503",
            "balance",
            "throttled",
            "reset",
            "lost",
            "hang",
            "hang_after",
            "truncate",
            "garbage",
            "drip",
            "no_url",
            "wrong_size",
            "wrong_sides",
            "expired_link",
            "missing",
            "never",
            "finished",
        ];
        for name in names {
            let fault = fault_of_key(&format!("test_{name}")).flatten().expect(name);
            assert_eq!(fault.objection(Endpoint::Create), None, "{name}");
        }
        assert_eq!(fault_of_key("test_ok"), Some(None));
        for name in ["test_", "test_nothing", "test_fail_", "test_status_99", "fail_3009095"] {
            assert_eq!(fault_of_key(name), None, "{name}");
        }
    }
}
