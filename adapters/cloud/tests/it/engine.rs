//! The engine against a scripted endpoint on loopback.

use std::sync::Arc;
use std::time::Duration;

use crate::endpoint::{Act, Endpoint, answer, closing_events, refusal, stream_head, text_event};
use futures::StreamExt;
use magpie_cloud::{CloudConfig, CloudEngine, Secret};
use magpie_core::cancel::CancelToken;
use magpie_core::engine::{
    AnswerSchema, Completion, Delta, Engine, EngineError, Finish, Image, Prompt, PromptMessage, ResponseFormat, Role,
    Sampling,
};
use magpie_core::platform::Health;
use magpie_core::testkit::engine_contract;

const SHORT: Duration = Duration::from_millis(80);

fn config(endpoint: &Endpoint) -> CloudConfig {
    CloudConfig {
        name: "primary".into(),
        base_url: endpoint.base_url.clone(),
        api_key: Secret::new("sk-test"),
        model: "test-model".into(),
        max_retries: 2,
        cooldown: Duration::from_secs(30),
        first_token_timeout: Duration::from_secs(10),
        between_tokens_timeout: Duration::from_secs(10),
        vision: false,
        temperature: Some(0.5),
        max_tokens: None,
    }
}

fn engine(config: CloudConfig) -> CloudEngine {
    rustls::crypto::ring::default_provider().install_default().ok();
    let http = reqwest::Client::builder().no_proxy().build().expect("a plain client can be built");
    CloudEngine::new(config, http)
}

fn prompt() -> Prompt {
    let message = |role, text: &str| PromptMessage { role, text: text.into() };
    Prompt {
        messages: vec![message(Role::System, "Be kind."), message(Role::User, "Hello?")],
        sampling: Sampling::default(),
        images: Vec::new(),
        conversation: None,
    }
}

async fn collect(engine: &CloudEngine) -> Vec<Result<Delta, EngineError>> {
    engine.generate(prompt(), CancelToken::new()).collect().await
}

fn text_of(items: &[Result<Delta, EngineError>]) -> String {
    items.iter().filter_map(|item| if let Ok(Delta::Text(text)) = item { Some(text.as_str()) } else { None }).collect()
}

fn error_of(items: Vec<Result<Delta, EngineError>>) -> EngineError {
    items.into_iter().last().expect("there is an item").expect_err("the answer fails")
}

fn done_of(items: &[Result<Delta, EngineError>]) -> Completion {
    match items.last() {
        Some(Ok(Delta::Done(completion))) => *completion,
        other => panic!("not a good end: {other:?}"),
    }
}

#[tokio::test]
async fn an_answer_streams_with_its_usage_and_the_request_says_what_was_asked() {
    let mut endpoint = Endpoint::start(vec![answer(&["Hel", "lo"])]).await;
    let items = collect(&engine(config(&endpoint))).await;
    assert_eq!(text_of(&items), "Hello");
    assert_eq!(done_of(&items), Completion { prompt_tokens: 11, completion_tokens: 7, finish: Finish::Stop });
    let seen = endpoint.requests.recv().await.unwrap();
    assert!(seen.head.starts_with("post /v1/chat/completions "), "{}", seen.head);
    assert!(seen.head.contains("authorization: bearer sk-test"));
    assert_eq!(seen.body["model"], "test-model");
    assert_eq!(seen.body["stream"], true);
    assert_eq!(seen.body["stream_options"]["include_usage"], true);
    assert_eq!(seen.body["temperature"], 0.5);
    assert_eq!(seen.body["messages"][1], serde_json::json!({"role": "user", "content": "Hello?"}));
    for unset in ["max_tokens", "presence_penalty", "frequency_penalty", "logit_bias", "response_format"] {
        assert!(seen.body.get(unset).is_none(), "{unset}");
    }
}

#[tokio::test]
async fn images_are_sent_inside_the_last_message_before_its_text() {
    let mut endpoint = Endpoint::start(vec![answer(&["A cat."])]).await;
    let engine = engine(CloudConfig { vision: true, ..config(&endpoint) });
    assert!(engine.info().vision);
    let images = vec![
        Image::new(b"GIF89a".as_slice().into()).expect("a picture"),
        Image::new(b"\xff\xd8\xff".as_slice().into()).expect("a picture"),
    ];
    let asked = engine.generate(Prompt { images, ..prompt() }, CancelToken::new());
    done_of(&asked.collect::<Vec<_>>().await);
    let messages = endpoint.requests.recv().await.unwrap().body["messages"].clone();
    assert_eq!(messages[0], serde_json::json!({"role": "system", "content": "Be kind."}));
    let parts = serde_json::json!([
        {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlh"}},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/"}},
        {"type": "text", "text": "Hello?"},
    ]);
    assert_eq!(messages[1], serde_json::json!({"role": "user", "content": parts}));
}

