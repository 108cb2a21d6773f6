//! The simulator's own cryptography against what the official clients compute.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use magpie_sim::feishu::crypto;
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

const CRYPTO: &str = include_str!("../vectors/feishu/crypto.json");
const SIGNATURE: &str = include_str!("../vectors/feishu/signature.json");

fn cases(file: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(file).unwrap();
    file["cases"].as_array().unwrap().clone()
}

#[test]
fn every_published_body_opens_or_is_refused_as_recorded() {
    let mut checked = 0;
    for case in cases(CRYPTO) {
        let opened = crypto::open(case["encrypt_key"].as_str().unwrap(), case["encrypt"].as_str().unwrap());
        let id = &case["id"];
        if case["valid"] == true {
            assert_eq!(
                hex::encode(Sha256::digest(opened.unwrap())),
                case["plaintext_sha256"].as_str().unwrap(),
                "{id}"
            );
        } else if matches!(case["reason"].as_str(), Some("not_utf8" | "not_json_after_decrypt")) {
            assert!(serde_json::from_slice::<Value>(&opened.unwrap()).is_err(), "{id}");
        } else {
            assert!(opened.is_err(), "{id}");
        }
        checked += 1;
    }
    assert_eq!(checked, 30);
}

#[test]
fn sealing_with_the_recorded_iv_gives_the_recorded_bytes() {
    let mut checked = 0;
    for case in cases(CRYPTO).iter().filter(|case| case["valid"] == true) {
        let Some(plain) = case["plaintext"].as_str() else { continue };
        let iv: [u8; 16] = hex::decode(case["iv_hex"].as_str().unwrap()).unwrap().try_into().unwrap();
        let sealed = crypto::seal_with_iv(case["encrypt_key"].as_str().unwrap(), iv, plain.as_bytes());
        assert_eq!(sealed, case["encrypt"].as_str().unwrap(), "{}", case["id"]);
        checked += 1;
    }
    assert!(checked >= 10, "{checked}");
}

#[test]
fn every_published_signature_is_computed_alike() {
    let mut checked = 0;
    for case in cases(SIGNATURE) {
        let body = STANDARD.decode(case["body_base64"].as_str().unwrap()).unwrap();
        let text = |key: &str| case[key].as_str().unwrap_or_default();
        let ours = match text("scheme") {
            "event_sha256" => crypto::event_signature(text("timestamp"), text("nonce"), text("encrypt_key"), &body),
            _ => crypto::old_card_signature(text("timestamp"), text("nonce"), text("verification_token"), &body),
        };
        assert_eq!(ours, text("expected_signature"), "{}", case["id"]);
        checked += 1;
    }
    assert_eq!(checked, 34);
}

proptest! {
    #[test]
    fn opening_undoes_sealing(key in ".{1,40}", plain in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(crypto::open(&key, &crypto::seal(&key, &plain)).unwrap(), plain);
    }
}
