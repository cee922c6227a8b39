//! etcd's IDs as 16 lower-case hexadecimal digits: JSON numbers lose bits beyond 53.

use serde::{Deserialize, Deserializer, Serializer, de};

/// Writes an ID the way etcd's tools show it, with leading zeros.
pub(crate) fn format(id: u64) -> String {
    format!("{id:016x}")
}

/// Reads an ID of 1 to 16 hexadecimal digits, without a prefix.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let digits = (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    digits.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

/// For `#[serde(with = "…")]`.
pub(crate) fn serialize<S: Serializer>(id: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&format(*id))
}

/// For `#[serde(with = "…")]`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let text = String::deserialize(from)?;
    parse(&text).ok_or_else(|| de::Error::custom(format!("{text:?} is not an ID in hexadecimal")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_their_leading_zeros_and_all_their_bits() {
        assert_eq!(format(0xabc), "0000000000000abc");
        assert_eq!(parse("ffffffffffffffff"), Some(u64::MAX));
        assert_eq!(parse(&format(1 << 60)), Some(1 << 60));
    }

    #[test]
    fn what_is_not_an_id_is_not_read_as_one() {
        for text in ["", "0x12", "+1", "12345678901234567", "g", " 1"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
