//! What `config.json` and its neighbours say, under the keys of GGUF.
//!
//! Source: "Configuration" of the four model types in the documentation of transformers, and the fields that published
//! models have (read 11/2026).

use serde_json::Value as Json;

use crate::file::layout::{HeaderError, broken};
use crate::file::metadata::{Metadata, Value};

/// Rotation of positions.
const BASE_THETA: f64 = 10_000.0;

/// The small files of a folder; those that are absent are null.
#[derive(Debug, Default)]
pub(crate) struct Descriptions {
    pub config: Json,
    pub generation: Json,
    pub tokenizer: Json,
    /// `chat_template.jinja`.
    pub template: Option<String>,
    /// Of the folder.
    pub name: String,
}

/// What was understood of the descriptions.
#[derive(Debug)]
pub(crate) struct Described {
    pub metadata: Metadata,
    /// Whether the embedding is the output matrix, if the configuration says.
    pub tied: Option<bool>,
    /// Divisors of the frequencies of rotation, one for each pair of a head, as GGUF files of Llama 3 have them.
    pub frequency_divisors: Option<Vec<f32>>,
}

impl Descriptions {
    /// Reads everything that this engine follows, and refuses what it would get wrong.
    pub(crate) fn read(&self) -> Result<Described, HeaderError> {
        let architecture = self.architecture()?;
        self.refuse_foreign()?;
        let mut keys = Keys { architecture, metadata: Metadata::default() };
        keys.set_text("general.architecture", architecture);
        keys.set_text("general.name", &self.name);
        self.shape(&mut keys)?;
        let frequency_divisors = self.rotation(&mut keys)?;
        self.tokens(&mut keys);
        let tied = self.config["tie_word_embeddings"].as_bool();
        Ok(Described { metadata: keys.metadata, tied, frequency_divisors })
    }

