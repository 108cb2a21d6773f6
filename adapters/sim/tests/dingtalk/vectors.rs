//! The simulator's cryptography against known results (`tests/vectors/dingtalk`).

use magpie_sim::dingtalk::{CryptoError, EventCrypto, card_sign, robot_sign};
use proptest::prelude::*;
use serde_json::Value;

fn cases(file: &str) -> Vec<Value> {
    let parsed: Value = serde_json::from_str(file).expect("JSON");
    parsed["cases"].as_array().expect("cases").clone()
}

fn field<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().expect(name)
}

#[test]
fn robot_signatures_equal_the_known_ones() {
    for case in cases(include_str!("../vectors/dingtalk/robot_sign.json")) {
        let sign = robot_sign(field(&case, "app_secret"), field(&case, "timestamp"));
        assert_eq!(sign, field(&case, "expected_sign"), "{}", case["id"]);
    }
    for case in cases(include_str!("../vectors/dingtalk/custom_robot_sign.json")) {
        let timestamp = case["timestamp"].as_str().map_or_else(|| case["timestamp"].to_string(), str::to_owned);
        assert_eq!(robot_sign(field(&case, "secret"), &timestamp), field(&case, "sign_base64"), "{}", case["id"]);
    }
}

#[test]
fn card_signatures_equal_the_known_ones() {
    for case in cases(include_str!("../vectors/dingtalk/card_sign.json")) {
        let sign = card_sign(field(&case, "api_secret"), field(&case, "timestamp"));
        assert_eq!(sign, field(&case, "expected_signature"), "{}", case["id"]);
    }
}

#[test]
fn encrypted_events_open_and_seal_to_the_known_bytes() {
    for case in cases(include_str!("../vectors/dingtalk/callback_crypto.json")) {
        let id = field(&case, "id");
        let crypto = EventCrypto::new(field(&case, "token"), field(&case, "aes_key"), field(&case, "owner_key"));
        let crypto = crypto.expect("every case has a good key");
        let (timestamp, nonce, encrypt) = (field(&case, "timestamp"), field(&case, "nonce"), field(&case, "encrypt"));
        let opened = crypto.open(field(&case, "signature"), timestamp, nonce, encrypt);
        if case["expect"]["ok"] == false {
            assert_eq!(opened, Err(refusal(field(&case["expect"], "reason"))), "{id}");
            continue;
        }
        assert_eq!(opened.as_deref(), Ok(field(&case, "plaintext")), "{id}");
        if field(&case, "direction") == "both" {
            let random = hex::decode(field(&case, "random16_hex")).expect("hex");
            let sealed = crypto.seal_with(field(&case, "plaintext"), random.try_into().expect("16 bytes"));
            assert_eq!(sealed, encrypt, "{id}");
            assert_eq!(crypto.signature(timestamp, nonce, &sealed), field(&case, "signature"), "{id}");
        }
    }
}

fn refusal(reason: &str) -> CryptoError {
    match reason {
        "signature_mismatch" => CryptoError::Signature,
        "owner_key_mismatch" => CryptoError::Owner,
        "bad_padding" => CryptoError::Padding,
        "bad_inner_length" => CryptoError::InnerLength,
        "bad_ciphertext_length" => CryptoError::CiphertextLength,
        "bad_base64" => CryptoError::Base64,
        other => panic!("no refusal for {other}"),
    }
}

#[test]
fn keys_are_taken_and_refused_as_known() {
    let parsed: Value = serde_json::from_str(include_str!("../vectors/dingtalk/callback_crypto.json")).expect("JSON");
    for check in parsed["key_checks"].as_array().expect("checks") {
        let made = EventCrypto::new("token", field(check, "aes_key"), "owner");
        assert_eq!(made.is_ok(), check["expect"]["ok"] == true, "{}", check["id"]);
    }
}

const KEY: &str = "mA9gPiE0sImUlAtEdKeY1234567890abcdefghijklM";

proptest! {
    #[test]
    fn any_text_opens_to_itself(text in ".{0,200}", owner in "[a-z0-9]{0,40}", random in any::<[u8; 16]>()) {
        let crypto = EventCrypto::new("token", KEY, &owner).expect("a good key");
        let encrypt = crypto.seal_with(&text, random);
        let signature = crypto.signature("1", "n", &encrypt);
        prop_assert_eq!(crypto.open(&signature, "1", "n", &encrypt), Ok(text));
    }

    #[test]
    fn any_signed_bytes_are_opened_or_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        use base64::Engine as _;
        let crypto = EventCrypto::new("token", KEY, "owner").expect("a good key");
        let encrypt = base64::engine::general_purpose::STANDARD.encode(bytes);
        let signature = crypto.signature("1", "n", &encrypt);
        prop_assert!(crypto.open(&signature, "1", "n", &encrypt).is_err());
    }
}
