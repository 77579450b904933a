//! Names that can't be changed because of their journal: it is another migration's, or the zone differs
//! from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::dns::{
    HostedZoneId, Percent, RecordName, RecordType, SetIdentifier, SetIdentifierTemplate, Weights,
};
use crate::text::{LONGEST_EXECUTION_NAME, first_of, shortened};

/// A TXT record at the name of a journal that is no journal of this stack.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the TXT record {record} is not trusted as a journal: {problem}; if no migration wrote it, delete it, otherwise \
     restore the value that the migration wrote (infra/README.md, \"A journal was deleted or edited\")"
)]
pub struct UntrustedJournal {
    pub record: RecordName,
    pub problem: String,
}

/// Found before a migration or a release writes. While a migration runs, a journal that is not as it wrote it
/// is [`Drift`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Busy {
    #[error(
        "{name} is still leased by the execution {execution}, which has completed ({from} to {to}); release it: start \
         the release state machine with {{\"execution\": \"{execution}\"}}{}",
        if *is_being_deleted {
            ""
        } else {
            "; or roll it back: start the rollback state machine with the same input"
        }
    )]
    Unreleased {
        name: RecordName,
        execution: String,
        from: SetIdentifier,
        to: SetIdentifier,
        /// Whether its journals are being deleted, after which it can't be rolled back.
        is_being_deleted: bool,
    },
    #[error(
        "{name} has the journal of the execution {execution} ({from} to {to}, at {percent} percent), which is running, or \
         is unknown to this stack; wait until it has ended, or roll it back: {}, and add \"hostedZoneId\" if it belongs \
         to another stack; if it completed more than 90 days ago, release it with the same input",
        roll_back(execution)
    )]
    RunningOrUnknown {
        name: RecordName,
        execution: String,
        from: SetIdentifier,
        to: SetIdentifier,
        percent: Percent,
    },
    #[error(
        "{name} has the journal of the execution {execution}, which ended at {percent} percent ({from} to {to}); finish \
         it with an execution from {from} to {to}, or roll it back: {}",
        roll_back(execution)
    )]
    OtherDirection {
        name: RecordName,
        execution: String,
        from: SetIdentifier,
        to: SetIdentifier,
        percent: Percent,
    },
    #[error(
        "{name} has a journal of the execution {execution}, which was rolled back since then: another writer has put the \
         journal back; if the weights of {name} are right, delete the TXT record {}",
        name.journal()
    )]
    RolledBack { name: RecordName, execution: String },
    #[error(transparent)]
    UntrustedJournal(UntrustedJournal),
    /// The journal of an ended execution, which is therefore not adopted.
    #[error("{0}; a journal that another writer has put back after a rollback looks the same")]
    Changed(Box<Drift>),
    #[error(
        "the registry TXT {txt} is leased by a migration, but no journal has its original owner; write the owner id of \
         the ExternalDNS of {side} back into it"
    )]
    UnknownOwner {
        txt: RecordName,
        side: SetIdentifier,
    },
    #[error(
        "the names have journals of {found} executions that ended without success, and an execution can adopt those of \
         {most}: roll some of them back: {}",
        roll_back(execution)
    )]
    TooManyToAdopt {
        found: usize,
        most: usize,
        /// One of them.
        execution: String,
    },
    #[error(
        "the execution {execution} has completed, but not all of its journals were deleted; {}, which deletes them and \
         changes no weight",
        roll_back(execution)
    )]
    JournalsLeft { execution: String },
    #[error(
        "the execution {execution} {}, and its names are at {percent} percent; only a completed migration can be \
         released: finish it with an execution from {from} to {to}, or roll it back",
        if *is_running { "is still running" } else { "has not completed" }
    )]
    NotCompleted {
        execution: String,
        is_running: bool,
        percent: Percent,
        from: SetIdentifierTemplate,
        to: SetIdentifierTemplate,
    },
}

/// The weights of a name's pairs that differ from its journal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FoundWeights {
    pub found: BTreeMap<RecordType, Weights>,
    pub written: BTreeMap<RecordType, Weights>,
}

