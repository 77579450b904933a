//! From an operator's input and the zone to a migration that can be carried out, and to the plan that an
//! operator reads before it starts.
//!
//! The plan refuses everything that is known to make the migration fail later: names without a
//! pair, percents without weights, journals of other migrations, and migrations that exceed the limits
//! of Step Functions. Planning reads and writes nothing itself.

mod budget;
mod delegated;
mod external_dns_warnings;
mod finding;
mod identifiers;
mod migration;
mod name_table;
mod one_sided;
mod owner_warnings;
mod problems;
mod record_limit;
mod registry_flags;
mod rollback_time;
mod scratch_names;
mod selection;
mod stack_settings;
mod stays;
mod step_table;
mod summary;
mod warning;
mod weight_remedy;

pub use budget::{
    Awaited, EVENTS_OF_A_FURTHER_CALL, EVENTS_OF_A_POLL, EVENTS_OF_A_STEP, HISTORY_BUDGET, awaited,
};
pub use external_dns_warnings::OwnerCounts;
pub use migration::Migration;
pub use name_table::{NameRow, NameTable, Outcome};
pub use scratch_names::SELF_TEST_LABEL;
pub use stack_settings::StackSettings;
pub use step_table::{Plan, PlannedStep};
pub use warning::Warning;

use std::collections::BTreeSet;

use crate::Error;
use crate::delegation::Delegation;
use crate::dns::{RecordName, Sides, TemplateTexts, WeightTotal, Zone, ZoneNames};
use crate::error::{AllZeroWeights, Busy, InvalidInput};
use crate::external_dns::RegistryNames;
use crate::input::{Input, Step};
use crate::journal::{ExecutionIdentity, Journal, PairedName, Writer, lowest_percent, pair};
use crate::route53::RecordLimit;
use budget::reject_too_large;
use delegated::delegation_warning;
use external_dns_warnings::external_dns_warnings;
use identifiers::IdentifiersInZone;
use one_sided::one_sided_warning;
use problems::Problems;
use record_limit::record_limit_warning;
use registry_flags::registries;
use rollback_time::long_ttl_warning;
use selection::select_names;
use stays::stay_warnings;
use step_table::describe;
use summary::summary;

/// The most executions whose journals one execution adopts. Each of its journals lists them, and a TXT value
/// has at most 4,000 characters.
///
/// Source: Route 53 API Reference, `ResourceRecord`.
const MOST_ADOPTED: usize = 10;

/// What Route 53 says about a zone besides its record sets. What it did not answer is an error, and no reason to
/// refuse a plan.
#[derive(Clone, Debug)]
pub struct ZoneFacts {
    pub delegation: Result<Delegation, Error>,
    pub record_limit: Result<RecordLimit, Error>,
}

