//! The text of a journal: strings of `key=value` in a TXT record.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::FromStr;

use super::record::Journal;
use crate::dns::{LONGEST_TXT_STRING, RecordName, RecordSet, RecordType, Sides, Weights};
use crate::executions::ExecutionName;
use crate::external_dns::{RegistryNames, SavedOwners, TxtNaming};
use crate::text::{percent_decode, percent_encode, shortened};

/// The version of the format that this code writes and reads.
const VERSION: &str = "1";
const TTL_SECONDS: u32 = 60;
/// The maximum length of a problem in characters; a problem quotes the record.
const LONGEST_PROBLEM: usize = 500;

impl Journal {
    /// The journal as the record set to be written for `name`.
    pub fn record_set(&self, name: &RecordName) -> RecordSet {
        RecordSet::text(name.journal(), TTL_SECONDS, self.encode())
    }

    /// The journal in `record_set`.
    ///
    /// # Errors
    /// A sentence that says why it can't be read.
    pub fn parse(record_set: &RecordSet) -> Result<Self, String> {
        match record_set.values() {
            [value] => decode(value).map_err(|problem| shortened(&problem, LONGEST_PROBLEM)),
            values => Err(format!("expected one value, found {}", values.len())),
        }
    }

    /// Quoted strings of `key=value`. A pair that is too long for one string continues in the next one,
    /// which therefore has no `=`.
    fn encode(&self) -> String {
        let mut pairs = vec![
            ("cutover".to_owned(), VERSION.to_owned()),
            ("execution".to_owned(), self.execution.clone()),
            ("from".to_owned(), self.from.to_string()),
            ("to".to_owned(), self.to.to_string()),
            ("sequence".to_owned(), self.sequence.to_string()),
            ("percent".to_owned(), self.percent.to_string()),
        ];
        for (key, weights) in [("original", &self.original), ("written", &self.written)] {
            for (record_type, weights) in weights {
                pairs.push((format!("{key}.{record_type}"), weights.to_string()));
            }
        }
        pairs.extend(encode_owners("from", &self.saved_owners.from));
        pairs.extend(encode_owners("to", &self.saved_owners.to));
        if self.completed {
            pairs.push(("completed".to_owned(), "yes".to_owned()));
        }
        let mut encoded = String::new();
        for (key, value) in pairs {
            let pair = format!("{key}={}", percent_encode(&value));
            let mut rest = pair.as_str();
            while !rest.is_empty() {
                let (string, more) = rest.split_at(rest.len().min(LONGEST_TXT_STRING));
                let space = if encoded.is_empty() { "" } else { " " };
                // Writing to a String can't fail.
                let _ = write!(encoded, "{space}\"{string}\"");
                rest = more;
            }
        }
        encoded
    }
}

fn decode(value: &str) -> Result<Journal, String> {
    let mut pairs: Vec<String> = Vec::new();
    for string in value.split_ascii_whitespace() {
        let string = string
            .strip_prefix('"')
            .and_then(|string| string.strip_suffix('"'))
            .ok_or_else(|| format!("expected quoted strings, found {string}"))?;
        match pairs.last_mut() {
            Some(last) if !string.contains('=') => last.push_str(string),
            _ => pairs.push(string.to_owned()),
        }
    }
    let mut fields = BTreeMap::new();
    for pair in pairs {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("expected key=value, found {pair:?}"))?;
        if fields
            .insert(key.to_owned(), percent_decode(value)?)
            .is_some()
        {
            return Err(format!("it has the key {key} twice"));
        }
    }
    match fields.remove("cutover") {
        Some(version) if version == VERSION => {}
        Some(version) => {
            return Err(format!(
                "it has format version {version}, expected {VERSION}"
            ));
        }
        None => return Err("it has no format version `cutover=1`".to_owned()),
    }
    let journal = Journal {
        execution: field::<ExecutionName>(&mut fields, "execution")?.into(),
        from: field(&mut fields, "from")?,
        to: field(&mut fields, "to")?,
        sequence: field::<Number>(&mut fields, "sequence")?.0,
        percent: field(&mut fields, "percent")?,
        original: weights(&mut fields, "original")?,
        written: weights(&mut fields, "written")?,
        saved_owners: Sides {
            from: decode_owners(&mut fields, "from")?,
            to: decode_owners(&mut fields, "to")?,
        },
        completed: match fields.remove("completed").as_deref() {
            None => false,
            Some("yes") => true,
            Some(other) => return Err(format!("completed: expected yes, found {other:?}")),
        },
    };
    if !journal.original.keys().eq(journal.written.keys()) {
        return Err(
            "expected original and written weights of the same types, found different ones"
                .to_owned(),
        );
    }
    match fields.keys().next() {
        Some(key) => Err(format!("it has an unknown key {key:?}")),
        None => Ok(journal),
    }
}

