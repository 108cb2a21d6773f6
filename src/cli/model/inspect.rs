//! `magpie model inspect`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use magpie_core::clock::SystemClock;

use super::super::{ConfigFile, Failure};
use super::units::{amount, bytes};
use crate::app::local::report::{self, FormatShare, Holdings, MemoryNeeds};

/// Say what a model file holds, what memory it needs, and whether it can be run.
///
/// Works on files that hold a vocabulary only. Exit code 0 also for models that can't be run; the last line says so.
#[derive(Args)]
pub struct Inspect {
    #[command(flatten)]
    config: ConfigFile,
    /// Model file, or a folder with safetensors.
    file: PathBuf,
    /// One JSON object instead of lines.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub fn run(self) -> Result<(), Failure> {
        self.config.load()?;
        let holdings = report::look_into(&self.file, Arc::new(SystemClock)).map_err(Failure::failed)?;
        if self.json {
            let text =
                serde_json::to_string_pretty(&holdings).context("no JSON can be made").map_err(Failure::Failed)?;
            println!("{text}");
        } else {
            for (name, value) in rows(&holdings) {
                println!("{name:<14} {value}");
            }
        }
        Ok(())
    }
}

fn rows(holdings: &Holdings) -> Vec<(&'static str, String)> {
    let mut rows = vec![("file", format!("{}, {}", holdings.path, bytes(holdings.bytes)))];
    let mut add = |name, value: Option<String>| rows.extend(value.map(|value| (name, value)));
    add("sha-256", holdings.sha256.clone());
    add("name", holdings.name.clone());
    add("architecture", holdings.architecture.clone());
    if !holdings.formats.is_empty() {
        add("parameters", Some(amount(holdings.parameters)));
        for share in &holdings.formats {
            add("quantisation", Some(format(share)));
        }
    }
    let network = &holdings.network;
    add("context", network.context_tokens.map(|tokens| format!("{tokens} tokens")));
    add("layers", network.layers.map(|layers| layers.to_string()));
    add(
        "width",
        network.width.zip(network.feed_forward).map(|(width, inner)| format!("{width}, feed-forward {inner}")),
    );
    add("heads", network.heads.zip(network.kv_heads).map(|(heads, kv)| format!("{heads}, of keys and values {kv}")));
    add("tokenizer", Some(tokenizer(holdings)));
    add("warning", assumed_rules(holdings));
    add("template", Some(template(holdings)));
    for need in holdings.memory.iter().flat_map(memory) {
        add("memory", Some(need));
    }
    add("runs here", Some(holdings.refusal.as_ref().map_or("yes".to_owned(), |why| format!("no: {why}"))));
    rows
}

fn format(share: &FormatShare) -> String {
    let FormatShare { format, tensors, parameters, bytes: size } = share;
    format!("{format:<5} {tensors:>4} tensors, {}, {}", amount(*parameters), bytes(*size))
}

fn tokenizer(holdings: &Holdings) -> String {
    let vocabulary = &holdings.vocabulary;
    let mut parts = vec![vocabulary.kind.clone().unwrap_or_else(|| "unnamed".to_owned())];
    parts.extend(vocabulary.pre.clone());
    parts.extend(vocabulary.tokens.map(|tokens| format!("{tokens} tokens")));
    parts.extend(vocabulary.refusal.clone().map(|why| format!("can't be used: {why}")));
    parts.join(", ")
}

fn assumed_rules(holdings: &Holdings) -> Option<String> {
    let vocabulary = &holdings.vocabulary;
    let name = vocabulary.pre.as_ref().filter(|_| vocabulary.pre_is_assumed)?;
    Some(format!(
        "the file does not name its pre-tokenizer and {name} is assumed; if answers are bad, take a file converted anew"
    ))
}

fn template(holdings: &Holdings) -> String {
    let template = &holdings.template;
    match (&template.refusal, template.own, template.assumed) {
        (Some(why), ..) => why.clone(),
        (None, true, _) => format!("its own: {}", template.first_lines.join("\n               ")),
        (None, false, Some(name)) => format!("none of its own; {name} fits its tokens and is assumed"),
        (None, false, None) => "none".to_owned(),
    }
}

fn memory(needs: &MemoryNeeds) -> [String; 3] {
    [
        format!(
            "{} for weights, {} read for each token",
            bytes(needs.weights_bytes),
            bytes(needs.read_per_token_bytes)
        ),
        format!("{} for keys and values of 1,000 tokens", bytes(needs.cache_bytes_per_1000_tokens)),
        format!("about {} to compute on", bytes(needs.working_bytes)),
    ]
}
