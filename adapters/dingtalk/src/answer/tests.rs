use proptest::prelude::*;

use super::*;

#[test]
fn every_answer_has_the_class_that_its_vector_says() {
    let file: Value = serde_json::from_str(include_str!("../../tests/vectors/api_responses.json")).unwrap();
    for case in file["cases"].as_array().unwrap() {
        let status = u16::try_from(case["http_status"].as_u64().unwrap()).unwrap();
        let answer = judge(status, case["body"].as_str().unwrap().as_bytes());
        assert_eq!(answer.class.name(), case["expect"]["class"].as_str().unwrap(), "{}", case["id"]);
    }
}

#[test]
fn missing_permissions_are_named() {
    let body = br#"{"code":"Forbidden.AccessDenied.AccessTokenPermissionDenied","accessdenieddetail":{"requiredScopes":["Card.Instance.Write"]}}"#;
    let answer = judge(403, body);
    assert_eq!((answer.class, answer.scopes), (Class::Permission, vec!["Card.Instance.Write".to_owned()]));
}

#[test]
fn a_sub_code_may_be_a_number_too() {
    assert_eq!(judge(200, br#"{"errcode":88,"sub_code":90018}"#).class, Class::RateLimited);
}

#[test]
fn being_shut_out_stops_every_call() {
    let answer = judge(200, br#"{"status":1111,"wait":5,"punish":"deny"}"#);
    assert!(answer.shut_out && answer.pause == Some(PUNISHED_FOR));
}

proptest! {
    #[test]
    fn any_answer_is_judged_without_panic(status: u16, body: Vec<u8>) {
        judge(status, &body);
    }
}
