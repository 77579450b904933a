//! The commands. Each has a module of its own; [`Stack`] has the clients that they share.

mod answer;
mod arguments;
mod exit;
mod follow;
mod input;
mod outcome;
mod output;
mod plan;
mod release;
mod rollback;
mod self_test;
mod stack;
mod start;
mod status;
mod watches;
mod weights;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use cutover::printable;

use self::arguments::{Arguments, Command};
use self::exit::{Exit, Failure};
use self::output::Output;
use self::stack::Stack;

/// Carries out the command of the process's arguments.
pub(crate) async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("error: {}", printable(&failure.message));
            failure.exit.into()
        }
    }
}

async fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let output = Output::new(arguments.output);
    if let Command::Completions { shell } = arguments.command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "cutover", &mut script);
        Output::text(&String::from_utf8_lossy(&script));
        return Ok(Exit::Done);
    }
    let stack = Stack::find(&arguments.account).await?;
    match &arguments.command {
        Command::Plan(plan) => plan::run(plan, &stack, output).await,
        Command::Start(start) => start::run(start, &stack, output).await,
        Command::Status(status) => status::run(status, &stack, output).await,
        Command::Approve(given) => {
            answer::run(answer::Answer::Approve, given, &stack, output).await
        }
        Command::Refuse(given) => answer::run(answer::Answer::Refuse, given, &stack, output).await,
        Command::Promote(given) => {
            answer::run(answer::Answer::Promote, given, &stack, output).await
        }
        Command::Hold(given) => answer::run(answer::Answer::Hold, given, &stack, output).await,
        Command::Rollback(rollback) => rollback::run(rollback, &stack, output).await,
        Command::Release(release) => release::run(release, &stack, output).await,
        Command::Weights(weights) => weights::run(weights, &stack, output).await,
        Command::SelfTest(self_test) => {
            // Much larger than the others, because its checks run side by side.
            Box::pin(self_test::run(self_test, &stack, output)).await
        }
        Command::Completions { .. } => Ok(Exit::Done),
    }
}
