//! What a self-test has found, as a table that can be pasted into an issue.

use std::cell::RefCell;
use std::time::Instant;

use anyhow::Result;
use clap::ValueEnum;
use cutover::printable;
use migration::text::shortened;
use serde_json::{Value, json};

/// The longest detail in the table, in characters. Standard error and JSON have all of it.
const LONGEST_DETAIL: usize = 500;

/// A part of the self-test: checks that need each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Part {
    /// The versions of the functions that the state machines invoke.
    Versions,
    /// The permissions of the functions, simulated by IAM.
    Permissions,
    /// A whole migration, its notification and its release.
    Migration,
    /// A rollback from 50 percent, then journals that were put back or made up.
    Rollback,
    /// A record that somebody else changes during a migration.
    OutsideWrite,
    /// An alarm that fires during a migration.
    Alarm,
    /// A migration that is aborted.
    Abort,
    /// A probe of the name that --probe gives.
    Probe,
}

/// A check, in the order of the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Check {
    Versions,
    Writers,
    Observers,
    Migration,
    Notification,
    Release,
    Rollback,
    ReplayedJournal,
    ForgedJournal,
    OutsideWrite,
    Alarm,
    AlarmsAsked,
    Abort,
    Probe,
    CleanUp,
}

impl Check {
    const ALL: [Self; 15] = [
        Self::Versions,
        Self::Writers,
        Self::Observers,
        Self::Migration,
        Self::Notification,
        Self::Release,
        Self::Rollback,
        Self::ReplayedJournal,
        Self::ForgedJournal,
        Self::OutsideWrite,
        Self::Alarm,
        Self::AlarmsAsked,
        Self::Abort,
        Self::Probe,
        Self::CleanUp,
    ];

    /// The part that it belongs to; none for what every self-test does.
    fn part(self) -> Option<Part> {
        match self {
            Self::Versions => Some(Part::Versions),
            Self::Writers | Self::Observers => Some(Part::Permissions),
            Self::Migration | Self::Notification | Self::Release => Some(Part::Migration),
            Self::Rollback | Self::ReplayedJournal | Self::ForgedJournal => Some(Part::Rollback),
            Self::OutsideWrite => Some(Part::OutsideWrite),
            Self::Alarm | Self::AlarmsAsked => Some(Part::Alarm),
            Self::Abort => Some(Part::Abort),
            Self::Probe => Some(Part::Probe),
            Self::CleanUp => None,
        }
    }

    /// What has to be true.
    fn title(self) -> &'static str {
        match self {
            Self::Versions => "the state machines invoke the functions as they are deployed now",
            Self::Writers => "shift-weight and rollback may do what they need, and no other write",
            Self::Observers => "probe and check-alarms may do what they need, and can't write",
            Self::Migration => "a migration moves all traffic, in two steps",
            Self::Notification => "its notification arrives",
            Self::Release => "a release deletes its journal, and the weights stay",
            Self::Rollback => "a rollback from 50 percent restores the original weights",
            Self::ReplayedJournal => "a journal that is put back after it changes nothing",
            Self::ForgedJournal => {
                "a journal that is copied to another name and edited changes nothing"
            }
            Self::OutsideWrite => "a migration holds when somebody else changes its record",
            Self::Alarm => "an alarm rolls a migration back by its event",
            Self::AlarmsAsked => "check-alarms can ask for the alarm",
            Self::Abort => "the names of an aborted migration are restored",
            Self::Probe => "probe can probe the given name",
            Self::CleanUp => "everything that the self-test made is removed",
        }
    }
}

/// How a check ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Pass,
    Fail,
    NotRun,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::NotRun => "not run",
        }
    }
}

#[derive(Clone, Debug)]
struct Row {
    check: Check,
    verdict: Verdict,
    seconds: u64,
    detail: String,
}

