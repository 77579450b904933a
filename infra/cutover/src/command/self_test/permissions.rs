//! The permissions of the functions' roles, simulated by IAM: only Lambda can assume the roles.

use anyhow::{Context, Result, bail};
use aws_config::retry::RetryConfig;
use aws_sdk_iam::types::{
    ContextEntry, ContextKeyTypeEnum, EvaluationResult, PolicyEvaluationDecisionType,
};

use super::super::stack::Stack;
use super::deployed::Deployed;
use super::scratch::Scratch;

/// Attempts of one call: there are about 90 in a row, and IAM limits them.
const MOST_ATTEMPTS: u32 = 10;
/// The condition keys of `ChangeResourceRecordSets`.
///
/// Source: Route 53 Developer Guide, "Using IAM policy conditions for fine-grained access control".
const RECORD_TYPES: &str = "route53:ChangeResourceRecordSetsRecordTypes";
const ACTIONS: &str = "route53:ChangeResourceRecordSetsActions";
const NAMES: &str = "route53:ChangeResourceRecordSetsNormalizedRecordNames";

/// A question to IAM.
#[derive(Clone, Debug)]
struct Question {
    action: &'static str,
    resource: String,
    /// Condition keys and their values.
    context: Vec<(&'static str, Vec<String>)>,
    expected: Expected,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Expected {
    Allowed,
    Denied,
}

impl Question {
    fn new(action: &'static str, resource: impl Into<String>, expected: Expected) -> Self {
        Self {
            action,
            resource: resource.into(),
            context: Vec::new(),
            expected,
        }
    }

    /// A batch of changes by `ChangeResourceRecordSets`.
    fn change(
        zone: &str,
        name: &str,
        changes: &[&str],
        record_types: &[&str],
        expected: Expected,
    ) -> Self {
        let mut question = Self::new("route53:ChangeResourceRecordSets", zone, expected);
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        question.context = vec![
            (ACTIONS, owned(changes)),
            (RECORD_TYPES, owned(record_types)),
            (NAMES, owned(&[name])),
        ];
        question
    }
}

/// The resources that the questions are about.
struct Resources {
    zone: String,
    other_zone: String,
    name: String,
    /// The stack, and where it is, as ARNs have it: `eu-west-1:111122223333`.
    stack: String,
    partition: String,
    place: String,
}

/// Asks IAM about the functions that write.
pub(crate) async fn check_writers(
    stack: &Stack,
    deployed: &Deployed<'_>,
    scratch: &Scratch,
) -> Result<String> {
    let functions = ["shift-weight", "rollback"];
    check(stack, deployed, scratch, functions, changes_of_writers).await
}

/// Asks IAM about the functions that observe.
pub(crate) async fn check_observers(
    stack: &Stack,
    deployed: &Deployed<'_>,
    scratch: &Scratch,
) -> Result<String> {
    let functions = ["probe", "check-alarms"];
    check(stack, deployed, scratch, functions, changes_of_observers).await
}

/// Asks IAM whether these functions may do what they need, and about changes of records.
async fn check(
    stack: &Stack,
    deployed: &Deployed<'_>,
    scratch: &Scratch,
    functions: [&'static str; 2],
    changes: fn(&Resources) -> Vec<Question>,
) -> Result<String> {
    let resources = Resources::of(stack, scratch)?;
    let questions = functions.map(|function| {
        let mut of_it = needs_of(function, &resources);
        of_it.extend(changes(&resources));
        (function, of_it)
    });
    ask(stack, deployed, &questions).await
}

impl Resources {
    fn of(stack: &Stack, scratch: &Scratch) -> Result<Self> {
        let zone_arn = |id: &str| format!("arn:{}:route53:::hostedzone/{id}", stack.partition());
        Ok(Self {
            zone: zone_arn(scratch.zone.as_str()),
            // No zone has it: ids are of letters and digits, and far longer.
            other_zone: zone_arn("Z0"),
            name: scratch.name("permissions")?.to_string(),
            stack: stack.name().to_owned(),
            partition: stack.partition().to_owned(),
            place: stack.place_in_arns(),
        })
    }

    /// The ARN of a resource of the stack, such as `("sqs", "", "-events-dead-letter")`.
    fn arn(&self, service: &str, before: &str, after: &str) -> String {
        let Self {
            stack,
            partition,
            place,
            ..
        } = self;
        format!("arn:{partition}:{service}:{place}:{before}{stack}{after}")
    }

    fn state_machine(&self, suffix: &str) -> String {
        self.arn("states", "stateMachine:", &format!("-{suffix}"))
    }

    fn execution(&self, suffix: &str) -> String {
        self.arn("states", "execution:", &format!("-{suffix}:self-test"))
    }

    fn log_stream(&self, function: &str) -> String {
        let after = format!("-{function}:log-stream:self-test");
        self.arn("logs", "log-group:/aws/lambda/", &after)
    }
}

/// Changes that no observer may make.
fn changes_of_observers(resources: &Resources) -> Vec<Question> {
    let (zone, name) = (&resources.zone, &resources.name);
    ["CREATE", "UPSERT", "DELETE"]
        .map(|change| Question::change(zone, name, &[change], &["A"], Expected::Denied))
        .into()
}

/// Changes that the functions make, and changes that they must not make.
fn changes_of_writers(resources: &Resources) -> Vec<Question> {
    let Resources {
        zone,
        other_zone,
        name,
        ..
    } = resources;
    let mut questions = Vec::new();
    let mut ask = |zone: &str, changes: &[&str], record_types: &[&str], expected| {
        let question = Question::change(zone, name, changes, record_types, expected);
        questions.push(question);
    };
    for record_type in ["A", "AAAA", "CNAME", "TXT"] {
        ask(zone, &["CREATE"], &[record_type], Expected::Allowed);
        ask(zone, &["DELETE"], &[record_type], Expected::Allowed);
        ask(zone, &["UPSERT"], &[record_type], Expected::Denied);
    }
    for record_type in ["NS", "MX", "SOA", "CAA", "SRV"] {
        ask(zone, &["CREATE"], &[record_type], Expected::Denied);
        ask(zone, &["DELETE"], &[record_type], Expected::Denied);
    }
    // All changes of a batch have to be permitted, and not only one of them.
    ask(
        zone,
        &["CREATE", "DELETE"],
        &["A", "TXT"],
        Expected::Allowed,
    );
    ask(zone, &["CREATE", "DELETE"], &["A", "NS"], Expected::Denied);
    ask(zone, &["CREATE", "UPSERT"], &["A"], Expected::Denied);
    ask(other_zone, &["CREATE"], &["A"], Expected::Denied);
    questions
}

/// What a function needs besides changing records.
fn needs_of(function: &str, resources: &Resources) -> Vec<Question> {
    let any = "*".to_owned();
    let zone = &resources.zone;
    let change = format!("arn:{}:route53:::change/C0SELFTEST", resources.partition);
    let migration = resources.execution("migration");
    let rolled_back = resources.execution("rolled-back");
    let alarm_events = resources.arn("sqs", "", "-alarm-events.fifo");
    let dead_letters = resources.arn("sqs", "", "-events-dead-letter");
    let start = |suffix| ("states:StartExecution", resources.state_machine(suffix));
    let mut needs: Vec<(&'static str, String)> = match function {
        "shift-weight" => vec![
            ("route53:GetChange", change),
            ("route53:GetHostedZoneLimit", zone.clone()),
            ("route53:GetHostedZone", resources.other_zone.clone()),
            ("route53:ListHostedZonesByName", any),
            ("states:DescribeExecution", migration),
            ("states:DescribeExecution", rolled_back),
        ],
        "rollback" => vec![
            ("route53:GetChange", change),
            ("states:DescribeExecution", migration.clone()),
            ("states:GetExecutionHistory", migration.clone()),
            ("states:StopExecution", migration),
            ("states:DescribeExecution", rolled_back),
            start("rollback"),
            start("rolled-back"),
            (
                "states:ListExecutions",
                resources.state_machine("migration"),
            ),
            ("sqs:ReceiveMessage", alarm_events.clone()),
            ("sqs:DeleteMessage", alarm_events.clone()),
            ("sqs:GetQueueAttributes", alarm_events),
            ("sqs:SendMessage", dead_letters),
        ],
        "check-alarms" => vec![
            ("cloudwatch:DescribeAlarms", any.clone()),
            ("cloudwatch:DescribeAlarmHistory", any),
        ],
        _ => Vec::new(),
    };
    if function != "check-alarms" {
        needs.push(("route53:GetHostedZone", zone.clone()));
        needs.push(("route53:ListResourceRecordSets", zone.clone()));
    }
    for action in ["logs:CreateLogStream", "logs:PutLogEvents"] {
        needs.push((action, resources.log_stream(function)));
    }
    let needs = needs.into_iter();
    needs
        .map(|(action, resource)| Question::new(action, resource, Expected::Allowed))
        .collect()
}

async fn ask(
    stack: &Stack,
    deployed: &Deployed<'_>,
    questions: &[(&'static str, Vec<Question>)],
) -> Result<String> {
    let retries = RetryConfig::standard().with_max_attempts(MOST_ATTEMPTS);
    let config = aws_sdk_iam::config::Builder::from(stack.sdk_config());
    let iam = aws_sdk_iam::Client::from_conf(config.retry_config(retries).build());
    let mut wrong = Vec::new();
    let mut asked = 0;
    for (function, questions) in questions {
        let role = deployed.role(function)?;
        for question in questions {
            asked += 1;
            let answer = simulate(&iam, role, question, stack).await?;
            let is_allowed = *answer.eval_decision() == PolicyEvaluationDecisionType::Allowed;
            if is_allowed != (question.expected == Expected::Allowed) {
                wrong.push(sentence(function, question, &answer));
            }
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("; "));
    }
    let functions: Vec<_> = questions.iter().map(|(function, _)| *function).collect();
    Ok(format!(
        "{asked} simulated calls of {} are allowed or denied as they should be",
        functions.join(" and ")
    ))
}

async fn simulate(
    iam: &aws_sdk_iam::Client,
    role: &str,
    question: &Question,
    stack: &Stack,
) -> Result<EvaluationResult> {
    let region = if question.action.starts_with("route53:") {
        region_of_route53(stack.partition(), stack.region())
    } else {
        stack.region()
    };
    // Policies of an organization often deny by the Region.
    let region = ContextEntry::builder()
        .context_key_name("aws:RequestedRegion")
        .context_key_type(ContextKeyTypeEnum::String)
        .context_key_values(region);
    let mut simulation = iam
        .simulate_principal_policy()
        .policy_source_arn(role)
        .action_names(question.action)
        .resource_arns(&question.resource)
        .context_entries(region.build());
    for (key, values) in &question.context {
        let entry = ContextEntry::builder()
            .context_key_name(*key)
            .context_key_type(ContextKeyTypeEnum::StringList)
            .set_context_key_values(Some(values.clone()));
        simulation = simulation.context_entries(entry.build());
    }
    let simulated = simulation.send().await;
    let simulated =
        simulated.with_context(|| format!("iam:SimulatePrincipalPolicy of the role {role}"))?;
    let result = simulated.evaluation_results.into_iter().flatten().next();
    result.context("iam:SimulatePrincipalPolicy gave no result")
}

/// The Region that requests of Route 53, a global service, are made in.
///
/// Source: AWS General Reference, "Amazon Route 53 endpoints and quotas".
fn region_of_route53<'a>(partition: &str, otherwise: &'a str) -> &'a str {
    match partition {
        "aws" => "us-east-1",
        "aws-cn" => "cn-northwest-1",
        "aws-us-gov" => "us-gov-west-1",
        _ => otherwise,
    }
}

/// Such as `shift-weight may not call route53:GetChange on *, but needs it (IAM: implicitDeny)`.
fn sentence(function: &str, question: &Question, answer: &EvaluationResult) -> String {
    let (action, resource) = (question.action, &question.resource);
    let context: Vec<_> = question
        .context
        .iter()
        .filter(|(key, _)| *key != NAMES)
        .flat_map(|(_, values)| values.clone())
        .collect();
    let with = if context.is_empty() {
        String::new()
    } else {
        format!(" with {}", context.join(" "))
    };
    let organization = answer.organizations_decision_detail();
    let boundary = answer.permissions_boundary_decision_detail();
    let reason = if organization.is_some_and(|it| !it.allowed_by_organizations()) {
        "denied by a policy of the organization"
    } else if boundary.is_some_and(|it| !it.allowed_by_permissions_boundary()) {
        "denied by the role's permissions boundary"
    } else {
        answer.eval_decision().as_str()
    };
    match question.expected {
        Expected::Allowed => format!(
            "{function} may not call {action}{with} on {resource}, but needs it (IAM: {reason})"
        ),
        Expected::Denied => {
            format!("{function} may call {action}{with} on {resource}, but must not")
        }
    }
}
