//! Checks of batches: compare-and-swap, all or nothing, record sets that exclude each other.

use anyhow::{Context, Result, bail, ensure};
use migration::dns::{RecordData, RecordSet};
use migration::route53::Change::{Create, Delete};
use migration::route53::{ChangeStatus, Route53};

use crate::Zone;
use crate::records::{
    a, addresses, alias, api, cname, load_balancer, own_ns, own_soa, shop, text, txt, values,
    weighted,
};

/// Maximum number of `GetChange` calls until a change must be INSYNC. It is small because fake and
/// emulator have no name servers to update.
const POLLS: usize = 3;

pub(crate) async fn delete_of_the_exact_values(zone: &Zone<impl Route53>) -> Result<()> {
    zone.accepts(&[Delete(&api("blue", 70))]).await?;
    zone.accepts(&[Delete(&addresses())]).await
}

pub(crate) async fn delete_of_the_exact_alias(zone: &Zone<impl Route53>) -> Result<()> {
    zone.accepts(&[Delete(&shop("blue", 70))]).await
}

pub(crate) async fn delete_with_another_weight(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses(&[Delete(&shop("blue", 71))]).await?;
    zone.refuses(&[Delete(&api("blue", 0))]).await
}

pub(crate) async fn delete_with_another_ttl(zone: &Zone<impl Route53>) -> Result<()> {
    let stale = values("text.example.com", "TXT", 60, text().values());
    zone.refuses(&[Delete(&stale)]).await
}

pub(crate) async fn delete_with_another_value(zone: &Zone<impl Route53>) -> Result<()> {
    let stale = txt("text.example.com", "\"another text\"");
    zone.refuses(&[Delete(&stale)]).await
}

pub(crate) async fn delete_with_a_value_missing(zone: &Zone<impl Route53>) -> Result<()> {
    let stale = values("addresses.example.com", "A", 300, ["192.0.2.1"]);
    zone.refuses(&[Delete(&stale)]).await
}

pub(crate) async fn delete_with_a_text_in_different_case(zone: &Zone<impl Route53>) -> Result<()> {
    let stale = txt("text.example.com", "\"aB CD\"");
    zone.refuses(&[Delete(&stale)]).await
}

/// `shop` with an edited alias target.
fn stale_shop(edit: impl FnOnce(&mut String, &mut String, &mut bool)) -> RecordSet {
    let mut stale = shop("blue", 70);
    if let RecordData::Alias {
        hosted_zone_id,
        dns_name,
        evaluate_target_health,
    } = &mut stale.data
    {
        edit(hosted_zone_id, dns_name, evaluate_target_health);
    }
    stale
}

pub(crate) async fn delete_with_another_alias_target(zone: &Zone<impl Route53>) -> Result<()> {
    let stale = stale_shop(|_, name, _| *name = name.replace("blue-1", "blue-2"));
    zone.refuses(&[Delete(&stale)]).await
}

pub(crate) async fn delete_with_another_alias_zone(zone: &Zone<impl Route53>) -> Result<()> {
    // The hosted zone of network load balancers.
    let stale = stale_shop(|id, _, _| "Z1CMS0P5QUZ6D5".clone_into(id));
    zone.refuses(&[Delete(&stale)]).await
}

pub(crate) async fn delete_with_another_evaluate_target_health(
    zone: &Zone<impl Route53>,
) -> Result<()> {
    let stale = stale_shop(|_, _, evaluates| *evaluates = false);
    zone.refuses(&[Delete(&stale)]).await
}

pub(crate) async fn delete_with_another_health_check(zone: &Zone<impl Route53>) -> Result<()> {
    let mut stale = api("blue", 70);
    stale.health_check_id = Some("0e3b1c5d-54f1-4f6e-8f3c-b6a2a6b1f9aa".to_owned());
    zone.refuses(&[Delete(&stale)]).await
}

pub(crate) async fn delete_without_the_health_check(zone: &Zone<impl Route53>) -> Result<()> {
    let mut stale = api("blue", 70);
    stale.health_check_id = None;
    zone.refuses(&[Delete(&stale)]).await
}

pub(crate) async fn delete_without_weight(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses(&[Delete(&a("api.example.com", "192.0.2.19"))])
        .await
}

pub(crate) async fn delete_with_values_in_another_order(zone: &Zone<impl Route53>) -> Result<()> {
    let mut same = addresses();
    if let RecordData::Values { values, .. } = &mut same.data {
        values.reverse();
    }
    ensure!(
        same != addresses(),
        "the values are still in the same order"
    );
    zone.accepts(&[Delete(&same)]).await
}

