//! `cutover weights`: the annotations with which ExternalDNS keeps the weights that are in the zone.

use std::fmt::Write as _;

use aws_sdk_sfn::types::{ExecutionStatus, HistoryEvent};
use cutover::printable;
use migration::dns::{SetIdentifierTemplate, Side, Sides};
use migration::external_dns::{Annotation, Annotations, annotations};
use migration::plan::Migration;
use migration::route53::read_names;
use migration::text::table;
use route53_adapter::Route53Client;
use serde_json::{Value, json};

use super::arguments::Weights;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::stack::{Machine, Stack};

/// The kind that ExternalDNS writes for a `DNSEndpoint`, which has its weight in a field and not in an
/// annotation.
///
/// Source: ExternalDNS, `source/crd.go`.
const DNS_ENDPOINT: &str = "crd";

pub(crate) async fn run(weights: &Weights, stack: &Stack, output: Output) -> Result<Exit, Failure> {
    let (migration, status) = planned(stack, &weights.execution).await?;
    let route53 = Route53Client::new(stack.sdk_config());
    let zone = read_names(
        &route53,
        &migration.hosted_zone_id,
        migration.record_names(),
    )
    .await;
    let zone = zone.map_err(|error| Failure::new(Exit::Failed, error.message()))?;
    let identifiers = migration.identifiers();
    let identifiers = identifiers.map_err(|error| Failure::new(Exit::Failed, error.message()))?;
    let names = migration.names.iter().zip(&identifiers);
    let found = annotations(&zone, names, migration.external_dns.names());
    let report = Report {
        execution: &weights.execution,
        sides: Sides {
            from: &migration.from,
            to: &migration.to,
        },
        key: format!("{}aws-weight", weights.annotation_prefix.0),
        found: &found,
        has_completed: status == ExecutionStatus::Succeeded,
    };
    if weights.script {
        Output::text(&report.script());
    } else {
        output.print(&report.text(), &report.json());
    }
    for problem in report.problems() {
        eprintln!("warning: {}", printable(&problem));
    }
    Ok(Exit::Done)
}

/// The migration as it was planned, and the status of its execution.
async fn planned(
    stack: &Stack,
    name_or_arn: &str,
) -> Result<(Migration, ExecutionStatus), Failure> {
    let execution = stack.execution(Machine::Migration, name_or_arn);
    let described = stack.describe(Machine::Migration, &execution).await?;
    // The last one: a redriven execution plans again.
    let events = execution.events_after(0).await?;
    let planned = events.iter().rev().find_map(planned_by);
    let Some(planned) = planned else {
        let message = format!("{name_or_arn} has planned no migration");
        return Err(Failure::new(Exit::NotStarted, message));
    };
    let migration = serde_json::from_value(planned).map_err(|error| {
        let message = format!(
            "{name_or_arn} was planned by another version of Cutover, which this command can't read: {error}"
        );
        Failure::new(Exit::Failed, message)
    })?;
    Ok((migration, described.status))
}

/// The migration in the answer of the function that plans it.
fn planned_by(event: &HistoryEvent) -> Option<Value> {
    let output = event.task_succeeded_event_details()?.output()?;
    let output: Value = serde_json::from_str(output).ok()?;
    let planned = output.pointer("/Payload/migration")?;
    planned.is_object().then(|| planned.clone())
}

/// What was found for a migration, and how it is written.
struct Report<'a> {
    execution: &'a str,
    sides: Sides<&'a SetIdentifierTemplate>,
    /// The key of the annotation.
    key: String,
    found: &'a Annotations,
    has_completed: bool,
}