    fn architecture(&self) -> Result<&'static str, HeaderError> {
        match self.config["architectures"][0].as_str() {
            Some("LlamaForCausalLM" | "MistralForCausalLM") => Ok("llama"),
            Some("Qwen2ForCausalLM") => Ok("qwen2"),
            Some("Qwen3ForCausalLM") => Ok("qwen3"),
            Some(other) => Err(unsupported(format!(
                "its config.json names the architecture {other}, not LlamaForCausalLM, MistralForCausalLM, \
                 Qwen2ForCausalLM or Qwen3ForCausalLM"
            ))),
            None => Err(broken("its config.json names no architecture")),
        }
    }

    fn refuse_foreign(&self) -> Result<(), HeaderError> {
        let quantised = &self.config["quantization_config"];
        if !quantised.is_null() {
            let method = quantised["quant_method"].as_str().unwrap_or("an unknown method");
            let what = format!("its weights are quantised by {method}; take the original or a GGUF file");
            return Err(unsupported(what));
        }
        match self.config["hidden_act"].as_str() {
            None | Some("silu") => Ok(()),
            Some(other) => Err(unsupported(format!("its activation is {other}, not silu"))),
        }
    }

    fn shape(&self, keys: &mut Keys) -> Result<(), HeaderError> {
        let required = |name: &str| {
            let number = self.config[name].as_u64().filter(|number| *number > 0);
            number.ok_or_else(|| broken(format!("its config.json has no {name}")))
        };
        let (width, heads) = (required("hidden_size")?, required("num_attention_heads")?);
        let head_width = self.config["head_dim"].as_u64().unwrap_or(width / heads);
        keys.set_number("block_count", required("num_hidden_layers")?);
        keys.set_number("context_length", required("max_position_embeddings")?);
        keys.set_number("embedding_length", width);
        keys.set_number("feed_forward_length", required("intermediate_size")?);
        keys.set_number("attention.head_count", heads);
        keys.set_number("attention.head_count_kv", self.config["num_key_value_heads"].as_u64().unwrap_or(heads));
        keys.set_number("attention.key_length", head_width);
        keys.set_number("attention.value_length", head_width);
        keys.set_number("vocab_size", required("vocab_size")?);
        let rotated = self.config["partial_rotary_factor"].as_f64().unwrap_or(1.0);
        if (rotated - 1.0).abs() > f64::EPSILON {
            return Err(unsupported("it rotates a part of each head only"));
        }
        keys.set_number("rope.dimension_count", head_width);
        let epsilon = self.config["rms_norm_eps"].as_f64();
        keys.set_float("attention.layer_norm_rms_epsilon", epsilon.ok_or_else(|| broken("it has no rms_norm_eps"))?);
        // Qwen2 writes the width of a window down even where none is used.
        let windowed = self.config["use_sliding_window"].as_bool().unwrap_or(true);
        if let Some(window) = self.config["sliding_window"].as_u64().filter(|_| windowed) {
            keys.set_number("attention.sliding_window", window);
        }
        Ok(())
    }

    /// `rope_parameters` is the newer spelling of `rope_theta` and `rope_scaling` together.
    fn rotation(&self, keys: &mut Keys) -> Result<Option<Vec<f32>>, HeaderError> {
        let newer = &self.config["rope_parameters"];
        let scaling = if newer.is_object() { newer } else { &self.config["rope_scaling"] };
        let theta = newer["rope_theta"].as_f64().or(self.config["rope_theta"].as_f64()).unwrap_or(BASE_THETA);
        keys.set_float("rope.freq_base", theta);
        let kind = scaling["rope_type"].as_str().or(scaling["type"].as_str()).unwrap_or("default");
        let required = |name: &str| {
            let number = scaling[name].as_f64().filter(|number| number.is_finite() && *number > 0.0);
            number.ok_or_else(|| broken(format!("its config.json scales positions without a {name}")))
        };
        match kind {
            "default" => {}
            "linear" => {
                keys.set_text_of("rope.scaling.type", "linear");
                keys.set_float("rope.scaling.factor", required("factor")?);
            }
            "yarn" => self.yarn(scaling, required("factor")?, keys),
            "llama3" => {
                let head_width = keys.number("attention.key_length");
                let divisors = Llama3 {
                    factor: required("factor")?,
                    low: required("low_freq_factor")?,
                    high: required("high_freq_factor")?,
                    context: required("original_max_position_embeddings")?,
                };
                return Ok(Some(divisors.of(theta, head_width)));
            }
            other => return Err(unsupported(format!("it scales positions by {other}, not linear, llama3 or yarn"))),
        }
        Ok(None)
    }

    fn yarn(&self, scaling: &Json, factor: f64, keys: &mut Keys) {
        let trained = keys.number("context_length");
        let original = scaling["original_max_position_embeddings"].as_u64().unwrap_or(trained);
        keys.set_text_of("rope.scaling.type", "yarn");
        keys.set_float("rope.scaling.factor", factor);
        keys.set_number("rope.scaling.original_context_length", original);
        // Configurations keep the length of the training; the scaling is there to go beyond it.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and tokens are whole")]
        #[expect(clippy::cast_precision_loss, reason = "contexts are far below 2^52")]
        let extended = (original as f64 * factor) as u64;
        keys.set_number("context_length", trained.max(extended));
        for (ours, theirs) in [("yarn_beta_fast", "beta_fast"), ("yarn_beta_slow", "beta_slow")] {
            if let Some(beta) = scaling[theirs].as_f64() {
                keys.set_float(&format!("rope.scaling.{ours}"), beta);
            }
        }
        // Theirs replaces the usual factor, 0.1 ln(factor) + 1; GGUF's multiplies it.
        if let Some(attention) = scaling["attention_factor"].as_f64() {
            keys.set_float("rope.scaling.attn_factor", attention / (0.1 * factor.ln() + 1.0));
        }
    }

    fn tokens(&self, keys: &mut Keys) {
        let endings = [&self.generation, &self.config].map(|file| ids(&file["eos_token_id"]));
        let endings = endings.into_iter().find(|ids| !ids.is_empty()).unwrap_or_default();
        if let Some(first) = endings.first() {
            keys.set("tokenizer.ggml.eos_token_id", Value::Integer((*first).into()));
            keys.set("tokenizer.ggml.eos_token_ids", Value::Integers(endings));
        }
        if let Some(bos) = ids(&self.config["bos_token_id"]).first() {
            keys.set("tokenizer.ggml.bos_token_id", Value::Integer((*bos).into()));
        }
        if let Some(adds) = self.tokenizer["add_bos_token"].as_bool() {
            keys.set("tokenizer.ggml.add_bos_token", Value::Flag(adds));
        }
        for name in ["bos_token", "eos_token"] {
            let token = &self.tokenizer[name];
            if let Some(text) = token.as_str().or(token["content"].as_str()) {
                keys.set_text(&format!("tokenizer.{name}"), text);
            }
        }
        if let Some(template) = self.template.as_deref().or_else(|| default_template(&self.tokenizer["chat_template"]))
        {
            keys.set_text("tokenizer.chat_template", template);
        }
    }
}

