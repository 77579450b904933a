//! The codes of a plan's warnings, and which of them an input refuses.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::quoted;

/// Declares [`WarningCode`], so that each code is written once.
macro_rules! warning_codes {
    ($($(#[$attribute:meta])* $kind:ident = $code:literal,)+) => {
        /// What a warning of a plan is about. The codes are stable, because inputs name them in `failOnWarnings`.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
        pub enum WarningCode {
            $(
                $(#[$attribute])*
                #[serde(rename = $code)]
                $kind,
            )+
        }

        impl WarningCode {
            /// Every code, as inputs and plans write it.
            pub const ALL: &'static [&'static str] = &[$($code),+];

            /// The code as inputs and plans write it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $code,)+
                }
            }
        }
    };
}

warning_codes! {
    /// A dry run has found a watched alarm in ALARM, with which a migration does not start.
    AlarmActive = "alarm-active",
    /// The events of some watched alarms start no rollback.
    AlarmOutsidePrefix = "alarm-outside-prefix",
    /// An ExternalDNS runs with the owner id `default`.
    DefaultOwner = "default-owner",
    /// It is unknown whether the world asks this zone.
    DelegationUnknown = "delegation-unknown",
    /// An item of `exclude` matches no name.
    ExcludeWithoutMatch = "exclude-without-match",
    /// Records of the names have long TTLs, which delay each step and a rollback.
    LongTtl = "long-ttl",
    /// Names with records of `from` have none of `to` and are not moved.
    NamesWithoutTo = "names-without-to",
    /// The names have no registry TXT of an ExternalDNS.
    NoRegistry = "no-registry",
    /// An ExternalDNS owns records of the names, and they are not leased.
    NotLeased = "not-leased",
    /// A dry run has found that `to` is not ready, or the alarms can't be judged, and the input does not wait for that.
    NotReady = "not-ready",
    /// The migration has neither a probe nor alarms.
    NothingObserved = "nothing-observed",
    /// The probe or the check of the alarms has failed in a dry run, and would fail again.
    ObserverFailed = "observer-failed",
    /// One ExternalDNS owns the records of both sides.
    OneExternalDns = "one-external-dns",
    /// Only one side of a name has records of a type.
    OneSidedType = "one-sided-type",
    /// Names with another routing policy than weighted are not moved.
    OtherRouting = "other-routing",
    /// HTTPS, SVCB or SRV records point at moved names and are not moved.
    PointingRecords = "pointing-records",
    /// It is unknown whether the zone has room for the journals.
    RecordLimitUnknown = "record-limit-unknown",
    /// Two ExternalDNS, one of each side, have the same owner id.
    SameOwner = "same-owner",
    /// The registry TXT records of one side have several owners.
    SeveralOwners = "several-owners",
    /// An ExternalDNS of the two clusters owns a simple record.
    SimpleRecord = "simple-record",
    /// One step takes several calls because of Route 53's limits.
    SlowWrites = "slow-writes",
    /// A record has no registry TXT, although other records of its name have one.
    TxtMissing = "txt-missing",
    /// The registry TXT records of the two sides are named differently.
    TxtNamesDiffer = "txt-names-differ",
    /// A registry TXT of a live object is named by other flags than those of its side's ExternalDNS.
    TxtOfOtherFlags = "txt-of-other-flags",
    /// The flags that name the registry TXT records are inferred from the zone.
    TxtPrefixInferred = "txt-prefix-inferred",
    /// A registry TXT has another weight than its record.
    TxtWeightDiffers = "txt-weight-differs",
    /// A registry TXT belongs to no record.
    TxtWithoutRecord = "txt-without-record",
}

/// The warnings with which an input does not start a migration: `"all"`, or a list of their codes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FailOnWarnings {
    All,
    Codes(BTreeSet<WarningCode>),
}

impl FailOnWarnings {
    const ALL: &'static str = "all";
}

impl Default for FailOnWarnings {
    fn default() -> Self {
        Self::Codes(BTreeSet::new())
    }
}

impl Serialize for FailOnWarnings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => Self::ALL.serialize(serializer),
            Self::Codes(codes) => codes.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for FailOnWarnings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FailOnWarningsVisitor)
    }
}

struct FailOnWarningsVisitor;

impl<'de> Visitor<'de> for FailOnWarningsVisitor {
    type Value = FailOnWarnings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"all\", or a list of codes of warnings")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<FailOnWarnings, E> {
        if text == FailOnWarnings::ALL {
            return Ok(FailOnWarnings::All);
        }
        Err(E::custom(format!(
            "expected \"all\", or a list of codes of warnings, found {}",
            quoted(text)
        )))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, codes: A) -> Result<FailOnWarnings, A::Error> {
        BTreeSet::deserialize(SeqAccessDeserializer::new(codes)).map(FailOnWarnings::Codes)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for FailOnWarnings {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FailOnWarnings".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                {"const": Self::ALL},
                {"type": "array", "items": {"enum": WarningCode::ALL}}
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn all_or_a_list_of_codes_is_read_and_written_alike() {
        for value in [
            json!("all"),
            json!([]),
            json!(["no-registry", "slow-writes"]),
            json!(WarningCode::ALL),
        ] {
            let read: FailOnWarnings = serde_json::from_value(value.clone()).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), value);
        }
    }

    #[track_caller]
    fn check_refused(value: Value, expect: &str) {
        let problem = serde_json::from_value::<FailOnWarnings>(value).unwrap_err();
        assert!(problem.to_string().starts_with(expect), "{problem}");
    }

    #[test]
    fn another_text_and_an_unknown_code_are_refused() {
        check_refused(
            json!("none"),
            "expected \"all\", or a list of codes of warnings, found \"none\"",
        );
        check_refused(
            json!(["all"]),
            "unknown variant `all`, expected one of `alarm-active`, ",
        );
        check_refused(
            json!(true),
            "invalid type: boolean `true`, expected \"all\", or",
        );
    }
}