/// Plans the migration of `input` by the execution `writer`, in a stack with these `settings`. The plan finds out what
/// the writer adopts, and the flags of each side's ExternalDNS. Its zone is the whole one, because it needs the TXT
/// records of flags that it does not know.
///
/// # Errors
/// The problem that stands in the way, or [`Error::Refused`] with all problems of the input and of the names.
pub fn plan(
    input: &Input,
    writer: &Writer<'_>,
    settings: &StackSettings,
    facts: &ZoneFacts,
) -> Result<(Migration, Plan), Error> {
    let zone = writer.journals.zone;
    let mut warnings = Vec::new();
    let mut problems = Problems::default();
    let identifiers = IdentifiersInZone::new(input, zone);
    let names = select_names(input, &identifiers, zone, &mut warnings, &mut problems);
    let zone_names = ZoneNames::new(zone.name.clone(), names.clone());
    problems.take(settings.check_input(input, &zone_names));
    let mut registries = match registries(input, &identifiers, zone, &names) {
        Ok(registries) => registries,
        Err(problem) => return Err(problems.refused_with(problem)),
    };
    warnings.append(&mut registries.warnings);
    let external_dns = &registries.external_dns;
    let pairing = Pairing {
        identifiers: &identifiers,
        registry_names: external_dns.names(),
        writer,
    };
    let (paired_names, adoption) = pairing.pair_names(&names, &mut problems);
    problems.take(adoption.reject_too_many());
    let mut steps = input.steps.with_default_bake(input.bake_seconds.get());
    // Without it, no step of any name could be expressed.
    let weight_total = match weight_total(&steps, &paired_names) {
        Ok(total) => total,
        Err(problem) => return Err(problems.refused_with(problem)),
    };
    problems.take(leave_out_reached(&mut steps, &paired_names, &adoption));
    let max_bake_seconds = problems.take(max_bake_seconds(input, &steps));
    let migration = Migration {
        execution: writer.execution.clone(),
        redrives: writer.redrives,
        hosted_zone_id: zone.id.clone(),
        from: input.from.clone(),
        to: input.to.clone(),
        names: zone_names,
        template_texts: template_texts(input, &paired_names),
        start_percent: lowest_percent(&paired_names),
        adopted: adoption.executions,
        adopted_journals: adoption.journals,
        steps,
        weight_total,
        max_bake_seconds: max_bake_seconds.unwrap_or_default(),
        check_seconds: input.check_seconds.get(),
        failure_threshold: input.failure_threshold.get(),
        ttl_factor: input.ttl_factor,
        ready_timeout_seconds: input.ready_timeout_seconds.get(),
        approval_timeout_seconds: input.approval_timeout_seconds.get(),
        probe: input.probe.clone(),
        alarms: input.alarms.clone(),
        external_dns: external_dns.clone(),
        on_failure: input.on_failure,
        on_refusal: input.on_refusal,
        on_drift: input.on_drift,
        accept_one_sided_types: input.accept_one_sided_types,
        dry_run: input.dry_run,
    };
    problems.take(reject_too_large(&migration));
    let one_sided = problems.take(one_sided_warning(input, &paired_names));
    warnings.extend(one_sided.flatten());
    warnings.extend(stay_warnings(input, zone, &names));
    warnings.extend(external_dns_warnings(
        input,
        zone,
        &registries,
        &paired_names,
    ));
    warnings.extend(settings.alarm_warning(&input.alarms));
    warnings.extend(long_ttl_warning(zone, &names));
    warnings.extend(delegation_warning(&facts.delegation, zone, &mut problems));
    warnings.extend(record_limit_warning(
        &facts.record_limit,
        &paired_names,
        &mut problems,
    ));
    let writer = Writer {
        adopted: &migration.adopted,
        external_dns,
        ..*writer
    };
    let mut plan = describe(
        &migration,
        input,
        &identifiers,
        &paired_names,
        &writer,
        warnings,
        &mut problems,
    );
    problems.refuse()?;
    plan.summary = summary(&migration, &plan);
    Ok((migration, plan))
}

/// Leaves out the steps that all names have reached.
///
/// # Errors
/// [`Busy::JournalsLeft`] if steps are left, and an execution has completed without deleting all of its journals.
fn leave_out_reached(
    steps: &mut Vec<Step>,
    paired_names: &[PairedName<'_>],
    adoption: &Adoption,
) -> Result<(), Error> {
    let Adoption {
        executions: adopted,
        completed,
        ..
    } = adoption;
    let last_step = steps.last().copied();
    steps.retain(|step| {
        !paired_names
            .iter()
            .all(|paired| paired.reaches(step.percent))
    });
    if let Some(execution) = completed.first()
        && !(steps.is_empty() && adopted == completed)
    {
        return Err(Error::from(Busy::JournalsLeft {
            execution: execution.name().to_owned(),
        }));
    }
    if steps.is_empty() && adopted != completed {
        // The adopted execution ended at 100 percent without completing. The last step is made again, so
        // that health is checked before the journals are deleted.
        steps.extend(last_step);
    }
    Ok(())
}

/// How long a step may bake.
///
/// # Errors
/// [`InvalidInput::MaxBakeTooShort`] if it is shorter than the bake time of one of `steps`.
fn max_bake_seconds(input: &Input, steps: &[Step]) -> Result<u32, Error> {
    let longest_bake = steps.iter().map(|step| step.bake_seconds).max();
    let longest_bake = longest_bake.unwrap_or_default();
    match input.max_bake_seconds {
        Some(max_bake) if max_bake.get() < longest_bake => {
            Err(Error::from(InvalidInput::MaxBakeTooShort {
                longest_bake,
                found: max_bake.get(),
            }))
        }
        Some(max_bake) => Ok(max_bake.get()),
        None => Ok((2 * longest_bake).max(3_600)),
    }
}

/// What decides how the records of a name are paired.
struct Pairing<'a, 'i> {
    identifiers: &'i IdentifiersInZone<'i>,
    registry_names: Sides<&'i RegistryNames>,
    writer: &'i Writer<'a>,
}

impl<'a> Pairing<'a, '_> {
    /// Pairs the records of the names, in their order, and collects which journals the migration adopts. Names with a
    /// problem are left out.
    fn pair_names(
        &self,
        names: &'a [RecordName],
        problems: &mut Problems,
    ) -> (Vec<PairedName<'a>>, Adoption) {
        let mut adoption = Adoption::default();
        let mut paired_names = Vec::with_capacity(names.len());
        for name in names {
            let Some((paired, journal)) = problems.take_of(name, self.pair_name(name)) else {
                continue;
            };
            if let Some(journal) = journal {
                adoption.add(&journal);
            }
            paired_names.push(paired);
        }
        (paired_names, adoption)
    }

    /// Pairs the records of a name. Returns also the journal that the migration adopts, or its own.
    fn pair_name(&self, name: &'a RecordName) -> Result<(PairedName<'a>, Option<Journal>), Error> {
        if name.is_too_long_for_a_journal() {
            return Err(Error::from(InvalidInput::TooLongForJournal {
                name: name.clone(),
            }));
        }
        if let Some(other) = name.journal().journaled().filter(|other| other != name) {
            return Err(Error::from(InvalidInput::AmbiguousJournal {
                name: name.clone(),
                other,
            }));
        }
        let journals = &self.writer.journals;
        let Sides { from, to } = self.identifiers.sides_at(name)?;
        let paired = pair(journals, name, &from, &to, self.registry_names);
        if let Err(Error::NoSuchPair(_)) = paired {
            // Another migration is in the way first: it may end, and its records may come or go with it.
            self.writer.adoptable(name, &journals.at(name))?;
        }
        let paired = paired?;
        reject_all_zero(journals.zone, &paired)?;
        let journal = self.writer.own_or_adoptable(&paired)?;
        let journal = journal.map(|entry| entry.journal.clone());
        Ok((paired, journal))
    }
}

