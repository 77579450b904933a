//! Checks with AWS's client, of requests that the trait `Route53` can't express.

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_route53::error::ProvideErrorMetadata;
use aws_sdk_route53::types::builders::ResourceRecordSetBuilder;
use aws_sdk_route53::types::{
    AliasTarget, Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType,
};
use route53_adapter::Route53Client;

use crate::Zone;
use crate::listing::many_records;
use crate::zone::list_start;

type ApiZone = Zone<Route53Client>;

/// An A record set without values.
fn empty(name: &str) -> ResourceRecordSetBuilder {
    ResourceRecordSet::builder().name(name).r#type(RrType::A)
}

fn address(value: &str) -> Result<ResourceRecord> {
    Ok(ResourceRecord::builder().value(value).build()?)
}

/// A simple A record set.
fn simple(name: &str, value: &str) -> Result<ResourceRecordSetBuilder> {
    Ok(empty(name).ttl(60).resource_records(address(value)?))
}

impl ApiZone {
    /// Sends a batch with one action; `None` if it is accepted, otherwise the error's code.
    async fn send(
        &self,
        action: &ChangeAction,
        record_sets: impl IntoIterator<Item = ResourceRecordSetBuilder>,
    ) -> Result<Option<String>> {
        let change = |record_set: ResourceRecordSetBuilder| {
            Ok(Change::builder()
                .action(action.clone())
                .resource_record_set(record_set.build()?)
                .build()?)
        };
        let changes = record_sets.into_iter().map(change).collect::<Result<_>>()?;
        let output = self
            .route53
            .sdk()
            .change_resource_record_sets()
            .hosted_zone_id(self.id.as_str())
            .change_batch(ChangeBatch::builder().set_changes(Some(changes)).build()?)
            .send()
            .await;
        match output {
            Ok(_) => Ok(None),
            Err(error) => Ok(Some(
                error.code().context("an error without a code")?.to_owned(),
            )),
        }
    }

    async fn send_accepted(
        &self,
        action: ChangeAction,
        record_sets: impl IntoIterator<Item = ResourceRecordSetBuilder>,
    ) -> Result<()> {
        match self.send(&action, record_sets).await? {
            Some(code) => bail!("{action} is refused: {code}"),
            None => Ok(()),
        }
    }

    async fn send_refused(
        &self,
        action: ChangeAction,
        record_sets: impl IntoIterator<Item = ResourceRecordSetBuilder>,
    ) -> Result<()> {
        let before = self.names().await?;
        match self.send(&action, record_sets).await?.as_deref() {
            Some("InvalidChangeBatch" | "InvalidInput" | "NoSuchHealthCheck") => {}
            Some(code) => bail!("refused as {code}"),
            None => bail!("accepted"),
        }
        ensure!(
            self.names().await? == before,
            "refused, but applied in part"
        );
        Ok(())
    }

    async fn names(&self) -> Result<Vec<String>> {
        let page = self
            .route53
            .sdk()
            .list_resource_record_sets()
            .hosted_zone_id(self.id.as_str())
            .send()
            .await?;
        let names = page.resource_record_sets().iter();
        Ok(names.map(|found| found.name().to_owned()).collect())
    }

    async fn expect_name(&self, name: &str) -> Result<()> {
        let names = self.names().await?;
        ensure!(
            names.iter().any(|found| found == name),
            "no {name} in {names:?}"
        );
        Ok(())
    }
}

pub(crate) async fn names_are_listed_in_one_spelling(zone: &ApiZone) -> Result<()> {
    zone.send_accepted(
        ChangeAction::Create,
        [simple("New.EXAMPLE.com", "192.0.2.1")?],
    )
    .await?;
    zone.expect_name("new.example.com.").await
}

pub(crate) async fn characters_are_listed_as_escapes(zone: &ApiZone) -> Result<()> {
    let created = ["*.example.com.", "a@b.example.com.", "\\141_1.example.com."];
    for name in created {
        zone.send_accepted(ChangeAction::Create, [simple(name, "192.0.2.1")?])
            .await?;
    }
    zone.expect_name("\\052.example.com.").await?;
    zone.expect_name("a\\100b.example.com.").await?;
    zone.expect_name("a_1.example.com.").await
}

pub(crate) async fn names_are_compared_without_case(zone: &ApiZone) -> Result<()> {
    same_name(zone, "new.example.com.", "NEW.example.com.").await
}

pub(crate) async fn names_are_compared_without_the_trailing_dot(zone: &ApiZone) -> Result<()> {
    same_name(zone, "new.example.com.", "new.example.com").await
}

/// Both names are names of the same record set.
async fn same_name(zone: &ApiZone, one: &str, other: &str) -> Result<()> {
    zone.send_accepted(ChangeAction::Create, [simple(one, "192.0.2.1")?])
        .await?;
    zone.send_refused(ChangeAction::Create, [simple(other, "192.0.2.1")?])
        .await?;
    zone.send_accepted(ChangeAction::Delete, [simple(other, "192.0.2.1")?])
        .await
}