impl Report<'_> {
    fn of_side(&self) -> [(Side, &SetIdentifierTemplate, &[Annotation]); 2] {
        [
            (Side::From, self.sides.from, &self.found.of.from),
            (Side::To, self.sides.to, &self.found.of.to),
        ]
    }

    fn text(&self) -> String {
        let mut parts = Vec::new();
        for (_, side, annotations) in self.of_side() {
            let rows: Vec<_> = annotations.iter().map(row).collect();
            let mut lines = table(&rows);
            if lines.is_empty() {
                lines.push("none of its records has a Kubernetes object".to_owned());
            }
            parts.push(format!("{side}: {}\n  {}", self.key, lines.join("\n  ")));
        }
        parts.join("\n\n")
    }

    fn json(&self) -> Value {
        json!({
            "execution": self.execution,
            "annotation": self.key,
            "from": { "setIdentifier": self.sides.from, "objects": self.found.of.from },
            "to": { "setIdentifier": self.sides.to, "objects": self.found.of.to },
            "warnings": self.problems(),
        })
    }

    /// A script that annotates the objects. Nothing in it needs quotation marks: an object has only letters,
    /// digits, hyphens and dots.
    fn script(&self) -> String {
        let mut script = format!(
            "#!/bin/sh\n# Sets the weights that the migration {} has reached. FROM_CONTEXT and TO_CONTEXT are the\n\
             # contexts of kubectl for the clusters of the two sides.\nset -eu\n",
            printable(self.execution)
        );
        for (side, _, annotations) in self.of_side() {
            let context = match side {
                Side::From => "FROM_CONTEXT",
                Side::To => "TO_CONTEXT",
            };
            for annotation in annotations.iter().filter(|it| is_annotated(it)) {
                let object = &annotation.object;
                if let Some(weight) = annotation.weight() {
                    // Writing to a String can't fail.
                    let _ = writeln!(
                        script,
                        "kubectl --context \"${{{context}:?}}\" --namespace {} annotate --overwrite {} {} {}={weight}",
                        object.namespace, object.kind, object.name, self.key
                    );
                }
            }
        }
        script
    }

    /// What a person has to decide.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.has_completed {
            problems.push(
                "the migration has not completed: these are the weights that the zone has now"
                    .to_owned(),
            );
        }
        for annotation in self
            .of_side()
            .into_iter()
            .flat_map(|(_, _, annotations)| annotations)
        {
            let object = &annotation.object;
            if annotation.weight().is_none() {
                problems.push(format!(
                    "the records of {object} have several weights ({}), but its annotation has one: give its names \
                     objects of their own, or move all of its names",
                    annotation.weights_text()
                ));
            } else if !is_annotated(annotation) {
                problems.push(format!(
                    "{object} is a DNSEndpoint: set its weight in providerSpecific, not by an annotation"
                ));
            }
        }
        let others = self.found.without_object.iter();
        problems.extend(others.map(|(txt, text)| {
            format!("the registry TXT {txt} names no Kubernetes object that can be annotated, found {text:?}")
        }));
        let without = self.found.without_registry.iter();
        problems.extend(without.map(|name| {
            format!("{name} has records without a registry TXT: set their weights where they are kept, such as in Terraform")
        }));
        problems
    }
}

fn row(annotation: &Annotation) -> Vec<String> {
    let names: Vec<_> = annotation.names.iter().map(ToString::to_string).collect();
    vec![
        format!("\"{}\"", annotation.weights_text()),
        annotation.object.to_string(),
        names.join(", "),
    ]
}

fn is_annotated(annotation: &Annotation) -> bool {
    annotation.object.kind != DNS_ENDPOINT
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn annotation(object: &str, weights: &[u8]) -> Annotation {
        Annotation {
            object: object.parse().unwrap(),
            set_identifier: "blue".parse().unwrap(),
            weights: weights.iter().copied().collect(),
            names: ["app.example.com".parse().unwrap()].into(),
        }
    }

    #[track_caller]
    fn check(found: &Annotations, script: &Expect, problems: &Expect) {
        let report = Report {
            execution: "run",
            sides: Sides {
                from: &"blue".parse().unwrap(),
                to: &"green".parse().unwrap(),
            },
            key: "external-dns.kubernetes.io/aws-weight".to_owned(),
            found,
            has_completed: true,
        };
        script.assert_eq(report.script().split("set -eu\n").nth(1).unwrap());
        problems.assert_eq(&report.problems().join("\n"));
    }

    #[test]
    fn script_leaves_out_what_a_person_has_to_decide() {
        let mut found = Annotations::default();
        found.of.from = vec![
            annotation("ingress/team/app", &[0]),
            annotation("ingress/team/some-names-moved", &[0, 100]),
        ];
        found.of.to = vec![annotation("crd/team/endpoint", &[100])];
        check(
            &found,
            &expect![[r#"
            kubectl --context "${FROM_CONTEXT:?}" --namespace team annotate --overwrite ingress app external-dns.kubernetes.io/aws-weight=0
        "#]],
            &expect![[r#"
            the records of ingress/team/some-names-moved have several weights (0 or 100), but its annotation has one: give its names objects of their own, or move all of its names
            crd/team/endpoint is a DNSEndpoint: set its weight in providerSpecific, not by an annotation"#]],
        );
    }

    #[test]
    fn records_that_no_annotation_decides_are_told() {
        let name = |host: &str| format!("{host}.example.com").parse().unwrap();
        let found = Annotations {
            without_object: vec![
                (name("cname-a"), String::new()),
                (name("cname-b"), "ingress/team/b;id".to_owned()),
            ],
            without_registry: [name("c")].into(),
            ..Annotations::default()
        };
        check(
            &found,
            &expect![[r#""#]],
            &expect![[r#"
            the registry TXT cname-a.example.com names no Kubernetes object that can be annotated, found ""
            the registry TXT cname-b.example.com names no Kubernetes object that can be annotated, found "ingress/team/b;id"
            c.example.com has records without a registry TXT: set their weights where they are kept, such as in Terraform"#]],
        );
    }
}