/// The checks of a self-test that have ended.
pub(crate) struct Report {
    parts: Vec<Part>,
    /// Texts that tell whose account this is, with what stands for them.
    private: Vec<(String, &'static str)>,
    rows: RefCell<Vec<Row>>,
}

impl Report {
    pub(crate) fn new(parts: Vec<Part>, private: Vec<(String, &'static str)>) -> Self {
        Self {
            parts,
            private,
            rows: RefCell::default(),
        }
    }

    /// Carries out a check that no other one needs. It returns what was seen, for people.
    pub(crate) async fn note(&self, check: Check, seen: impl Future<Output = Result<String>>) {
        self.check(check, async { Ok(((), seen.await?)) }).await;
    }

    /// Carries out a check that returns a value for the checks that follow, and what was seen, for people. Without the
    /// value it has failed.
    pub(crate) async fn check<T>(
        &self,
        check: Check,
        found: impl Future<Output = Result<(T, String)>>,
    ) -> Option<T> {
        let started = Instant::now();
        let (value, verdict, detail) = match found.await {
            Ok((value, detail)) => (Some(value), Verdict::Pass, detail),
            Err(error) => (None, Verdict::Fail, format!("{error:#}")),
        };
        let row = Row {
            check,
            verdict,
            seconds: started.elapsed().as_secs(),
            detail: self.public(&detail),
        };
        eprintln!("{}", printable(&line(&row)));
        self.rows.borrow_mut().push(row);
        value
    }

    pub(crate) fn has_passed(&self) -> bool {
        let mut rows = self.rows().into_iter();
        rows.all(|row| row.verdict == Verdict::Pass)
    }

    /// All rows of the table. A check that needs one that failed, or that an interrupt came before, was not run.
    fn rows(&self) -> Vec<Row> {
        let rows = self.rows.borrow();
        let is_asked_for =
            |check: &Check| check.part().is_none_or(|part| self.parts.contains(&part));
        let row = |check: Check| {
            let found = rows.iter().find(|row| row.check == check).cloned();
            found.unwrap_or_else(|| Row {
                check,
                verdict: Verdict::NotRun,
                seconds: 0,
                detail: "a check before it failed, or the self-test was interrupted".to_owned(),
            })
        };
        let checks = Check::ALL.into_iter();
        checks.filter(is_asked_for).map(row).collect()
    }

    /// A table in Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut lines = vec![
            "| check | result | seconds | what was seen |".to_owned(),
            "|---|---|---|---|".to_owned(),
        ];
        for row in self.rows() {
            let detail = shortened(&row.detail, LONGEST_DETAIL);
            let detail = detail.replace('|', "\\|").replace(['\n', '\r'], " ");
            let (title, verdict) = (row.check.title(), row.verdict.as_str());
            lines.push(format!(
                "| {title} | {verdict} | {} | {detail} |",
                row.seconds
            ));
        }
        lines.join("\n")
    }

    pub(crate) fn json(&self) -> Value {
        let rows = self.rows().into_iter().map(|row| {
            json!({
                "check": row.check.title(),
                "result": row.verdict.as_str(),
                "seconds": row.seconds,
                "detail": row.detail,
            })
        });
        json!({ "passed": self.has_passed(), "checks": rows.collect::<Vec<_>>() })
    }

    /// A text without what tells whose account this is, and who asked.
    fn public(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (private, public) in &self.private {
            text = text.replace(private, public);
        }
        for principal in [":assumed-role/", ":federated-user/", ":user/"] {
            text = without_name_after(&text, principal);
        }
        text
    }
}

/// A text with `<name>` in place of what follows each of these.
fn without_name_after(text: &str, before: &str) -> String {
    let mut parts = text.split(before);
    let mut public = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part
            .find(char::is_whitespace)
            .map(|end| part.split_at(end).1);
        public = format!("{public}{before}<name>{}", rest.unwrap_or_default());
    }
    public
}

fn line(row: &Row) -> String {
    let (verdict, title) = (row.verdict.as_str(), row.check.title());
    let (seconds, detail) = (row.seconds, &row.detail);
    format!("{verdict:<4} {title} ({seconds} s): {detail}")
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;
    use expect_test::expect;

    use super::*;

    #[tokio::test]
    async fn table_has_every_check_of_the_parts_and_nobody_s_account() {
        let private = vec![("111122223333".to_owned(), "<account>")];
        let report = Report::new(vec![Part::Permissions, Part::Alarm], private);
        let seen = "arn:aws:iam::111122223333:role/a, arn:aws:sts::111122223333:assumed-role/a/b@c.example is not";
        let passed = async { Ok((1, seen.to_owned())) };
        assert_eq!(report.check(Check::Writers, passed).await, Some(1));
        let failed = async { Err::<((), String), _>(anyhow!("a|b\nc")) };
        assert_eq!(report.check(Check::Alarm, failed).await, None);
        assert!(!report.has_passed());
        expect![[r"
            | check | result | seconds | what was seen |
            |---|---|---|---|
            | shift-weight and rollback may do what they need, and no other write | pass | 0 | arn:aws:iam::<account>:role/a, arn:aws:sts::<account>:assumed-role/<name> is not |
            | probe and check-alarms may do what they need, and can't write | not run | 0 | a check before it failed, or the self-test was interrupted |
            | an alarm rolls a migration back by its event | FAIL | 0 | a\|b c |
            | check-alarms can ask for the alarm | not run | 0 | a check before it failed, or the self-test was interrupted |
            | everything that the self-test made is removed | not run | 0 | a check before it failed, or the self-test was interrupted |"]]
        .assert_eq(&report.markdown());
    }

    #[tokio::test]
    async fn self_test_passes_only_if_every_check_did() {
        let report = Report::new(vec![Part::Abort], Vec::new());
        for check in [Check::Abort, Check::CleanUp] {
            assert!(!report.has_passed());
            report.note(check, async { Ok(String::new()) }).await;
        }
        assert!(report.has_passed());
    }
}
