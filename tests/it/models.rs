//! The commands of local models, on the demo model.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::service::{Finished, run, run_with_input};

fn folder() -> TempDir {
    tempfile::tempdir().expect("there is a place for temporary files")
}

fn demo_model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("adapters/candle/demo-model/magpie-demo.gguf")
}

/// `magpie model COMMAND` on the demo model.
async fn model(folder: &Path, command: &str, arguments: &[&str]) -> Finished {
    let file = demo_model();
    run(folder, &[&["model", command, file.to_str().expect("the path is UTF-8")], arguments].concat()).await
}

fn json(ended: &Finished) -> Value {
    assert_eq!(ended.code, 0, "{ended:?}");
    serde_json::from_str(&ended.stdout).expect("standard output is JSON")
}

#[tokio::test]
async fn inspect_says_what_the_demo_model_is() {
    let folder = folder();
    let ended = model(folder.path(), "inspect", &[]).await;
    let checksum = fs::read_to_string(demo_model().with_extension("gguf.sha256")).expect("it lies beside the model");
    let checksum = checksum.split_whitespace().next().expect("it begins with the checksum");
    assert_eq!(ended.code, 0, "{ended:?}");
    for expected in ["llama", "Q8_0", "1024 tokens", "<|im_start|>", "runs here      yes", checksum] {
        assert!(ended.stdout.contains(expected), "{expected}: {ended:?}");
    }
    let holdings = json(&model(folder.path(), "inspect", &["--json"]).await);
    assert_eq!((&holdings["architecture"], &holdings["sha256"]), (&"llama".into(), &checksum.into()));
    assert_eq!(holdings["refusal"], Value::Null);
}

#[tokio::test]
async fn what_is_no_model_is_named() {
    let folder = folder();
    fs::write(folder.path().join("text.gguf"), "Once upon a time").expect("the test's folder is writable");
    for command in ["inspect", "tokenize", "bench"] {
        for file in ["text.gguf", "missing.gguf"] {
            let ended = run(folder.path(), &["model", command, file]).await;
            assert!(ended.code == 1 && ended.stderr.contains(file), "{command} {file}: {ended:?}");
        }
    }
}

#[tokio::test]
async fn tokenize_takes_its_input_byte_for_byte_and_special_tokens_when_asked() {
    let folder = folder();
    let file = demo_model();
    let ids = async |input: &str, arguments: &[&str]| -> Vec<u32> {
        let command = ["model", "tokenize", file.to_str().expect("the path is UTF-8")];
        let ended = run_with_input(folder.path(), &[&command, arguments].concat(), input.as_bytes()).await;
        assert!(ended.code == 0 && ended.stdout.ends_with('\n'), "{ended:?}");
        ended.stdout.split_whitespace().map(|id| id.parse().expect("an id")).collect()
    };
    assert!(ids("", &[]).await.is_empty());
    let plain = ids("Hello", &[]).await;
    assert_eq!(ids("Hello\n", &[]).await.len(), plain.len() + 1);
    assert_eq!(ids("<|im_end|>", &["--special"]).await.len(), 1);
    assert!(ids("<|im_end|>", &[]).await.len() > 1);
}

#[tokio::test]
async fn eval_continues_ids_and_keeps_the_logits_of_each_step() {
    let folder = folder();
    let ended = model(folder.path(), "eval", &["--ids", "1 2 3", "--steps", "4", "--logits", "out.bin"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let ids: Vec<usize> = ended.stdout.lines().map(|line| line.parse().expect("an id a line")).collect();
    let logits: Vec<f32> = fs::read(folder.path().join("out.bin"))
        .expect("the logits were written")
        .as_chunks()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    let rows: Vec<&[f32]> = logits.chunks(logits.len() / 4).collect();
    assert_eq!(ids.len(), 4);
    for (id, row) in ids.iter().zip(rows) {
        assert!(row.iter().all(|logit| *logit <= row[*id]), "{id} is the likeliest");
    }
    let first = format!("1,2,3,{}", ids[0]);
    let again = model(folder.path(), "eval", &["--ids", &first, "--steps", "1"]).await;
    assert_eq!(again.stdout.trim(), ids[1].to_string(), "{again:?}");
}

#[tokio::test]
async fn eval_refuses_what_is_not_possible_with_two() {
    let folder = folder();
    for (arguments, told) in [
        (&["--ids", "1 x", "--steps", "1"][..], "\"x\""),
        (&["--ids", "99999", "--steps", "1"], "99999"),
        (&["--ids", "1", "--steps", "5000"], "1024"),
        (&["--ids", "1", "--steps", "1", "--kernels", "abacus"], "portable"),
    ] {
        let ended = model(folder.path(), "eval", arguments).await;
        assert!(ended.code == 2 && ended.stderr.contains(told), "{arguments:?}: {ended:?}");
    }
}

#[tokio::test]
async fn bench_measures_every_setting() {
    let folder = folder();
    let small = ["--prompt", "16", "--generate", "4", "--batch", "1,3", "--depth", "0,20", "--repeat", "1"];
    let measured = json(&model(folder.path(), "bench", &[&small[..], &["--json", "--threads", "1"]].concat()).await);
    assert_eq!(measured["subject"]["threads"], 1);
    let results = measured["results"].as_array().expect("a list");
    let settings: Vec<_> =
        results.iter().map(|one| (one["kind"].as_str(), one["depth"].as_u64(), one["batch"].as_u64())).collect();
    let decode = |depth, batch| (Some("decode"), Some(depth), Some(batch));
    assert_eq!(settings, [(Some("prompt"), None, None), decode(0, 1), decode(0, 3), decode(20, 1), decode(20, 3)]);
    assert!(results.iter().all(|one| one["tokens_per_second"].as_f64().is_some_and(|speed| speed > 0.0)));
    let table = model(folder.path(), "bench", &small).await;
    assert!(table.code == 0 && table.stdout.contains("pp16") && table.stdout.contains("tg4"), "{table:?}");
}

#[tokio::test]
async fn chat_answers_questions_from_a_pipe_and_obeys_commands() {
    let folder = folder();
    let typed = "/help\nhello\n/reset\n/frobnicate\nhello\n/quit\nnever asked\n";
    let ended = run_with_input(folder.path(), &["chat"], typed.as_bytes()).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let greetings = ended.stdout.lines().filter(|line| line.contains("Magpie")).count();
    assert_eq!(greetings, 2, "{ended:?}");
    assert!(ended.stdout.contains("/reset") && ended.stderr.contains("/frobnicate"), "{ended:?}");
    assert_eq!(ended.stderr.matches("tokens/s").count(), 2, "{ended:?}");
}

#[tokio::test]
async fn chat_with_a_missing_model_fails_and_names_it() {
    let folder = folder();
    let ended = run(folder.path(), &["chat", "--model", "missing.gguf"]).await;
    assert!(ended.code == 1 && ended.stderr.contains("missing.gguf"), "{ended:?}");
}
