//! What a model file says about itself: keys of GGUF and their values.

use std::collections::HashMap;

/// A value as far as anybody here asks for it: files differ in the width of their numbers, callers do not.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Flag(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    Integers(Vec<i64>),
    Floats(Vec<f32>),
    Texts(Vec<String>),
    /// Of a kind that no known key has: a list of flags or of lists.
    Unread,
}

/// All keys of a file.
#[derive(Debug, Default)]
pub(crate) struct Metadata(HashMap<String, Value>);

/// Why a list can't be had.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ListError {
    Missing,
    WrongType,
}

impl Metadata {
    /// Whether the key is new.
    pub(crate) fn insert(&mut self, key: impl Into<String>, value: Value) -> bool {
        self.0.insert(key.into(), value).is_none()
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        if let Value::Text(text) = self.0.get(key)? { Some(text) } else { None }
    }

    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        if let Value::Flag(flag) = self.0.get(key)? { Some(*flag) } else { None }
    }

    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        if let Value::Integer(number) = self.0.get(key)? { u64::try_from(*number).ok() } else { None }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the engine computes in f32")]
    #[expect(clippy::cast_precision_loss, reason = "whole numbers in the place of fractions are small")]
    pub(crate) fn float(&self, key: &str) -> Option<f32> {
        match self.0.get(key)? {
            Value::Float(number) => Some(*number as f32),
            Value::Integer(number) => Some(*number as f32),
            _ => None,
        }
    }

    pub(crate) fn texts(&self, key: &str) -> Result<Vec<&str>, ListError> {
        match self.list(key)? {
            Value::Texts(texts) => Ok(texts.iter().map(String::as_str).collect()),
            _ => Err(ListError::WrongType),
        }
    }

    pub(crate) fn numbers(&self, key: &str) -> Result<Vec<u64>, ListError> {
        let Value::Integers(numbers) = self.list(key)? else { return Err(ListError::WrongType) };
        numbers.iter().map(|number| u64::try_from(*number).map_err(|_| ListError::WrongType)).collect()
    }

    pub(crate) fn floats(&self, key: &str) -> Result<Vec<f32>, ListError> {
        if let Value::Floats(floats) = self.list(key)? { Ok(floats.clone()) } else { Err(ListError::WrongType) }
    }

    /// A list of bytes; some writers call them signed.
    pub(crate) fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        let Value::Integers(numbers) = self.0.get(key)? else { return None };
        let byte =
            |number: &i64| u8::try_from(*number).ok().or_else(|| i8::try_from(*number).ok().map(i8::cast_unsigned));
        numbers.iter().map(byte).collect()
    }

    fn list(&self, key: &str) -> Result<&Value, ListError> {
        self.0.get(key).ok_or(ListError::Missing)
    }
}