/// How Llama 3 slows its lower frequencies down.
struct Llama3 {
    factor: f64,
    low: f64,
    high: f64,
    /// Tokens it was trained with first.
    context: f64,
}

impl Llama3 {
    #[expect(clippy::cast_precision_loss, reason = "heads are narrow")]
    #[expect(clippy::cast_possible_truncation, reason = "GGUF files keep them as f32")]
    fn of(&self, theta: f64, head_width: u64) -> Vec<f32> {
        let wave = |pair: u64| std::f64::consts::TAU * theta.powf((2 * pair) as f64 / head_width as f64);
        let divisor = |wave: f64| {
            if wave < self.context / self.high {
                return 1.0;
            }
            if wave > self.context / self.low {
                return self.factor;
            }
            let smooth = (self.context / wave - self.low) / (self.high - self.low);
            1.0 / ((1.0 - smooth) / self.factor + smooth)
        };
        (0..head_width / 2).map(|pair| divisor(wave(pair)) as f32).collect()
    }
}

/// Keys in the making; most begin with the architecture.
struct Keys {
    architecture: &'static str,
    metadata: Metadata,
}

impl Keys {
    fn set(&mut self, key: &str, value: Value) {
        self.metadata.insert(key, value);
    }

    fn set_text(&mut self, key: &str, text: &str) {
        self.set(key, Value::Text(text.to_owned()));
    }

    fn set_text_of(&mut self, key: &str, text: &str) {
        self.set_text(&format!("{}.{key}", self.architecture), text);
    }

    fn set_number(&mut self, key: &str, number: u64) {
        self.set(&format!("{}.{key}", self.architecture), Value::Integer(number.into()));
    }

    fn set_float(&mut self, key: &str, number: f64) {
        self.set(&format!("{}.{key}", self.architecture), Value::Float(number));
    }

    fn number(&self, key: &str) -> u64 {
        self.metadata.number(&format!("{}.{key}", self.architecture)).unwrap_or_default()
    }
}

/// One id or a list of them.
fn ids(value: &Json) -> Vec<i64> {
    match value {
        Json::Array(values) => values.iter().filter_map(Json::as_i64).collect(),
        value => value.as_i64().into_iter().collect(),
    }
}

/// A template, or the one called `default` of several.
fn default_template(value: &Json) -> Option<&str> {
    let named = |templates: &'_ Vec<Json>| templates.iter().position(|template| template["name"] == "default");
    match value {
        Json::Array(templates) => value[named(templates)?]["template"].as_str(),
        value => value.as_str(),
    }
}

fn unsupported(what: impl Into<String>) -> HeaderError {
    HeaderError::Unsupported(what.into())
}
