use aes::cipher::BlockModeEncrypt;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn cases(file: &str) -> Vec<Value> {
    let whole: Value = serde_json::from_str(file).expect("vector files are JSON");
    whole["cases"].as_array().expect("cases").clone()
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap_or_else(|| panic!("{}: no {key}", case["id"]))
}

/// Encryption as the platform does it; the adapter itself never encrypts.
fn encrypt(key: &str, iv: [u8; 16], plain: &[u8]) -> String {
    let aes: [u8; 32] = Sha256::digest(key.as_bytes()).into();
    let cipher = cbc::Encryptor::<aes::Aes256>::new(&aes.into(), &iv.into());
    let mut raw = iv.to_vec();
    raw.extend(cipher.encrypt_padded_vec::<Pkcs7>(plain));
    STANDARD.encode(raw)
}

#[test]
fn every_encrypted_vector_is_decrypted_or_refused() {
    for case in cases(include_str!("../../tests/vectors/crypto.json")) {
        let decrypted = EncryptKey::new(text(&case, "encrypt_key").into()).decrypt(text(&case, "encrypt"));
        let id = text(&case, "id");
        match text_or(&case, "reason") {
            "" => {
                let plain = decrypted.unwrap_or_else(|_| panic!("{id} must decrypt"));
                assert_eq!(fingerprint(&plain), text(&case, "plaintext_sha256"), "{id}");
            }
            "not_utf8" => assert!(String::from_utf8(decrypted.expect(id)).is_err(), "{id}"),
            "not_json_after_decrypt" => {
                assert!(serde_json::from_slice::<Value>(&decrypted.expect(id)).is_err(), "{id}");
            }
            // One time in 256 a wrong key gives padding that looks right; then the JSON is garbage.
            "wrong_key" => assert!(decrypted.map_or(true, |plain| serde_json::from_slice::<Value>(&plain).is_err())),
            _ => assert_eq!(decrypted, Err(Undecryptable), "{id}"),
        }
    }
}

fn text_or<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap_or_default()
}

fn header<'a>(case: &'a Value, name: &str) -> Option<&'a str> {
    let headers = case["headers"].as_object()?;
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.as_str())
}

#[test]
fn every_signature_vector_is_believed_or_refused() {
    for case in cases(include_str!("../../tests/vectors/signature.json")) {
        let body = STANDARD.decode(text(&case, "body_base64")).expect("base64 body");
        let names = ["X-Lark-Request-Timestamp", "X-Lark-Request-Nonce", "X-Lark-Signature"];
        let [timestamp, nonce, signature] = names.map(|name| header(&case, name));
        let verified = match (timestamp, nonce, signature) {
            (Some(timestamp), Some(nonce), Some(signature)) => {
                let parts = SignedParts { timestamp, nonce, signature, body: &body };
                match text(&case, "scheme") {
                    "card_sha1" => card_signed(&text(&case, "verification_token").into(), &parts),
                    _ => EncryptKey::new(text(&case, "encrypt_key").into()).signed(&parts),
                }
            }
            _ => false,
        };
        assert_eq!(verified, case["valid"] == true, "{}", case["id"]);
    }
}

#[test]
fn signature_in_upper_case_counts_too() {
    let key = EncryptKey::new("k".into());
    let signature = hex::encode_upper(Sha256::digest(b"1" as &[u8]).as_slice());
    let parts = SignedParts { timestamp: "1", nonce: "2", signature: &signature, body: b"" };
    assert!(!key.signed(&parts));
    let right = hex::encode_upper(Sha256::digest(b"12kx").as_slice());
    assert!(key.signed(&SignedParts { signature: &right, body: b"x", ..parts }));
}

proptest! {
    #[test]
    fn decrypting_undoes_encrypting(key in ".{0,40}", iv: [u8; 16], plain in proptest::collection::vec(any::<u8>(), 0..300)) {
        // Secrets are kept without blanks around them.
        let encrypted = encrypt(key.trim(), iv, &plain);
        prop_assert_eq!(EncryptKey::new(key.into()).decrypt(&encrypted), Ok(plain));
    }

    #[test]
    fn changed_block_or_cut_ciphertext_never_gives_the_plain_text(plain in ".{1,80}", cut in 0_usize..16) {
        let encrypted = encrypt("key", [7; 16], plain.as_bytes());
        let shorter = &encrypted[..encrypted.len().saturating_sub(cut * 4 + 4)];
        prop_assert_ne!(EncryptKey::new("key".into()).decrypt(shorter), Ok(plain.into_bytes()));
    }
}
