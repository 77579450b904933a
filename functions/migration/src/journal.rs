//! The journal: a TXT record beside each name, at once lock, fence and undo log.
//!
//! It is created with a name's first change, replaced with each later one and
//! deleted with the last, always in the same batch as the change itself. So a
//! second migration's CREATE fails (lock), a stale writer's DELETE fails
//! (fence), and whoever finds the journal can restore the name from it alone
//! (undo log). Public zones are public: it holds no account id, ARN or token.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::FromStr;

use crate::executions::LONGEST_NAME;
use crate::name::{RecordName, SetIdentifier};
use crate::record::{RecordSet, RecordType};
use crate::registry::{Form, Registry, RegistryNames, Sides};
use crate::shortened;
use crate::steps::Percent;
use crate::weights::Weights;

/// The version of the format that this code writes and reads.
const VERSION: &str = "1";
const TTL_SECONDS: u32 = 60;
/// A TXT record's strings hold at most this many bytes each (RFC 1035, 3.3).
const LONGEST_STRING: usize = 255;
/// Characters of why a journal can't be read, which repeats what stands there.
const LONGEST_PROBLEM: usize = 500;

/// What a migration has done to one name, and how to undo it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Journal {
    /// The name of the execution that owns the name now.
    pub execution: String,
    /// The side that served when the migration began.
    pub from: SetIdentifier,
    /// The side that shall serve.
    pub to: SetIdentifier,
    /// Raised by one with every change of the name.
    pub sequence: u32,
    /// The step that the name has reached.
    pub percent: Percent,
    /// The weights from before the first change; a rollback restores them.
    pub original: BTreeMap<RecordType, Weights>,
    /// The weights that were last written; live weights that differ are drift.
    pub written: BTreeMap<RecordType, Weights>,
    /// Where the registry TXT records of ExternalDNS stand, and their original owners.
    pub registry: Sides<Registry>,
    /// Whether the migration is over and only its journals are still to be taken away.
    /// It stands in the journal of one name, see [`crate::change::close`].
    pub completed: bool,
}

/// One side of a name, as its journal has it.
#[derive(Clone, Copy)]
pub(crate) struct JournalSide<'j> {
    /// Its set identifier.
    pub(crate) identifier: &'j SetIdentifier,
    /// Its registry.
    pub(crate) registry: &'j Registry,
    journal: &'j Journal,
    weight: fn(&Weights) -> u8,
}

impl JournalSide<'_> {
    /// The weight from before the first change of its record of a type.
    pub(crate) fn original(&self, record_type: &RecordType) -> Option<u8> {
        self.journal.original.get(record_type).map(self.weight)
    }

    /// The weight that was last written.
    pub(crate) fn written(&self, record_type: &RecordType) -> Option<u8> {
        self.journal.written.get(record_type).map(self.weight)
    }
}

impl Journal {
    /// Both sides, `from` first.
    pub(crate) fn sides(&self) -> [JournalSide<'_>; 2] {
        let from = JournalSide {
            identifier: &self.from,
            registry: &self.registry.from,
            journal: self,
            weight: |weights| weights.from,
        };
        let to = JournalSide {
            identifier: &self.to,
            registry: &self.registry.to,
            journal: self,
            weight: |weights| weights.to,
        };
        [from, to]
    }

    /// Whether the name's records are leased from ExternalDNS.
    pub fn is_leased(&self) -> bool {
        self.registry
            .iter()
            .any(|registry| !registry.owners.is_empty())
    }

    /// The same journal for the next change.
    pub(crate) fn next(&self) -> Self {
        Self {
            sequence: self.sequence.saturating_add(1),
            ..self.clone()
        }
    }

    /// The journal as the record set to be written for `name`.
    pub fn record_set(&self, name: &RecordName) -> RecordSet {
        RecordSet::text(name.journal(), TTL_SECONDS, self.encode())
    }

    /// The journal in `record_set`, or why it can't be read.
    pub fn parse(record_set: &RecordSet) -> Result<Self, String> {
        match record_set.values() {
            [value] => decode(value).map_err(|problem| shortened(&problem, LONGEST_PROBLEM)),
            values => Err(format!("expected one value, found {}", values.len())),
        }
    }

