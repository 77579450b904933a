//! Problems of an operator's input, of an event, or of a request to a function.

use std::fmt;

use crate::dns::{
    HostedZoneId, Percent, RecordName, RecordType, SetIdentifier, SetIdentifierTemplate, Side,
};
use crate::text::{LONGEST_EXECUTION_NAME, and_more, first_of, quoted, shortened};

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidInput {
    #[error("input: missing {}; a migration needs at least {}", missing.join(", "), required.join(", "))]
    Missing {
        missing: Vec<&'static str>,
        required: &'static [&'static str],
    },
    /// A value that does not parse, in the field at `path`.
    #[error("{path}: {problem}")]
    Field { path: String, problem: String },
    #[error("to: expected another set identifier than from, found {:?} in both", identifier.as_str())]
    SameSetIdentifier { identifier: SetIdentifierTemplate },
    #[error(
        "{side}: expected a set identifier with one `*` at most, found {} in {}", template.stars(), quoted(template.as_str())
    )]
    SeveralStars {
        side: Side,
        template: SetIdentifierTemplate,
    },
    #[error(
        "{side}: expected {template} to match one set identifier at each name, found {} at {name}: {}; add text beside the \
         `*` that only one of them has, or exclude the name",
        identifiers.len(),
        listed(identifiers)
    )]
    SeveralMatches {
        name: RecordName,
        side: Side,
        template: SetIdentifierTemplate,
        identifiers: Vec<SetIdentifier>,
    },
    #[error(
        "from: expected {from} to match another set identifier than {to} (`to`), found {identifier} at {name}, which both \
         match; add text beside the `*`, or exclude the name"
    )]
    MatchesBoth {
        name: RecordName,
        identifier: SetIdentifier,
        from: SetIdentifierTemplate,
        to: SetIdentifierTemplate,
    },
    #[error(
        "names: expected at least one name, found an empty list; leave `names` out to move every name that has records \
         of both sides"
    )]
    NoNames,
    #[error("probe.successes: expected at most probe.attempts ({attempts}), found {successes}")]
    MoreSuccessesThanAttempts { attempts: u32, successes: u32 },
    #[error(
        "probe.deadlineSeconds: expected at least {needed}, the time until a name that does not answer has failed \
         ((attempts - successes + 1) * attemptTimeoutSeconds), found {found}; with less, such a name would always be \
         inconclusive"
    )]
    ProbeDeadlineTooShort { needed: u32, found: u32 },
    #[error(
        "probe.expectedBody: expected some text, found an empty string; leave it out to accept any body"
    )]
    EmptyExpectedBody,
    #[error(
        "externalDns.{side}: expected txtPrefix or txtSuffix, found both, which ExternalDNS itself refuses"
    )]
    PrefixAndSuffix { side: &'static str },
    #[error(
        "alarms.{field}[{index}]: expected the name of an alarm or its beginning, found an empty string"
    )]
    EmptyAlarm { field: &'static str, index: usize },

    #[error(
        "recordsTimeoutSeconds: reading the zone {polls} times, once every {check_seconds} seconds, would need about \
         {events} events, and an execution may use {budget} of its 25000; increase checkSeconds"
    )]
    TooManyReads {
        polls: usize,
        check_seconds: u32,
        events: usize,
        budget: usize,
    },
    #[error(
        "names[{index}]: expected a name in the zone {zone_name} ({zone_id}), found {name}{}",
        did_you_mean(name, zone_name)
    )]
    NotInZone {
        index: usize,
        name: RecordName,
        zone_name: RecordName,
        zone_id: HostedZoneId,
    },
    #[error(
        "names: the journal of {name}, {}, would be longer than a DNS name can be; exclude the name",
        name.journal()
    )]
    TooLongForJournal { name: RecordName },
    #[error(
        "names: {name} would have the same journal as {other}, {}; exclude the name",
        name.journal()
    )]
    AmbiguousJournal { name: RecordName, other: RecordName },
    #[error(
        "maxBakeSeconds: expected at least the longest bake time ({longest_bake}), found {found}"
    )]
    MaxBakeTooShort { longest_bake: u32, found: u32 },
    #[error(
        "names: {names} names are too many for one migration, which would have {size} bytes as JSON, and at most \
         {largest} can be passed from state to state; split them into several migrations with `names` or `exclude`"
    )]
    TooManyNames {
        names: usize,
        size: usize,
        largest: usize,
    },
    #[error(
        "hostedZoneId: nobody asks the zone {zone_name} ({zone_id}): {zone_name} has no NS records, so its weights have no \
         effect; delegate it to this zone's name servers (NS records in the parent zone, or at the registrar)"
    )]
    NotDelegated {
        zone_name: RecordName,
        zone_id: HostedZoneId,
    },
    #[error(
        "hostedZoneId: nobody asks the zone {zone_name} ({zone_id}): {zone_name} is delegated to other name servers \
         ({name_servers}), so its weights have no effect; {}",
        match delegated {
            Some(id) => format!("these are of the zone {id} of the same name: move its records"),
            None => "find out which zone they serve, or delegate the name to this zone's name servers".to_owned(),
        }
    )]
    DelegatedElsewhere {
        zone_name: RecordName,
        zone_id: HostedZoneId,
        name_servers: String,
        /// The zone of these name servers, if it is in the same account.
        delegated: Option<HostedZoneId>,
    },
    #[error(
        "names: the zone has {count} of at most {limit} record sets, and the migration would add {journals} journals, one \
         for each name; delete records that nobody needs, move fewer names in one migration, or ask AWS for a higher \
         quota"
    )]
    TooManyRecords {
        count: usize,
        journals: usize,
        limit: usize,
    },
    #[error(
        "names: the record sets of {name} do not fit into one ChangeBatch of Route 53 (1000 records, 32000 characters); \
         exclude the name"
    )]
    NameTooLargeForBatch { name: RecordName },
    #[error(
        "readyTimeoutSeconds: {polls} checks before the first shift, one every {check_seconds} seconds, and {calls} calls \
         that shift the names would need about {events} events, and an execution may use {budget} of its 25000; increase \
         checkSeconds, lower readyTimeoutSeconds, or make fewer steps"
    )]
    TooManyPolls {
        polls: usize,
        check_seconds: u32,
        /// The calls of all steps.
        calls: usize,
        events: usize,
        budget: usize,
    },
    #[error(
        "maxBakeSeconds: the migration could take {seconds} seconds, more than the {longest} that its state machine \
         leaves for waits: {steps} steps of up to {max_bake_seconds} seconds (maxBakeSeconds) each, and {approvals} \
         approvals of up to {approval_timeout_seconds} seconds (approvalTimeoutSeconds) with one more check of up to \
         maxBakeSeconds each; lower maxBakeSeconds or approvalTimeoutSeconds, or make fewer steps"
    )]
    TooLong {
        seconds: u64,
        longest: u64,
        steps: usize,
        max_bake_seconds: u32,
        approvals: usize,
        approval_timeout_seconds: u32,
    },
    #[error(
        "probe.enabled: expected true, because the stack requires a probe (parameter RequireProbe), found false"
    )]
    ProbeRequired,
    #[error(
        "alarms: expected at least one alarm in `names` or `prefixes`, because the stack requires alarms (parameter \
         RequireAlarms), found none"
    )]
    AlarmsRequired,
    #[error(
        "steps: expected at most {largest} percent in the first step (parameter MaxFirstStepPercent of the stack), found \
         {found}"
    )]
    FirstStepTooLarge { largest: Percent, found: Percent },
    #[error(
        "bakeSeconds: expected a bake of at least {shortest} seconds at {percent} percent (parameter MinBakeSeconds of \
         the stack), found {found}"
    )]
    BakeTooShort {
        percent: Percent,
        shortest: u32,
        found: u32,
    },
    /// No total of weights makes every step exact.
    #[error("steps: {problem}")]
    InexactSteps { problem: String },
    #[error(
        "steps: {percent} percent can't be expressed at {name} {record_type}: {problem}; {}, or exclude the name",
        remedy.as_deref().unwrap_or("choose another percent")
    )]
    InexactStep {
        percent: Percent,
        name: RecordName,
        record_type: RecordType,
        problem: String,
        /// Which other weights would express all steps; none if there are none.
        remedy: Option<String>,
    },

    #[error(
        "{field}: {name} was leased by an execution for which the registry TXT records were named by {saved}, and this one \
         has {found}; write the same into {field}"
    )]
    OtherRegistryNames {
        field: &'static str,
        name: RecordName,
        saved: String,
        found: String,
    },
    #[error(
        "{field}: expected the flags that name the registry TXT records of {side}, found {told}, by which the names \
         that move have no TXT; the zone has {found}: compare with the --txt-prefix, --txt-suffix and \
         --txt-wildcard-replacement of the ExternalDNS of {side}, and write these into {field}"
    )]
    OtherRegistryFlags {
        field: &'static str,
        side: SetIdentifierTemplate,
        told: String,
        found: NamedText,
    },
    #[error(
        "{field}: two registry TXT records of {side} are for the {record_type} record of {name} and for {resource}: {one}, and \
         {other}{}; ExternalDNS keeps up only those that its flags name, {}; write the --txt-prefix, --txt-suffix and \
         --txt-wildcard-replacement that the ExternalDNS of {side} runs with into {field}, and leave both TXT records \
         as they are",
        and_more(*more),
        live_text(live.as_ref())
    )]
    TwoRegistryTexts {
        field: &'static str,
        side: SetIdentifierTemplate,
        name: RecordName,
        record_type: RecordType,
        resource: String,
        one: NamedText,
        other: NamedText,
        /// The number of further records with two.
        more: usize,
        live: Option<LiveText>,
    },
    #[error(
        "{field}: the registry TXT records of {side} may be named by several flags: {one}, or {other}; write the \
         --txt-prefix, --txt-suffix and --txt-wildcard-replacement that the ExternalDNS of {side} runs with into {field}, \
         and exclude the names whose TXT records have other names"
    )]
    SeveralRegistryFlags {
        field: &'static str,
        side: SetIdentifierTemplate,
        one: NamedText,
        other: NamedText,
    },
    #[error(
        "externalDns.mode: the registry TXT {txt} is encrypted (--txt-encrypt-enabled) and can't be leased; run the \
         ExternalDNS of {side} with --policy=create-only during the migration and set externalDns.mode to \"ignore\", or \
         exclude the name"
    )]
    EncryptedRegistry {
        txt: RecordName,
        side: SetIdentifier,
    },
    #[error(
        "externalDns.mode: the registry TXT {txt} can't be leased, because its value would have more than 255 \
         characters; shorten the name of the Ingress or Service, or exclude the name"
    )]
    NoRoomForLease { txt: RecordName },
    #[error(
        "{field}: two registry TXT records of {side} for the same record of {name} have different owners, {one} and \
         {other} ({txt}); delete the TXT record that is no longer used, or exclude the name"
    )]
    TwoOwners {
        field: &'static str,
        name: RecordName,
        side: SetIdentifier,
        one: String,
        other: String,
        txt: RecordName,
    },

    #[error(
        "hostedZoneId: expected the id of the zone, found none, and the input of execution {} has none either",
        shortened(execution, LONGEST_EXECUTION_NAME)
    )]
    NoZoneInExecution { execution: String },
    #[error("hostedZoneId: expected the id of the zone together with `names`, found none")]
    NamesWithoutZone,
    #[error(
        "input: trustForeignJournals needs `hostedZoneId` and `names`, each name in full and without `*`, because the \
         weights are written that these journals have, whoever wrote them"
    )]
    ForeignJournalsWithoutNames,
    #[error(
        "input: expected `execution`, `alarm`, or `hostedZoneId` and `names`, found none of them"
    )]
    NothingToRollBack,
    #[error("input: expected one of `execution`, `alarm` and `names`, found more than one")]
    SeveralToRollBack,
    #[error(
        "detail-type: expected \"CloudWatch Alarm State Change\" or \"Step Functions Execution Status Change\", found {}",
        quoted(found)
    )]
    OtherEvent { found: String },
    #[error(
        "state.timestamp: expected a time such as 2019-10-02T17:04:40.989+0000, found {}",
        quoted(found)
    )]
    Timestamp { found: String },
    #[error("templateTexts: {problem}")]
    TemplateTexts { problem: String },
    #[error("migration.names: expected at least one name, found none")]
    NoNamesToProbe,
    #[error("step: expected the index of one of {steps} steps, found {found}")]
    NoSuchStep { steps: usize, found: usize },
    #[error("{action} refused the request ({answer})")]
    RefusedByAws { action: String, answer: String },
}

