//! The command line.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use super::exit::Exit;
use super::output::Format;
use super::self_test::Part;

/// Plans, starts, follows, answers, rolls back and releases the migrations of a deployed Cutover.
///
/// Credentials, Region and profile are those of the AWS CLI: environment variables, shared files, IAM
/// Identity Center, web identity, instance metadata.
#[derive(Debug, Parser)]
#[command(name = "cutover", after_help = Exit::table())]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) account: Account,
    /// What is printed on standard output.
    #[arg(long, global = true, help_heading = "Output", value_enum, default_value_t = Format::Text)]
    pub(crate) output: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where Cutover is deployed.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Where Cutover is deployed")]
pub(crate) struct Account {
    /// The name that Cutover was deployed with: its state machines are <NAME>-migration and so on.
    #[arg(long, global = true, env = "CUTOVER_NAME", default_value = Account::DEFAULT_NAME)]
    pub(crate) name: String,
    /// The AWS Region, instead of the environment's or the profile's.
    #[arg(long, global = true)]
    pub(crate) region: Option<String>,
    /// The profile in the shared configuration files of the AWS CLI. It goes before credentials in the environment.
    #[arg(long, global = true)]
    pub(crate) profile: Option<String>,
}

impl Account {
    pub(crate) const DEFAULT_NAME: &str = "cutover";
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows what a migration with this input would do, or everything that stands in its way. Changes nothing.
    Plan(Plan),
    /// Starts a migration.
    Start(Start),
    /// Shows what runs, and what can be done now.
    Status(Status),
    /// Approves the step that a migration waits at.
    Approve(Answer),
    /// Refuses the approval that a migration waits for; its onRefusal decides what follows.
    Refuse(Answer),
    /// Ends a step early, and approves it. The next step still needs a passing health check.
    Promote(Answer),
    /// Stops a migration at its step, and keeps its weights and journals.
    Hold(Answer),
    /// Restores the original weights.
    Rollback(Rollback),
    /// Prints the weights that the annotations in Git have to have before a release.
    Weights(Weights),
    /// Gives the names of a completed migration back to ExternalDNS, once the annotations have the new weights.
    Release(Release),
    /// Proves in this account that the deployed stack does what it says, on scratch records of its own.
    SelfTest(SelfTest),
    /// Prints a script that completes commands in a shell.
    Completions {
        #[arg(value_enum)]
        shell: Shell,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Plan {
    /// The input of the migration, a JSON file; - for standard input.
    pub(crate) input: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct Start {
    /// The input of the migration, a JSON file; - for standard input.
    pub(crate) input: PathBuf,
    /// The name of the execution, part of all journals and notifications, such as 2026-11-upgrade-1-34. Step
    /// Functions accepts a name once in 90 days. By default it chooses one.
    #[arg(long, value_name = "NAME")]
    pub(crate) execution_name: Option<String>,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

#[derive(Args, Debug)]
pub(crate) struct Wait {
    /// Shows the execution while it runs, and exits with how it ended.
    #[arg(long)]
    pub(crate) wait: bool,
    /// The longest time to wait, in seconds. The execution goes on.
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    timeout: Option<u64>,
}

impl Wait {
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout.map(Duration::from_secs)
    }
}

#[derive(Args, Debug)]
pub(crate) struct Status {
    /// The name or the ARN of a migration's execution. By default all that are running and the last ones that
    /// ended.
    pub(crate) execution: Option<String>,
    /// Follows the execution, or the only one that is running, and exits with how it ended.
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Answer {
    /// The name or the ARN of the migration's execution.
    pub(crate) execution: String,
    /// Who and why, for the status events that follow and the outcome.
    #[arg(long, value_name = "WHO AND WHY")]
    pub(crate) by: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Rollback {
    #[command(flatten)]
    pub(crate) what: RollbackTarget,
    /// The id of the hosted zone; for an execution only if it ended more than 90 days ago or belongs to another
    /// stack.
    #[arg(long, value_name = "ID", conflicts_with = "alarm")]
    pub(crate) zone: Option<String>,
    /// Restores also from journals that another stack has signed.
    #[arg(long, requires = "names")]
    pub(crate) trust_foreign_journals: bool,
    /// Who and why, for the notification.
    #[arg(long, value_name = "WHO AND WHY")]
    pub(crate) by: Option<String>,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct RollbackTarget {
    /// The name or the ARN of the migration's execution.
    #[arg(long, value_name = "NAME")]
    pub(crate) execution: Option<String>,
    /// Every running migration that watches this alarm.
    #[arg(long, value_name = "NAME")]
    pub(crate) alarm: Option<String>,
    /// DNS names, whichever migration moved them; * matches any characters.
    #[arg(long, value_name = "NAME", num_args = 1.., requires = "zone")]
    pub(crate) names: Option<Vec<String>>,
}

#[derive(Args, Debug)]
pub(crate) struct Weights {
    /// The name or the ARN of the migration's execution.
    pub(crate) execution: String,
    /// Prints a shell script that annotates the objects with kubectl, in the contexts that the variables `FROM_CONTEXT`
    /// and `TO_CONTEXT` name for the two sides.
    #[arg(long, conflicts_with = "output")]
    pub(crate) script: bool,
    /// The prefix of ExternalDNS's annotations. From v0.22 on it is external-dns.kubernetes.io/ by default.
    #[arg(
        long,
        value_name = "PREFIX",
        default_value = "external-dns.alpha.kubernetes.io/"
    )]
    pub(crate) annotation_prefix: AnnotationPrefix,
}

/// The prefix of an annotation, such as `external-dns.kubernetes.io/`.
#[derive(Clone, Debug)]
pub(crate) struct AnnotationPrefix(pub(crate) String);

impl FromStr for AnnotationPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let domain = text.strip_suffix('/').unwrap_or_default();
        let is_permitted = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
        if domain.is_empty() || !domain.bytes().all(is_permitted) {
            return Err("expected a domain with a slash at its end".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

#[derive(Args, Debug)]
pub(crate) struct Release {
    /// The name or the ARN of the migration's execution.
    pub(crate) execution: String,
    /// ExternalDNS's --interval plus its --txt-cache-interval, in seconds. By default 60.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) external_dns_interval: Option<u32>,
    /// The id of the hosted zone, if the execution ended more than 90 days ago.
    #[arg(long, value_name = "ID")]
    pub(crate) zone: Option<String>,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// All that it makes has a name with `_cutover-self-test` or `cutover-self-test` in it, and is removed at the end, also
/// after Ctrl-C.
#[derive(Args, Debug)]
pub(crate) struct SelfTest {
    /// The id of a hosted zone that the stack may change. The records are under _cutover-self-test and its name.
    #[arg(long, value_name = "ID")]
    pub(crate) zone: String,
    /// A DNS name of the zone, such as www.example.com, that the function probe is to probe, on the side that has the
    /// larger weight.
    #[arg(long, value_name = "NAME", conflicts_with = "clean_up")]
    pub(crate) probe: Option<String>,
    /// Only these parts of the self-test.
    #[arg(long, value_enum, num_args = 1.., conflicts_with = "clean_up")]
    pub(crate) only: Vec<Part>,
    /// The longest time that one check waits for AWS, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub(crate) timeout: u64,
    /// Only removes what earlier self-tests have left behind in this zone, because they were killed.
    #[arg(long)]
    pub(crate) clean_up: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    use super::*;

    #[track_caller]
    fn refused(arguments: &[&str]) -> ErrorKind {
        let all = [&["cutover"], arguments].concat();
        Arguments::try_parse_from(all).unwrap_err().kind()
    }

    #[test]
    fn command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn rollback_needs_exactly_one_target() {
        assert_eq!(refused(&["rollback"]), ErrorKind::MissingRequiredArgument);
        let two = ["rollback", "--execution", "a", "--alarm", "b"];
        assert_eq!(refused(&two), ErrorKind::ArgumentConflict);
        let names_without_zone = ["rollback", "--names", "a.example.com"];
        assert_eq!(
            refused(&names_without_zone),
            ErrorKind::MissingRequiredArgument
        );
        let untrusted = ["rollback", "--execution", "a", "--trust-foreign-journals"];
        assert_eq!(refused(&untrusted), ErrorKind::MissingRequiredArgument);
    }

    #[test]
    fn options_of_the_account_may_follow_the_command() {
        let arguments = ["cutover", "status", "--name", "blue", "--output", "json"];
        let arguments = Arguments::try_parse_from(arguments).unwrap();
        assert_eq!(arguments.account.name, "blue");
        assert_eq!(arguments.output, Format::Json);
    }

    #[test]
    fn prefix_of_an_annotation_is_a_domain_with_a_slash() {
        for wrong in ["", "/", "external-dns.kubernetes.io", "a b/", "$(id)/"] {
            let arguments = ["weights", "run", "--annotation-prefix", wrong];
            assert_eq!(refused(&arguments), ErrorKind::ValueValidation, "{wrong}");
        }
    }

    #[test]
    fn help_has_every_exit_code() {
        let help = Arguments::command().render_long_help().to_string();
        for exit in Exit::ALL {
            assert!(help.contains(exit.meaning()), "{exit:?}");
        }
    }
}
