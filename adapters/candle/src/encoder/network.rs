//! The network itself: token ids in, one vector for each row out.

use std::collections::HashMap;

use candle_core::{D, DType, Device, Error, IndexOp, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{bert, xlm_roberta};

use super::error::EncoderError;
use super::folder::{Folder, Pooling, completed};

/// A loaded encoder on its device.
pub(super) struct Network {
    family: Family,
    device: Device,
    pooling: Pooling,
    normalised: bool,
    /// What shorter rows are filled up with.
    padding: u32,
    pub vocabulary: usize,
    /// Length of a vector.
    pub dimensions: usize,
    /// Longest row.
    pub max_tokens: usize,
}

enum Family {
    Bert(bert::BertModel),
    /// RoBERTa too: the two differ in their vocabulary only.
    XlmRoberta(xlm_roberta::XLMRobertaModel),
}

impl Network {
    pub(super) fn load(folder: &Folder, device: Device) -> Result<Self, EncoderError> {
        let mut tensors = HashMap::new();
        for path in folder.weights()? {
            tensors.extend(
                candle_core::safetensors::load(&path, &Device::Cpu).map_err(|source| unreadable(folder, source))?,
            );
        }
        let prefix = prefix(&tensors);
        // 32 bits everywhere: encoders are small, and vectors are compared for years.
        let weights = VarBuilder::from_tensors(tensors, DType::F32, &device);
        let weights = if prefix.is_empty() { weights } else { weights.pp(prefix) };
        match folder.config.get("model_type").and_then(serde_json::Value::as_str) {
            Some("bert") => Self::bert(folder, weights, device),
            Some("xlm-roberta" | "roberta") => Self::xlm_roberta(folder, weights, device),
            other => Err(EncoderError::Unsupported {
                path: folder.path.clone(),
                what: format!("its model_type is {other:?}, not bert, roberta or xlm-roberta"),
            }),
        }
    }

    fn bert(folder: &Folder, weights: VarBuilder, device: Device) -> Result<Self, EncoderError> {
        let config: bert::Config = completed(folder)?;
        let model = bert::BertModel::load(weights, &config).map_err(|source| unreadable(folder, source))?;
        Ok(Self {
            family: Family::Bert(model),
            device,
            pooling: folder.pooling,
            normalised: folder.normalised,
            padding: u32::try_from(config.pad_token_id).map_err(|_| folder.broken("its pad_token_id is no token"))?,
            vocabulary: config.vocab_size,
            dimensions: config.hidden_size,
            max_tokens: config.max_position_embeddings,
        })
    }

    fn xlm_roberta(folder: &Folder, weights: VarBuilder, device: Device) -> Result<Self, EncoderError> {
        let config: xlm_roberta::Config = completed(folder)?;
        if config.position_embedding_type != "absolute" {
            return Err(folder.broken("its positions are not absolute, which its architecture does not know"));
        }
        let model = xlm_roberta::XLMRobertaModel::new(&config, weights).map_err(|source| unreadable(folder, source))?;
        // Positions are counted from the one after the padding's.
        let skipped = config.pad_token_id as usize + 1;
        Ok(Self {
            family: Family::XlmRoberta(model),
            device,
            pooling: folder.pooling,
            normalised: folder.normalised,
            padding: config.pad_token_id,
            vocabulary: config.vocab_size,
            dimensions: config.hidden_size,
            max_tokens: config.max_position_embeddings.saturating_sub(skipped),
        })
    }

    /// One vector for each row of token ids; no row is empty, or longer than [`Self::max_tokens`].
    pub(super) fn vectors(&self, rows: &[&[u32]]) -> Result<Vec<Vec<f32>>, Error> {
        let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        for row in rows {
            let missing = longest - row.len();
            ids.extend(row.iter().copied().chain(std::iter::repeat_n(self.padding, missing)));
            mask.extend(std::iter::repeat_n(1_f32, row.len()).chain(std::iter::repeat_n(0.0, missing)));
        }
        let ids = Tensor::from_vec(ids, (rows.len(), longest), &self.device)?;
        let mask = Tensor::from_vec(mask, (rows.len(), longest), &self.device)?;
        let types = ids.zeros_like()?;
        let hidden = match &self.family {
            Family::Bert(model) => model.forward(&ids, &types, Some(&mask))?,
            Family::XlmRoberta(model) => model.forward(&ids, &mask, &types, None, None, None)?,
        };
        self.pool(&hidden, &mask)?.to_vec2()
    }

    /// `hidden` is rows × tokens × dimensions, `mask` rows × tokens.
    fn pool(&self, hidden: &Tensor, mask: &Tensor) -> Result<Tensor, Error> {
        let pooled = match self.pooling {
            Pooling::First => hidden.i((.., 0))?.contiguous()?,
            Pooling::Mean => {
                let sums = hidden.broadcast_mul(&mask.unsqueeze(D::Minus1)?)?.sum(1)?;
                sums.broadcast_div(&mask.sum_keepdim(1)?)?
            }
        };
        if !self.normalised {
            return Ok(pooled);
        }
        // The bound is torch's: a vector of zeros stays one.
        let lengths = pooled.sqr()?.sum_keepdim(1)?.sqrt()?.maximum(1e-12)?;
        pooled.broadcast_div(&lengths)
    }
}

/// Files saved with a head for training have the encoder below a name.
fn prefix(tensors: &HashMap<String, Tensor>) -> &'static str {
    let stands_below = |prefix: &&&str| tensors.contains_key(&format!("{prefix}.embeddings.word_embeddings.weight"));
    ["bert", "roberta"].iter().find(stands_below).copied().unwrap_or_default()
}

fn unreadable(folder: &Folder, source: Error) -> EncoderError {
    EncoderError::Broken {
        path: folder.path.clone(),
        what: "its weights do not fit its config.json".to_owned(),
        source: Some(Box::new(source)),
    }
}
