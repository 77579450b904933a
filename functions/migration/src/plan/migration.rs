//! A planned migration.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::dns::{
    HostedZoneId, Percent, RecordName, SetIdentifier, SetIdentifierTemplate, Sides, TemplateTexts,
    WeightTotal, Zone, ZoneNames,
};
use crate::error::InvalidInput;
use crate::external_dns::ExternalDns;
use crate::input::{Alarms, Probe, Reaction, Step, TtlFactor};
use crate::journal::ExecutionIdentity;

/// A planned migration with every default filled in. The state machine passes it from state to state and
/// to the functions as JSON.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Migration {
    /// The execution that the migration was planned for.
    pub execution: ExecutionIdentity,
    /// How often it had been redriven when it was planned. It continues with the variables of its plan, so it
    /// must be planned again after another redrive.
    pub redrives: u32,
    pub hosted_zone_id: HostedZoneId,
    /// The set identifiers of the two sides, or templates for them.
    pub from: SetIdentifierTemplate,
    pub to: SetIdentifierTemplate,
    /// All names that move, and the name of the zone.
    pub names: ZoneNames,
    /// What the `*` of the templates stands for at each name.
    #[serde(default, skip_serializing_if = "TemplateTexts::is_empty")]
    pub template_texts: TemplateTexts,
    /// The lowest share of `to` when the migration was planned. The steps up to it are left out, so the
    /// first shift must find at least this share.
    pub start_percent: Percent,
    /// The ended executions of the journals that this migration adopts.
    pub adopted: BTreeSet<ExecutionIdentity>,
    /// How many names have one of these journals. The first shift must find at least as many: without its
    /// journal, a name would be shifted as if its weights were the original ones.
    pub adopted_journals: usize,
    pub steps: Vec<Step>,
    /// The total of a pair's weights, if no other record of its name has a share.
    pub weight_total: WeightTotal,
    pub max_bake_seconds: u32,
    pub check_seconds: u32,
    pub failure_threshold: u32,
    pub ttl_factor: TtlFactor,
    pub ready_timeout_seconds: u32,
    pub approval_timeout_seconds: u32,
    pub probe: Probe,
    pub alarms: Alarms,
    pub external_dns: ExternalDns,
    pub on_failure: Reaction,
    pub on_refusal: Reaction,
    pub on_drift: Reaction,
    /// Whether clients of one type may be on one side, whatever the weights are; see
    /// [`LoneRecord`](crate::journal::LoneRecord).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accept_one_sided_types: bool,
    pub dry_run: bool,
}

impl Migration {
    /// The set identifiers of each name, in the order of the names.
    ///
    /// # Errors
    /// [`InvalidInput`] if this was written by hand, and not for each name.
    pub fn identifiers(&self) -> Result<Vec<Sides<SetIdentifier>>, Error> {
        let templates = Sides {
            from: &self.from,
            to: &self.to,
        };
        let identifiers = self.template_texts.identifiers(templates, self.names.len());
        Ok(identifiers.map_err(|problem| InvalidInput::TemplateTexts { problem })?)
    }

    /// The longest time for which resolvers may cache an answer for one of the names.
    pub fn ttl_seconds(&self, zone: &Zone) -> u32 {
        self.names
            .iter()
            .map(|name| zone.ttl_seconds(name))
            .max()
            .unwrap_or_default()
    }

    /// Every name at which the migration reads or writes records.
    pub fn record_names(&self) -> BTreeSet<RecordName> {
        self.external_dns.record_names(&self.names)
    }
}