impl fmt::Display for FoundWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, written } = self;
        let shown = |weights: Option<&Weights>| {
            weights.map_or_else(|| "no pair".to_owned(), ToString::to_string)
        };
        let types: BTreeSet<_> = written.keys().chain(found.keys()).collect();
        let differences: Vec<_> = types
            .into_iter()
            .filter(|record_type| written.get(record_type) != found.get(record_type))
            .map(|record_type| {
                format!(
                    "{record_type} {} instead of {}",
                    shown(found.get(record_type)),
                    shown(written.get(record_type))
                )
            })
            .collect();
        f.write_str(&differences.join(", "))
    }
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Drift {
    #[error(
        "another writer changed {name}: its weights ({from}/{to}) are {weights}, which execution {execution} last wrote; \
         {}; then put the weights back and start a new execution, or roll back: {}",
        suspect(external_dns_owners),
        roll_back(execution)
    )]
    Weights {
        name: RecordName,
        execution: String,
        from: SetIdentifier,
        to: SetIdentifier,
        weights: FoundWeights,
        /// The owner ids in the name's registry TXT records.
        external_dns_owners: Vec<String>,
    },
    #[error(
        "the journal {} is gone: another writer deleted it, or rolled {name} back, while execution {execution} was \
         running; nothing more is written to this name; unless it was rolled back, {}",
        name.journal(),
        write_journal_again(execution)
    )]
    JournalGone { name: RecordName, execution: String },
    #[error(
        "another writer gave the {record_type} record {} of {name} the weight {weight}, while execution {execution} was \
         moving the name; such records had weight 0 before, so that the weights of {execution} could have any total, and \
         its next change would give that record another share; nothing more is written to this name; set that record to 0 \
         again, or roll back: {}",
        other.as_str(),
        roll_back(execution)
    )]
    ShareOfOther {
        name: RecordName,
        record_type: RecordType,
        /// Its set identifier.
        other: SetIdentifier,
        weight: u8,
        execution: String,
    },
    #[error(
        "another writer changed {name}: its {record_type} record of {side}, the only one of this type, has {} instead of \
         {}, which execution {execution} last wrote; find out who wrote it, put it back and start a new execution, or \
         roll back: {}",
        weight_or_none(*found),
        weight_or_none(*written),
        roll_back(execution)
    )]
    LoneWeight {
        name: RecordName,
        record_type: RecordType,
        side: SetIdentifier,
        /// None if there is no such record.
        found: Option<u8>,
        written: Option<u8>,
        execution: String,
    },
    #[error(
        "of the {planned} journals that execution {execution} was to adopt from {}, only {found} are left: another writer \
         deleted the others, or rolled their names back; nothing is written; unless they were rolled back, write them \
         again (infra/README.md, \"A journal was deleted or edited\"); then start a new execution, which plans again",
        listed(adopted)
    )]
    AdoptedJournalsGone {
        execution: String,
        adopted: BTreeSet<String>,
        planned: usize,
        found: usize,
    },
    #[error(
        "the journal {} is not trusted: {problem}; another writer changed it while execution {execution} was running; \
         nothing more is written to {name}; {}",
        name.journal(),
        write_journal_again(execution)
    )]
    JournalUntrusted {
        name: RecordName,
        problem: String,
        execution: String,
    },
    #[error(
        "the journal {} belongs to the execution {other} ({from} to {to}, at {percent} percent), while execution \
         {execution} is running; nothing more is written to {name}; find out who wrote the journal: if that execution has \
         moved the name, wait until it has ended, or roll it back: {}; if somebody edited the journal of {execution}, {}",
        name.journal(),
        roll_back(other),
        write_journal_again(execution)
    )]
    JournalOfOther {
        name: RecordName,
        execution: String,
        other: String,
        from: SetIdentifier,
        to: SetIdentifier,
        percent: Percent,
    },
    #[error(
        "another writer put an older journal back at {} while execution {execution} was running: it says {found} percent, \
         and the migration had reached {reached}; nothing more is written to {name}; {}",
        name.journal(),
        write_journal_again(execution)
    )]
    JournalOlder {
        name: RecordName,
        execution: String,
        found: Percent,
        reached: Percent,
    },
    #[error(
        "the registry TXT {txt} is leased, and the journal {} of execution {execution} does not have its original owner: \
         another writer leased it, or created it; write the owner id of the side's ExternalDNS back into it, then start a \
         new execution, or roll back: {}",
        name.journal(),
        roll_back(execution)
    )]
    LeasedWithoutOwner {
        name: RecordName,
        txt: RecordName,
        execution: String,
    },
    /// `problem` is the error with which a plan would refuse the records.
    #[error(
        "the ExternalDNS registry of {name} has changed since execution {execution} was planned: {problem}; then start a \
         new execution, or roll back: {}",
        roll_back(execution)
    )]
    Registry {
        name: RecordName,
        execution: String,
        problem: String,
    },
    #[error(
        "the registry TXT {txt} has the owner {found}, although execution {execution} leased it from {owner}: ExternalDNS \
         would put the weights back; find out who wrote it, then start a new execution, or roll back: {}",
        roll_back(execution)
    )]
    LeaseLost {
        txt: RecordName,
        found: String,
        owner: String,
        execution: String,
    },
    #[error(
        "another writer (ExternalDNS, Terraform, a person) changed {name}: it has {percent} percent on {to}, although the \
         migration had reached 100"
    )]
    BelowAll {
        name: RecordName,
        percent: Percent,
        to: SetIdentifier,
    },
    #[error(
        "another writer changed {name}: it has {percent} percent on {to}, and had at least {planned} when the migration \
         was planned; start a new execution, which plans again"
    )]
    BelowPlan {
        name: RecordName,
        percent: Percent,
        to: SetIdentifier,
        planned: Percent,
    },
    #[error(
        "another writer changed {name}: the weight of {side} is {found} instead of {written}, which execution {execution} \
         last wrote; put the weight back and release again, or roll back: {}",
        roll_back(execution)
    )]
    LeasedWeight {
        name: RecordName,
        side: SetIdentifier,
        found: u8,
        written: u8,
        execution: String,
    },
    #[error(
        "the {record_type} record of {side} at {name}, which had traffic, is gone; if ExternalDNS deleted it, the \
         Ingress or Service in the cluster of {side} no longer has this name; create the record again and release \
         again, or roll this name back first: start the rollback state machine with {{\"hostedZoneId\": \"{zone_id}\", \
         \"names\": [\"{}\"]}}",
        name.as_str().replace('\\', "\\\\")
    )]
    RecordGone {
        name: RecordName,
        record_type: RecordType,
        side: SetIdentifier,
        zone_id: HostedZoneId,
    },
    #[error(
        "the journal {} is gone: another writer deleted it, rolled {name} back, or released it with another execution",
        name.journal()
    )]
    ReleasedJournalGone { name: RecordName },
    #[error(
        "the journal {} is not trusted: {problem}; another writer changed it; write it again (infra/README.md, \"A \
         journal was deleted or edited\"), then release again",
        name.journal()
    )]
    ReleasedJournalUntrusted { name: RecordName, problem: String },
}

