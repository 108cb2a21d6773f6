use std::collections::BTreeMap;

use magpie_core::engine::AnswerSchema;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::{Penalties, Sampler, SamplingPlan};
use super::*;
use crate::testmodel;

const MAX_TOKENS: usize = 400;

/// Prepared once for all tests, as for all answers of a model.
fn grammars() -> &'static Grammars {
    static GRAMMARS: OnceLock<Grammars> = OnceLock::new();
    GRAMMARS.get_or_init(|| Grammars::new(Arc::new(testmodel::tokenizer())))
}

fn schema(schema: Value) -> ResponseFormat {
    ResponseFormat::JsonSchema(AnswerSchema { name: "test".to_owned(), schema, strict: true })
}

/// What is likely enough for random answers to come to an end: the quotes and brackets that close something.
fn leaning(tokenizer: &Tokenizer) -> BTreeMap<u32, f32> {
    let closers = tokenizer.encode("\"}],:", crate::tokenizer::Specials::Ignore);
    closers.into_iter().map(|token| (token, 4.0)).collect()
}

/// What random logits make of a format: the answer's bytes, and whether the model ended it.
fn babble(grammars: &Grammars, format: &ResponseFormat, in_reasoning: bool, seed: u64) -> (Vec<u8>, bool) {
    let tokenizer = &grammars.tokenizer;
    let plan = SamplingPlan {
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        penalties: Penalties::NONE,
        logit_bias: leaning(tokenizer).into_iter().collect(),
        seed: Some(seed),
    };
    let constraint = grammars.constraint(format, in_reasoning).expect("the format is fine");
    let mut sampler = Sampler::new(plan, &[], constraint);
    let mut random = StdRng::seed_from_u64(seed);
    let mut answer = Vec::new();
    for _ in 0..MAX_TOKENS {
        // A row that is wider than the vocabulary, as padded models have it.
        let mut logits: Vec<f32> =
            (0..tokenizer.vocabulary_size() + 7).map(|_| random.random_range(-3.0..3.0)).collect();
        let token = sampler.choose(&mut logits).expect("there is a way on");
        assert!(sampler.accept(token), "{token} was chosen and then refused");
        if tokenizer.is_stop(token) {
            return (answer, true);
        }
        assert!(!tokenizer.bytes_of(token).is_empty(), "a token without text in the middle of the answer");
        answer.extend_from_slice(tokenizer.bytes_of(token));
    }
    (answer, false)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_the_logits_a_finished_answer_is_a_json_object(seed: u64) {
        let (answer, ended) = babble(grammars(), &ResponseFormat::Json, false, seed);
        if ended {
            let value: Value = serde_json::from_slice(&answer).expect("it is JSON");
            prop_assert!(value.is_object());
        }
    }
}

#[test]
fn most_random_answers_do_end() {
    let grammars = grammars();
    let ended = (0..20).filter(|&seed| babble(grammars, &ResponseFormat::Json, false, seed).1).count();
    assert!(ended >= 10, "{ended} of 20");
}

#[test]
fn a_schema_is_followed() {
    let wanted = json!({
        "type": "object",
        "properties": {"mood": {"enum": ["good", "bad"]}, "count": {"type": "integer", "minimum": 1, "maximum": 9}},
        "required": ["mood", "count"],
        "additionalProperties": false
    });
    let grammars = grammars();
    for seed in 0..20 {
        let (answer, ended) = babble(grammars, &schema(wanted.clone()), false, seed);
        assert!(ended);
        let value: Value = serde_json::from_slice(&answer).expect("it is JSON");
        assert!(value["mood"] == "good" || value["mood"] == "bad", "{value}");
        assert!((1..=9).contains(&value["count"].as_i64().expect("a number")), "{value}");
        assert_eq!(value.as_object().map(serde_json::Map::len), Some(2), "{value}");
    }
}

#[test]
fn a_schema_that_is_none_or_asks_for_the_impossible_is_refused() {
    for wrong in [json!("string"), json!({"type": "nonsense"}), json!({"$ref": "https://example.com/a.json"})] {
        let refused = grammars().constraint(&schema(wrong.clone()), false).map(|_| ());
        assert!(matches!(refused, Err(FormatError::Schema(_))), "{wrong}");
    }
}

#[test]
fn reasoning_is_free_and_the_answer_after_it_is_held_to_the_format() {
    let grammars = grammars();
    let tokenizer = &grammars.tokenizer;
    let mut constraint = grammars.constraint(&ResponseFormat::Json, true).unwrap().unwrap();
    for token in tokenizer.encode("not { JSON </think>", crate::tokenizer::Specials::Ignore) {
        let mut logits = vec![0.0; tokenizer.vocabulary_size()];
        constraint.mask(&mut logits).unwrap();
        assert_eq!(logits[token as usize], 0.0);
        assert!(tokenizer.stops().all(|stop| logits[stop as usize] == f32::NEG_INFINITY));
        assert!(constraint.accept(token));
    }
    let mut logits = vec![0.0; tokenizer.vocabulary_size()];
    constraint.mask(&mut logits).unwrap();
    let possible: Vec<u32> =
        (0..).zip(&logits).filter(|(_, logit)| logit.is_finite()).map(|(token, _)| token).collect();
    assert_eq!(possible, tokenizer.encode("{", crate::tokenizer::Specials::Ignore));
}

#[test]
fn a_token_that_would_run_from_the_reasoning_into_the_answer_is_known() {
    let of = |bytes: &[u8]| Closing::find(7, bytes).map(|closing| closing.before);
    assert_eq!(of(b">{"), Some(&b"</think"[..]));
    assert_eq!(of(b"think>x"), Some(&b"</"[..]));
    assert_eq!(of(b"a</think>x"), Some(&b""[..]));
    for harmless in [&b">\n\n"[..], b"<b>x", b"</think>", b"x"] {
        assert_eq!(of(harmless), None);
    }
}
