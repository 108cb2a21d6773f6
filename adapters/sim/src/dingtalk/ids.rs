//! Random identifiers in the shapes of the platform's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Fills an array with randomness of the operating system.
pub(super) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness on every supported target");
    bytes
}

/// `prefix` and 16 random bytes in Base64, with its `+`, `/` and `=`, as message and carrier ids have them.
pub(super) fn id(prefix: &str) -> String {
    format!("{prefix}{}", STANDARD.encode(random_bytes::<16>()))
}

/// 32 hexadecimal digits: tokens, sessions, file codes.
pub(super) fn hex_id() -> String {
    hex::encode(random_bytes::<16>())
}
