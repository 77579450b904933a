//! The values that Route 53 accepts for each record type.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use migration::dns::{RecordData, RecordName, RecordSet, RecordType};

/// Characters of one value. Source: Route 53 API Reference, `ResourceRecord`.
const LONGEST_VALUE: usize = 4_000;
/// Characters of one string of a TXT value; an escape counts as one.
///
/// Source: Route 53 Developer Guide, "TXT record type".
const LONGEST_STRING: usize = 255;
/// Seconds. Source: Route 53 API Reference, `ResourceRecordSet`, `TTL`.
const LONGEST_TTL: u32 = i32::MAX.unsigned_abs();

/// Checks TTL and values.
///
/// Source: Route 53 Developer Guide, "Supported DNS record types".
pub(crate) fn check_values(created: &RecordSet) -> Result<(), String> {
    let RecordData::Values {
        ttl_seconds,
        values,
    } = &created.data
    else {
        return Ok(());
    };
    let is_single = match created.record_type.as_str() {
        "CNAME" | "SOA" => values.len() == 1,
        _ => !values.is_empty(),
    };
    if !is_single || *ttl_seconds > LONGEST_TTL {
        return Err(format!(
            "{} values and a TTL of {ttl_seconds} in a {} record",
            values.len(),
            created.record_type
        ));
    }
    let different: BTreeSet<_> = values.iter().collect();
    if different.len() < values.len() {
        return Err(format!("Duplicate Resource Record among {values:?}"));
    }
    for value in values {
        let is_valid = match created.record_type {
            RecordType::A => value.parse::<Ipv4Addr>().is_ok(),
            RecordType::Aaaa => value.parse::<Ipv6Addr>().is_ok(),
            RecordType::Cname => value.parse::<RecordName>().is_ok(),
            RecordType::Txt => is_txt_value(value),
            RecordType::Other(_) => true,
        };
        if !is_valid || value.chars().count() > LONGEST_VALUE {
            return Err(format!(
                "Invalid Resource Record: FATAL problem encountered with '{value}'"
            ));
        }
    }
    Ok(())
}

/// Whether Route 53 accepts `value` as the value of a TXT record: one or more quoted strings, with the escapes `\"`,
/// `\\`, and `\ooo` for any byte.
///
/// Source: Route 53 Developer Guide, "TXT record type".
pub fn is_txt_value(value: &str) -> bool {
    let mut rest = value;
    loop {
        let Some(after) = rest.strip_prefix('"').and_then(after_string) else {
            return false;
        };
        rest = after.trim_start_matches(' ');
        if rest.is_empty() {
            return true;
        }
    }
}

/// The rest of `text` after a string without its opening quote; none if the string is not valid.
fn after_string(text: &str) -> Option<&str> {
    let mut bytes = text.bytes();
    for _ in 0..=LONGEST_STRING {
        match bytes.next()? {
            b'"' => return text.get(text.len() - bytes.len()..),
            b'\\' => match bytes.next()? {
                b'"' | b'\\' => {}
                b'0'..=b'3' => {
                    for _ in 0..2 {
                        bytes.next().filter(|digit| (b'0'..=b'7').contains(digit))?;
                    }
                }
                _ => return None,
            },
            byte if byte == b' ' || byte.is_ascii_graphic() => {}
            _ => return None,
        }
    }
    None
}
