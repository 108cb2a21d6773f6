use serde_json::Value;

use super::*;

#[test]
fn robot_signatures_are_judged_as_the_vectors_say() {
    let file: Value = serde_json::from_str(include_str!("../../tests/vectors/robot_sign.json")).unwrap();
    for case in file["cases"].as_array().unwrap() {
        let headers = case["headers"].as_object().unwrap();
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
        let raw = RawRequest { headers: headers.collect(), ..RawRequest::default() };
        let now = UnixMillis(case["now_ms"].as_i64().unwrap());
        let window = Window { now, width: Duration::from_secs(3_600) };
        let outcome = robot(&raw, case["app_secret"].as_str().unwrap(), &window);
        let id = &case["id"];
        match (outcome, case["expect"]["reason"].as_str()) {
            (Ok(_), reason) => assert_eq!((case["expect"]["valid"].as_bool(), reason), (Some(true), None), "{id}"),
            (Err(error), Some("timestamp_out_of_window")) => assert_eq!(error.kind(), "timestamp", "{id}"),
            (Err(error), Some(_)) => assert_eq!(error.kind(), "signature", "{id}"),
            (Err(error), None) => panic!("{id}: {error}"),
        }
        if let (Some(timestamp), Some(sign)) = (raw.header("timestamp"), case["expected_sign"].as_str()) {
            assert_eq!(robot_sign(case["app_secret"].as_str().unwrap(), timestamp), sign, "{id}");
        }
    }
}

#[test]
fn the_window_is_open_on_both_sides_and_excludes_its_edge() {
    let window = Window { now: UnixMillis(10_000), width: Duration::from_millis(1_000) };
    assert!(window.admit("9001").is_ok());
    assert!(window.admit("10999").is_ok());
    assert!(matches!(window.admit("9000"), Err(WebhookError::Timestamp { skew_seconds: -1 })));
    assert!(matches!(window.admit("11000"), Err(WebhookError::Timestamp { skew_seconds: 1 })));
    assert!(matches!(window.admit("-9223372036854775808"), Err(WebhookError::Timestamp { .. })));
}
