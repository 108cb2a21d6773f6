//! What the tests share: a bot, and requests to it.

use std::sync::{Arc, LazyLock};

use magpie_core::clock::SystemClock;
use magpie_core::event::PlatformKind;
use magpie_core::ids::BotId;
use magpie_core::platform::RawRequest;
use magpie_feishu::{Feishu, FeishuConfig};
use serde_json::{Value, json};

pub const TOKEN: &str = "64BG73qVPqtLpqLsDWM9HqPMYFfVVJCM";
pub const APP_ID: &str = "cli_abdeeb8f8ba9ea45";

/// The client that the service would hand over; one for all tests, since making it reads the certificates.
pub fn client() -> reqwest::Client {
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
        rustls::crypto::ring::default_provider().install_default().ok();
        let redirects = reqwest::redirect::Policy::none();
        reqwest::Client::builder().no_proxy().redirect(redirects).build().expect("a client without settings")
    });
    CLIENT.clone()
}

/// Settings of a bot without an Encrypt Key.
pub fn config() -> FeishuConfig {
    let bot = BotId::from("helpdesk");
    FeishuConfig::new(bot, PlatformKind::Feishu, APP_ID, "secret".into(), TOKEN.into())
}

pub fn bot(config: FeishuConfig) -> Feishu {
    Feishu::new(config, client(), Arc::new(SystemClock)).expect("complete settings")
}

pub fn plain_request(body: &Value) -> RawRequest {
    RawRequest { body: body.to_string().into(), ..RawRequest::default() }
}

/// A version 2 event of [`APP_ID`] with the right token.
pub fn event_v2(event_type: &str, event: &Value) -> Value {
    json!({
        "schema": "2.0",
        "header": {
            "event_id": "e-1", "token": TOKEN, "create_time": "1779350399123", "event_type": event_type,
            "tenant_key": "t", "app_id": APP_ID
        },
        "event": event
    })
}