pub(crate) async fn delete_of_a_missing_record_set(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses(&[Delete(&a("missing.example.com", "192.0.2.1"))])
        .await?;
    zone.refuses(&[Delete(&shop("yellow", 70))]).await
}

pub(crate) async fn delete_twice(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses(&[Delete(&text()), Delete(&text())]).await
}

pub(crate) async fn swap(zone: &Zone<impl Route53>) -> Result<()> {
    zone.accepts(&[Delete(&shop("blue", 70)), Create(&shop("blue", 0))])
        .await
}

pub(crate) async fn swap_of_a_whole_name(zone: &Zone<impl Route53>) -> Result<()> {
    zone.accepts(&[
        Delete(&shop("blue", 70)),
        Delete(&shop("green", 30)),
        Create(&shop("blue", 0)),
        Create(&shop("green", 255)),
    ])
    .await
}

pub(crate) async fn swap_in_the_wrong_order(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses(&[Create(&shop("blue", 0)), Delete(&shop("blue", 70))])
        .await
}

pub(crate) async fn other_type_in_the_wrong_order(zone: &Zone<impl Route53>) -> Result<()> {
    let address = a("name.example.com", "192.0.2.1");
    zone.refuses(&[Create(&address), Delete(&cname())]).await
}

pub(crate) async fn second_swap_of_the_same_record_set(zone: &Zone<impl Route53>) -> Result<()> {
    zone.accepts(&[Delete(&shop("blue", 70)), Create(&shop("blue", 60))])
        .await?;
    zone.refuses(&[Delete(&shop("blue", 70)), Create(&shop("blue", 50))])
        .await
}

pub(crate) async fn last_create_fails(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses(&[
        Delete(&shop("blue", 70)),
        Create(&a("new.example.com", "192.0.2.1")),
        Create(&text()),
    ])
    .await
}

pub(crate) async fn last_delete_fails(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses(&[
        Delete(&shop("blue", 70)),
        Create(&a("new.example.com", "192.0.2.1")),
        Delete(&shop("green", 31)),
    ])
    .await
}

pub(crate) async fn create_of_an_existing_record_set(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses_new(&text()).await?;
    zone.refuses_new(&txt("text.example.com", "\"another text\""))
        .await
}

pub(crate) async fn duplicate_set_identifier(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses_new(&shop("blue", 1)).await?;
    let other = load_balancer("shop.example.com", "A", "other.elb.amazonaws.com.");
    zone.refuses_new(&weighted(other, "blue", 1)).await
}

pub(crate) async fn same_set_identifier_of_another_type(zone: &Zone<impl Route53>) -> Result<()> {
    let other = load_balancer("shop.example.com", "AAAA", "other.elb.amazonaws.com.");
    zone.accepts_new(&weighted(other, "blue", 1)).await
}

pub(crate) async fn weighted_beside_simple(zone: &Zone<impl Route53>) -> Result<()> {
    let address = values("addresses.example.com", "A", 300, ["192.0.2.3"]);
    zone.refuses_new(&weighted(address, "blue", 1)).await
}

pub(crate) async fn simple_beside_weighted(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses_new(&a("api.example.com", "192.0.2.3")).await
}

pub(crate) async fn another_ttl_in_a_weighted_group(zone: &Zone<impl Route53>) -> Result<()> {
    let address = values("api.example.com", "A", 61, ["192.0.2.3"]);
    zone.refuses_new(&weighted(address, "yellow", 1)).await
}

pub(crate) async fn alias_in_a_weighted_group(zone: &Zone<impl Route53>) -> Result<()> {
    let address = values("group.example.com", "A", 300, ["192.0.2.3"]);
    let other = load_balancer("group.example.com", "A", "other.elb.amazonaws.com.");
    zone.accepts_new(&weighted(address, "blue", 1)).await?;
    zone.accepts_new(&weighted(other, "green", 1)).await
}

pub(crate) async fn largest_weighted_group(zone: &Zone<impl Route53>) -> Result<()> {
    let side = |number: usize| {
        let address = a("group.example.com", "192.0.2.1");
        weighted(address, &format!("side-{number}"), 1)
    };
    let group: Vec<_> = (0..100).map(side).collect();
    zone.set_up(&group).await?;
    zone.refuses_new(&side(100)).await
}

pub(crate) async fn cname_beside_another_type(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses_new(&values("text.example.com", "CNAME", 300, ["example.org."]))
        .await
}

pub(crate) async fn another_type_beside_a_cname(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses_new(&txt("name.example.com", "\"text\"")).await
}

