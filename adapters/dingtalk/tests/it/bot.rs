//! Bots under test.

use std::sync::Arc;

use magpie_core::clock::{Clock, UnixMillis};
use magpie_core::platform::RawRequest;
use magpie_dingtalk::{DingTalk, DingTalkConfig, Entropy};
use serde_json::Value;

/// A clock that stands still; the intake is told the time, so it never matters here.
pub struct StoppedClock(pub UnixMillis);

impl Clock for StoppedClock {
    fn now(&self) -> UnixMillis {
        self.0
    }
}

/// Always the same bytes: those of the vectors' example answers.
pub struct ExampleBytes;

impl Entropy for ExampleBytes {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&b"sUcCeSsRaNdOm016"[..bytes.len()]);
    }
}

pub fn http() -> reqwest::Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

pub fn start(config: DingTalkConfig) -> DingTalk {
    DingTalk::with_entropy(config, http(), Arc::new(StoppedClock(UnixMillis(0))), Arc::new(ExampleBytes)).unwrap()
}

/// All vectors of a folder, by file name.
pub fn vectors(folder: &str) -> Vec<Value> {
    let path = format!("{}/tests/vectors/{folder}", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files.iter().map(|file| serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()).collect()
}

/// The request of a vector.
pub fn request(case: &Value) -> RawRequest {
    let pairs = |key: &str| {
        let map = case["request"][key].as_object().into_iter().flatten();
        map.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
    };
    RawRequest {
        query: pairs("query"),
        headers: pairs("headers"),
        body: case["request"]["body"].as_str().unwrap().to_owned().into(),
    }
}

pub fn now(case: &Value) -> UnixMillis {
    UnixMillis(case["now_ms"].as_i64().unwrap())
}