fn weight_or_none(weight: Option<u8>) -> String {
    weight.map_or_else(
        || "no weight".to_owned(),
        |weight| format!("weight {weight}"),
    )
}

fn suspect(external_dns_owners: &[String]) -> String {
    if external_dns_owners.is_empty() {
        return "find out who wrote them (ExternalDNS, Terraform, a person)".to_owned();
    }
    format!(
        "the writer was most likely ExternalDNS (owner {}), which puts weights back unless it runs with \
         --policy=create-only or its names are leased (externalDns.mode): change one of these",
        external_dns_owners.join(", ")
    )
}

/// ExternalDNS overwrote the weight of a name that was given back to it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{name} snapped back: ExternalDNS changed the weight of {side} from {reached} to {found} ({}), because its \
     annotation aws-weight (external-dns.kubernetes.io/, up to v0.21 external-dns.alpha.kubernetes.io/) is still \
     {found}; set it to \"{reached}\", sync it, and release again",
    owners.join("; ")
)]
pub struct SnappedBack {
    pub name: RecordName,
    pub side: SetIdentifier,
    pub reached: u8,
    pub found: u8,
    /// The owner ids of ExternalDNS, with the Kubernetes objects of the records if they are known.
    pub owners: Vec<String>,
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Conflict {
    #[error(
        "{name} was changed by another writer between reading and writing; nothing was overwritten ({problem})"
    )]
    Overtaken { name: RecordName, problem: String },
    #[error(
        "{name} was leased again by another release of the execution {execution}; wait until that one has ended, then release again"
    )]
    LeasedAgain { name: RecordName, execution: String },
}

/// The names of executions, and how many more there are.
fn listed(executions: &BTreeSet<String>) -> String {
    const SHOWN: usize = 5;
    let names = executions.iter();
    let names: Vec<_> = names
        .map(|name| shortened(name, LONGEST_EXECUTION_NAME))
        .collect();
    first_of(&names, SHOWN)
}

/// What an operator does about a journal that is gone or was edited.
fn write_journal_again(execution: &str) -> String {
    format!(
        "write the journal again (infra/README.md, \"A journal was deleted or edited\"), then start a new execution, or \
         roll back: {}",
        roll_back(execution)
    )
}

/// The input with which an operator rolls an execution back, for a message.
fn roll_back(execution: &str) -> String {
    format!("start the rollback state machine with {{\"execution\": \"{execution}\"}}")
}
