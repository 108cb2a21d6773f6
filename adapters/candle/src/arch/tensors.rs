//! The tensors of a network: what has to be there, in which shape.

use std::collections::BTreeMap;

use super::{Architecture, Biased, Spec};
use crate::error::LoadError;
use crate::file::{ModelFile, TensorView};

struct Expected {
    /// Outermost first.
    shape: Vec<usize>,
    required: bool,
}

/// Refuses a file whose tensors are not those of its shape.
///
/// # Errors
/// One is missing, has another shape, can't be computed with, or is not part of such a network.
pub(super) fn check(file: &ModelFile, spec: &Spec, architecture: &Architecture) -> Result<(), LoadError> {
    let expected = expected(spec, architecture);
    for (name, Expected { shape, required }) in &expected {
        let Some(tensor) = file.tensor(name) else {
            if *required {
                return Err(file.broken(format!("it has no tensor {name}")));
            }
            continue;
        };
        if tensor.shape != shape {
            let what = format!("its tensor {name} has the shape {:?} in place of {shape:?}", tensor.shape);
            return Err(file.broken(what));
        }
        check_format(file, &tensor)?;
    }
    match file.tensors().find(|tensor| !expected.contains_key(tensor.name)) {
        Some(tensor) => Err(file.unsupported(format!(
            "its tensor {} is no part of the architecture {} as far as this engine knows it",
            tensor.name, architecture.name
        ))),
        None => Ok(()),
    }
}

/// The values of a vector.
///
/// # Errors
/// It has another length, or can't be decoded.
pub(super) fn vector(file: &ModelFile, tensor: &TensorView<'_>, length: usize) -> Result<Vec<f32>, LoadError> {
    if tensor.shape != [length] {
        let what = format!("its tensor {} has the shape {:?} in place of {length}", tensor.name, tensor.shape);
        return Err(file.broken(what));
    }
    file.values(tensor)
}

fn check_format(file: &ModelFile, tensor: &TensorView<'_>) -> Result<(), LoadError> {
    file.planned(tensor, None)?;
    if tensor.shape.len() > 1 && !tensor.cols().is_multiple_of(32) {
        let what = format!("the rows of its tensor {} have {} values, no multiple of 32", tensor.name, tensor.cols());
        return Err(file.unsupported(what));
    }
    Ok(())
}

fn expected(spec: &Spec, architecture: &Architecture) -> BTreeMap<String, Expected> {
    let Spec { width, heads, kv_heads, head_dim, feed_forward, vocabulary, .. } = *spec;
    let (query, key) = (heads * head_dim, kv_heads * head_dim);
    let mut all = BTreeMap::new();
    let mut add = |name: String, shape: &[usize], required| {
        all.insert(name, Expected { shape: shape.to_vec(), required });
    };
    add("token_embd.weight".to_owned(), &[vocabulary, width], true);
    add("output_norm.weight".to_owned(), &[width], true);
    add("output.weight".to_owned(), &[vocabulary, width], false);
    if architecture.biased.contains(&Biased::Output) {
        add("output.bias".to_owned(), &[vocabulary], false);
    }
    if architecture.frequency_factors {
        add("rope_freqs.weight".to_owned(), &[spec.rotation.frequencies.len()], false);
    }
    for layer in 0..spec.layers {
        let name = |part: &str| format!("blk.{layer}.{part}");
        for (part, rows, cols, bias) in [
            ("attn_q", query, width, Some(Biased::Query)),
            ("attn_k", key, width, Some(Biased::Key)),
            ("attn_v", key, width, Some(Biased::Value)),
            ("attn_output", width, query, Some(Biased::AttentionOutput)),
            ("ffn_gate", feed_forward, width, None),
            ("ffn_up", feed_forward, width, None),
            ("ffn_down", width, feed_forward, None),
        ] {
            add(name(&format!("{part}.weight")), &[rows, cols], true);
            if bias.is_some_and(|bias| architecture.biased.contains(&bias)) {
                add(name(&format!("{part}.bias")), &[rows], false);
            }
        }
        add(name("attn_norm.weight"), &[width], true);
        add(name("ffn_norm.weight"), &[width], true);
        if architecture.head_norms {
            add(name("attn_q_norm.weight"), &[head_dim], true);
            add(name("attn_k_norm.weight"), &[head_dim], true);
        }
    }
    all
}
