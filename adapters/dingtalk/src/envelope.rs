//! The encrypted envelope of the event subscription: SHA-1 signature around AES-256-CBC, both directions.
//!
//! ```text
//! signature = hex(sha1(token, timestamp, nonce, encrypt: sorted by bytes, joined))
//! encrypt   = base64(aes-256-cbc(key, iv = key[..16], random(16) ‖ be32(len(text)) ‖ text ‖ owner ‖ padding))
//! padding   = n bytes of value n that fill up to a multiple of 32
//! ```
//! Source: open.dingtalk.com "事件订阅 / 回调事件消息体加解密", August 2026.

use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde::Serialize;
use sha1::{Digest, Sha1};

use crate::sign::same;
use magpie_core::secret::Secret;

/// The scheme pads to twice the cipher's block, so up to 32 padding bytes occur and a PKCS#7 remover fails.
const PADDING_UNIT_BYTES: usize = 32;
const BLOCK_BYTES: usize = 16;
pub(crate) const RANDOM_BYTES: usize = 16;
/// 16 random bytes and a length of four bytes stand before the text.
const HEADER_BYTES: usize = RANDOM_BYTES + 4;
const AES_KEY_CHARACTERS: usize = 43;

/// 43 characters carry 258 bits: the last one may hold two bits too many. Consoles hand out such keys.
const AES_KEY_BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Why a signed body could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EnvelopeError {
    #[error("encrypt is not base64")]
    Base64,
    #[error("ciphertext is not a positive number of whole blocks")]
    CiphertextLength,
    #[error("padding is not 1 to 32 equal bytes")]
    Padding,
    #[error("inner length does not fit")]
    InnerLength,
    #[error("owner key is not UTF-8")]
    Owner,
}

impl EnvelopeError {
    /// The cause as a constant, for [`magpie_core::platform::WebhookError`].
    pub fn cause(self) -> &'static str {
        match self {
            Self::Base64 => "encrypt is not base64",
            Self::CiphertextLength => "ciphertext is not a positive number of whole blocks",
            Self::Padding => "padding is not 1 to 32 equal bytes",
            Self::InnerLength => "inner length does not fit",
            Self::Owner => "owner key is not UTF-8",
        }
    }
}

/// Token and key of one bot's event subscription.
pub(crate) struct Envelope {
    token: Secret,
    key: [u8; 32],
}

/// What stood inside, with the owner it was encrypted for (an app key or a corp id), not yet judged.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub text: Vec<u8>,
    pub owner: String,
}

/// What an encrypted text is sealed with; the receiver sees `timestamp` and `nonce` in the clear.
pub(crate) struct Sealing<'a> {
    pub random: [u8; RANDOM_BYTES],
    pub timestamp: &'a str,
    pub nonce: &'a str,
    pub owner: &'a str,
}

/// An encrypted answer in the platform's own spelling.
#[derive(Debug, Serialize)]
pub(crate) struct SealedReply {
    pub msg_signature: String,
    #[serde(rename = "timeStamp")]
    pub time_stamp: String,
    pub nonce: String,
    pub encrypt: String,
}

impl Envelope {
    /// `aes_key` as the console shows it: 43 characters. `None` if it is not such a key.
    pub fn new(token: Secret, aes_key: &Secret) -> Option<Self> {
        let text = aes_key.reveal();
        if text.len() != AES_KEY_CHARACTERS {
            return None;
        }
        let key = AES_KEY_BASE64.decode(format!("{text}=")).ok()?.try_into().ok()?;
        Some(Self { token, key })
    }

    /// Lower-case hexadecimal SHA-1 over the four texts, sorted by bytes and joined.
    pub fn signature(&self, timestamp: &str, nonce: &str, encrypt: &str) -> String {
        let mut texts = [self.token.reveal(), timestamp, nonce, encrypt];
        texts.sort_unstable();
        hex::encode(Sha1::digest(texts.concat()))
    }

