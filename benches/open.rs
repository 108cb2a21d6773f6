//! Verify, decrypt and parse: what one event costs before it is stored.
//!
//! `cargo bench --bench open`

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use magpie_core::clock::{SystemClock, UnixMillis};
use magpie_core::event::PlatformKind;
use magpie_core::platform::{Inbound, Platform, RawRequest};
use magpie_dingtalk::{DingTalk, DingTalkConfig};
use magpie_feishu::{Feishu, FeishuConfig};
use serde_json::Value;

struct Case {
    name: &'static str,
    platform: Box<dyn Platform>,
    request: RawRequest,
    now: UnixMillis,
}

fn vector(path: &str) -> Value {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("adapters").join(path);
    let text = std::fs::read(&file).expect("the vector is in the repository");
    serde_json::from_slice(&text).expect("vectors are JSON")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(name, value)| (name.clone(), text(value))).collect()
}

fn request(case: &Value) -> RawRequest {
    let request = &case["request"];
    RawRequest {
        query: pairs(&request["query"]),
        headers: pairs(&request["headers"]),
        body: text(&request["body"]).into_bytes().into(),
    }
}

fn http() -> reqwest::Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().build().expect("a client without settings builds")
}

fn feishu(name: &'static str, file: &str) -> Case {
    let case = vector(&format!("feishu/tests/vectors/events/{file}"));
    let config = &case["config"];
    let (secret, token) = ("not-needed".into(), text(&config["verification_token"]).into());
    let mut settings = FeishuConfig::new("b".into(), PlatformKind::Feishu, text(&config["app_id"]), secret, token);
    settings.encrypt_key = Some(text(&config["encrypt_key"]).into());
    settings.own_id = Some(text(&config["bot_open_id"]));
    let platform = Feishu::new(settings, http(), Arc::new(SystemClock)).expect("the vector's bot is complete");
    let now = UnixMillis(case["now"].as_i64().unwrap_or_default() * 1000);
    Case { name, platform: Box::new(platform), request: request(&case), now }
}

fn dingtalk(name: &'static str, file: &str) -> Case {
    let case = vector(&format!("dingtalk/tests/vectors/messages/{file}"));
    let bot = &case["bot"];
    let mut settings = DingTalkConfig::new("b".into(), text(&bot["client_id"]), text(&bot["client_secret"]));
    settings.callback_token = Some(text(&bot["callback_token"]).into());
    settings.callback_aes_key = Some(text(&bot["callback_aes_key"]).into());
    settings.corp_id = Some(text(&bot["corp_id"]));
    let platform = DingTalk::new(settings, http(), Arc::new(SystemClock)).expect("the vector's bot is complete");
    let now = UnixMillis(case["now_ms"].as_i64().unwrap_or_default());
    Case { name, platform: Box::new(platform), request: request(&case), now }
}

fn open(c: &mut Criterion) {
    let cases = [
        feishu("feishu, encrypted group message", "message-group-at-bot.json"),
        feishu("feishu, encrypted card press", "card-button.json"),
        dingtalk("dingtalk, robot message", "group_text_at.json"),
        dingtalk("dingtalk, encrypted event", "event_chat_title.json"),
    ];
    let mut group = c.benchmark_group("open");
    group.measurement_time(Duration::from_secs(3));
    for case in cases {
        group.throughput(Throughput::Bytes(case.request.body.len() as u64));
        group.bench_function(case.name, |bench| {
            bench.iter(|| {
                let opened = case.platform.open(black_box(&case.request), case.now);
                assert!(matches!(opened, Ok(Inbound::Event(_))), "{}: the vector is valid", case.name);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, open);
criterion_main!(benches);
