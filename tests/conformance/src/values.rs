//! Values, and how many of them a batch may have.

use anyhow::Result;
use migration::record::RecordSet;
use migration::route53::Change::{Create, Delete};
use migration::route53::Route53;

use crate::Zone;
use crate::records::{a, txt, values};

/// A text of so many characters.
fn long(characters: usize) -> String {
    "x".repeat(characters)
}

/// So many different addresses.
fn addresses(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("10.0.{}.{}", number / 250, number % 250))
}

/// A record set of values that are all right but for their number.
fn record_of(name: &str, count: usize) -> RecordSet {
    values(name, "A", 60, addresses(count))
}

/// A record set whose value has this many characters, in strings of few.
fn text_of(name: &str, characters: usize) -> RecordSet {
    let string = |characters: usize| format!("\"{}\"", long(characters - 2));
    let mut strings = Vec::new();
    let mut left = characters;
    while left > 200 {
        strings.push(string(99));
        // The space behind it, too.
        left -= 100;
    }
    strings.push(string(left));
    txt(name, &strings.join(" "))
}

pub(crate) async fn no_value(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses_new(&record_of("new.example.com", 0)).await
}

pub(crate) async fn same_value_twice(zone: &Zone<impl Route53>) -> Result<()> {
    let addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.1"];
    zone.refuses_new(&values("new.example.com", "A", 60, addresses))
        .await
}

pub(crate) async fn address(zone: &Zone<impl Route53>) -> Result<()> {
    for (record_type, value) in [
        ("A", "www.example.org."),
        ("A", "2001:db8::1"),
        ("A", "192.0.2.256"),
        ("AAAA", "192.0.2.1"),
    ] {
        zone.refuses_new(&values("new.example.com", record_type, 60, [value]))
            .await?;
    }
    zone.accepts_new(&values("new.example.com", "AAAA", 60, ["2001:db8::1"]))
        .await
}

pub(crate) async fn two_names_in_a_cname(zone: &Zone<impl Route53>) -> Result<()> {
    let names = ["a.example.org.", "b.example.org."];
    zone.refuses_new(&values("new.example.com", "CNAME", 60, names))
        .await
}

pub(crate) async fn longest_ttl(zone: &Zone<impl Route53>) -> Result<()> {
    let with_ttl = |ttl| values("new.example.com", "A", ttl, ["192.0.2.1"]);
    zone.refuses_new(&with_ttl(2_147_483_648)).await?;
    zone.accepts_new(&with_ttl(2_147_483_647)).await
}

/// A TXT with this value is accepted, and listed as it was written.
async fn takes(zone: &Zone<impl Route53>, value: &str) -> Result<()> {
    zone.accepts_new(&txt("new.example.com", value)).await
}

/// A TXT with this value is refused.
async fn takes_not(zone: &Zone<impl Route53>, value: &str) -> Result<()> {
    zone.refuses_new(&txt("new.example.com", value)).await
}

pub(crate) async fn text_without_quotes(zone: &Zone<impl Route53>) -> Result<()> {
    takes_not(zone, "text").await?;
    takes_not(zone, "\"text").await?;
    takes_not(zone, "text\"").await?;
    takes_not(zone, "\"text\" text").await
}

pub(crate) async fn longest_string(zone: &Zone<impl Route53>) -> Result<()> {
    takes_not(zone, &format!("\"{}\"", long(256))).await?;
    takes(zone, &format!("\"{}\"", long(255))).await
}

pub(crate) async fn several_strings(zone: &Zone<impl Route53>) -> Result<()> {
    let string = long(255);
    takes(zone, &format!("\"{string}\" \"{string}\" \"x\"")).await
}

pub(crate) async fn longest_value(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses_new(&text_of("new.example.com", 4_001)).await?;
    zone.accepts_new(&text_of("new.example.com", 4_000)).await
}

pub(crate) async fn escaped_quotes(zone: &Zone<impl Route53>) -> Result<()> {
    takes(zone, r#""a \"quoted\" word and a \\""#).await
}

pub(crate) async fn bare_quotes(zone: &Zone<impl Route53>) -> Result<()> {
    takes_not(zone, r#""a "quoted" word""#).await?;
    takes_not(zone, r#""an escaped end \""#).await
}

pub(crate) async fn octal_escapes(zone: &Zone<impl Route53>) -> Result<()> {
    takes(zone, r#""ex\344mple.com""#).await
}

pub(crate) async fn bytes_without_escape(zone: &Zone<impl Route53>) -> Result<()> {
    takes_not(zone, "\"ex\u{e4}mple.com\"").await?;
    takes_not(zone, "\"a\tb\"").await
}

pub(crate) async fn empty_batch(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses(&[]).await
}

/// Ten record sets of so many records each.
fn ten_of(prefix: &str, count: usize) -> Vec<RecordSet> {
    (0..10)
        .map(|number| record_of(&format!("{prefix}-{number}.example.com"), count))
        .collect()
}

pub(crate) async fn largest_batch_of_records(zone: &Zone<impl Route53>) -> Result<()> {
    let (thousand, another) = (ten_of("many", 100), a("new.example.com", "192.0.2.1"));
    let mut creates: Vec<_> = thousand.iter().map(Create).collect();
    creates.push(Create(&another));
    zone.refuses(&creates).await?;
    creates.pop();
    zone.accepts(&creates).await
}

/// Record sets with so many thousand characters.
fn thousands_of(prefix: &str, thousands: usize) -> Vec<RecordSet> {
    (0..thousands)
        .map(|number| text_of(&format!("{prefix}-{number}.example.com"), 1_000))
        .collect()
}

pub(crate) async fn largest_batch_of_characters(zone: &Zone<impl Route53>) -> Result<()> {
    let texts = thousands_of("many", 31);
    let (longer, last) = (
        text_of("last.example.com", 1_001),
        text_of("last.example.com", 1_000),
    );
    let mut creates: Vec<_> = texts.iter().map(Create).collect();
    creates.push(Create(&longer));
    zone.refuses(&creates).await?;
    creates.pop();
    creates.push(Create(&last));
    zone.accepts(&creates).await
}

pub(crate) async fn records_of_deletes_count(zone: &Zone<impl Route53>) -> Result<()> {
    let (old, new) = (ten_of("old", 50), ten_of("new", 50));
    let another = a("another.example.com", "192.0.2.1");
    counts_deletes(zone, &old, &new, &another).await
}

pub(crate) async fn characters_of_deletes_count(zone: &Zone<impl Route53>) -> Result<()> {
    let (old, new) = (thousands_of("old", 16), thousands_of("new", 16));
    let another = a("another.example.com", "192.0.2.1");
    counts_deletes(zone, &old, &new, &another).await
}

/// DELETE of the old and CREATE of the new fill a batch, so that no other change fits in.
async fn counts_deletes(
    zone: &Zone<impl Route53>,
    old: &[RecordSet],
    new: &[RecordSet],
    another: &RecordSet,
) -> Result<()> {
    zone.given(old).await?;
    let deletes = old.iter().map(Delete);
    let mut changes: Vec<_> = deletes.chain(new.iter().map(Create)).collect();
    changes.push(Create(another));
    zone.refuses(&changes).await?;
    changes.pop();
    zone.accepts(&changes).await
}