pub(crate) async fn weighted_cnames(zone: &Zone<impl Route53>) -> Result<()> {
    let side = |target: &str, side: &str| {
        let cname = values("group.example.com", "CNAME", 60, [target]);
        weighted(cname, side, 1)
    };
    zone.accepts_new(&side("blue.example.org.", "blue")).await?;
    zone.accepts_new(&side("green.example.org.", "green")).await
}

pub(crate) async fn cname_at_the_apex(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses_new(&values("example.com", "CNAME", 300, ["example.org."]))
        .await
}

pub(crate) async fn name_outside_the_zone(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses_new(&a("new.example.org", "192.0.2.1")).await?;
    zone.refuses_new(&a("badexample.com", "192.0.2.1")).await
}

pub(crate) async fn wildcard_ns(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses_new(&values("*.example.com", "NS", 300, own_ns().values()))
        .await
}

pub(crate) async fn delete_of_the_zones_ns(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses(&[Delete(&own_ns())]).await
}

pub(crate) async fn delete_of_the_zones_soa(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses(&[Delete(&own_soa())]).await
}

pub(crate) async fn replacement_of_the_zones_ns(zone: &Zone<impl Route53>) -> Result<()> {
    let longer = values("example.com", "NS", 600, own_ns().values());
    zone.accepts(&[Delete(&own_ns()), Create(&longer)]).await
}

/// An alias to a record set of the zone.
fn alias_in(zone: &Zone<impl Route53>, record_type: &str, target: &str) -> RecordSet {
    alias("alias.example.com", record_type, zone.id.as_str(), target)
}

pub(crate) async fn alias_of_a_record_set(zone: &Zone<impl Route53>) -> Result<()> {
    zone.accepts_new(&alias_in(zone, "A", "addresses.example.com."))
        .await?;
    zone.accepts_new(&alias_in(zone, "TXT", "text.example.com."))
        .await
}

pub(crate) async fn alias_without_target(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses_new(&alias_in(zone, "A", "missing.example.com."))
        .await
}

pub(crate) async fn alias_of_another_type(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses_new(&alias_in(zone, "AAAA", "addresses.example.com."))
        .await
}

pub(crate) async fn alias_target_outside_its_zone(zone: &Zone<impl Route53>) -> Result<()> {
    zone.refuses_new(&alias_in(zone, "A", "other.elb.amazonaws.com."))
        .await
}

pub(crate) async fn cname_alias_of_a_load_balancer(zone: &Zone<impl Route53>) -> Result<()> {
    let target = "other.elb.amazonaws.com.";
    zone.refuses_new(&load_balancer("alias.example.com", "CNAME", target))
        .await
}

pub(crate) async fn pending_and_then_in_sync(zone: &Zone<impl Route53>) -> Result<()> {
    let change_id = zone.change(&[Delete(&text())]).await?;
    let status = zone.route53.change_status(&change_id).await?;
    ensure!(status == ChangeStatus::Pending, "{status:?} at once");
    becomes_in_sync(zone, &change_id).await
}

async fn becomes_in_sync(zone: &Zone<impl Route53>, change_id: &str) -> Result<()> {
    for _ in 0..POLLS {
        if zone.route53.change_status(change_id).await? == ChangeStatus::InSync {
            return Ok(());
        }
    }
    bail!("never INSYNC")
}

pub(crate) async fn change_id_with_and_without_prefix(zone: &Zone<impl Route53>) -> Result<()> {
    let change_id = zone.change(&[Delete(&text())]).await?;
    let bare = change_id
        .strip_prefix("/change/")
        .context("the id has no prefix")?;
    for id in [&change_id, bare] {
        let status = zone.route53.change_status(id).await?;
        ensure!(status != ChangeStatus::Lost, "{id} is unknown");
    }
    Ok(())
}

pub(crate) async fn ids_of_changes_are_unique(zone: &Zone<impl Route53>) -> Result<()> {
    let first = zone.change(&[Delete(&text())]).await?;
    let second = zone.change(&[Create(&text())]).await?;
    ensure!(first != second, "{first}");
    becomes_in_sync(zone, &first).await?;
    let status = zone.route53.change_status(&second).await?;
    ensure!(
        status == ChangeStatus::Pending,
        "the second change is {status:?} with the first"
    );
    Ok(())
}

pub(crate) async fn unknown_change(zone: &Zone<impl Route53>) -> Result<()> {
    zone.change(&[Delete(&text())]).await?;
    let status = zone.route53.change_status("/change/C0UNKNOWN").await?;
    ensure!(status == ChangeStatus::Lost, "{status:?}");
    Ok(())
}
