//! Checks of the zone and its listing.

use anyhow::{Result, ensure};
use migration::Error;
use migration::dns::RecordSet;
use migration::route53::{Change, LARGEST_PAGE, Route53};

use crate::Zone;
use crate::records::{a, known_record_sets, shop, txt, values, weighted};
use crate::zone::list_start;

/// The known record sets in the order of the listing.
const LISTED: [&str; 9] = [
    "example.com NS",
    "example.com SOA",
    "addresses.example.com A",
    "api.example.com A blue",
    "api.example.com A green",
    "name.example.com CNAME",
    "shop.example.com A blue",
    "shop.example.com A green",
    "text.example.com TXT",
];

fn expect_listed(found: &[String], expected: &[&str]) -> Result<()> {
    ensure!(
        found == expected,
        "listed {found:?} instead of {expected:?}"
    );
    Ok(())
}

/// Creates A records with these names and checks that they are listed in this order.
async fn expect_order(zone: &Zone<impl Route53>, names: &[&str]) -> Result<()> {
    // Created in reverse, so that the order of creation can't pass for the expected one.
    let created: Vec<_> = names
        .iter()
        .rev()
        .map(|name| a(name, "192.0.2.1"))
        .collect();
    zone.set_up(&created).await?;
    let mut found = zone.list().await?;
    found.retain(|record_set| created.contains(record_set));
    let found: Vec<_> = found.iter().map(|found| found.name.to_string()).collect();
    expect_listed(&found, names)
}

pub(crate) async fn zone_counts_its_record_sets(zone: &Zone<impl Route53>) -> Result<()> {
    let found = zone.route53.get_hosted_zone(&zone.id).await?;
    let expected = known_record_sets().len();
    ensure!(found.record_set_count == expected, "{found:?}");
    ensure!(found.name.as_str() == "example.com", "{found:?}");
    zone.set_up(&[shop("yellow", 1)]).await?;
    let found = zone.route53.get_hosted_zone(&zone.id).await?;
    ensure!(found.record_set_count == expected + 1, "{found:?}");
    Ok(())
}

pub(crate) async fn unknown_zone(zone: &Zone<impl Route53>) -> Result<()> {
    let unknown = "Z0UNKNOWN".parse().map_err(anyhow::Error::msg)?;
    let created = a("new.example.com", "192.0.2.1");
    let errors = [
        zone.route53.get_hosted_zone(&unknown).await.err(),
        zone.route53
            .list_resource_record_sets(&unknown, None, 1)
            .await
            .err(),
        zone.route53
            .change_resource_record_sets(&unknown, "conformance", &[Change::Create(&created)])
            .await
            .err(),
    ];
    for error in errors {
        ensure!(
            matches!(error, Some(Error::NoSuchHostedZone(_))),
            "{error:?}"
        );
    }
    Ok(())
}

pub(crate) async fn labels_from_the_right(zone: &Zone<impl Route53>) -> Result<()> {
    let names = [
        "a.example.com",
        "z.a.example.com",
        "a.z.a.example.com",
        "b.example.com",
        "a.b.example.com",
        "z.example.com",
    ];
    expect_order(zone, &names).await
}

pub(crate) async fn dot_is_part_of_the_order(zone: &Zone<impl Route53>) -> Result<()> {
    let names = [
        "a-b.example.com",
        "a.example.com",
        "z.a.example.com",
        "a0.example.com",
    ];
    expect_order(zone, &names).await
}

pub(crate) async fn wildcard_is_listed_as_a_star(zone: &Zone<impl Route53>) -> Result<()> {
    let names = [
        "\\052.example.com",
        "-.example.com",
        "0.example.com",
        "_.example.com",
        "a.example.com",
    ];
    expect_order(zone, &names).await
}

pub(crate) async fn escape_is_listed_as_its_character(zone: &Zone<impl Route53>) -> Result<()> {
    let names = [
        "\\041.example.com",
        "0.example.com",
        "\\100.example.com",
        "a.example.com",
    ];
    expect_order(zone, &names).await
}

pub(crate) async fn types_within_a_name(zone: &Zone<impl Route53>) -> Result<()> {
    zone.set_up(&[
        txt("types.example.com", "\"text\""),
        values("types.example.com", "MX", 300, ["10 mail.example.com."]),
        values("types.example.com", "AAAA", 300, ["2001:db8::1"]),
        a("types.example.com", "192.0.2.1"),
    ])
    .await?;
    let mut found = zone.listed().await?;
    found.retain(|listed| listed.starts_with("types."));
    let expected = ["A", "AAAA", "MX", "TXT"].map(|it| format!("types.example.com {it}"));
    expect_listed(&found, &expected.each_ref().map(String::as_str))
}

pub(crate) async fn weighted_group_is_listed_together(zone: &Zone<impl Route53>) -> Result<()> {
    zone.set_up(&[
        weighted(
            values("group.example.com", "AAAA", 60, ["2001:db8::1"]),
            "blue",
            1,
        ),
        weighted(a("group.example.com", "192.0.2.1"), "yellow", 1),
        weighted(
            values("group.example.com", "AAAA", 60, ["2001:db8::2"]),
            "yellow",
            1,
        ),
        weighted(a("group.example.com", "192.0.2.2"), "blue", 1),
    ])
    .await?;
    let mut types: Vec<_> = zone
        .list()
        .await?
        .into_iter()
        .filter(|listed| listed.name.as_str() == "group.example.com")
        .map(|listed| listed.record_type.to_string())
        .collect();
    ensure!(types.len() == 4, "{types:?}");
    types.dedup();
    ensure!(types == ["A", "AAAA"], "{types:?}");
    Ok(())
}

