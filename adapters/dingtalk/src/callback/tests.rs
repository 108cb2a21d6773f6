use std::time::Duration;

use magpie_core::platform::RawRequest;
use serde_json::Value;

use super::*;
use magpie_core::secret::Secret;

/// Runs one vector: the request as it would come, judged by a bot with the vector's token, key and owner.
fn run(case: &Value) -> Result<Push, WebhookError> {
    let text = |key: &str| case[key].as_str().unwrap().to_owned();
    let envelope = Envelope::new(Secret::from(text("token")), &Secret::from(text("aes_key"))).unwrap();
    let query = ["signature", "timestamp", "nonce"].map(|key| (key.to_owned(), text(key)));
    let raw = RawRequest { query: query.to_vec(), ..RawRequest::default() };
    let owner = text("owner_key");
    let owners = Owners { client_id: &owner, corp_id: None };
    let window = Window { now: UnixMillis(text("timestamp").parse().unwrap()), width: Duration::from_secs(3_600) };
    open(&raw, &text("encrypt"), &envelope, &owners, &window)
}

#[test]
fn every_crypto_vector_is_opened_or_refused_as_it_says() {
    let file: Value = serde_json::from_str(include_str!("../../tests/vectors/callback_crypto.json")).unwrap();
    for case in file["cases"].as_array().unwrap() {
        let outcome = run(case);
        if case["expect"]["ok"] == true {
            let push = outcome.unwrap_or_else(|error| panic!("{}: {error}", case["id"]));
            assert_eq!(push.verified.bytes(), case["plaintext"].as_str().unwrap().as_bytes(), "{}", case["id"]);
            assert_eq!(push.owner, case["owner_key"].as_str().unwrap(), "{}", case["id"]);
            continue;
        }
        let error = outcome.err().unwrap_or_else(|| panic!("{} was accepted", case["id"]));
        let expected = match case["expect"]["reason"].as_str().unwrap() {
            "signature_mismatch" => "signature",
            "owner_key_mismatch" => "token",
            _ => "malformed",
        };
        assert_eq!(error.kind(), expected, "{}", case["id"]);
    }
}

#[test]
fn a_suite_check_wants_its_random_back() {
    let recipient =
        Recipient { bot: "b".into(), robot_code: "r".to_owned(), hosts: crate::route::WebhookHosts::new(&[], None) };
    let body = br#"{"EventType":"check_update_suite_url","Random":"LPIdSnlF"}"#.to_vec();
    let meaning = read(&decrypted(body, UnixMillis(0)), &recipient).unwrap();
    assert!(matches!(meaning, Meaning::Check(word) if word == "LPIdSnlF"));
}

#[test]
fn an_event_without_id_is_known_by_its_plaintext() {
    let recipient =
        Recipient { bot: "b".into(), robot_code: "r".to_owned(), hosts: crate::route::WebhookHosts::new(&[], None) };
    let id = |text: &str| match read(&decrypted(text.as_bytes().to_vec(), UnixMillis(0)), &recipient).unwrap() {
        Meaning::Event(event) => event.platform_event_id,
        Meaning::Check(_) => panic!("not a check"),
    };
    let first = r#"{"EventType":"user_add_org","UserId":["a"]}"#;
    assert_eq!(id(first), id(first));
    assert_ne!(id(first), id(r#"{"EventType":"user_add_org","UserId":["b"]}"#));
}
