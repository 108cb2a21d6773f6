//! The platform's side of DingTalk's cryptography: signatures of robot and card callbacks, and the encrypted envelope
//! of event callbacks in both directions.

use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::ids::random_bytes;

/// Padding unit of the envelope: twice the cipher's block, so up to 32 padding bytes occur.
const PADDING_UNIT_BYTES: usize = 32;
/// 16 random bytes and a length of four bytes stand before the text.
const HEADER_BYTES: usize = 20;
/// 43 characters carry 258 bits, so the last one may have two bits too many; real keys do.
const AES_KEY_BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Why a key, a signature or an encrypted body is not acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    #[error("the AES key must be 43 characters of A-Z a-z 0-9")]
    Key,
    #[error("the signature does not match token, timestamp, nonce and ciphertext")]
    Signature,
    #[error("the ciphertext is not Base64")]
    Base64,
    #[error("the ciphertext is not a positive number of whole blocks")]
    CiphertextLength,
    #[error("the padding is not 1 to 32 equal bytes")]
    Padding,
    #[error("the inner length does not fit the plaintext")]
    InnerLength,
    #[error("the owner key at the end of the plaintext is not ours")]
    Owner,
    #[error("the text inside is not UTF-8")]
    NotUtf8,
}

/// `sign` header of a robot message, and `sign` parameter (before percent-encoding) of a custom robot's URL:
/// Base64 of HMAC-SHA256 with the secret as key over timestamp, line feed and secret.
#[must_use]
pub fn robot_sign(secret: &str, timestamp: &str) -> String {
    hmac_base64(secret, &[timestamp.as_bytes(), b"\n", secret.as_bytes()])
}

/// `x-ddpaas-signature` of a card callback: Base64 of HMAC-SHA256 with the registered secret over the timestamp alone.
#[must_use]
pub fn card_sign(api_secret: &str, timestamp: &str) -> String {
    hmac_base64(api_secret, &[timestamp.as_bytes()])
}

/// Token, key and owner of an event subscription: seals events and opens the answers to them.
pub struct EventCrypto {
    token: String,
    key: [u8; 32],
    owner: String,
}

impl EventCrypto {
    /// `aes_key` as the console shows it (43 characters); `owner` is the app key for an internal app.
    ///
    /// # Errors
    /// [`CryptoError::Key`] for anything that is not 43 characters of the alphabet.
    pub fn new(token: &str, aes_key: &str, owner: &str) -> Result<Self, CryptoError> {
        if aes_key.len() != 43 {
            return Err(CryptoError::Key);
        }
        let decoded = AES_KEY_BASE64.decode(format!("{aes_key}=")).map_err(|_| CryptoError::Key)?;
        let key = decoded.try_into().map_err(|_| CryptoError::Key)?;
        Ok(Self { token: token.to_owned(), key, owner: owner.to_owned() })
    }

    /// Lower-case hexadecimal SHA-1 over the four texts, sorted by bytes and joined.
    #[must_use]
    pub fn signature(&self, timestamp: &str, nonce: &str, encrypted: &str) -> String {
        let mut parts = [self.token.as_str(), timestamp, nonce, encrypted];
        parts.sort_unstable();
        hex::encode(Sha1::digest(parts.concat()))
    }

    /// Encrypts `text` with fresh random bytes in front.
    #[must_use]
    pub fn seal(&self, text: &str) -> String {
        self.seal_with(text, random_bytes())
    }

    /// Encrypts `text` with the given random bytes in front; for comparison with known results.
    #[must_use]
    pub fn seal_with(&self, text: &str, random: [u8; 16]) -> String {
        let length = u32::try_from(text.len()).expect("an event never reaches four gigabytes");
        let mut plain = random.to_vec();
        plain.extend_from_slice(&length.to_be_bytes());
        plain.extend_from_slice(text.as_bytes());
        plain.extend_from_slice(self.owner.as_bytes());
        let padding = PADDING_UNIT_BYTES - plain.len() % PADDING_UNIT_BYTES;
        plain.resize(plain.len() + padding, u8::try_from(padding).expect("padding is at most 32"));
        let (key, iv) = self.key_and_iv();
        STANDARD.encode(cbc::Encryptor::<Aes256>::new(&key.into(), &iv.into()).encrypt_padded_vec::<NoPadding>(&plain))
    }

