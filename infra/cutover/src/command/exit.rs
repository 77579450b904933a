//! Exit codes, and why a command could not do what it was asked for.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    NotStarted = 3,
    Held = 4,
    RolledBack = 5,
    Stopped = 6,
    RollbackFailed = 7,
    NotReleased = 8,
    StillRunning = 9,
    NothingToAnswer = 10,
    SelfTestFailed = 11,
}

impl Exit {
    pub(crate) const ALL: [Self; 12] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::NotStarted,
        Self::Held,
        Self::RolledBack,
        Self::Stopped,
        Self::RollbackFailed,
        Self::NotReleased,
        Self::StillRunning,
        Self::NothingToAnswer,
        Self::SelfTestFailed,
    ];

    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// When a command ends with this code, for `--help` and the README.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Done => {
                "done: planned, started, answered; with --wait or --watch: completed, rolled back on request, released"
            }
            Self::Failed => {
                "AWS did not answer or refused, there is no such stack or execution, or a file can't be read"
            }
            Self::Usage => "the command line is wrong",
            Self::NotStarted => {
                "refused or not started: the input or the request is wrong, or the new side is not ready; nothing was changed"
            }
            Self::Held => "the migration holds: weights and journals stay as they are",
            Self::RolledBack => "the migration failed, and the original weights are restored",
            Self::Stopped => {
                "the migration was aborted, timed out or failed unexpectedly: its status event rolls it back, unless onFailure is hold"
            }
            Self::RollbackFailed => {
                "a rollback failed: some names may not have their original weights"
            }
            Self::NotReleased => {
                "a release failed: the names are still leased, or the error says which are not"
            }
            Self::StillRunning => {
                "the time of --timeout is over, and the execution is still running"
            }
            Self::NothingToAnswer => "the migration waits for no such answer now",
            Self::SelfTestFailed => {
                "a check of the self-test failed, or the self-test was interrupted"
            }
        }
    }

    /// The table of all codes for `--help`.
    pub(crate) fn table() -> String {
        let rows = Self::ALL.map(|exit| format!("  {:>2}  {}", exit.code(), exit.meaning()));
        format!("Exit codes:\n{}", rows.join("\n"))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why a command could not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }
}

impl From<anyhow::Error> for Failure {
    /// With the errors below it, the first of which often says nothing, such as `service error`.
    fn from(error: anyhow::Error) -> Self {
        Self::new(Exit::Failed, format!("{error:#}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readme_has_every_exit_code() {
        let readme = include_str!("../../README.md");
        for exit in Exit::ALL {
            let row = format!("| {} | {} |", exit.code(), exit.meaning());
            assert!(readme.contains(&row), "{row}");
        }
    }
}
