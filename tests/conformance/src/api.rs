//! What the narrow interface can't say, through AWS's own client.

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_route53::Client;
use aws_sdk_route53::error::ProvideErrorMetadata;
use aws_sdk_route53::types::builders::ResourceRecordSetBuilder;
use aws_sdk_route53::types::{
    AliasTarget, Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType,
};

use crate::Zone;
use crate::listing::many;
use crate::zone::list_start;

type ApiZone = Zone<Client>;

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
    /// The error's code, if there is one.
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
        let answer = self
            .route53
            .change_resource_record_sets()
            .hosted_zone_id(self.id.as_str())
            .change_batch(ChangeBatch::builder().set_changes(Some(changes)).build()?)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(None),
            Err(error) => Ok(Some(error.code().context("no answer")?.to_owned())),
        }
    }

    async fn sends(
        &self,
        action: ChangeAction,
        record_sets: impl IntoIterator<Item = ResourceRecordSetBuilder>,
    ) -> Result<()> {
        match self.send(&action, record_sets).await? {
            Some(code) => bail!("{action} is refused: {code}"),
            None => Ok(()),
        }
    }

    async fn sends_in_vain(
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

    /// The names as they are listed.
    async fn names(&self) -> Result<Vec<String>> {
        let page = self
            .route53
            .list_resource_record_sets()
            .hosted_zone_id(self.id.as_str())
            .send()
            .await?;
        let names = page.resource_record_sets().iter();
        Ok(names.map(|found| found.name().to_owned()).collect())
    }

    async fn has(&self, name: &str) -> Result<()> {
        let names = self.names().await?;
        ensure!(
            names.iter().any(|found| found == name),
            "no {name} in {names:?}"
        );
        Ok(())
    }
}

pub(crate) async fn names_are_listed_in_one_spelling(zone: &ApiZone) -> Result<()> {
    zone.sends(
        ChangeAction::Create,
        [simple("New.EXAMPLE.com", "192.0.2.1")?],
    )
    .await?;
    zone.has("new.example.com.").await
}

pub(crate) async fn characters_are_listed_as_escapes(zone: &ApiZone) -> Result<()> {
    let created = ["*.example.com.", "a@b.example.com.", "\\141_1.example.com."];
    for name in created {
        zone.sends(ChangeAction::Create, [simple(name, "192.0.2.1")?])
            .await?;
    }
    zone.has("\\052.example.com.").await?;
    zone.has("a\\100b.example.com.").await?;
    zone.has("a_1.example.com.").await
}

pub(crate) async fn names_are_compared_without_case(zone: &ApiZone) -> Result<()> {
    same_name(zone, "new.example.com.", "NEW.example.com.").await
}

pub(crate) async fn names_are_compared_without_the_last_dot(zone: &ApiZone) -> Result<()> {
    same_name(zone, "new.example.com.", "new.example.com").await
}

/// What has one of the names is the same as what has the other.
async fn same_name(zone: &ApiZone, one: &str, other: &str) -> Result<()> {
    zone.sends(ChangeAction::Create, [simple(one, "192.0.2.1")?])
        .await?;
    zone.sends_in_vain(ChangeAction::Create, [simple(other, "192.0.2.1")?])
        .await?;
    zone.sends(ChangeAction::Delete, [simple(other, "192.0.2.1")?])
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

pub(crate) async fn type_without_name(zone: &ApiZone) -> Result<()> {
    let answer = zone
        .route53
        .list_resource_record_sets()
        .hosted_zone_id(zone.id.as_str())
        .start_record_type(RrType::A)
        .send()
        .await;
    let error = answer.err().context("listed")?;
    ensure!(error.code() == Some("InvalidInput"), "{error:?}");
    Ok(())
}

pub(crate) async fn weight_over_255(zone: &ApiZone) -> Result<()> {
    let with_weight = |weight| {
        let record_set = simple("new.example.com.", "192.0.2.1")?;
        anyhow::Ok(record_set.set_identifier("blue").weight(weight))
    };
    zone.sends_in_vain(ChangeAction::Create, [with_weight(256)?])
        .await?;
    zone.sends(ChangeAction::Create, [with_weight(255)?]).await
}

pub(crate) async fn weight_without_set_identifier(zone: &ApiZone) -> Result<()> {
    let record_set = simple("new.example.com.", "192.0.2.1")?.weight(1);
    zone.sends_in_vain(ChangeAction::Create, [record_set]).await
}

pub(crate) async fn alias_with_ttl(zone: &ApiZone) -> Result<()> {
    let target = AliasTarget::builder()
        .hosted_zone_id("Z3Q77PNBQS71R4")
        .dns_name("other.elb.amazonaws.com.")
        .evaluate_target_health(true)
        .build()?;
    let alias = empty("new.example.com.").alias_target(target);
    zone.sends_in_vain(ChangeAction::Create, [alias.clone().ttl(60)])
        .await?;
    zone.sends(ChangeAction::Create, [alias]).await
}

pub(crate) async fn missing_health_check(zone: &ApiZone) -> Result<()> {
    let missing = "00000000-0000-4000-8000-000000000000";
    let record_set = simple("new.example.com.", "192.0.2.1")?.health_check_id(missing);
    zone.sends_in_vain(ChangeAction::Create, [record_set]).await
}

pub(crate) async fn no_ttl(zone: &ApiZone) -> Result<()> {
    let record_set = empty("new.example.com.").resource_records(address("192.0.2.1")?);
    zone.sends_in_vain(ChangeAction::Create, [record_set]).await
}

pub(crate) async fn upsert(zone: &ApiZone) -> Result<()> {
    for value in ["192.0.2.1", "192.0.2.2"] {
        zone.sends(ChangeAction::Upsert, [simple("new.example.com.", value)?])
            .await?;
        zone.has("new.example.com.").await?;
    }
    zone.sends(
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
    zone.sends_in_vain(ChangeAction::Upsert, upserts(501)?)
        .await?;
    zone.sends(ChangeAction::Upsert, upserts(500)?).await
}

pub(crate) async fn largest_page_by_default(zone: &ApiZone) -> Result<()> {
    zone.given(&many(300)).await?;
    let names = zone.names().await?.len();
    ensure!(names == 300, "{names}");
    let start = list_start(&["text.example.com"])?;
    ensure!(zone.page(Some(&start), 300).await?.next.is_none(), "no end");
    Ok(())
}

pub(crate) async fn unknown_change_has_a_code(zone: &ApiZone) -> Result<()> {
    let answer = zone.route53.get_change().id("C0UNKNOWN").send().await;
    let error = answer.err().context("answered")?;
    ensure!(error.code() == Some("NoSuchChange"), "{error:?}");
    Ok(())
}
