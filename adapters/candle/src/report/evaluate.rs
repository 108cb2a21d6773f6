//! Greedy continuation of token ids, for comparing engines.

use std::io::Write;

use super::chat::Chat;
use super::{ReportError, Run};
use crate::file::ModelFile;
use crate::network::Network;

/// Continues `ids` by the `steps` likeliest tokens, each after the other, and tells each one. It does not stop at tokens
/// that end an answer.
///
/// `logits` gets those that each token was chosen from: one 32-bit float per token of the vocabulary, little-endian,
/// step after step.
///
/// # Errors
/// The model can't be used, `ids` are none of its tokens or too many, or something can't be written.
pub fn evaluate(
    run: &Run,
    ids: &[u32],
    steps: usize,
    mut logits: Option<&mut dyn Write>,
    tell: &mut dyn FnMut(u32) -> std::io::Result<()>,
) -> Result<(), ReportError> {
    let file = ModelFile::open(&run.path)?;
    if ids.is_empty() {
        return Err(ReportError::Usage("there are no ids to continue".to_owned()));
    }
    let tokens = ids.len().saturating_add(steps);
    let mut network = run.load(&file, &[tokens], &mut |_, _| ())?;
    let vocabulary = network.limits().vocabulary;
    if let Some(id) = ids.iter().find(|&&id| usize::try_from(id).is_ok_and(|id| id >= vocabulary)) {
        return Err(ReportError::Usage(format!("{id} is no token; the model has {vocabulary}, from 0 on")));
    }
    let mut chat = Chat::new(tokens, &mut 0);
    let mut next = ids.to_vec();
    let mut row = Vec::new();
    for _ in 0..steps {
        chat.read(&mut network, &next, &mut row)?;
        if let Some(out) = &mut logits {
            let bytes: Vec<u8> = row.iter().flat_map(|logit| logit.to_le_bytes()).collect();
            out.write_all(&bytes).map_err(ReportError::Output)?;
        }
        let id = likeliest(&row).ok_or_else(|| ReportError::Compute("the model computed no numbers".into()))?;
        tell(id).map_err(ReportError::Output)?;
        next = vec![id];
    }
    Ok(())
}

/// The first of equals.
fn likeliest(logits: &[f32]) -> Option<u32> {
    let numbers = (0..).zip(logits).filter(|(_, logit)| !logit.is_nan());
    numbers.reduce(|best, other| if other.1 > best.1 { other } else { best }).map(|(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::likeliest;

    #[test]
    fn the_first_of_the_likeliest_is_chosen() {
        assert_eq!(likeliest(&[f32::NAN, 1.0, 2.0, 2.0]), Some(2));
        assert_eq!(likeliest(&[f32::NAN]), None);
    }
}
