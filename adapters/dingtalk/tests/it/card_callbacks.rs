//! Pressed buttons as the platform posts them.

use magpie_core::event::Body;
use magpie_core::platform::{Inbound, Platform as _};
use magpie_dingtalk::{DingTalkConfig, Secret};
use serde_json::json;

use crate::bot::{now, request, start, vectors};

#[test]
fn every_callback_is_read_or_refused_as_its_vector_says() {
    for case in vectors("card_callbacks") {
        let id = case["id"].as_str().unwrap();
        let expect = &case["expect"];
        let mut config = DingTalkConfig::new("it".into(), "ding1", "app secret");
        config.card_callback_secret = Some(Secret::from(case["api_secret"].as_str().unwrap()));
        let bot = start(config);
        let received = match bot.open(&request(&case), now(&case)) {
            Ok(Inbound::Event(received)) => received,
            Ok(Inbound::Challenge(_)) => panic!("{id}: a callback is no challenge"),
            Err(error) => {
                assert_eq!(json!(error.status()), expect["http_status"], "{id}: {error}");
                continue;
            }
        };
        assert_eq!(expect["http_status"], 200, "{id} was accepted");
        let Body::Action(action) = &received.event.body else { panic!("{id}: not an action") };
        assert_eq!(json!(action.card), expect["out_track_id"], "{id}");
        assert_eq!(json!(action.operator), expect["user_id"], "{id}");
        assert_eq!(json!(action.chat), expect["space_id"], "{id}");
        for key in ["user_id_type", "corp_id", "space_type", "space_id", "action_ids", "params", "form", "extension"] {
            assert_eq!(action.value[key], expect[key], "{id}: {key}");
        }
        assert_eq!(action.press, None, "{id}: none of these buttons is ours");
        assert_eq!(bot.ack(&received, None).0, "{}", "{id}");
    }
}

#[test]
fn without_a_configured_secret_one_is_derived_and_demanded() {
    let case = vectors("card_callbacks").into_iter().find(|case| case["id"] == "reject_missing_signature").unwrap();
    let bot = start(DingTalkConfig::new("it".into(), "ding1", "app secret"));
    let error = bot.open(&request(&case), now(&case)).expect_err("an unsigned callback is refused");
    assert_eq!(error.status(), 401);
}
