//! The JSON of chat completions, as far as we send and read it.
//!
//! Source: OpenAI API reference, "Create chat completion" and "The chat completion chunk object" (read 11/2026);
//! `reasoning_content` is what DeepSeek, Qwen and others call the model's reasoning, `reasoning` what OpenRouter and
//! vLLM call it. Settings outside that reference (`top_k` and the like) are not sent: some endpoints refuse a request
//! with a key that they do not know.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use magpie_core::engine::{AnswerSchema, Finish, Image, Prompt, PromptMessage, ResponseFormat};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::CloudConfig;

/// Data of the event that ends a stream.
pub(crate) const END_OF_STREAM: &str = "[DONE]";

#[derive(Debug, Serialize)]
pub(crate) struct Request<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    stream: bool,
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    logit_bias: &'a BTreeMap<u32, f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Format<'a>>,
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: MessageContent<'a>,
}

/// Plain text wherever that is all, since some endpoints take nothing else.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum MessageContent<'a> {
    Text(&'a str),
    Parts(Vec<Part<'a>>),
}

/// Source: OpenAI API reference, "Create chat completion", content parts of a user message (read 11/2026).
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: ImageUrl },
}

#[derive(Debug, Serialize)]
struct ImageUrl {
    url: String,
}

impl<'a> Part<'a> {
    /// The picture travels in the request itself: the endpoint could not reach the platform it came from.
    fn image(image: &Image) -> Self {
        let url = format!("data:{};base64,{}", image.media_type(), BASE64.encode(image.bytes()));
        Self::ImageUrl { image_url: ImageUrl { url } }
    }
}

/// Source: OpenAI API reference, "Create chat completion", `response_format` (read 11/2026).
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Format<'a> {
    JsonObject,
    JsonSchema { json_schema: Schema<'a> },
}

#[derive(Debug, Serialize)]
struct Schema<'a> {
    name: &'a str,
    schema: &'a Value,
    strict: bool,
}

impl<'a> Format<'a> {
    /// Plain text is what an endpoint gives unasked.
    fn of(format: &'a ResponseFormat) -> Option<Self> {
        match format {
            ResponseFormat::Text => None,
            ResponseFormat::Json => Some(Self::JsonObject),
            ResponseFormat::JsonSchema(AnswerSchema { name, schema, strict }) => {
                Some(Self::JsonSchema { json_schema: Schema { name, schema, strict: *strict } })
            }
        }
    }
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<'a> Request<'a> {
    pub(crate) fn new(config: &'a CloudConfig, prompt: &'a Prompt) -> Self {
        Self {
            model: &config.model,
            messages: messages(prompt),
            stream: true,
            stream_options: StreamOptions { include_usage: true },
            temperature: prompt.sampling.temperature.or(config.temperature),
            top_p: prompt.sampling.top_p,
            max_tokens: prompt.sampling.max_tokens.or(config.max_tokens),
            presence_penalty: prompt.sampling.presence_penalty,
            frequency_penalty: prompt.sampling.frequency_penalty,
            logit_bias: &prompt.sampling.logit_bias,
            seed: prompt.sampling.seed,
            stop: &prompt.sampling.stop,
            response_format: Format::of(&prompt.sampling.response_format),
        }
    }
}

fn messages<'a>(prompt: &'a Prompt) -> Vec<Message<'a>> {
    let last = prompt.messages.len().saturating_sub(1);
    let message = |(place, PromptMessage { role, text }): (usize, &'a PromptMessage)| {
        let content = if place == last && !prompt.images.is_empty() {
            MessageContent::Parts(prompt.images.iter().map(Part::image).chain([Part::Text { text }]).collect())
        } else {
            MessageContent::Text(text)
        };
        Message { role: role.as_str(), content }
    };
    prompt.messages.iter().enumerate().map(message).collect()
}

/// One `data:` of the stream. Everything may be missing or null: endpoints differ in what they leave out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Chunk {
    pub choices: Option<Vec<ChunkChoice>>,
    pub usage: Option<Usage>,
    pub error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ChunkChoice {
    pub index: u32,
    pub delta: Option<ChunkDelta>,
    pub finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ChunkDelta {
    pub content: Option<String>,
    pub reasoning_content: Option<String>,
    pub reasoning: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub(crate) struct Usage {
    pub prompt_tokens: Option<u32>,
    pub completion_tokens: Option<u32>,
}

/// How an endpoint says that an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Finished(Finish),
    /// Its filter took the answer away.
    Filtered,
}

impl Ending {
    /// Reasons that are not known end the answer like `stop`: the endpoint did end it.
    pub(crate) fn from_reason(reason: &str) -> Self {
        match reason {
            "length" => Self::Finished(Finish::Length),
            "content_filter" => Self::Filtered,
            _ => Self::Finished(Finish::Stop),
        }
    }
}

/// The `code`, else the `type`, of an error object, if it is a plain word. Messages are not taken: some quote the
/// prompt or the key.
pub(crate) fn error_code(error: &Value) -> Option<String> {
    let word = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let is_plain = |text: &String| {
        (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    ["code", "type"].iter().filter_map(|key| error.get(key).and_then(word)).find(is_plain)
}

#[cfg(test)]
mod tests {
    use super::error_code;
    use serde_json::json;

    #[test]
    fn error_codes_are_plain_words_only() {
        assert_eq!(error_code(&json!({"code": null, "type": "server_error"})).as_deref(), Some("server_error"));
        assert_eq!(error_code(&json!({"code": 1305})).as_deref(), Some("1305"));
        assert_eq!(error_code(&json!({"code": "you said: my secret"})), None);
        assert_eq!(error_code(&json!("boom")), None);
    }
}