    /// Quoted strings of `key=value`; one that is too long goes on in the next
    /// string, which is told by its having no `=`.
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
        pairs.extend(encode_registry("from", &self.registry.from));
        pairs.extend(encode_registry("to", &self.registry.to));
        if self.completed {
            pairs.push(("completed".to_owned(), "yes".to_owned()));
        }
        let mut encoded = String::new();
        for (key, value) in pairs {
            let pair = format!("{key}={}", percent_encode(&value));
            let mut rest = pair.as_str();
            while !rest.is_empty() {
                let (string, more) = rest.split_at(rest.len().min(LONGEST_STRING));
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
            return Err(format!("{key} stands there twice"));
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
        execution: field::<ExecutionName>(&mut fields, "execution")?.0,
        from: field(&mut fields, "from")?,
        to: field(&mut fields, "to")?,
        sequence: field::<Number>(&mut fields, "sequence")?.0,
        percent: field(&mut fields, "percent")?,
        original: weights(&mut fields, "original")?,
        written: weights(&mut fields, "written")?,
        registry: Sides {
            from: decode_registry(&mut fields, "from")?,
            to: decode_registry(&mut fields, "to")?,
        },
        completed: match fields.remove("completed").as_deref() {
            None => false,
            Some("yes") => true,
            Some(other) => return Err(format!("completed: expected yes, found {other:?}")),
        },
    };
    if !journal.original.keys().eq(journal.written.keys()) {
        return Err("original and written weights are of different types".to_owned());
    }
    match fields.keys().next() {
        Some(key) => Err(format!("it has an unknown key {key:?}")),
        None => Ok(journal),
    }
}

/// What is not said is as by default. Forms with the same owner share a key, as in
/// `owner.from.AAAA+CNAME`.
fn encode_registry(side: &str, registry: &Registry) -> Vec<(String, String)> {
    let RegistryNames {
        txt_prefix,
        txt_suffix,
        txt_wildcard_replacement,
    } = &registry.names;
    let names = [
        ("txtPrefix", txt_prefix),
        ("txtSuffix", txt_suffix),
        ("txtWildcardReplacement", txt_wildcard_replacement),
    ]
    .into_iter()
    .filter(|(_, affix)| !affix.as_str().is_empty())
    .map(|(key, affix)| (format!("{key}.{side}"), affix.as_str().to_owned()));
    let mut forms_by_owner: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (form, owner) in &registry.owners {
        let forms = forms_by_owner.entry(owner).or_default();
        forms.push(form.as_str());
    }
    let owners = forms_by_owner.into_iter().map(|(owner, forms)| {
        (
            format!("owner.{side}.{}", forms.join("+")),
            owner.to_owned(),
        )
    });
    names.chain(owners).collect()
}

fn decode_registry(fields: &mut BTreeMap<String, String>, side: &str) -> Result<Registry, String> {
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
    let mut owners: BTreeMap<Form, String> = BTreeMap::new();
    for (key, forms) in keys {
        let owner = fields.remove(&key).unwrap_or_default();
        for form in forms.split('+') {
            let form = form
                .parse()
                .map_err(|problem| format!("{key}: {problem}"))?;
            if owners.insert(form, owner.clone()).is_some() {
                return Err(format!("{key}: a second owner of the same records"));
            }
        }
    }
    Ok(Registry { names, owners })
}

struct ExecutionName(String);

impl FromStr for ExecutionName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.chars().count() {
            1..=LONGEST_NAME => Ok(Self(text.to_owned())),
            count => Err(format!(
                "expected a name of 1 to {LONGEST_NAME} characters, found {count}"
            )),
        }
    }
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

/// Everything but letters, digits and `-._~/:+@` becomes `%XX`: what is left
/// needs no escaping in a TXT value and can't be taken for our own `=`.
pub(crate) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:+@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn percent_decode(text: &str) -> Result<String, String> {
    let malformed = || format!("expected percent-encoded text, found {text:?}");
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || {
                let digit = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(digit).ok()
            };
            let (high, low) = (
                digit().ok_or_else(malformed)?,
                digit().ok_or_else(malformed)?,
            );
            high * 16 + low
        } else {
            byte
        });
    }
    String::from_utf8(decoded).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;
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
            registry: Sides {
                from: registry("", [(Form::Cname, "eks-blue"), (Form::Aaaa, "eks-blue")]),
                to: registry(
                    "%{record_type}-txt.",
                    [(Form::A, "eks-green"), (Form::Aaaa, "other")],
                ),
            },
            completed: false,
        }
    }

    fn registry<const N: usize>(txt_prefix: &str, owners: [(Form, &str); N]) -> Registry {
        Registry {
            names: RegistryNames {
                txt_prefix: txt_prefix.parse().unwrap(),
                ..RegistryNames::default()
            },
            owners: owners.map(|(form, owner)| (form, owner.to_owned())).into(),
        }
    }

    #[test]
    fn a_journal_reads_well_in_the_console() {
        expect_test::expect![[r#""cutover=1" "execution=2026-10-upgrade" "from=eks-blue" "to=eks%20green%3D1" "sequence=2" "percent=50" "original.A=100/0" "original.AAAA=100/0" "written.A=50/50" "written.AAAA=50/50" "owner.from.AAAA+CNAME=eks-blue" "txtPrefix.to=%25%7Brecord_type%7D-txt." "owner.to.A=eks-green" "owner.to.AAAA=other""#]]
            .assert_eq(&journal().encode());
    }

    #[track_caller]
    fn check_refused(value: &str, expect: &str) {
        assert_eq!(decode(value).unwrap_err(), expect);
    }

    #[test]
    fn what_is_no_journal_is_refused() {
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
            "owner.from.AAAA+CNAME: a second owner of the same records",
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

    fn any_registry() -> impl Strategy<Value = Registry> {
        let form = prop::sample::select(Form::ALL.as_slice());
        let owners = prop::collection::btree_map(form, "[ -~]{1,63}", 0..4);
        ("[a-z0-9_.-]{0,40}", "[a-z0-9.-]{0,20}", owners).prop_map(
            |(prefix, replacement, owners)| Registry {
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
        fn a_journal_is_read_as_it_was_written(
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
                registry: Sides { from: registries.0, to: registries.1 },
                completed,
            };
            let encoded = journal.encode();
            prop_assert!(encoded.len() <= 4_000);
            for string in encoded.split(' ') {
                prop_assert!(string.len() <= LONGEST_STRING + 2);
            }
            prop_assert_eq!(decode(&encoded), Ok(journal));
        }
    }
}