pub(crate) async fn pending_change_is_listed(zone: &Zone<impl Route53>) -> Result<()> {
    let created = a("new.example.com", "192.0.2.1");
    zone.change(&[Change::Create(&created)]).await?;
    ensure!(zone.list().await?.contains(&created), "not listed");
    Ok(())
}

pub(crate) async fn start_at_a_name(zone: &Zone<impl Route53>) -> Result<()> {
    let found = zone.listed_from(&["name.example.com"]).await?;
    expect_listed(&found, &LISTED[5..])
}

pub(crate) async fn start_at_a_missing_name(zone: &Zone<impl Route53>) -> Result<()> {
    let found = zone.listed_from(&["z.api.example.com"]).await?;
    expect_listed(&found, &LISTED[5..])?;
    let found = zone.listed_from(&["a.example.com"]).await?;
    expect_listed(&found, &LISTED[2..])
}

pub(crate) async fn start_after_the_end(zone: &Zone<impl Route53>) -> Result<()> {
    let page = zone
        .page(Some(&list_start(&["zz.example.com"])?), 1)
        .await?;
    ensure!(
        page.record_sets.is_empty() && page.next.is_none(),
        "{page:?}"
    );
    Ok(())
}

pub(crate) async fn start_at_a_type(zone: &Zone<impl Route53>) -> Result<()> {
    let found = zone.listed_from(&["example.com", "SOA"]).await?;
    expect_listed(&found, &LISTED[1..])?;
    let found = zone.listed_from(&["example.com", "PTR"]).await?;
    expect_listed(&found, &LISTED[1..])?;
    let found = zone.listed_from(&["example.com", "TXT"]).await?;
    expect_listed(&found, &LISTED[2..])
}

pub(crate) async fn start_type_applies_to_its_name_only(zone: &Zone<impl Route53>) -> Result<()> {
    let found = zone.listed_from(&["b.example.com", "TXT"]).await?;
    expect_listed(&found, &LISTED[5..])
}

pub(crate) async fn start_at_a_set_identifier(zone: &Zone<impl Route53>) -> Result<()> {
    let found = zone
        .listed_from(&["shop.example.com", "A", "green"])
        .await?;
    expect_listed(&found, &LISTED[7..])
}

pub(crate) async fn page_is_cut(zone: &Zone<impl Route53>) -> Result<()> {
    let page = zone.page(None, 2).await?;
    ensure!(page.record_sets.len() == 2, "{page:?}");
    // The next record set is a simple one, so the start has no set identifier.
    ensure!(
        page.next == Some(list_start(&["addresses.example.com", "A"])?),
        "{page:?}"
    );
    Ok(())
}

pub(crate) async fn last_page_has_no_next(zone: &Zone<impl Route53>) -> Result<()> {
    let page = zone.page(None, LISTED.len()).await?;
    ensure!(
        page.record_sets.len() == LISTED.len() && page.next.is_none(),
        "{page:?}"
    );
    Ok(())
}

pub(crate) async fn page_splits_a_weighted_group(zone: &Zone<impl Route53>) -> Result<()> {
    let start = list_start(&["shop.example.com"])?;
    let first = zone.page(Some(&start), 1).await?;
    ensure!(first.record_sets == [shop("blue", 70)], "{first:?}");
    let expected = list_start(&["shop.example.com", "A", "green"])?;
    ensure!(first.next == Some(expected), "{first:?}");
    let second = zone.page(first.next.as_ref(), 1).await?;
    ensure!(second.record_sets == [shop("green", 30)], "{second:?}");
    Ok(())
}

pub(crate) async fn pages_of_any_size_give_the_listing(zone: &Zone<impl Route53>) -> Result<()> {
    let whole = zone.list().await?;
    for max_items in 1..=LISTED.len() {
        let found = zone.list_in_pages(max_items).await?;
        ensure!(found == whole, "by {max_items}: {found:?}");
    }
    Ok(())
}

pub(crate) async fn largest_page(zone: &Zone<impl Route53>) -> Result<()> {
    zone.set_up(&many_records(LARGEST_PAGE)).await?;
    let page = zone.page(None, LARGEST_PAGE).await?;
    ensure!(
        page.record_sets.len() == LARGEST_PAGE,
        "{}",
        page.record_sets.len()
    );
    let page = zone.page(None, LARGEST_PAGE + 1).await?;
    ensure!(
        page.record_sets.len() == LARGEST_PAGE,
        "{}",
        page.record_sets.len()
    );
    ensure!(page.next.is_some(), "the page has no next page");
    Ok(())
}

/// `count` A records with one value each.
pub(crate) fn many_records(count: usize) -> Vec<RecordSet> {
    (0..count)
        .map(|number| a(&format!("many-{number}.example.com"), "192.0.2.1"))
        .collect()
}
