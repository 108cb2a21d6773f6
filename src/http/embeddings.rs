//! `POST /v1/embeddings`, as OpenAI's API has it.
//!
//! Source: "Create embeddings" of OpenAI's API reference (11/2026). Beyond it: `input_type` (`query` or `passage`) for models
//! that want to know, and `usage.truncated_inputs`.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use magpie_core::embedding::{Embedder, EmbeddingError, EmbeddingInput, EmbeddingRequest, Embeddings, Purpose};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tracing::warn;

use super::problem::Problem;
use super::{Shared, access, body};

const MOST_INPUTS: usize = 2048;
/// Far longer than any model reads: what is longer is a mistake, and splitting it into tokens costs time.
const LONGEST_TEXT_BYTES: usize = 64 << 10;
const MOST_TOKENS: usize = 16 << 10;
/// A client that gets nothing for so long asks again anyway.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Asked {
    model: String,
    input: Input,
    #[serde(default)]
    encoding_format: Encoding,
    dimensions: Option<usize>,
    #[serde(default)]
    input_type: InputType,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    TokenLists(Vec<Vec<u32>>),
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Float,
    /// Of 32-bit floats, little-endian.
    Base64,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum InputType {
    #[default]
    Plain,
    Query,
    #[serde(alias = "document")]
    Passage,
}

#[derive(Serialize)]
struct Answer<'a> {
    object: &'static str,
    data: Vec<Item>,
    model: &'a str,
    usage: Usage,
}

#[derive(Serialize)]
struct Item {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    Float(Vec<f32>),
    Base64(String),
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
    /// Inputs whose ends were cut off.
    truncated_inputs: usize,
}

/// # Errors
/// 401 without the token, 400 for what makes no sense, 404 for another model, 503 where there is none or it is busy.
async fn create(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    access::require(&request, &shared.admin_token)?;
    let body = body::read(&request, payload, shared.body).await?;
    let asked: Asked = serde_json::from_slice(&body).map_err(|error| {
        Problem::invalid_request(format!(
            "The body is no embeddings request: {error}. Send `model`, and as `input` a text, a list of texts, a list of \
             tokens or a list of such lists."
        ))
    })?;
    let embedder = shared.embedder.as_deref().ok_or_else(|| {
        let detail = "This service has no embedding model; its operator sets model.embedding.path.";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_embedding_model", detail)
    })?;
    answer(embedder, asked).await
}

async fn answer(embedder: &dyn Embedder, asked: Asked) -> Result<HttpResponse, Problem> {
    let info = embedder.info();
    if asked.model != info.model && asked.model != "auto" {
        let detail = format!("There is no embedding model {:?}; this service has {:?}.", asked.model, info.model);
        return Err(Problem::new(StatusCode::NOT_FOUND, "model_not_found", detail));
    }
    if let (Some(wanted), Some(length)) = (asked.dimensions, info.dimensions) {
        check_dimensions(wanted, length)?;
    }
    let request = EmbeddingRequest { inputs: inputs(asked.input)?, purpose: asked.input_type.into() };
    let embeddings = match timeout(PATIENCE, embedder.embed(request)).await {
        Ok(embeddings) => embeddings.map_err(|error| refused(&error))?,
        Err(_) => return Err(busy("timeout")),
    };
    let Embeddings { vectors, tokens, truncated } = embeddings;
    if let (Some(wanted), Some(vector)) = (asked.dimensions, vectors.first()) {
        check_dimensions(wanted, vector.len())?;
    }
    let item = |(index, vector)| Item { object: "embedding", index, embedding: asked.encoding_format.encode(vector) };
    Ok(HttpResponse::Ok().json(Answer {
        object: "list",
        data: vectors.into_iter().enumerate().map(item).collect(),
        model: &info.model,
        usage: Usage { prompt_tokens: tokens, total_tokens: tokens, truncated_inputs: truncated },
    }))
}

/// The inputs, if their number and lengths are within bounds.
fn inputs(input: Input) -> Result<Vec<EmbeddingInput>, Problem> {
    let inputs: Vec<EmbeddingInput> = match input {
        Input::Text(text) => vec![EmbeddingInput::Text(text)],
        Input::Texts(texts) => texts.into_iter().map(EmbeddingInput::Text).collect(),
        Input::Tokens(tokens) => vec![EmbeddingInput::Tokens(tokens)],
        Input::TokenLists(lists) => lists.into_iter().map(EmbeddingInput::Tokens).collect(),
    };
    if !(1..=MOST_INPUTS).contains(&inputs.len()) {
        let detail = format!("`input` has {} items; send 1 to {MOST_INPUTS}.", inputs.len());
        return Err(Problem::invalid_request(detail));
    }
    for (index, input) in inputs.iter().enumerate() {
        let (length, most, unit) = match input {
            EmbeddingInput::Text(text) => (text.len(), LONGEST_TEXT_BYTES, "bytes"),
            EmbeddingInput::Tokens(tokens) => (tokens.len(), MOST_TOKENS, "tokens"),
        };
        if !(1..=most).contains(&length) {
            let detail = format!("Item {index} of `input` has {length} {unit}; send 1 to {most}.");
            return Err(Problem::invalid_request(detail));
        }
    }
    Ok(inputs)
}

fn check_dimensions(wanted: usize, length: usize) -> Result<(), Problem> {
    if wanted == length {
        return Ok(());
    }
    let detail =
        format!("This model's vectors have {length} dimensions and can't be shortened; leave `dimensions` out.");
    Err(Problem::invalid_request(detail))
}

fn refused(error: &EmbeddingError) -> Problem {
    match error {
        EmbeddingError::Rejected { index, what } => {
            Problem::invalid_request(format!("Item {index} of `input` can't be embedded: {what}."))
        }
        EmbeddingError::Overloaded { .. } => busy("overloaded"),
        EmbeddingError::Unavailable { .. } => {
            warn!(error = error as &dyn std::error::Error, "embeddings refused");
            let detail = "The embedding model is not available; GET /health says why.";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "model_unavailable", detail);
            Problem { retry_after: Some(5), ..problem }
        }
    }
}

fn busy(code: &'static str) -> Problem {
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, "The embedding model is busy; try again later.");
    Problem { retry_after: Some(1), ..problem }
}

impl Encoding {
    fn encode(self, vector: Vec<f32>) -> Vector {
        match self {
            Self::Float => Vector::Float(vector),
            Self::Base64 => {
                let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
                Vector::Base64(BASE64.encode(bytes))
            }
        }
    }
}

impl From<InputType> for Purpose {
    fn from(kind: InputType) -> Self {
        match kind {
            InputType::Plain => Self::Plain,
            InputType::Query => Self::Query,
            InputType::Passage => Self::Passage,
        }
    }
}

/// The one address.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    let refuse = || web::to(|| async { Err::<HttpResponse, _>(Problem::method_not_allowed("POST")) });
    config.service(web::resource("/v1/embeddings").route(web::post().to(create)).default_service(refuse()));
}
