//! Whether the function probe can probe a name of the user's.

use anyhow::{Context, Result, anyhow, bail};
use migration::dns::{RecordName, RecordSet};
use serde_json::{Value, json};

use super::deployed::Deployed;
use super::scratch::{FROM, Scratch};

/// Has the function `probe` probe a name on the side that has the larger weight, as a migration with the default
/// probe would.
pub(crate) async fn check(
    deployed: &Deployed<'_>,
    scratch: &Scratch,
    name: &str,
) -> Result<String> {
    let name: RecordName = name
        .parse()
        .map_err(|problem| anyhow!("--probe: {problem}"))?;
    let records = scratch.at(&name).await?;
    let weighted = records.iter().filter(|record| record.record_type.moves());
    let heaviest = weighted
        .filter_map(RecordSet::weighted)
        .max_by_key(|(_, weight)| *weight);
    let (side, _) = heaviest.with_context(|| {
        format!(
            "{name} has no weighted A, AAAA or CNAME record in the zone {}",
            scratch.zone_name
        )
    })?;
    let event = json!({ "migration": migration(scratch, &name, side.as_str()) });
    let report = deployed.invoke("probe", &event).await?;
    let text = |key: &str| report.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("verdict") != "pass" {
        bail!("{}: {}", text("verdict"), text("reason"));
    }
    Ok(text("reason").to_owned())
}

/// A migration of this name to this side, as far as the probe reads it.
fn migration(scratch: &Scratch, name: &RecordName, side: &str) -> Value {
    let no_flags = json!({ "txtPrefix": "", "txtSuffix": "", "txtWildcardReplacement": "" });
    json!({
        "execution": "0000000000000000/self-test",
        "redrives": 0,
        "hostedZoneId": scratch.zone.as_str(),
        "from": FROM,
        "to": side,
        "names": { "zone": scratch.zone_name.to_string(), "relative": [name.fully_qualified()] },
        "startPercent": 0,
        "adopted": [],
        "adoptedJournals": 0,
        "steps": [],
        "weightTotal": 100,
        "maxBakeSeconds": 0,
        "checkSeconds": 60,
        "failureThreshold": 1,
        "ttlFactor": 1,
        "readyTimeoutSeconds": 0,
        "approvalTimeoutSeconds": 1,
        "probe": {},
        "alarms": {},
        "externalDns": { "mode": "ignore", "from": no_flags, "to": no_flags },
        "onFailure": "rollback",
        "onRefusal": "rollback",
        "onDrift": "hold",
        "dryRun": true,
    })
}
