use candle_core::quantized::gguf_file::Value;
use magpie_kernels::RotationStyle;

use super::*;
use crate::random_model::{Family, RandomModel, Scaling, Shape, Vocabulary};

fn model(family: Family) -> RandomModel {
    RandomModel {
        name: "small".to_owned(),
        family,
        shape: Shape::small(),
        quantisation: "q8_0".parse().unwrap(),
        vocabulary: Vocabulary::tiny(),
        metadata: Vec::new(),
        seed: 1,
    }
}

fn spec_of(model: &RandomModel) -> Result<Spec, LoadError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    model.write(file.path()).unwrap();
    Spec::of(&ModelFile::open(file.path()).unwrap())
}

fn refusal(model: &RandomModel) -> String {
    spec_of(model).unwrap_err().to_string()
}

/// The model with another value of a key of its architecture.
fn with(mut model: RandomModel, key: &str, value: Value) -> RandomModel {
    model.metadata.push((format!("{}.{key}", model.family.name()), value));
    model
}

#[test]
fn a_spec_is_what_the_file_says() {
    for family in Family::ALL {
        for tied in [true, false] {
            let mut model = model(family);
            model.shape.tied = tied;
            let spec = spec_of(&model).unwrap();
            assert_eq!((spec.architecture, spec.tied), (family.name(), tied));
            assert_eq!((spec.layers, spec.width, spec.heads, spec.kv_heads, spec.head_dim), (2, 256, 4, 2, 64));
            assert_eq!((spec.feed_forward, spec.vocabulary, spec.context_tokens), (512, 262, 2048));
            assert_eq!((spec.epsilon, spec.attention_scale), (1e-6, 0.125));
            assert_eq!(spec.head_norms, family == Family::Qwen3);
            let neighbours = family == Family::Llama;
            assert_eq!(spec.rotation.style == RotationStyle::Neighbours, neighbours);
            assert_eq!((spec.rotation.frequencies.len(), spec.rotation.magnitude), (32, 1.0));
        }
    }
}

#[test]
fn positions_are_scaled_as_the_file_says() {
    let frequencies = |scaling: Scaling| {
        let mut model = model(Family::Llama);
        model.shape.scaling = scaling;
        let rotation = spec_of(&model).unwrap().rotation;
        (rotation.frequencies, rotation.magnitude)
    };
    let (plain, _) = frequencies(Scaling::None);
    let (linear, _) = frequencies(Scaling::Linear(4.0));
    assert!(plain.iter().zip(&linear).all(|(plain, linear)| (plain / linear - 4.0).abs() < 1e-9));
    let (yarn, magnitude) = frequencies(Scaling::Yarn { factor: 4.0, original: 512 });
    assert!((magnitude - (1.0 + 0.1 * 4_f64.ln())).abs() < 1e-9);
    assert!((yarn[0] - plain[0]).abs() < 1e-9 && (plain[31] / yarn[31] - 4.0).abs() < 1e-9);
    let (factors, _) = frequencies(Scaling::Factors);
    assert!(plain.iter().zip(&factors).all(|(plain, scaled)| plain / scaled > 2.0));
}

#[test]
fn another_method_of_scaling_is_refused_by_name() {
    let model = with(model(Family::Llama), "rope.scaling.type", Value::String("longrope".to_owned()));
    assert!(refusal(&model).contains("longrope"));
}

#[test]
fn an_unknown_architecture_is_refused_by_name() {
    let mut model = model(Family::Llama);
    model.metadata.push(("general.architecture".to_owned(), Value::String("mamba".to_owned())));
    let refusal = refusal(&model);
    assert!(refusal.contains("mamba") && refusal.contains("qwen3"), "{refusal}");
}

#[test]
fn a_mixture_of_experts_is_refused() {
    assert!(refusal(&with(model(Family::Llama), "expert_count", Value::U32(8))).contains("experts"));
}

#[test]
fn a_window_of_attention_limits_the_context() {
    let spec = spec_of(&with(model(Family::Llama), "attention.sliding_window", Value::U32(100))).unwrap();
    assert_eq!(spec.context_tokens, 100);
}

#[test]
fn shapes_that_contradict_each_other_are_refused_with_the_tensor() {
    let refusal_with = |key, value| refusal(&with(model(Family::Qwen2), key, Value::U32(value)));
    assert!(refusal_with("embedding_length", 128).contains("token_embd.weight"));
    assert!(refusal_with("block_count", 3).contains("blk.2."));
    // The layers that are not counted would be left out silently.
    assert!(refusal_with("block_count", 1).contains("blk.1."));
    assert!(refusal_with("attention.head_count_kv", 3).contains("heads"));
    assert!(refusal_with("attention.value_length", 32).contains("32"));
    assert!(refusal_with("rope.dimension_count", 66).contains("66"));
}

#[test]
fn tensors_of_another_architecture_are_refused_by_name() {
    // The file has biases like qwen2, but no norms of heads.
    let mut model = model(Family::Qwen2);
    model.metadata.push(("general.architecture".to_owned(), Value::String("qwen3".to_owned())));
    model.metadata.extend(model.shape.metadata(Family::Qwen3));
    assert!(refusal(&model).contains("attn_q_norm"));
}

#[test]
fn a_format_that_can_not_be_computed_is_refused_with_the_tensor() {
    let mut model = model(Family::Llama);
    model.quantisation = "pure-q8_k".parse().unwrap();
    let refusal = refusal(&model);
    assert!(refusal.contains("Q8_K") && refusal.contains(".weight"), "{refusal}");
}
