//! Counting calls by class, and the limits by the second, the minute and the month.

use std::time::Duration;

use magpie_sim::feishu::{Call, Fault, RateLimits, Target};
use magpie_sim::view::SimulatedPlatform;
use serde_json::{Value, json};

use crate::service::Bench;

fn text() -> Value {
    json!({"text": "x"})
}

#[actix_web::test]
async fn calls_are_counted_by_the_class_that_shares_an_allowance() {
    let bench = Bench::start().await;
    let before = bench.sim.tally();
    assert_eq!((before.class("TenantToken").calls, before.counted()), (1, 0));
    let sent = bench.send("text", &text(), "").await.text("/data/message_id");
    bench.put(&format!("im/v1/messages/{sent}"), json!({"msg_type": "text", "content": text().to_string()})).await;
    bench.put(&format!("im/v1/messages/{sent}"), json!({"msg_type": "image", "content": "{}"})).await;
    bench.get("bot/v3/info").await;
    bench.sim.faults().once(Target::Only(Call::BotInfo), Fault::Dropped);
    assert!(bench.call(reqwest::Method::GET, "bot/v3/info", &Value::Null).await.is_none());
    let cost = bench.sim.tally().since(&before);
    let sending = cost.class("SendMessage");
    assert_eq!((sending.calls, sending.refused, sending.busiest_second), (3, 1, 3));
    assert_eq!((cost.class("BotInfo").calls, cost.class("BotInfo").refused), (2, 1));
    assert_eq!((cost.counted(), cost.refused(), cost.rate_limited()), (5, 2, 0));
}

#[actix_web::test]
async fn each_limit_refuses_with_its_code_and_is_counted() {
    let bench = Bench::start().await;
    bench.sim.set_limits(RateLimits { app_per_second: Some(2), app_per_minute: Some(3), ..RateLimits::off() });
    for expected in [0, 0, 99_991_400] {
        assert_eq!(bench.get("bot/v3/info").await.code(), expected);
    }
    bench.sim.clock().advance(Duration::from_secs(1));
    assert_eq!(bench.get("bot/v3/info").await.code(), 0);
    let minute = bench.get("bot/v3/info").await;
    assert_eq!((minute.status, minute.code(), minute.reset.as_deref()), (429, 99_991_400, Some("59")));
    assert_eq!(bench.send("text", &text(), "").await.code(), 0, "another class has its own allowance");
    bench.sim.set_limits(RateLimits { chat_per_second: Some(1), ..RateLimits::off() });
    bench.send("text", &text(), "").await;
    assert_eq!(bench.send("text", &text(), "").await.code(), 230_020);
    let tally = bench.sim.tally();
    assert_eq!((tally.class("BotInfo").rate_limited, tally.class("SendMessage").rate_limited), (2, 1));
    assert_eq!(tally.rate_limited(), 3);
}

#[actix_web::test]
async fn the_month_ends_when_its_calls_are_used_up() {
    let bench = Bench::start().await;
    bench.sim.set_limits(RateLimits { app_per_month: Some(2), ..RateLimits::off() });
    for expected in [0, 0, 99_991_403, 99_991_403] {
        assert_eq!(bench.get("bot/v3/info").await.code(), expected);
    }
    bench.fetch_token().await;
    assert_eq!(bench.sim.tally().rate_limited(), 2);
}
