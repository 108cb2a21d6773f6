//! Rust values as each database stores them.

use magpie_core::clock::UnixMillis;
use magpie_core::ids::{
    BotId, CardId, ChatId, ConversationId, DeliveryId, EventId, MessageId, ScopeKey, ThreadId, UserId, WorkerId,
};
use serde::Serialize;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::sqlite::{SqliteArguments, SqliteTypeInfo, SqliteValueRef};
use sqlx::types::Json;
use sqlx::{Arguments as _, Decode, Encode, Postgres, Sqlite, Type};
use uuid::Uuid;

/// `uuid` in Postgres; text in SQLite, so that people can query it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Id(pub Uuid);

impl Type<Postgres> for Id {
    fn type_info() -> PgTypeInfo {
        <Uuid as Type<Postgres>>::type_info()
    }
}

impl Decode<'_, Postgres> for Id {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        <Uuid as Decode<Postgres>>::decode(value).map(Self)
    }
}

impl Type<Sqlite> for Id {
    fn type_info() -> SqliteTypeInfo {
        <String as Type<Sqlite>>::type_info()
    }
}

impl Decode<'_, Sqlite> for Id {
    fn decode(value: SqliteValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(Self(Uuid::parse_str(<&str as Decode<Sqlite>>::decode(value)?)?))
    }
}

/// 2000-01-01 UTC, where Postgres begins to count, in milliseconds since 1970.
const POSTGRES_EPOCH_MS: i64 = 946_684_800_000;

/// `timestamptz` in Postgres; integer milliseconds since 1970 in SQLite.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp(pub UnixMillis);

impl Type<Postgres> for Stamp {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("timestamptz")
    }
}

/// The wire format is microseconds since 2000 as a big-endian `int8`.
impl Encode<'_, Postgres> for Stamp {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let micros = self.0.0.saturating_sub(POSTGRES_EPOCH_MS).saturating_mul(1_000);
        buffer.extend_from_slice(&micros.to_be_bytes());
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for Stamp {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        if value.format() != PgValueFormat::Binary {
            return Err("a timestamp came as text".into());
        }
        let micros = i64::from_be_bytes(value.as_bytes()?.try_into()?);
        Ok(Self(UnixMillis(micros.div_euclid(1_000).saturating_add(POSTGRES_EPOCH_MS))))
    }
}

impl Type<Sqlite> for Stamp {
    fn type_info() -> SqliteTypeInfo {
        <i64 as Type<Sqlite>>::type_info()
    }

    fn compatible(info: &SqliteTypeInfo) -> bool {
        <i64 as Type<Sqlite>>::compatible(info)
    }
}

impl Decode<'_, Sqlite> for Stamp {
    fn decode(value: SqliteValueRef<'_>) -> Result<Self, BoxDynError> {
        <i64 as Decode<Sqlite>>::decode(value).map(|millis| Self(UnixMillis(millis)))
    }
}

/// JSON that is serialised already.
struct JsonText(String);

impl Type<Postgres> for JsonText {
    fn type_info() -> PgTypeInfo {
        <Json<serde_json::Value> as Type<Postgres>>::type_info()
    }
}

/// The wire format of `jsonb` is a version byte, 1, and the text.
impl Encode<'_, Postgres> for JsonText {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.push(1);
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}

/// A value for a placeholder.
#[derive(Debug, Clone)]
pub(crate) enum Arg {
    Text(Option<String>),
    Int(Option<i64>),
    Id(Option<Uuid>),
    Stamp(Option<UnixMillis>),
    /// See [`json`].
    Json(Option<String>),
}

impl Arg {
    pub(crate) fn add_to_postgres(self, arguments: &mut PgArguments) -> Result<(), BoxDynError> {
        match self {
            Self::Text(value) => arguments.add(value),
            Self::Int(value) => arguments.add(value),
            Self::Id(value) => arguments.add(value),
            Self::Stamp(value) => arguments.add(value.map(Stamp)),
            Self::Json(value) => arguments.add(value.map(JsonText)),
        }
    }

