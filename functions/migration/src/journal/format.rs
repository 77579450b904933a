//! The text of a journal: strings of `key=value` in a TXT record.
//!
//! Version 1 had no signature, so it is not trusted. A later field is a further key of version 2: a reader
//! refuses a key that it does not know, so a journal of a later writer is a lock for an earlier one. Every
//! version from 2 on stays readable.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::str::FromStr;

use super::identity::ExecutionIdentity;
use super::record::Journal;
use super::signature::SigningKey;
use crate::dns::{
    HostedZoneId, LONGEST_TXT_STRING, RecordName, RecordSet, RecordType, SetIdentifier,
    SetIdentifierTemplate, Sides, Weights,
};
use crate::external_dns::{RegistryNames, SavedOwners, TxtNaming};
use crate::text::{percent_decode, percent_encode, shortened};

/// The version of the format that this code writes.
const VERSION: &str = "2";
const TTL_SECONDS: u32 = 60;
/// The maximum length of a problem in characters; a problem quotes the record.
const LONGEST_PROBLEM: usize = 500;
/// The key of the last pair.
const SIGNATURE: &str = "signature";

/// The journal as the record set to be written for `name`.
pub(super) fn record_set(
    journal: &Journal,
    name: &RecordName,
    zone: &HostedZoneId,
    key: &SigningKey,
) -> RecordSet {
    let mut pairs = encode(journal);
    let signature = sign(&pairs, &name.journal(), zone, key);
    pairs.push(format!("{SIGNATURE}={signature}"));
    RecordSet::text(name.journal(), TTL_SECONDS, strings(&pairs))
}

/// The journal in `record_set`, which must be signed for its name and zone.
///
/// # Errors
/// A sentence that says why it is not trusted.
pub(super) fn parse(
    record_set: &RecordSet,
    zone: &HostedZoneId,
    key: &SigningKey,
) -> Result<Journal, String> {
    parse_value(record_set, |pairs, signature| {
        if *signature == sign(pairs, &record_set.name, zone, key) {
            return Ok(());
        }
        Err(
            "its signature is not valid: another writer made it, edited it or moved it here, or it was \
             signed with the key of another stack"
                .to_owned(),
        )
    })
}

impl Journal {
    /// The journal in `record_set`, whoever has signed it.
    ///
    /// # Errors
    /// A sentence that says why it can't be read.
    pub fn parse_unverified(record_set: &RecordSet) -> Result<Self, String> {
        parse_value(record_set, |_, _| Ok(()))
    }
}

fn parse_value(
    record_set: &RecordSet,
    verify: impl FnOnce(&[String], &str) -> Result<(), String>,
) -> Result<Journal, String> {
    let [value] = record_set.values() else {
        let values = record_set.values().len();
        return Err(format!("expected one value, found {values}"));
    };
    let parse = || {
        let mut pairs = pairs(value)?;
        let signature = take_signature(&mut pairs)?;
        verify(&pairs, &signature)?;
        decode(&pairs)
    };
    parse().map_err(|problem| shortened(&problem, LONGEST_PROBLEM))
}

/// Signs the pairs as they are written. Neither they nor the names contain a line break.
fn sign(pairs: &[String], name: &RecordName, zone: &HostedZoneId, key: &SigningKey) -> String {
    key.sign(&[zone.as_str(), name.as_str(), &pairs.join("\n")])
}

/// Removes the signature, which is the last pair. The version is the first, because it tells whether there
/// is a signature.
fn take_signature(pairs: &mut Vec<String>) -> Result<String, String> {
    let version = pairs.first().and_then(|pair| pair.strip_prefix("cutover="));
    match version {
        Some(VERSION) => {}
        Some("1") => return Err("it has format version 1, which has no signature".to_owned()),
        Some(version) => {
            return Err(format!(
                "it has format version {version}, expected {VERSION}"
            ));
        }
        None => {
            return Err(format!(
                "it does not begin with the format version `cutover={VERSION}`"
            ));
        }
    }
    let last = pairs.pop().unwrap_or_default();
    match last.split_once('=') {
        Some((SIGNATURE, signature)) => Ok(signature.to_owned()),
        _ => Err("it has no signature at its end".to_owned()),
    }
}