#[tokio::test]
async fn settings_are_sent_under_the_names_of_openai_and_others_not_at_all() {
    let mut endpoint = Endpoint::start(vec![answer(&["{}"])]).await;
    let schema = serde_json::json!({"type": "object"});
    let sampling = Sampling {
        top_k: Some(3),
        min_p: Some(0.1),
        repetition_penalty: Some(1.1),
        presence_penalty: Some(0.5),
        frequency_penalty: Some(-0.5),
        logit_bias: [(7, -100.0)].into(),
        response_format: ResponseFormat::JsonSchema(AnswerSchema {
            name: "mood".into(),
            schema: schema.clone(),
            strict: true,
        }),
        ..Sampling::default()
    };
    let asked = engine(config(&endpoint)).generate(Prompt { sampling, ..prompt() }, CancelToken::new());
    done_of(&asked.collect::<Vec<_>>().await);
    let body = endpoint.requests.recv().await.unwrap().body;
    assert_eq!((&body["presence_penalty"], &body["frequency_penalty"]), (&0.5.into(), &(-0.5).into()));
    assert_eq!(body["logit_bias"], serde_json::json!({"7": -100.0}));
    let format = serde_json::json!({"name": "mood", "schema": schema, "strict": true});
    assert_eq!(body["response_format"], serde_json::json!({"type": "json_schema", "json_schema": format}));
    for unknown in ["top_k", "min_p", "repetition_penalty"] {
        assert!(body.get(unknown).is_none(), "{unknown}");
    }
}

#[tokio::test]
async fn the_same_answer_comes_out_when_every_byte_travels_alone() {
    let body: String = ["喜", "鹊🐦", "!"].map(text_event).concat() + &closing_events("stop");
    let endpoint = Endpoint::start(vec![vec![stream_head(), Act::SendBytewise(body.replace('\n', "\r\n"))]]).await;
    let items = collect(&engine(config(&endpoint))).await;
    assert_eq!(text_of(&items), "喜鹊🐦!");
    assert_eq!(done_of(&items).completion_tokens, 7);
}

#[tokio::test]
async fn reasoning_is_kept_apart_under_both_of_its_names() {
    let body = [
        r#"{"choices":[{"delta":{"reasoning_content":"hm","content":null}}]}"#,
        r#"{"choices":[{"delta":{"reasoning":"so"}}]}"#,
    ]
    .map(|data| format!("data: {data}\n\n"))
    .concat();
    let script = vec![stream_head(), Act::Send(body + &text_event("Yes") + &closing_events("stop"))];
    let endpoint = Endpoint::start(vec![script]).await;
    let items = collect(&engine(config(&endpoint))).await;
    let reasoning: Vec<_> = items
        .iter()
        .filter_map(|item| if let Ok(Delta::Reasoning(text)) = item { Some(text.as_str()) } else { None })
        .collect();
    assert_eq!((reasoning, text_of(&items)), (vec!["hm", "so"], "Yes".to_owned()));
}

#[tokio::test]
async fn without_usage_the_tokens_are_estimated_and_done_alone_is_an_end() {
    let script = vec![stream_head(), Act::Send(text_event("abcdef") + "data: [DONE]\n\n")];
    let endpoint = Endpoint::start(vec![script]).await;
    let completion = done_of(&collect(&engine(config(&endpoint))).await);
    assert_eq!((completion.completion_tokens, completion.finish), (2, Finish::Stop));
    assert!(completion.prompt_tokens > 0);
}

#[tokio::test]
async fn a_full_answer_says_that_its_length_was_reached() {
    let script = vec![stream_head(), Act::Send(text_event("a") + &closing_events("length"))];
    let endpoint = Endpoint::start(vec![script]).await;
    assert_eq!(done_of(&collect(&engine(config(&endpoint))).await).finish, Finish::Length);
}