pub(crate) async fn names_are_compared_without_escapes(zone: &ApiZone) -> Result<()> {
    same_name(zone, "*.example.com.", "\\052.example.com.").await
}

pub(crate) async fn start_name_in_any_spelling(zone: &ApiZone) -> Result<()> {
    for name in [
        "text.example.com",
        "TEXT.example.com.",
        "\\164ext.example.com.",
    ] {
        let page = zone
            .route53
            .sdk()
            .list_resource_record_sets()
            .hosted_zone_id(zone.id.as_str())
            .start_record_name(name)
            .send()
            .await?;
        let first = page.resource_record_sets().first();
        let first = first.map(ResourceRecordSet::name);
        ensure!(first == Some("text.example.com."), "{name}: {first:?}");
    }
    Ok(())
}

pub(crate) async fn start_type_without_start_name(zone: &ApiZone) -> Result<()> {
    let output = zone
        .route53
        .sdk()
        .list_resource_record_sets()
        .hosted_zone_id(zone.id.as_str())
        .start_record_type(RrType::A)
        .send()
        .await;
    let error = output.err().context("listed")?;
    ensure!(error.code() == Some("InvalidInput"), "{error:?}");
    Ok(())
}

pub(crate) async fn weight_over_255(zone: &ApiZone) -> Result<()> {
    let with_weight = |weight| {
        let record_set = simple("new.example.com.", "192.0.2.1")?;
        anyhow::Ok(record_set.set_identifier("blue").weight(weight))
    };
    zone.send_refused(ChangeAction::Create, [with_weight(256)?])
        .await?;
    zone.send_accepted(ChangeAction::Create, [with_weight(255)?])
        .await
}

pub(crate) async fn weight_without_set_identifier(zone: &ApiZone) -> Result<()> {
    let record_set = simple("new.example.com.", "192.0.2.1")?.weight(1);
    zone.send_refused(ChangeAction::Create, [record_set]).await
}

pub(crate) async fn alias_with_ttl(zone: &ApiZone) -> Result<()> {
    let target = AliasTarget::builder()
        .hosted_zone_id("Z3Q77PNBQS71R4")
        .dns_name("other.elb.amazonaws.com.")
        .evaluate_target_health(true)
        .build()?;
    let alias = empty("new.example.com.").alias_target(target);
    zone.send_refused(ChangeAction::Create, [alias.clone().ttl(60)])
        .await?;
    zone.send_accepted(ChangeAction::Create, [alias]).await
}

pub(crate) async fn missing_health_check(zone: &ApiZone) -> Result<()> {
    let missing = "00000000-0000-4000-8000-000000000000";
    let record_set = simple("new.example.com.", "192.0.2.1")?.health_check_id(missing);
    zone.send_refused(ChangeAction::Create, [record_set]).await
}

pub(crate) async fn no_ttl(zone: &ApiZone) -> Result<()> {
    let record_set = empty("new.example.com.").resource_records(address("192.0.2.1")?);
    zone.send_refused(ChangeAction::Create, [record_set]).await
}

pub(crate) async fn upsert(zone: &ApiZone) -> Result<()> {
    for value in ["192.0.2.1", "192.0.2.2"] {
        zone.send_accepted(ChangeAction::Upsert, [simple("new.example.com.", value)?])
            .await?;
        zone.expect_name("new.example.com.").await?;
    }
    zone.send_accepted(
        ChangeAction::Delete,
        [simple("new.example.com.", "192.0.2.2")?],
    )
    .await
}

pub(crate) async fn upsert_counts_twice(zone: &ApiZone) -> Result<()> {
    let upserts = |count: i32| {
        let record_set = |number| simple(&format!("many-{number}.example.com."), "192.0.2.1");
        (0..count).map(record_set).collect::<Result<Vec<_>>>()
    };
    zone.send_refused(ChangeAction::Upsert, upserts(501)?)
        .await?;
    zone.send_accepted(ChangeAction::Upsert, upserts(500)?)
        .await
}

pub(crate) async fn largest_page_by_default(zone: &ApiZone) -> Result<()> {
    zone.set_up(&many_records(300)).await?;
    let names = zone.names().await?.len();
    ensure!(names == 300, "{names}");
    let start = list_start(&["text.example.com"])?;
    ensure!(zone.page(Some(&start), 300).await?.next.is_none(), "no end");
    Ok(())
}

pub(crate) async fn unknown_change_has_a_code(zone: &ApiZone) -> Result<()> {
    let output = zone.route53.sdk().get_change().id("C0UNKNOWN").send().await;
    let error = output.err().context("accepted")?;
    ensure!(error.code() == Some("NoSuchChange"), "{error:?}");
    Ok(())
}