/// Defaults are left out. Namings with the same owner share a key, as in `owner.from.AAAA+CNAME`.
fn encode_owners(side: &str, saved: &SavedOwners) -> Vec<(String, String)> {
    let RegistryNames {
        txt_prefix,
        txt_suffix,
        txt_wildcard_replacement,
    } = &saved.names;
    let names = [
        ("txtPrefix", txt_prefix),
        ("txtSuffix", txt_suffix),
        ("txtWildcardReplacement", txt_wildcard_replacement),
    ]
    .into_iter()
    .filter(|(_, affix)| !affix.as_str().is_empty())
    .map(|(key, affix)| (format!("{key}.{side}"), affix.as_str().to_owned()));
    let mut namings_by_owner: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (naming, owner) in &saved.owners {
        let namings = namings_by_owner.entry(owner).or_default();
        namings.push(naming.as_str());
    }
    let owners = namings_by_owner.into_iter().map(|(owner, namings)| {
        (
            format!("owner.{side}.{}", namings.join("+")),
            owner.to_owned(),
        )
    });
    names.chain(owners).collect()
}

fn decode_owners(fields: &mut BTreeMap<String, String>, side: &str) -> Result<SavedOwners, String> {
    let names = RegistryNames {
        txt_prefix: optional(fields, &format!("txtPrefix.{side}"))?,
        txt_suffix: optional(fields, &format!("txtSuffix.{side}"))?,
        txt_wildcard_replacement: optional(fields, &format!("txtWildcardReplacement.{side}"))?,
    };
    let prefix = format!("owner.{side}.");
    let keys: Vec<_> = fields
        .keys()
        .filter_map(|key| Some((key.clone(), key.strip_prefix(&prefix)?.to_owned())))
        .collect();
    let mut owners: BTreeMap<TxtNaming, String> = BTreeMap::new();
    for (key, namings) in keys {
        let owner = fields.remove(&key).unwrap_or_default();
        for naming in namings.split('+') {
            let naming = naming
                .parse()
                .map_err(|problem| format!("{key}: {problem}"))?;
            if owners.insert(naming, owner.clone()).is_some() {
                return Err(format!(
                    "{key}: expected one owner for these TXT records, found a second one"
                ));
            }
        }
    }
    Ok(SavedOwners { names, owners })
}

struct Number(u32);

impl FromStr for Number {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("expected a number, found {text:?}"))
    }
}

fn field<T: FromStr>(fields: &mut BTreeMap<String, String>, key: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    fields
        .remove(key)
        .ok_or_else(|| format!("it has no {key}"))?
        .parse()
        .map_err(|problem| format!("{key}: {problem}"))
}

fn optional<T: Default + FromStr>(
    fields: &mut BTreeMap<String, String>,
    key: &str,
) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    if fields.contains_key(key) {
        field(fields, key)
    } else {
        Ok(T::default())
    }
}