#[tokio::test]
async fn a_rate_limit_is_waited_out_as_asked() {
    let limited = refusal("429 Too Many Requests", &["retry-after: 0"], "{}");
    let mut endpoint = Endpoint::start(vec![limited.clone(), limited, answer(&["ok"])]).await;
    assert_eq!(text_of(&collect(&engine(config(&endpoint))).await), "ok");
    for _ in 0..3 {
        endpoint.requests.try_recv().expect("three requests were made");
    }
}

#[tokio::test]
async fn a_server_error_is_repeated_after_a_pause_of_our_own() {
    let endpoint = Endpoint::start(vec![refusal("502 Bad Gateway", &[], ""), answer(&["ok"])]).await;
    assert_eq!(text_of(&collect(&engine(config(&endpoint))).await), "ok");
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_not_begun() {
    let mut endpoint = Endpoint::start(vec![refusal("429 Too Many Requests", &["retry-after: 60"], "{}")]).await;
    let error = error_of(collect(&engine(config(&endpoint))).await);
    let asked = Duration::from_secs(60);
    assert!(matches!(error, EngineError::Overloaded { retry_after: Some(wait), .. } if wait == asked), "{error}");
    assert!(endpoint.requests.recv().await.is_some() && endpoint.requests.try_recv().is_err());
}

#[tokio::test]
async fn retries_end_after_their_number() {
    let mut endpoint = Endpoint::start(vec![refusal("500 Oops", &["retry-after: 0"], "{}")]).await;
    assert_eq!(error_of(collect(&engine(config(&endpoint))).await).reason(), "unavailable");
    let mut requests = 0;
    while endpoint.requests.try_recv().is_ok() {
        requests += 1;
    }
    assert_eq!(requests, 3);
}

#[tokio::test]
async fn what_only_an_operator_or_another_prompt_can_help_is_not_repeated() {
    for (status, reason) in [
        ("401 No", "misconfigured"),
        ("404 No", "misconfigured"),
        ("400 No", "rejected"),
        ("302 Found", "misconfigured"),
    ] {
        let mut endpoint = Endpoint::start(vec![refusal(status, &[], "{}")]).await;
        assert_eq!(error_of(collect(&engine(config(&endpoint))).await).reason(), reason, "{status}");
        assert!(endpoint.requests.recv().await.is_some() && endpoint.requests.try_recv().is_err(), "{status}");
    }
}

#[tokio::test]
async fn nobody_listening_means_unavailable() {
    let mut endpoint = Endpoint::start(vec![answer(&[])]).await;
    // The discard port: nothing listens there in a test environment.
    endpoint.base_url = "http://127.0.0.1:9/v1".into();
    let config = CloudConfig { max_retries: 0, ..config(&endpoint) };
    assert_eq!(error_of(collect(&engine(config)).await).reason(), "unavailable");
}

#[tokio::test]
async fn a_connection_that_dies_in_mid_answer_interrupts_it() {
    let ends = vec![stream_head(), Act::Send(text_event("half"))];
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n".to_owned();
    let breaks = vec![Act::Send(head + &text_event("half"))];
    for script in [ends, breaks] {
        let endpoint = Endpoint::start(vec![script]).await;
        let items = collect(&engine(config(&endpoint))).await;
        assert_eq!(text_of(&items), "half");
        assert_eq!(error_of(items).reason(), "interrupted");
    }
}

#[tokio::test]
async fn malformed_streams_are_errors() {
    for body in ["data: {\"choices\":\n\n", "data: {]\n\n", "<html>\n", "{\"error\":{}}\n", "data: [1]\n\n"] {
        let endpoint = Endpoint::start(vec![vec![stream_head(), Act::Send(body.into()), Act::Hold]]).await;
        assert_eq!(error_of(collect(&engine(config(&endpoint))).await).reason(), "interrupted", "{body}");
    }
}

#[tokio::test]
async fn an_answer_without_a_word_is_none() {
    let done_alone = vec![stream_head(), Act::Send("data: [DONE]\n\n".into())];
    for script in [answer(&[]), done_alone] {
        let endpoint = Endpoint::start(vec![script]).await;
        let error = error_of(collect(&engine(config(&endpoint))).await);
        assert!(matches!(error, EngineError::Interrupted { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_a_document_is_a_wrong_address() {
    let script = vec![Act::Send("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi".into())];
    let endpoint = Endpoint::start(vec![script]).await;
    assert_eq!(error_of(collect(&engine(config(&endpoint))).await).reason(), "misconfigured");
}

#[tokio::test]
async fn errors_inside_the_stream_end_it() {
    for (body, reason) in [
        (r#"{"error":{"message":"x","code":"rate_limit_exceeded"}}"#, "overloaded"),
        (r#"{"error":{"message":"x","type":"server_error"}}"#, "interrupted"),
        (r#"{"choices":[{"delta":{},"finish_reason":"content_filter"}]}"#, "rejected"),
    ] {
        let script = vec![stream_head(), Act::Send(text_event("a") + &format!("data: {body}\n\n")), Act::Hold];
        let endpoint = Endpoint::start(vec![script]).await;
        assert_eq!(error_of(collect(&engine(config(&endpoint))).await).reason(), reason);
    }
}

#[tokio::test]
async fn silence_before_the_first_token_and_between_tokens_runs_into_the_limits() {
    let comments = ": still here\n\n".repeat(3);
    let silent = vec![stream_head(), Act::Send(comments), Act::Hold];
    let stalls = vec![stream_head(), Act::Send(text_event("a")), Act::Hold];
    for (script, expected) in [(vec![Act::Hold], "first token"), (silent, "first token"), (stalls, "further token")] {
        let mut endpoint = Endpoint::start(vec![script]).await;
        let limits = if expected == "first token" {
            CloudConfig { first_token_timeout: SHORT, ..config(&endpoint) }
        } else {
            CloudConfig { between_tokens_timeout: SHORT, ..config(&endpoint) }
        };
        let error = error_of(collect(&engine(limits)).await);
        assert!(matches!(error, EngineError::Timeout { awaited, .. } if awaited == expected), "{error}");
        endpoint.closed.recv().await.expect("the connection is closed");
    }
}

#[tokio::test]
async fn cancelling_ends_the_answer_and_closes_the_connection() {
    for script in [vec![stream_head(), Act::Send(text_event("a")), Act::Hold], vec![Act::Hold]] {
        let waits_for_text = script.len() > 1;
        let mut endpoint = Endpoint::start(vec![script]).await;
        let stop = CancelToken::new();
        let mut stream = engine(config(&endpoint)).generate(prompt(), stop.clone());
        if waits_for_text {
            assert!(matches!(stream.next().await, Some(Ok(Delta::Text(_)))));
        }
        let cancel = async {
            endpoint.requests.recv().await.expect("the request arrives");
            stop.cancel();
        };
        let (item, ()) = tokio::join!(stream.next(), cancel);
        assert!(matches!(item, Some(Ok(Delta::Done(Completion { finish: Finish::Cancelled, .. })))));
        assert!(stream.next().await.is_none());
        endpoint.closed.recv().await.expect("the connection is closed");
    }
}

#[tokio::test]
async fn dropping_the_answer_closes_the_connection() {
    let mut endpoint = Endpoint::start(vec![vec![stream_head(), Act::Send(text_event("a")), Act::Hold]]).await;
    let mut stream = engine(config(&endpoint)).generate(prompt(), CancelToken::new());
    assert!(matches!(stream.next().await, Some(Ok(Delta::Text(_)))));
    drop(stream);
    endpoint.closed.recv().await.expect("the connection is closed");
}

#[tokio::test]
async fn an_endpoint_that_keeps_failing_is_left_alone() {
    let mut endpoint = Endpoint::start(vec![refusal("500 Oops", &[], "{}")]).await;
    let engine = engine(CloudConfig { max_retries: 0, ..config(&endpoint) });
    for _ in 0..3 {
        assert_eq!(error_of(collect(&engine).await).reason(), "unavailable");
        endpoint.requests.recv().await.expect("the request arrives");
    }
    assert!(matches!(engine.health(), Health::Degraded { .. }));
    assert_eq!(error_of(collect(&engine).await).reason(), "unavailable");
    assert!(endpoint.requests.try_recv().is_err(), "nothing is sent while it is left alone");
}

#[tokio::test]
async fn the_engine_keeps_the_contract() {
    let endpoint = Endpoint::start(vec![answer(&["a", "b", "c", "d"])]).await;
    engine_contract::check(Arc::new(engine(config(&endpoint)))).await;
}
