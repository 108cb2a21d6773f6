//! What the platform does to a body before it pushes it: AES-256-CBC with the Encrypt Key, and a plain hash as the
//! signature (SHA-256 for events and card callbacks, SHA-1 for the old card callback).
//!
//! Source: open.feishu.cn, "Configure Encrypt Key" and "Security verification" of event subscriptions, checked May 2026.

use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use sha1::Sha1;
use sha2::{Digest, Sha256};

const IV_BYTES: usize = 16;

/// Why an encrypted body could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("not padded standard base64")]
    Base64,
    #[error("not an IV and whole blocks")]
    Length,
    #[error("wrong key or damaged padding")]
    Padding,
}

/// Encrypts `plain` under a random IV: base64 of IV and ciphertext, the value of `{"encrypt": …}`.
///
/// # Panics
/// If the operating system gives no randomness.
#[must_use]
pub fn seal(encrypt_key: &str, plain: &[u8]) -> String {
    let mut iv = [0u8; IV_BYTES];
    getrandom::fill(&mut iv).expect("the operating system gives random bytes");
    seal_with_iv(encrypt_key, iv, plain)
}

/// As [`seal`] with a chosen IV.
#[must_use]
pub fn seal_with_iv(encrypt_key: &str, iv: [u8; IV_BYTES], plain: &[u8]) -> String {
    let key: [u8; 32] = Sha256::digest(encrypt_key.as_bytes()).into();
    let cipher = cbc::Encryptor::<Aes256>::new(&key.into(), &iv.into());
    let mut sealed = iv.to_vec();
    sealed.extend(cipher.encrypt_padded_vec::<Pkcs7>(plain));
    STANDARD.encode(sealed)
}

/// The inverse of [`seal`], for tests that stand where the service stands.
///
/// # Errors
/// If `sealed` is not base64 of an IV and whole blocks, or does not unpad under the key.
pub fn open(encrypt_key: &str, sealed: &str) -> Result<Vec<u8>, OpenError> {
    let raw = STANDARD.decode(sealed).map_err(|_| OpenError::Base64)?;
    let (iv, cipher_text) = raw.split_at_checked(IV_BYTES).ok_or(OpenError::Length)?;
    if cipher_text.is_empty() || !cipher_text.len().is_multiple_of(IV_BYTES) {
        return Err(OpenError::Length);
    }
    let key: [u8; 32] = Sha256::digest(encrypt_key.as_bytes()).into();
    let cipher = cbc::Decryptor::<Aes256>::new_from_slices(&key, iv).map_err(|_| OpenError::Length)?;
    cipher.decrypt_padded_vec::<Pkcs7>(cipher_text).map_err(|_| OpenError::Padding)
}

/// `X-Lark-Signature` of an event or callback: lower hex of SHA-256 over timestamp, nonce, Encrypt Key and the body
/// as sent. A plain hash of the joined bytes, not an HMAC.
#[must_use]
pub fn event_signature(timestamp: &str, nonce: &str, encrypt_key: &str, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    for part in [timestamp.as_bytes(), nonce.as_bytes(), encrypt_key.as_bytes(), body] {
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

/// `X-Lark-Signature` of the old card callback: SHA-1, with the Verification Token in the key's place.
#[must_use]
pub fn old_card_signature(timestamp: &str, nonce: &str, verification_token: &str, body: &[u8]) -> String {
    let mut hash = Sha1::new();
    for part in [timestamp.as_bytes(), nonce.as_bytes(), verification_token.as_bytes(), body] {
        hash.update(part);
    }
    hex::encode(hash.finalize())
}