    pub(crate) fn add_to_sqlite(self, arguments: &mut SqliteArguments) -> Result<(), BoxDynError> {
        match self {
            Self::Text(value) | Self::Json(value) => arguments.add(value),
            Self::Int(value) => arguments.add(value),
            Self::Id(value) => arguments.add(value.map(|id| id.hyphenated().to_string())),
            Self::Stamp(value) => arguments.add(value.map(|stamp| stamp.0)),
        }
    }
}

/// Placeholder values in order: anything that is `Into<Arg>`.
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::column::Arg::from($value)),*] };
}
pub(crate) use args;

/// Serialises for a JSON column, without what Postgres can't keep (see [`without_nul`]).
pub(crate) fn json(value: &impl Serialize) -> Result<String, crate::errors::Failure> {
    let text = serde_json::to_string(value).map_err(|error| crate::errors::Failure::Corrupt(Box::new(error)))?;
    // Only a hint: a backslash that is itself escaped may stand before the `u`.
    if !text.contains("\\u0000") {
        return Ok(text);
    }
    let mut tree = serde_json::from_str(&text).map_err(|error| crate::errors::Failure::Corrupt(Box::new(error)))?;
    replace_nul(&mut tree);
    Ok(tree.to_string())
}

/// Postgres stores no NUL in text or JSON, and one such character must not make an event unstorable for ever.
fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

fn replace_nul(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => *text = without_nul(std::mem::take(text)),
        serde_json::Value::Array(items) => items.iter_mut().for_each(replace_nul),
        serde_json::Value::Object(fields) => {
            let old = std::mem::take(fields);
            for (key, mut field) in old {
                replace_nul(&mut field);
                fields.insert(without_nul(key), field);
            }
        }
        _ => {}
    }
}

impl From<&str> for Arg {
    fn from(value: &str) -> Self {
        Self::Text(Some(without_nul(value.to_owned())))
    }
}

impl From<&String> for Arg {
    fn from(value: &String) -> Self {
        value.as_str().into()
    }
}

impl From<Option<&str>> for Arg {
    fn from(value: Option<&str>) -> Self {
        value.map_or(Self::Text(None), Self::from)
    }
}

impl From<&Option<String>> for Arg {
    fn from(value: &Option<String>) -> Self {
        value.as_deref().into()
    }
}

impl From<i64> for Arg {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<u32> for Arg {
    fn from(value: u32) -> Self {
        i64::from(value).into()
    }
}

impl From<Uuid> for Arg {
    fn from(value: Uuid) -> Self {
        Self::Id(Some(value))
    }
}

impl From<UnixMillis> for Arg {
    fn from(value: UnixMillis) -> Self {
        Self::Stamp(Some(value))
    }
}

macro_rules! from_ids {
    (text: $($text:ident),*; own: $($own:ident),*) => {
        $(
            impl From<&$text> for Arg {
                fn from(value: &$text) -> Self {
                    value.as_str().into()
                }
            }

            impl From<Option<&$text>> for Arg {
                fn from(value: Option<&$text>) -> Self {
                    value.map($text::as_str).into()
                }
            }
        )*
        $(
            impl From<$own> for Arg {
                fn from(value: $own) -> Self {
                    value.0.into()
                }
            }
        )*
    };
}

from_ids! {
    text: BotId, CardId, ChatId, MessageId, ScopeKey, ThreadId, UserId, WorkerId;
    own: ConversationId, DeliveryId, EventId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_replaced_in_values_and_keys() {
        let stored = json(&serde_json::json!({"a\0": ["x\0y", 1]})).expect("plain JSON");
        assert_eq!(stored, "{\"a\u{fffd}\":[\"x\u{fffd}y\",1]}");
    }

    #[test]
    fn a_written_escape_is_left_alone() {
        let value = serde_json::json!({"a": "\\u0000"});
        assert_eq!(json(&value).expect("plain JSON"), value.to_string());
    }
}
