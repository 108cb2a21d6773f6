//! Signatures and body encryption of pushed requests.
//!
//! Source: "Event subscription", sections on the Encrypt Key and on signature verification
//! (<https://open.feishu.cn/document/server-docs/event-subscription-guide/event-subscription-configure-/encrypt-key-encryption-configuration-case>),
//! checked May 2026.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use magpie_core::secret::Secret;

const BLOCK_BYTES: usize = 16;

/// An app's Encrypt Key: signs as text, decrypts as its hash.
pub(crate) struct EncryptKey {
    text: Secret,
    aes: [u8; 32],
}

/// Why a body can't be decrypted. One reason for everything, so that nobody learns how far it got.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Undecryptable;

impl EncryptKey {
    pub(crate) fn new(text: Secret) -> Self {
        let aes = Sha256::digest(text.reveal().as_bytes()).into();
        Self { text, aes }
    }

    /// Decrypts base64 of IV ‖ AES-256-CBC ciphertext and removes strict PKCS#7 padding.
    pub(crate) fn decrypt(&self, encrypted: &str) -> Result<Vec<u8>, Undecryptable> {
        let raw = STANDARD.decode(encrypted).map_err(|_| Undecryptable)?;
        let (iv, ciphertext) = raw.split_at_checked(BLOCK_BYTES).ok_or(Undecryptable)?;
        if ciphertext.is_empty() || !ciphertext.len().is_multiple_of(BLOCK_BYTES) {
            return Err(Undecryptable);
        }
        let cipher = cbc::Decryptor::<aes::Aes256>::new_from_slices(&self.aes, iv).map_err(|_| Undecryptable)?;
        cipher.decrypt_padded_vec::<Pkcs7>(ciphertext).map_err(|_| Undecryptable)
    }

    /// Whether `signature` is the hex SHA-256 of timestamp ‖ nonce ‖ key ‖ raw body: a plain hash, no HMAC.
    pub(crate) fn signed(&self, parts: &SignedParts<'_>) -> bool {
        let hash = Sha256::new()
            .chain_update(parts.timestamp)
            .chain_update(parts.nonce)
            .chain_update(self.text.reveal())
            .chain_update(parts.body)
            .finalize();
        matches(parts.signature, &hex::encode(hash))
    }
}

/// What a signature covers, as it came.
pub(crate) struct SignedParts<'a> {
    pub(crate) timestamp: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) signature: &'a str,
    pub(crate) body: &'a [u8],
}

/// Whether an old card callback is signed: hex SHA-1 of timestamp ‖ nonce ‖ Verification Token ‖ raw body.
pub(crate) fn card_signed(verification_token: &Secret, parts: &SignedParts<'_>) -> bool {
    let hash = Sha1::new()
        .chain_update(parts.timestamp)
        .chain_update(parts.nonce)
        .chain_update(verification_token.reveal())
        .chain_update(parts.body)
        .finalize();
    matches(parts.signature, &hex::encode(hash))
}

/// Compares in a time that depends on the lengths only.
pub(crate) fn same(given: &str, expected: &str) -> bool {
    given.as_bytes().ct_eq(expected.as_bytes()).into()
}

/// Hex SHA-256, as an id that equal bytes get again.
pub(crate) fn fingerprint(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// An official sample writes signatures in upper case, so case does not count.
fn matches(signature: &str, expected: &str) -> bool {
    same(&signature.to_ascii_lowercase(), expected)
}

#[cfg(test)]
mod tests;