    /// Checks the signature and decrypts.
    ///
    /// # Errors
    /// The first thing that is wrong; nothing is decrypted under a wrong signature.
    pub fn open(&self, signature: &str, timestamp: &str, nonce: &str, encrypted: &str) -> Result<String, CryptoError> {
        let expected = self.signature(timestamp, nonce, encrypted);
        if !bool::from(expected.as_bytes().ct_eq(signature.as_bytes())) {
            return Err(CryptoError::Signature);
        }
        let cipher = STANDARD.decode(encrypted).map_err(|_| CryptoError::Base64)?;
        if cipher.is_empty() || !cipher.len().is_multiple_of(16) {
            return Err(CryptoError::CiphertextLength);
        }
        let (key, iv) = self.key_and_iv();
        let padded = cbc::Decryptor::<Aes256>::new(&key.into(), &iv.into())
            .decrypt_padded_vec::<NoPadding>(&cipher)
            .map_err(|_| CryptoError::CiphertextLength)?;
        self.text_of(strip_padding(&padded)?)
    }

    fn text_of(&self, plain: &[u8]) -> Result<String, CryptoError> {
        let length_field = plain.get(16..HEADER_BYTES).ok_or(CryptoError::InnerLength)?;
        let length = length_field.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        let rest = &plain[HEADER_BYTES..];
        let (text, owner) = rest.split_at_checked(length).ok_or(CryptoError::InnerLength)?;
        if owner != self.owner.as_bytes() {
            return Err(CryptoError::Owner);
        }
        String::from_utf8(text.to_vec()).map_err(|_| CryptoError::NotUtf8)
    }

    fn key_and_iv(&self) -> ([u8; 32], [u8; 16]) {
        let mut iv = [0; 16];
        iv.copy_from_slice(&self.key[..16]);
        (self.key, iv)
    }
}

fn hmac_base64(key: &str, parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

fn strip_padding(padded: &[u8]) -> Result<&[u8], CryptoError> {
    let last = *padded.last().ok_or(CryptoError::Padding)?;
    let count = usize::from(last);
    if count == 0 || count > PADDING_UNIT_BYTES || count > padded.len() {
        return Err(CryptoError::Padding);
    }
    let (plain, padding) = padded.split_at(padded.len() - count);
    if padding.iter().any(|byte| *byte != last) {
        return Err(CryptoError::Padding);
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "mA9gPiE0sImUlAtEdKeY1234567890abcdefghijklM";

    #[test]
    fn what_is_sealed_opens_again_with_32_byte_padding() {
        let crypto = EventCrypto::new("token", KEY, "dingowner").expect("a valid key");
        for length in 0..70 {
            let text = "鹊".repeat(length);
            let encrypted = crypto.seal(&text);
            let signature = crypto.signature("1", "n", &encrypted);
            assert_eq!(crypto.open(&signature, "1", "n", &encrypted), Ok(text));
            assert_eq!(STANDARD.decode(&encrypted).expect("Base64").len() % PADDING_UNIT_BYTES, 0);
        }
    }

    #[test]
    fn a_foreign_owner_is_refused() {
        let theirs = EventCrypto::new("token", KEY, "dingother").expect("a valid key");
        let ours = EventCrypto::new("token", KEY, "dingowner").expect("a valid key");
        let encrypted = theirs.seal("success");
        let signature = theirs.signature("1", "n", &encrypted);
        assert_eq!(ours.open(&signature, "1", "n", &encrypted), Err(CryptoError::Owner));
    }
}
