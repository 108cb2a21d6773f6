use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/callback_crypto.json")).unwrap()
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap()
}

fn envelope() -> Envelope {
    Envelope::new(Secret::from("token"), &Secret::from("T9vXc4kQn2LrZb7WmY1sHd6JfP3gUa5EoN8iKxVqRtA")).unwrap()
}

#[test]
fn keys_are_accepted_and_refused_as_the_vectors_say() {
    for case in vectors()["key_checks"].as_array().unwrap() {
        let envelope = Envelope::new(Secret::from("t"), &Secret::from(text(case, "aes_key")));
        assert_eq!(envelope.is_some(), case["expect"]["ok"] == true, "{}", case["id"]);
        if let Some(envelope) = envelope {
            assert_eq!(hex::encode(envelope.key), text(case, "aes_key_hex"), "{}", case["id"]);
            assert_eq!(hex::encode(envelope.iv()), text(case, "iv_hex"), "{}", case["id"]);
        }
    }
}

#[test]
fn sealing_gives_the_very_bytes_of_the_vectors() {
    let mut sealed = 0;
    for case in vectors()["cases"].as_array().unwrap() {
        if case["direction"] != "both" || case["expect"]["ok"] != true {
            continue;
        }
        let envelope = Envelope::new(Secret::from(text(case, "token")), &Secret::from(text(case, "aes_key"))).unwrap();
        let reply = envelope.seal(
            text(case, "plaintext"),
            &Sealing {
                random: hex::decode(text(case, "random16_hex")).unwrap().try_into().unwrap(),
                timestamp: text(case, "timestamp"),
                nonce: text(case, "nonce"),
                owner: text(case, "owner_key"),
            },
        );
        assert_eq!(reply.encrypt, text(case, "encrypt"), "{}", case["id"]);
        assert_eq!(reply.msg_signature, text(case, "signature"), "{}", case["id"]);
        sealed += 1;
    }
    assert!(sealed >= 10, "the vectors hold good cases in both directions");
}

#[test]
fn line_breaks_inside_the_ciphertext_are_tolerated() {
    let sealing = Sealing { random: [7; RANDOM_BYTES], timestamp: "1", nonce: "n", owner: "o" };
    let encrypt = envelope().seal("success", &sealing).encrypt;
    let broken = format!("{}\r\n{}\n", &encrypt[..20], &encrypt[20..]);
    assert_eq!(envelope().decrypt(&broken).unwrap().text, b"success");
}

proptest! {
    #[test]
    fn decrypting_undoes_encrypting(text: String, owner: String, random: [u8; RANDOM_BYTES]) {
        let sealing = Sealing { random, timestamp: "1767261600000", nonce: "n", owner: &owner };
        let reply = envelope().seal(&text, &sealing);
        prop_assert!(envelope().verifies(&reply.msg_signature, &reply.time_stamp, &reply.nonce, &reply.encrypt));
        let opened = envelope().decrypt(&reply.encrypt).unwrap();
        prop_assert_eq!(opened, Opened { text: text.into_bytes(), owner });
    }

    #[test]
    fn any_ciphertext_is_refused_without_panic(bytes: Vec<u8>, text: String) {
        let _ = envelope().decrypt(&text);
        let _ = envelope().decrypt(&STANDARD.encode(&bytes));
        let _ = unpad(&bytes).map(unpack);
    }
}
