//! Configurations that must not start.

use std::sync::Arc;
use std::time::Duration;

use magpie_core::clock::UnixMillis;
use magpie_dingtalk::{DingTalk, DingTalkConfig, Secret};

use crate::bot::{StoppedClock, http};

fn good() -> DingTalkConfig {
    DingTalkConfig::new("it".into(), "ding1", "secret")
}

fn refused(config: DingTalkConfig) -> &'static str {
    let outcome = DingTalk::new(config, http(), Arc::new(StoppedClock(UnixMillis(0))));
    let error = outcome.err().expect("the configuration is refused");
    assert!(error.to_string().contains(error.key()), "{error}");
    error.key()
}

#[test]
fn a_bot_with_nothing_to_verify_by_is_refused() {
    assert_eq!(refused(DingTalkConfig { client_secret: Secret::from(" \n"), ..good() }), "client_secret");
    assert_eq!(refused(DingTalkConfig { client_id: String::new(), ..good() }), "client_id");
}

#[test]
fn half_an_event_subscription_is_refused() {
    let token = Some(Secret::from("token"));
    let key = Some(Secret::from("T9vXc4kQn2LrZb7WmY1sHd6JfP3gUa5EoN8iKxVqRtA"));
    assert_eq!(refused(DingTalkConfig { callback_token: token.clone(), ..good() }), "callback_aes_key");
    assert_eq!(refused(DingTalkConfig { callback_aes_key: key, ..good() }), "callback_token");
    let short = Some(Secret::from("short"));
    let config = DingTalkConfig { callback_token: token, callback_aes_key: short, ..good() };
    assert_eq!(refused(config), "callback_aes_key");
}

#[test]
fn unusable_addresses_and_windows_are_refused() {
    let address = || Some("api.dingtalk.com".to_owned());
    assert_eq!(refused(DingTalkConfig { base_url: address(), ..good() }), "base_url");
    assert_eq!(refused(DingTalkConfig { legacy_base_url: address(), ..good() }), "legacy_base_url");
    let file = Some("file:///tmp".to_owned());
    assert_eq!(refused(DingTalkConfig { public_webhook_url: file, ..good() }), "public_webhook_url");
    assert_eq!(refused(DingTalkConfig { timestamp_window: Duration::ZERO, ..good() }), "timestamp_window");
}

#[test]
fn secrets_do_not_appear_in_debug_output() {
    let shown = format!("{:?}", DingTalkConfig::new("it".into(), "ding1", "very-secret-text"));
    assert!(!shown.contains("very-secret-text"), "{shown}");
}