    /// Whether `signature` is that of the three texts; constant time.
    pub fn verifies(&self, signature: &str, timestamp: &str, nonce: &str, encrypt: &str) -> bool {
        same(signature, &self.signature(timestamp, nonce, encrypt))
    }

    /// Decrypts a body whose signature was verified.
    pub fn decrypt(&self, encrypt: &str) -> Result<Opened, EnvelopeError> {
        let without_breaks: String = encrypt.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        let cipher = STANDARD.decode(without_breaks).map_err(|_| EnvelopeError::Base64)?;
        if cipher.is_empty() || cipher.len() % BLOCK_BYTES != 0 {
            return Err(EnvelopeError::CiphertextLength);
        }
        let padded = cbc::Decryptor::<Aes256>::new(&self.key.into(), &self.iv().into())
            .decrypt_padded_vec::<NoPadding>(&cipher)
            .map_err(|_| EnvelopeError::CiphertextLength)?;
        unpack(unpad(&padded)?)
    }

    /// Encrypts a text for `sealing.owner`.
    pub fn seal(&self, text: &str, sealing: &Sealing<'_>) -> SealedReply {
        let mut plain = Vec::with_capacity(HEADER_BYTES + text.len() + sealing.owner.len() + PADDING_UNIT_BYTES);
        plain.extend_from_slice(&sealing.random);
        // Texts of ours are short; a length that does not fit 32 bits can't come up.
        plain.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        plain.extend_from_slice(text.as_bytes());
        plain.extend_from_slice(sealing.owner.as_bytes());
        let missing = PADDING_UNIT_BYTES - plain.len() % PADDING_UNIT_BYTES;
        let value = u8::try_from(missing).expect("padding is at most 32");
        plain.extend(std::iter::repeat_n(value, missing));
        let cipher =
            cbc::Encryptor::<Aes256>::new(&self.key.into(), &self.iv().into()).encrypt_padded_vec::<NoPadding>(&plain);
        let encrypt = STANDARD.encode(cipher);
        SealedReply {
            msg_signature: self.signature(sealing.timestamp, sealing.nonce, &encrypt),
            time_stamp: sealing.timestamp.to_owned(),
            nonce: sealing.nonce.to_owned(),
            encrypt,
        }
    }

    fn iv(&self) -> [u8; BLOCK_BYTES] {
        let mut iv = [0; BLOCK_BYTES];
        iv.copy_from_slice(&self.key[..BLOCK_BYTES]);
        iv
    }
}

/// Takes 1 to 32 equal padding bytes off. Senders that pad to 16 only are understood too.
fn unpad(padded: &[u8]) -> Result<&[u8], EnvelopeError> {
    let value = *padded.last().ok_or(EnvelopeError::Padding)?;
    let count = usize::from(value);
    if !(1..=PADDING_UNIT_BYTES).contains(&count) || count > padded.len() {
        return Err(EnvelopeError::Padding);
    }
    let (plain, padding) = padded.split_at(padded.len() - count);
    if padding.iter().all(|byte| *byte == value) { Ok(plain) } else { Err(EnvelopeError::Padding) }
}

/// Takes the plaintext apart. The length inside is the sender's word: it is compared, never allocated for.
fn unpack(plain: &[u8]) -> Result<Opened, EnvelopeError> {
    let (header, rest) = plain.split_at_checked(HEADER_BYTES).ok_or(EnvelopeError::InnerLength)?;
    let length: [u8; 4] = header[RANDOM_BYTES..].try_into().map_err(|_| EnvelopeError::InnerLength)?;
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| EnvelopeError::InnerLength)?;
    let (text, owner) = rest.split_at_checked(length).ok_or(EnvelopeError::InnerLength)?;
    let owner = std::str::from_utf8(owner).map_err(|_| EnvelopeError::Owner)?;
    Ok(Opened { text: text.to_vec(), owner: owner.to_owned() })
}

#[cfg(test)]
mod tests;