/// A registry TXT, and the flags that name it, as an input has them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamedText {
    pub txt: Option<RecordName>,
    pub flags: String,
}

impl fmt::Display for NamedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.txt {
            Some(txt) => write!(f, "{txt} (by {})", self.flags),
            None => write!(f, "none (by {})", self.flags),
        }
    }
}

/// Which of two registry TXT records ExternalDNS probably keeps up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LiveText {
    /// The flags that name it.
    pub flags: String,
    /// Whether the weights tell, and not the types in the names.
    pub by_weight: bool,
}

fn live_text(live: Option<&LiveText>) -> String {
    match live {
        None => "and the zone does not show which these are".to_owned(),
        Some(LiveText { flags, by_weight }) => {
            let reason = if *by_weight {
                "whose TXT records have the weights of their records"
            } else {
                "whose names have the type of the record, as in all versions since v0.12"
            };
            format!("probably {flags}, {reason}")
        }
    }
}

/// The maximum number of set identifiers that a message lists.
const LISTED_IDENTIFIERS: usize = 10;

fn listed(identifiers: &[SetIdentifier]) -> String {
    let identifiers: Vec<_> = identifiers.iter().map(ToString::to_string).collect();
    first_of(&identifiers, LISTED_IDENTIFIERS)
}

/// A single label is most likely meant relative to the zone.
fn did_you_mean(name: &RecordName, zone_name: &RecordName) -> String {
    if name.as_str().contains('.') {
        String::new()
    } else {
        format!("; did you mean {name}.{zone_name}?")
    }
}
