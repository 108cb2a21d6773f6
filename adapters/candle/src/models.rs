//! The quantised models of candle-transformers, as one thing that takes tokens and gives logits.
//!
//! Each prompt is run from its first token with an empty cache: candle's caches can be neither shortened nor, for
//! qwen3, filled by a prefill after decoding (its CPU path keeps two caches, and decoding fills only one of them).

use std::io::{BufReader, Seek};

use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::{DType, Device, Error, Tensor};
use candle_transformers::models::{quantized_llama, quantized_qwen2, quantized_qwen3};

use crate::error::LoadError;
use crate::gguf::Gguf;

/// Longest stretch of a prompt that is run at once. A power of two: see [`chunks`].
const LONGEST_CHUNK: usize = 256;

/// Architectures that can be run, by the name in the file. Mistral's files call themselves `llama`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architecture {
    Llama,
    Qwen2,
    Qwen3,
}

impl Architecture {
    pub(crate) fn of(file: &Gguf) -> Result<Self, LoadError> {
        match file.architecture()? {
            "llama" => Ok(Self::Llama),
            "qwen2" => Ok(Self::Qwen2),
            "qwen3" => Ok(Self::Qwen3),
            other => Err(file.unsupported(format!("its architecture is {other:?}, not llama, qwen2 or qwen3"))),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }

    /// The longest context that can be run: the file's, and for llama no more than candle's position tables hold.
    pub(crate) fn context_tokens(self, file: &Gguf) -> Result<usize, LoadError> {
        let key = format!("{}.context_length", self.name());
        let context = file.number(&key).and_then(|tokens| usize::try_from(tokens).ok()).filter(|tokens| *tokens > 0);
        let context = context.ok_or_else(|| file.broken(format!("it has no {key}")))?;
        Ok(if self == Self::Llama { context.min(quantized_llama::MAX_SEQ_LEN) } else { context })
    }
}

/// The weights of a model with the cache of the prompt that is being answered.
pub(crate) struct Model {
    weights: Weights,
    device: Device,
    /// Tokens in the cache.
    position: usize,
}

enum Weights {
    Llama(quantized_llama::ModelWeights),
    Qwen2(quantized_qwen2::ModelWeights),
    Qwen3(quantized_qwen3::ModelWeights),
}

impl Model {
    /// Reads all tensors. `context_tokens` sizes the position tables.
    pub(crate) fn load(file: Gguf, architecture: Architecture, context_tokens: usize) -> Result<Self, LoadError> {
        check_shape(&file, architecture)?;
        let Gguf { path, mut content, mut reader } = file;
        complete_metadata(&mut content, architecture, context_tokens);
        let device = Device::Cpu;
        let weights = read(architecture, content, &mut reader, &device).map_err(|source| LoadError::Broken {
            path,
            what: "its tensors can't be read".to_owned(),
            source: Some(Box::new(source)),
        })?;
        Ok(Self { weights, device, position: 0 })
    }

    /// Forgets the prompt before.
    pub(crate) fn reset(&mut self) {
        self.position = 0;
        match &mut self.weights {
            Weights::Llama(weights) => weights.clear_kv_cache(),
            Weights::Qwen2(weights) => weights.clear_kv_cache(),
            Weights::Qwen3(weights) => weights.clear_kv_cache(),
        }
    }

