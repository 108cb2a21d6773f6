//! Names of tensors: what the safetensors files of transformers call them, and what GGUF files do.

/// What becomes of a tensor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Ours(String),
    /// It holds what is computed anyway.
    NotNeeded,
    Unknown,
}

/// Parts of a layer.
const PARTS: [(&str, &str); 11] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// The GGUF name of a tensor.
pub(crate) fn ours(theirs: &str) -> Name {
    match theirs {
        "model.embed_tokens.weight" => Name::Ours("token_embd.weight".to_owned()),
        "model.norm.weight" => Name::Ours("output_norm.weight".to_owned()),
        "lm_head.weight" => Name::Ours("output.weight".to_owned()),
        _ if theirs.ends_with("rotary_emb.inv_freq") => Name::NotNeeded,
        _ => of_layer(theirs).map_or(Name::Unknown, Name::Ours),
    }
}

fn of_layer(theirs: &str) -> Option<String> {
    let (layer, part) = theirs.strip_prefix("model.layers.")?.split_once('.')?;
    let layer: u32 = layer.parse().ok()?;
    let (part, kind) = part.rsplit_once('.').filter(|(_, kind)| ["weight", "bias"].contains(kind))?;
    let (_, ours) = PARTS.iter().find(|(theirs, _)| *theirs == part)?;
    Some(format!("blk.{layer}.{ours}.{kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_get_their_gguf_names() {
        let of = |theirs| ours(theirs);
        assert_eq!(of("model.layers.12.self_attn.q_proj.bias"), Name::Ours("blk.12.attn_q.bias".to_owned()));
        assert_eq!(of("model.layers.0.mlp.down_proj.weight"), Name::Ours("blk.0.ffn_down.weight".to_owned()));
        assert_eq!(of("lm_head.weight"), Name::Ours("output.weight".to_owned()));
        assert_eq!(of("model.layers.3.self_attn.rotary_emb.inv_freq"), Name::NotNeeded);
        for unknown in ["model.layers.x.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.scale", "visual.patch.weight"]
        {
            assert_eq!(of(unknown), Name::Unknown, "{unknown}");
        }
    }
}
