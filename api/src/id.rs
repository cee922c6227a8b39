//! etcd's 64-bit identifiers, written as text.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A member or cluster ID. Its text form is 16 lower-case hexadecimal digits
/// without a prefix, because JSON numbers lose precision above 2^53 and etcd's
/// own tools print hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct HexId(pub u64);

/// A text that is not an ID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an etcd ID (1 to 16 hexadecimal digits)")]
pub struct InvalidId(String);

impl fmt::Display for HexId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for HexId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for HexId {
    type Err = InvalidId;

    /// Reads shorter forms too: etcdctl drops leading zeros.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let digits = (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        match u64::from_str_radix(text, 16) {
            Ok(id) if digits => Ok(Self(id)),
            _ => Err(InvalidId(text.to_owned())),
        }
    }
}

impl From<HexId> for String {
    fn from(id: HexId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for HexId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl JsonSchema for HexId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "HexId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-f]{16}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_with_all_its_digits() {
        assert_eq!(HexId(0xabc).to_string(), "0000000000000abc");
        assert_eq!(serde_json::to_string(&HexId(u64::MAX)).unwrap(), "\"ffffffffffffffff\"");
    }

    #[test]
    fn a_shortened_id_is_read() {
        assert_eq!("abc".parse(), Ok(HexId(0xabc)));
        assert_eq!("ABC".parse(), Ok(HexId(0xabc)));
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for text in ["", "0x1", "+1", "-1", " 1", "g", "00000000000000001"] {
            assert!(text.parse::<HexId>().is_err(), "{text:?}");
        }
    }
}
