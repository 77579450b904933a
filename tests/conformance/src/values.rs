//! Checks of values, and of the limits of a batch.

use anyhow::Result;
use migration::dns::RecordSet;
use migration::route53::Change::{Create, Delete};
use migration::route53::Route53;

use crate::Zone;
use crate::records::{a, txt, values};

fn long(characters: usize) -> String {
    "x".repeat(characters)
}

/// `count` different addresses.
fn addresses(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("10.0.{}.{}", number / 250, number % 250))
}

/// An A record set with `count` valid values.
fn a_with_values(name: &str, count: usize) -> RecordSet {
    values(name, "A", 60, addresses(count))
}

/// A TXT record set with one valid value of this length, in strings of at most 200 characters.
fn txt_of_length(name: &str, characters: usize) -> RecordSet {
    let string = |characters: usize| format!("\"{}\"", long(characters - 2));
    let mut strings = Vec::new();
    let mut left = characters;
    while left > 200 {
        strings.push(string(99));
        // The string and the space after it.
        left -= 100;
    }
    strings.push(string(left));
    txt(name, &strings.join(" "))
}

pub(crate) async fn no_value(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses_new(&a_with_values("new.example.com", 0)).await
}

pub(crate) async fn same_value_twice(zone: &Zone<impl Route53>) -> Result<()> {
    let addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.1"];
    zone.refuses_new(&values("new.example.com", "A", 60, addresses))
        .await
}

pub(crate) async fn address_of_the_type(zone: &Zone<impl Route53>) -> Result<()> {
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
async fn accepts_txt(zone: &Zone<impl Route53>, value: &str) -> Result<()> {
    zone.accepts_new(&txt("new.example.com", value)).await
}

/// A TXT with this value is refused.
async fn refuses_txt(zone: &Zone<impl Route53>, value: &str) -> Result<()> {
    zone.refuses_new(&txt("new.example.com", value)).await
}

pub(crate) async fn text_without_quotes(zone: &Zone<impl Route53>) -> Result<()> {
    refuses_txt(zone, "text").await?;
    refuses_txt(zone, "\"text").await?;
    refuses_txt(zone, "text\"").await?;
    refuses_txt(zone, "\"text\" text").await
}

pub(crate) async fn longest_string(zone: &Zone<impl Route53>) -> Result<()> {
    refuses_txt(zone, &format!("\"{}\"", long(256))).await?;
    accepts_txt(zone, &format!("\"{}\"", long(255))).await
}

pub(crate) async fn several_strings(zone: &Zone<impl Route53>) -> Result<()> {
    let string = long(255);
    accepts_txt(zone, &format!("\"{string}\" \"{string}\" \"x\"")).await
}

pub(crate) async fn longest_value(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses_new(&txt_of_length("new.example.com", 4_001))
        .await?;
    zone.accepts_new(&txt_of_length("new.example.com", 4_000))
        .await
}

pub(crate) async fn escaped_quotes(zone: &Zone<impl Route53>) -> Result<()> {
    accepts_txt(zone, r#""a \"quoted\" word and a \\""#).await
}

pub(crate) async fn bare_quotes(zone: &Zone<impl Route53>) -> Result<()> {
    refuses_txt(zone, r#""a "quoted" word""#).await?;
    refuses_txt(zone, r#""an escaped end \""#).await
}

pub(crate) async fn octal_escapes(zone: &Zone<impl Route53>) -> Result<()> {
    accepts_txt(zone, r#""ex\344mple.com""#).await
}

pub(crate) async fn bytes_without_escape(zone: &Zone<impl Route53>) -> Result<()> {
    refuses_txt(zone, "\"ex\u{e4}mple.com\"").await?;
    refuses_txt(zone, "\"a\tb\"").await
}

pub(crate) async fn empty_batch(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses(&[]).await
}

/// Ten record sets with `count` values each.
fn ten_records(prefix: &str, count: usize) -> Vec<RecordSet> {
    (0..10)
        .map(|number| a_with_values(&format!("{prefix}-{number}.example.com"), count))
        .collect()
}

pub(crate) async fn largest_batch_of_records(zone: &Zone<impl Route53>) -> Result<()> {
    let (thousand, another) = (ten_records("many", 100), a("new.example.com", "192.0.2.1"));
    let mut creates: Vec<_> = thousand.iter().map(Create).collect();
    creates.push(Create(&another));
    zone.refuses(&creates).await?;
    creates.pop();
    zone.accepts(&creates).await
}

/// TXT record sets with 1,000 characters each.
fn thousand_character_texts(prefix: &str, count: usize) -> Vec<RecordSet> {
    (0..count)
        .map(|number| txt_of_length(&format!("{prefix}-{number}.example.com"), 1_000))
        .collect()
}

pub(crate) async fn largest_batch_of_characters(zone: &Zone<impl Route53>) -> Result<()> {
    let texts = thousand_character_texts("many", 31);
    let (longer, last) = (
        txt_of_length("last.example.com", 1_001),
        txt_of_length("last.example.com", 1_000),
    );
    let mut creates: Vec<_> = texts.iter().map(Create).collect();
    creates.push(Create(&longer));
    zone.refuses(&creates).await?;
    creates.pop();
    creates.push(Create(&last));
    zone.accepts(&creates).await
}

pub(crate) async fn records_of_deletes_count(zone: &Zone<impl Route53>) -> Result<()> {
    let (old, new) = (ten_records("old", 50), ten_records("new", 50));
    let another = a("another.example.com", "192.0.2.1");
    expect_full_batch(zone, &old, &new, &another).await
}

pub(crate) async fn characters_of_deletes_count(zone: &Zone<impl Route53>) -> Result<()> {
    let (old, new) = (
        thousand_character_texts("old", 16),
        thousand_character_texts("new", 16),
    );
    let another = a("another.example.com", "192.0.2.1");
    expect_full_batch(zone, &old, &new, &another).await
}

/// DELETE of `old` and CREATE of `new` fill a batch, so that `another` does not fit.
async fn expect_full_batch(
    zone: &Zone<impl Route53>,
    old: &[RecordSet],
    new: &[RecordSet],
    another: &RecordSet,
) -> Result<()> {
    zone.set_up(old).await?;
    let deletes = old.iter().map(Delete);
    let mut changes: Vec<_> = deletes.chain(new.iter().map(Create)).collect();
    changes.push(Create(another));
    zone.refuses(&changes).await?;
    changes.pop();
    zone.accepts(&changes).await
}