fn template_texts(input: &Input, paired_names: &[PairedName<'_>]) -> TemplateTexts {
    let templates = Sides {
        from: &input.from,
        to: &input.to,
    };
    let identifiers = paired_names
        .iter()
        .map(|paired| paired.identifiers.as_ref());
    TemplateTexts::new(templates, &identifiers.collect::<Vec<_>>())
}

/// What a migration adopts.
#[derive(Default)]
struct Adoption {
    executions: BTreeSet<ExecutionIdentity>,
    journals: usize,
    /// Those of the executions that have completed, and whose journals were being deleted.
    completed: BTreeSet<ExecutionIdentity>,
}

impl Adoption {
    fn add(&mut self, journal: &Journal) {
        self.executions.insert(journal.execution.clone());
        self.journals += 1;
        if journal.completed {
            self.completed.insert(journal.execution.clone());
        }
    }

    fn reject_too_many(&self) -> Result<(), Error> {
        match self.executions.last() {
            Some(execution) if self.executions.len() > MOST_ADOPTED => {
                Err(Error::from(Busy::TooManyToAdopt {
                    found: self.executions.len(),
                    most: MOST_ADOPTED,
                    execution: execution.name().to_owned(),
                }))
            }
            _ => Ok(()),
        }
    }
}

fn weight_total(steps: &[Step], paired_names: &[PairedName<'_>]) -> Result<WeightTotal, Error> {
    let percents: Vec<_> = steps.iter().map(|step| step.percent).collect();
    let uses_total = paired_names
        .iter()
        .flat_map(|paired| paired.pairs.values())
        .any(|pair| pair.other_with_share.is_none());
    match WeightTotal::for_percents(&percents) {
        Err(problem) if uses_total => Err(Error::from(InvalidInput::InexactSteps { problem })),
        total => Ok(total.unwrap_or_default()),
    }
}

fn reject_all_zero(zone: &Zone, paired: &PairedName<'_>) -> Result<(), Error> {
    for (record_type, pair) in &paired.pairs {
        if !pair.weights.are_zero() {
            continue;
        }
        let name = paired.name;
        let others_serve = zone.at(name).iter().any(|record_set| {
            record_set.record_type == *record_type
                && record_set.weighted().is_some_and(|(_, weight)| weight > 0)
        });
        return Err(Error::from(AllZeroWeights::Found {
            name: name.clone(),
            record_type: record_type.clone(),
            from: paired.identifiers.from.clone(),
            to: paired.identifiers.to.clone(),
            others_serve,
        }));
    }
    Ok(())
}