fn weights(
    fields: &mut BTreeMap<String, String>,
    key: &str,
) -> Result<BTreeMap<RecordType, Weights>, String> {
    let mut weights = BTreeMap::new();
    for record_type in RecordType::MOVED {
        let key = format!("{key}.{record_type}");
        if fields.contains_key(&key) {
            weights.insert(record_type, field(fields, &key)?);
        }
    }
    if weights.is_empty() {
        return Err(format!("it has no {key} weights"));
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{Percent, SetIdentifier};
    use proptest::prelude::*;

    fn journal() -> Journal {
        let weights = |weights: &str| {
            BTreeMap::from([
                (RecordType::A, weights.parse().unwrap()),
                (RecordType::Aaaa, weights.parse().unwrap()),
            ])
        };
        Journal {
            execution: "2026-10-upgrade".into(),
            from: "eks-blue".parse().unwrap(),
            to: "eks green=1".parse().unwrap(),
            sequence: 2,
            percent: "50".parse().unwrap(),
            original: weights("100/0"),
            written: weights("50/50"),
            saved_owners: Sides {
                from: registry(
                    "",
                    [
                        (TxtNaming::Cname, "eks-blue"),
                        (TxtNaming::Aaaa, "eks-blue"),
                    ],
                ),
                to: registry(
                    "%{record_type}-txt.",
                    [(TxtNaming::A, "eks-green"), (TxtNaming::Aaaa, "other")],
                ),
            },
            completed: false,
        }
    }

    fn registry<const N: usize>(txt_prefix: &str, owners: [(TxtNaming, &str); N]) -> SavedOwners {
        SavedOwners {
            names: RegistryNames {
                txt_prefix: txt_prefix.parse().unwrap(),
                ..RegistryNames::default()
            },
            owners: owners
                .map(|(naming, owner)| (naming, owner.to_owned()))
                .into(),
        }
    }

    #[test]
    fn a_journal_is_readable_in_the_console() {
        expect_test::expect![[r#""cutover=1" "execution=2026-10-upgrade" "from=eks-blue" "to=eks%20green%3D1" "sequence=2" "percent=50" "original.A=100/0" "original.AAAA=100/0" "written.A=50/50" "written.AAAA=50/50" "owner.from.AAAA+CNAME=eks-blue" "txtPrefix.to=%25%7Brecord_type%7D-txt." "owner.to.A=eks-green" "owner.to.AAAA=other""#]]
            .assert_eq(&journal().encode());
    }

    #[track_caller]
    fn check_refused(value: &str, expect: &str) {
        assert_eq!(decode(value).unwrap_err(), expect);
    }

    #[test]
    fn text_that_is_no_journal_is_refused() {
        check_refused("", "it has no format version `cutover=1`");
        check_refused("\"v=spf1 -all\"", "expected quoted strings, found \"v=spf1");
        check_refused("\"cutover=2\"", "it has format version 2, expected 1");
        let encoded = journal().encode();
        check_refused(
            &encoded.replace("\"sequence=2\" ", ""),
            "it has no sequence",
        );
        check_refused(
            &encoded.replace("50/50", "50"),
            "written.A: expected two weights such as 90/10, found \"50\"",
        );
        check_refused(
            &format!("{encoded} \"completed=no\""),
            "completed: expected yes, found \"no\"",
        );
        check_refused(
            &format!("{encoded} \"owner.to.MX=eks-green\""),
            "owner.to.MX: expected A, AAAA, CNAME or ANY, found \"MX\"",
        );
        check_refused(
            &format!("{encoded} \"owner.from.AAAA=eks-green\""),
            "owner.from.AAAA+CNAME: expected one owner for these TXT records, found a second one",
        );
        check_refused(
            &format!("{encoded} \"owner.from.owner.from.A=eks-green\""),
            "owner.from.owner.from.A: expected A, AAAA, CNAME or ANY, found \"owner.from.A\"",
        );
        check_refused(
            &encoded.replace("2026-10-upgrade", &"x".repeat(81)),
            "execution: expected a name of 1 to 80 characters, found 81",
        );
        check_refused(
            &format!("{encoded} \"more=1\""),
            "it has an unknown key \"more\"",
        );
    }

    fn any_registry() -> impl Strategy<Value = SavedOwners> {
        let naming = prop::sample::select(TxtNaming::ALL.as_slice());
        let owners = prop::collection::btree_map(naming, "[ -~]{1,63}", 0..4);
        ("[a-z0-9_.-]{0,40}", "[a-z0-9.-]{0,20}", owners).prop_map(
            |(prefix, replacement, owners)| SavedOwners {
                names: RegistryNames {
                    txt_prefix: prefix.parse().unwrap(),
                    txt_suffix: "-%{record_type}".parse().unwrap(),
                    txt_wildcard_replacement: replacement.parse().unwrap(),
                },
                owners,
            },
        )
    }

    fn any_weights() -> impl Strategy<Value = Weights> {
        (any::<u8>(), any::<u8>()).prop_map(|(from, to)| Weights { from, to })
    }

    proptest! {
        #[test]
        fn a_journal_decodes_to_what_was_encoded(
            execution in "[a-zA-Z0-9_-]{1,80}",
            from in ".{1,128}",
            to in "[ -~]{1,128}",
            sequence: u32,
            hundredths in 0_u16..=10_000,
            original in any_weights(),
            written in any_weights(),
            registries in (any_registry(), any_registry()),
            completed: bool,
        ) {
            prop_assume!(from.parse::<SetIdentifier>().is_ok());
            let journal = Journal {
                execution,
                from: from.parse().unwrap(),
                to: to.parse().unwrap(),
                sequence,
                percent: Percent::from_number(f64::from(hundredths) / 100.0).unwrap(),
                original: BTreeMap::from([(RecordType::Cname, original)]),
                written: BTreeMap::from([(RecordType::Cname, written)]),
                saved_owners: Sides { from: registries.0, to: registries.1 },
                completed,
            };
            let encoded = journal.encode();
            prop_assert!(encoded.len() <= 4_000);
            for string in encoded.split(' ') {
                prop_assert!(string.len() <= LONGEST_TXT_STRING + 2);
            }
            prop_assert_eq!(decode(&encoded), Ok(journal));
        }
    }
}