    /// Runs the next tokens (at least one) and gives the logits after the last of them.
    pub(crate) fn forward(&mut self, tokens: &[u32]) -> Result<Vec<f32>, Error> {
        let input = Tensor::new(tokens, &self.device)?.unsqueeze(0)?;
        let logits = match &mut self.weights {
            Weights::Llama(weights) => weights.forward(&input, self.position)?,
            Weights::Qwen2(weights) => weights.forward(&input, self.position)?,
            Weights::Qwen3(weights) => weights.forward(&input, self.position)?,
        };
        self.position += tokens.len();
        logits.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
    }
}

/// Cuts a prompt into stretches whose lengths are falling powers of two, and which so begin at multiples of their
/// length. Candle's llama and qwen2 keep the mask of every pair of length and position for ever; this way there are
/// few such pairs, whatever lengths prompts have. It also lets a cancelled prompt end soon.
pub(crate) fn chunks(mut tokens: &[u32]) -> impl Iterator<Item = &[u32]> {
    let mut length = LONGEST_CHUNK;
    std::iter::from_fn(move || {
        if tokens.is_empty() {
            return None;
        }
        while length > tokens.len() {
            length /= 2;
        }
        let (chunk, rest) = tokens.split_at(length);
        tokens = rest;
        Some(chunk)
    })
}

fn read(
    architecture: Architecture,
    content: Content,
    reader: &mut BufReader<std::fs::File>,
    device: &Device,
) -> Result<Weights, Error> {
    reader.rewind()?;
    Ok(match architecture {
        Architecture::Llama => Weights::Llama(quantized_llama::ModelWeights::from_gguf(content, reader, device)?),
        Architecture::Qwen2 => Weights::Qwen2(quantized_qwen2::ModelWeights::from_gguf(content, reader, device)?),
        Architecture::Qwen3 => Weights::Qwen3(quantized_qwen3::ModelWeights::from_gguf(content, reader, device)?),
    })
}

/// Refuses shapes that candle would get wrong or divide by.
fn check_shape(file: &Gguf, architecture: Architecture) -> Result<(), LoadError> {
    let name = architecture.name();
    let number = |key: &str| file.number(&format!("{name}.{key}"));
    let required = |key: &str| {
        number(key).filter(|value| *value > 0).ok_or_else(|| file.broken(format!("it has no {name}.{key}")))
    };
    let (heads, width) = (required("attention.head_count")?, required("embedding_length")?);
    let groups = number("attention.head_count_kv").unwrap_or(heads);
    if groups == 0 || heads % groups != 0 {
        return Err(file.broken("its attention heads can't be shared evenly"));
    }
    let head_width = number("attention.key_length").unwrap_or(width / heads);
    if architecture != Architecture::Qwen3 && head_width * heads != width {
        return Err(file.unsupported("its attention heads are not as wide as its embedding divided by their number"));
    }
    let scaled = number("rope.scaling.original_context_length").is_some()
        || file.content.tensor_infos.contains_key("rope_freqs.weight");
    if scaled {
        tracing::warn!("the model scales its positions, which is not followed; long prompts may be answered worse");
    }
    Ok(())
}

/// Says explicitly what candle would otherwise guess or refuse.
fn complete_metadata(content: &mut Content, architecture: Architecture, context_tokens: usize) {
    let name = architecture.name();
    let heads = content.metadata.get(&format!("{name}.attention.head_count")).cloned();
    if let Some(heads) = heads {
        content.metadata.entry(format!("{name}.attention.head_count_kv")).or_insert(heads);
    }
    let context = Value::U32(u32::try_from(context_tokens).unwrap_or(u32::MAX));
    content.metadata.insert(format!("{name}.context_length"), context);
    // 0 is F32. Without it qwen3's position tables are F16, which is too coarse from about a thousand tokens on.
    content.metadata.insert("general.dtype".to_owned(), Value::U32(0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testmodel::{self, Kind};

    fn load(kind: Kind) -> Model {
        let written = testmodel::write(kind, &[]);
        let file = Gguf::open(written.path()).unwrap();
        let architecture = Architecture::of(&file).unwrap();
        let context = architecture.context_tokens(&file).unwrap();
        Model::load(file, architecture, context).unwrap()
    }

    /// Greedy ids after a prompt that is run in these portions.
    fn greedy<'a>(model: &mut Model, portions: impl Iterator<Item = &'a [u32]>) -> (Vec<f32>, Vec<u32>) {
        model.reset();
        let first = portions.map(|portion| model.forward(portion).unwrap()).last().expect("there is a portion");
        let (mut logits, mut ids) = (first.clone(), Vec::new());
        for _ in 0..4 {
            let best = (0..).zip(&logits).max_by(|a, b| a.1.total_cmp(b.1)).map(|(id, _)| id).unwrap();
            ids.push(best);
            logits = model.forward(&[best]).unwrap();
        }
        (first, ids)
    }

    #[test]
    fn a_prompt_gives_the_same_whole_in_chunks_and_token_by_token() {
        let prompt: Vec<u32> = (0..45).map(|place| 3 + place * 7 % 250).collect();
        for kind in Kind::ALL {
            let mut model = load(kind);
            let (whole, whole_ids) = greedy(&mut model, std::iter::once(prompt.as_slice()));
            let (chunked, chunked_ids) = greedy(&mut model, chunks(&prompt));
            let (single, single_ids) = greedy(&mut model, prompt.chunks(1));
            for (place, logit) in whole.iter().enumerate() {
                assert!((logit - chunked[place]).abs() < 2e-2, "{kind:?} {place}: {logit} {}", chunked[place]);
                assert!((logit - single[place]).abs() < 2e-2, "{kind:?} {place}: {logit} {}", single[place]);
            }
            assert_eq!((&whole_ids, &whole_ids), (&chunked_ids, &single_ids), "{kind:?}");
        }
    }

    #[test]
    fn an_answer_does_not_depend_on_the_prompt_before() {
        for kind in Kind::ALL {
            let prompts: [Vec<u32>; 2] = [(3..40).collect(), (90..101).rev().collect()];
            let mut model = load(kind);
            let alone = greedy(&mut model, chunks(&prompts[1]));
            greedy(&mut model, chunks(&prompts[0]));
            assert_eq!(greedy(&mut model, chunks(&prompts[1])), alone, "{kind:?}");
        }
    }

    #[test]
    fn chunks_are_falling_powers_of_two_and_lose_nothing() {
        for length in [0, 1, 2, 3, 255, 256, 257, 700] {
            let tokens: Vec<u32> = (0..length).collect();
            let lengths: Vec<usize> = chunks(&tokens).map(<[u32]>::len).collect();
            assert!(lengths.iter().all(|length| length.is_power_of_two() && *length <= LONGEST_CHUNK));
            assert!(lengths.windows(2).all(|pair| pair[0] >= pair[1]));
            assert_eq!(chunks(&tokens).flatten().copied().collect::<Vec<_>>(), tokens);
        }
    }
}
