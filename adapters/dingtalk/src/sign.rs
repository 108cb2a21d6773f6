//! The HMAC signatures of robot messages and card callbacks.
//!
//! Both cover the time only, not the body: they prove that the sender knows the secret and nothing more. What the
//! body says is therefore believed only as far as it does no harm (see [`crate::route`]).
//! Sources: open.dingtalk.com "接收消息" (robot receives messages) and "卡片回调" (card callback), August 2026.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// `sign` of a robot message: Base64 of HMAC-SHA256 with the app secret as key over time, line feed and app secret.
/// `timestamp` is the header as it came.
pub(crate) fn robot_sign(app_secret: &str, timestamp: &str) -> String {
    STANDARD.encode(hmac(app_secret, &[timestamp.as_bytes(), b"\n", app_secret.as_bytes()]))
}

/// `x-ddpaas-signature` of a card callback: Base64 of HMAC-SHA256 with the registered secret over the time alone.
pub(crate) fn card_sign(api_secret: &str, timestamp: &str) -> String {
    STANDARD.encode(hmac(api_secret, &[timestamp.as_bytes()]))
}

/// The secret that card callbacks are registered with when none is configured. Every process of an app derives the
/// same, so none of them invalidates another's registration.
pub(crate) fn derived_card_secret(app_secret: &str) -> String {
    hex::encode(hmac(app_secret, &[b"magpie card callbacks v1"]))
}

/// Compares in a time that does not depend on where the texts differ.
pub(crate) fn same(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

fn hmac(key: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn robot_signature_matches_the_published_constants() {
        assert_eq!(robot_sign("this is a secret", "1577262236757"), "DJrE6qdyVGCQz9z5r2MDuNcNAhwYnuAkyj13cx169CA=");
    }

    #[test]
    fn card_signature_covers_neither_line_feed_nor_secret() {
        assert_ne!(card_sign("secret", "1577262236757"), robot_sign("secret", "1577262236757"));
        assert!(same(&card_sign("s", "1"), &card_sign("s", "1")));
        assert!(!same("a", "ab"));
    }
}
