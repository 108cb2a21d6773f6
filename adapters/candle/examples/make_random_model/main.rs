//! Writes a GGUF file with random weights in the shape of a published model, to measure and compare engines with.
//!
//! ```text
//! cargo run -p magpie-candle --features testkit --example make_random_model -- \
//!     --shape qwen3-0.6b --quantisation q8_0 --vocabulary-from ggml-vocab-qwen2.gguf random.gguf
//! ```
//!
//! With `--references FOLDER` alone it writes the small models of `tests/reference/` there.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Parser;
use magpie_candle::random_model::{Family, Quantisation, RandomModel, Shape, Vocabulary};

#[derive(Parser)]
struct Arguments {
    /// qwen3-0.6b, qwen2.5-0.5b, qwen2.5-1.5b, llama-3.2-1b
    #[arg(long, value_parser = Shape::published, required_unless_present = "references")]
    shape: Option<(Family, Shape)>,
    /// Another architecture than the shape's: llama, qwen2, qwen3
    #[arg(long)]
    architecture: Option<Family>,
    /// Formats of the matrices, mixed as llama-quantize does (q4_k, q8_0, …), or one for all (pure-q4_k, …)
    #[arg(long, required_unless_present = "references")]
    quantisation: Option<Quantisation>,
    /// A GGUF file whose tokenizer is copied; without it, there are 262 tokens
    #[arg(long)]
    vocabulary_from: Option<PathBuf>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(required_unless_present = "references")]
    out: Option<PathBuf>,
    /// An existing folder
    #[arg(long, exclusive = true)]
    references: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(folder) = &arguments.references {
        return RandomModel::references()
            .iter()
            .try_for_each(|model| write(model, &folder.join(format!("{}.gguf", model.name))));
    }
    let Arguments { shape: Some((family, shape)), quantisation: Some(quantisation), out: Some(out), .. } = arguments
    else {
        bail!("a shape, a quantisation and a file are needed");
    };
    let vocabulary = match &arguments.vocabulary_from {
        Some(path) => Vocabulary::of_file(path).context("the vocabulary can't be read")?,
        None => Vocabulary::tiny(),
    };
    let model = RandomModel {
        name: "random".to_owned(),
        family: arguments.architecture.unwrap_or(family),
        shape,
        quantisation,
        vocabulary,
        metadata: Vec::new(),
        seed: arguments.seed,
    };
    write(&model, &out)
}

fn write(model: &RandomModel, path: &Path) -> Result<()> {
    model.write(path).with_context(|| format!("{} can't be written", path.display()))
}