/// Quoted strings of `key=value`. A pair that is too long for one string continues in the next one, which
/// therefore has no `=`.
fn strings(pairs: &[String]) -> String {
    let mut encoded = String::new();
    for pair in pairs {
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

/// The pairs in a value: the reverse of [`strings`].
fn pairs(value: &str) -> Result<Vec<String>, String> {
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
    Ok(pairs)
}

/// The pairs `key=value` of a journal, without its signature.
fn encode(journal: &Journal) -> Vec<String> {
    let mut pairs = vec![
        ("cutover".to_owned(), VERSION.to_owned()),
        ("execution".to_owned(), journal.execution.to_string()),
        ("from".to_owned(), journal.from.to_string()),
        ("to".to_owned(), journal.to.to_string()),
        ("sequence".to_owned(), journal.sequence.to_string()),
        ("percent".to_owned(), journal.percent.to_string()),
    ];
    if journal.redrives > 0 {
        pairs.push(("redrives".to_owned(), journal.redrives.to_string()));
    }
    if !journal.adopted.is_empty() {
        let adopted: Vec<_> = journal.adopted.iter().map(ToString::to_string).collect();
        pairs.push(("adopted".to_owned(), adopted.join(",")));
    }
    for side in journal.sides() {
        let template = journal.templates.of(side.side);
        let star = template.star_in(side.identifier);
        if let Some(star) = star.filter(|_| template.as_str() != side.identifier.as_str()) {
            let bytes = format!("{}-{}", star.start, star.end);
            pairs.push((format!("star.{}", side.side), bytes));
        }
    }
    for (key, weights) in [
        ("original", &journal.original),
        ("written", &journal.written),
    ] {
        for (record_type, weights) in weights {
            pairs.push((format!("{key}.{record_type}"), weights.to_string()));
        }
    }
    for (record_type, weights) in &journal.lone {
        pairs.push((format!("lone.{record_type}"), weights.to_string()));
    }
    pairs.extend(encode_owners("from", &journal.saved_owners.from));
    pairs.extend(encode_owners("to", &journal.saved_owners.to));
    if journal.completed {
        pairs.push(("completed".to_owned(), "yes".to_owned()));
    }
    pairs
        .into_iter()
        .map(|(key, value)| format!("{key}={}", percent_encode(&value)))
        .collect()
}

fn decode(pairs: &[String]) -> Result<Journal, String> {
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
    fields.remove("cutover");
    let from = field(&mut fields, "from")?;
    let to = field(&mut fields, "to")?;
    let journal = Journal {
        execution: field(&mut fields, "execution")?,
        redrives: optional::<Number>(&mut fields, "redrives")?.0,
        adopted: optional::<Identities>(&mut fields, "adopted")?.0,
        templates: Sides {
            from: template(&mut fields, "star.from", &from)?,
            to: template(&mut fields, "star.to", &to)?,
        },
        from,
        to,
        sequence: field::<Number>(&mut fields, "sequence")?.0,
        percent: field(&mut fields, "percent")?,
        original: pairs_of_weights(&mut fields, "original")?,
        written: pairs_of_weights(&mut fields, "written")?,
        lone: by_type(&mut fields, "lone")?,
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
    let mut types_of_both = journal.original.keys();
    if let Some(record_type) = types_of_both.find(|it| journal.lone.contains_key(it)) {
        return Err(format!(
            "expected the weights of one or of both sides for {record_type}, found both kinds"
        ));
    }
    match fields.keys().next() {
        Some(key) => Err(format!("it has an unknown key {key:?}")),
        None => Ok(journal),
    }
}

/// The template of a set identifier. Its key has the bytes of the set identifier that the `*` stands for; without it
/// the template is the set identifier itself.
fn template(
    fields: &mut BTreeMap<String, String>,
    key: &str,
    identifier: &SetIdentifier,
) -> Result<SetIdentifierTemplate, String> {
    let Some(star) = fields.remove(key) else {
        return Ok(identifier.into());
    };
    let bytes = star.split_once('-').and_then(|(start, end)| {
        let range = start.parse().ok()?..end.parse().ok()?;
        SetIdentifierTemplate::with_star_at(identifier, range)
    });
    bytes.ok_or_else(|| {
        format!("{key}: expected the bytes of {identifier} that the `*` stands for, such as 0-5, found {star:?}")
    })
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

#[derive(Default)]
struct Number(u32);

impl FromStr for Number {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("expected a number, found {text:?}"))
    }
}

#[derive(Default)]
struct Identities(BTreeSet<ExecutionIdentity>);

impl FromStr for Identities {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
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

fn pairs_of_weights(
    fields: &mut BTreeMap<String, String>,
    key: &str,
) -> Result<BTreeMap<RecordType, Weights>, String> {
    let weights = by_type(fields, key)?;
    if weights.is_empty() {
        return Err(format!("it has no {key} weights"));
    }
    Ok(weights)
}

fn by_type<T: FromStr<Err = String>>(
    fields: &mut BTreeMap<String, String>,
    key: &str,
) -> Result<BTreeMap<RecordType, T>, String> {
    let mut values = BTreeMap::new();
    for record_type in RecordType::MOVED {
        let key = format!("{key}.{record_type}");
        if fields.contains_key(&key) {
            values.insert(record_type, field(fields, &key)?);
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{LoneWeights, Percent, SetIdentifier, Side};
    use proptest::prelude::*;

    fn journal() -> Journal {
        let weights = |weights: &str| {
            BTreeMap::from([
                (RecordType::A, weights.parse().unwrap()),
                (RecordType::Aaaa, weights.parse().unwrap()),
            ])
        };
        Journal {
            execution: "00112233445566ff/2026-10-upgrade".parse().unwrap(),
            redrives: 0,
            adopted: BTreeSet::new(),
            from: "eks-blue".parse().unwrap(),
            to: "eks green=1".parse().unwrap(),
            templates: Sides {
                from: "eks-blue".parse().unwrap(),
                to: "eks green=1".parse().unwrap(),
            },
            sequence: 2,
            percent: "50".parse().unwrap(),
            original: weights("100/0"),
            written: weights("50/50"),
            lone: BTreeMap::new(),
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
        expect_test::expect![[r#""cutover=2" "execution=00112233445566ff/2026-10-upgrade" "from=eks-blue" "to=eks%20green%3D1" "sequence=2" "percent=50" "original.A=100/0" "original.AAAA=100/0" "written.A=50/50" "written.AAAA=50/50" "owner.from.AAAA+CNAME=eks-blue" "txtPrefix.to=%25%7Brecord_type%7D-txt." "owner.to.A=eks-green" "owner.to.AAAA=other" "signature=609227c7d4ac3ca8426662d20beda612""#]]
            .assert_eq(&text(&journal()));
    }

    /// Journals of this version are in the zones of users. These texts are never written anew: if one is not read any
    /// more, a new version of the stack can't roll back the migrations of the one before it.
    #[test]
    fn journals_that_this_version_has_written_are_read() {
        let small = r#""cutover=2" "execution=00112233445566ff/2026-10-upgrade" "from=eks-blue" "to=eks%20green%3D1" "sequence=2" "percent=50" "original.A=100/0" "original.AAAA=100/0" "written.A=50/50" "written.AAAA=50/50" "owner.from.AAAA+CNAME=eks-blue" "txtPrefix.to=%25%7Brecord_type%7D-txt." "owner.to.A=eks-green" "owner.to.AAAA=other" "signature=609227c7d4ac3ca8426662d20beda612""#;
        assert_eq!(parse(&read(small), &zone(), &key()), Ok(journal()));

        let large = r#""cutover=2" "execution=00112233445566ff/2026-10-upgrade" "from=eks-blue" "to=eks%20green%3D1" "sequence=7" "percent=100" "redrives=3" "adopted=0123456789abcdef/first%2Cfedcba9876543210/second" "star.from=0-3" "star.to=10-11" "original.A=90/10" "written.A=0/100" "lone.AAAA=to:10/100" "owner.from.AAAA+CNAME=eks-blue" "txtPrefix.to=%25%7Brecord_type%7D-txt." "owner.to.A=eks-green" "owner.to.AAAA=other" "completed=yes" "signature=92808ab5e6a06a38840daa44d7ba4676""#;
        let expected = Journal {
            redrives: 3,
            adopted: ["0123456789abcdef/first", "fedcba9876543210/second"]
                .map(|it| it.parse().unwrap())
                .into(),
            templates: Sides {
                from: "*-blue".parse().unwrap(),
                to: "eks green=*".parse().unwrap(),
            },
            sequence: 7,
            percent: "100".parse().unwrap(),
            original: BTreeMap::from([(RecordType::A, "90/10".parse().unwrap())]),
            written: BTreeMap::from([(RecordType::A, "0/100".parse().unwrap())]),
            lone: BTreeMap::from([(
                RecordType::Aaaa,
                LoneWeights {
                    side: Side::To,
                    original: 10,
                    written: 100,
                },
            )]),
            completed: true,
            ..journal()
        };
        assert_eq!(parse(&read(large), &zone(), &key()), Ok(expected));
    }

    fn text(journal: &Journal) -> String {
        let name = "app.example.com".parse().unwrap();
        record_set(journal, &name, &zone(), &key()).values()[0].clone()
    }

    fn zone() -> HostedZoneId {
        "Z1".parse().unwrap()
    }

    fn key() -> SigningKey {
        SigningKey::new([42; 32])
    }

    fn read(value: &str) -> RecordSet {
        let name = "_cutover.app.example.com".parse().unwrap();
        RecordSet::text(name, TTL_SECONDS, value.to_owned())
    }

    /// What is wrong with a text, whoever has signed it.
    #[track_caller]
    fn check_refused(value: &str, expect: &str) {
        assert_eq!(Journal::parse_unverified(&read(value)).unwrap_err(), expect);
    }

    #[test]
    fn text_that_is_no_journal_is_refused() {
        let no_version = "it does not begin with the format version `cutover=2`";
        check_refused("", no_version);
        check_refused("\"v=spf1\" \"-all\"", no_version);
        check_refused("\"v=spf1 -all\"", "expected quoted strings, found \"v=spf1");
        check_refused("\"cutover=3\"", "it has format version 3, expected 2");
        check_refused(
            "\"cutover=1\" \"execution=run\"",
            "it has format version 1, which has no signature",
        );
        check_refused(
            "\"cutover=2\" \"percent=10\"",
            "it has no signature at its end",
        );
        let encoded = text(&journal());
        let with =
            |pair: &str| encoded.replace(" \"signature=", &format!(" \"{pair}\" \"signature="));
        check_refused(
            &encoded.replace("\"sequence=2\" ", ""),
            "it has no sequence",
        );
        check_refused(
            &encoded.replace("50/50", "50"),
            "written.A: expected two weights such as 90/10, found \"50\"",
        );
        check_refused(
            &with("completed=no"),
            "completed: expected yes, found \"no\"",
        );
        check_refused(
            &with("owner.to.MX=eks-green"),
            "owner.to.MX: expected A, AAAA, CNAME or ANY, found \"MX\"",
        );
        check_refused(
            &with("owner.from.AAAA=eks-green"),
            "owner.from.AAAA+CNAME: expected one owner for these TXT records, found a second one",
        );
        check_refused(
            &with("owner.from.owner.from.A=eks-green"),
            "owner.from.owner.from.A: expected A, AAAA, CNAME or ANY, found \"owner.from.A\"",
        );
        check_refused(
            &encoded.replace("2026-10-upgrade", &"x".repeat(81)),
            "execution: expected a name of 1 to 80 characters, found 81",
        );
        check_refused(
            &encoded.replace("00112233445566ff/", ""),
            "execution: expected 16 hexadecimal digits, a slash and a name, found \"2026-10-upgrade\"",
        );
        check_refused(
            &with("adopted=run"),
            "adopted: expected 16 hexadecimal digits, a slash and a name, found \"run\"",
        );
        check_refused(&with("more=1"), "it has an unknown key \"more\"");
    }

    #[track_caller]
    fn check_untrusted(record_set: &RecordSet, zone: &HostedZoneId, key: &SigningKey) {
        let problem = parse(record_set, zone, key).unwrap_err();
        assert!(
            problem.starts_with("its signature is not valid"),
            "{problem}"
        );
    }

    #[test]
    fn a_journal_tells_what_the_star_of_a_template_stands_for() {
        let templates = |from: &str, to: &str| Journal {
            templates: Sides {
                from: from.parse().unwrap(),
                to: to.parse().unwrap(),
            },
            ..journal()
        };
        for (of_templates, star) in [
            (templates("*-blue", "eks green=1"), " \"star.from=0-3\" "),
            (templates("eks-blue", "eks*"), " \"star.to=3-11\" "),
            (templates("*", "*"), " \"star.from=0-8\" \"star.to=0-11\" "),
        ] {
            let encoded = text(&of_templates);
            assert!(encoded.contains(star), "{encoded}");
            assert_eq!(parse(&read(&encoded), &zone(), &key()), Ok(of_templates));
        }
        let encoded = text(&journal());
        for star in ["", "3", "a-b", "3-3", "5-3", "0-9"] {
            let pair = format!("\"star.from={star}\" \"signature=");
            check_refused(
                &encoded.replace("\"signature=", &pair),
                &format!(
                    "star.from: expected the bytes of eks-blue that the `*` stands for, such as 0-5, found {star:?}"
                ),
            );
        }
    }

    #[test]
    fn a_journal_counts_only_at_its_name_in_its_zone_and_with_its_key() {
        let value = text(&journal());
        assert_eq!(parse(&read(&value), &zone(), &key()), Ok(journal()));
        let name = "_cutover.b.example.com".parse().unwrap();
        let elsewhere = RecordSet::text(name, TTL_SECONDS, value.clone());
        check_untrusted(&elsewhere, &zone(), &key());
        check_untrusted(&read(&value), &"Z2".parse().unwrap(), &key());
        check_untrusted(&read(&value), &zone(), &SigningKey::new([43; 32]));
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

    fn any_lone_weights() -> impl Strategy<Value = BTreeMap<RecordType, LoneWeights>> {
        let weights = (any::<bool>(), any::<u8>(), any::<u8>());
        let weights = weights.prop_map(|(is_of_to, original, written)| LoneWeights {
            side: if is_of_to { Side::To } else { Side::From },
            original,
            written,
        });
        prop::collection::btree_map(Just(RecordType::Aaaa), weights, 0..=1)
    }

    fn any_identity() -> impl Strategy<Value = ExecutionIdentity> {
        "[0-9a-f]{16}/[a-zA-Z0-9_-]{1,80}".prop_map(|text| text.parse().unwrap())
    }

    /// A template of `identifier` whose `*` stands for all of it from a character on, if that is possible.
    fn any_template(
        identifier: &SetIdentifier,
        star: Option<prop::sample::Index>,
    ) -> SetIdentifierTemplate {
        let text = identifier.as_str();
        let start = star.and_then(|star| {
            let positions: Vec<_> = text.char_indices().map(|(position, _)| position).collect();
            positions.get(star.index(positions.len())).copied()
        });
        start
            .and_then(|start| SetIdentifierTemplate::with_star_at(identifier, start..text.len()))
            .unwrap_or_else(|| identifier.into())
    }

    prop_compose! {
        fn any_journal()(
            execution in any_identity(),
            redrives: u32,
            adopted in prop::collection::btree_set(any_identity(), 0..=10),
            from in ".{1,128}".prop_filter_map("a set identifier", |text| text.parse::<SetIdentifier>().ok()),
            to in "[ -~]{1,128}",
            stars: [Option<prop::sample::Index>; 2],
            sequence: u32,
            hundredths in 0_u16..=10_000,
            original in any_weights(),
            written in any_weights(),
            lone in any_lone_weights(),
            registries in (any_registry(), any_registry()),
            completed: bool,
        ) -> Journal {
            Journal {
                execution,
                redrives,
                adopted,
                templates: Sides {
                    from: any_template(&from, stars[0]),
                    to: any_template(&to.parse().unwrap(), stars[1]),
                },
                from,
                to: to.parse().unwrap(),
                sequence,
                percent: Percent::from_number(f64::from(hundredths) / 100.0).unwrap(),
                original: BTreeMap::from([(RecordType::Cname, original)]),
                written: BTreeMap::from([(RecordType::Cname, written)]),
                lone,
                saved_owners: Sides { from: registries.0, to: registries.1 },
                completed,
            }
        }
    }

    proptest! {
        #[test]
        fn a_journal_decodes_to_what_was_encoded(journal in any_journal()) {
            let encoded = text(&journal);
            // The longest value of a TXT record.
            prop_assert!(encoded.len() <= 4_000);
            for string in encoded.split(' ') {
                prop_assert!(string.len() <= LONGEST_TXT_STRING + 2);
            }
            prop_assert_eq!(parse(&read(&encoded), &zone(), &key()), Ok(journal));
        }

        /// Whatever part of it is edited.
        #[test]
        fn an_edited_journal_does_not_count(
            journal in any_journal(),
            position: prop::sample::Index,
            replacement in "[ -~]{0,3}",
        ) {
            let encoded = text(&journal);
            let position = position.index(encoded.len());
            let mut edited = encoded.clone();
            edited.replace_range(position..=position, &replacement);
            // Between strings, Route 53 and the reader ignore further spaces.
            let strings = |text: &str| pairs(text);
            prop_assume!(strings(&edited) != strings(&encoded));
            prop_assert!(parse(&read(&edited), &zone(), &key()).is_err());
        }
    }
}
