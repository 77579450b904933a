//! One execution: from state to state.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use futures_util::future::{Either, select, try_join_all};
use jsonata_core::value::JValue;

use crate::definition::{Clause, DefinitionError, Kind, Level, Machine, State};
use crate::environment::{Environment, Variables};
use crate::expression::Template;
use crate::failure::{Failure, LARGEST_PAYLOAD, RUNTIME};
use crate::history::History;
use crate::services::Services;
use crate::step_functions::{End, ExecutionId, StepFunctions};
use crate::values::{object, size, to_json};

pub(crate) struct Execution {
    pub(crate) id: ExecutionId,
    pub(crate) machine: Rc<Machine>,
    pub(crate) step_functions: Rc<StepFunctions>,
    pub(crate) progress: Rc<Progress>,
    pub(crate) input: JValue,
    pub(crate) started_at: SystemTime,
    /// The number of redrives, and the time of the last one.
    pub(crate) redrives: u32,
    pub(crate) redriven_at: Option<SystemTime>,
}

/// How far an execution has come. A redrive continues from there.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) history: History,
    variables: RefCell<Variables>,
    /// The state that it is in, with the input of this state.
    position: RefCell<Option<(String, JValue)>>,
}

/// What follows a state.
enum Step {
    Next(String, JValue),
    End(JValue),
}

/// The values of a state that do not change while it works.
struct Entered<'a> {
    state: &'a State,
    input: JValue,
    at: SystemTime,
}

impl Progress {
    pub(crate) fn state(&self) -> Option<String> {
        let position = self.position.borrow();
        position.as_ref().map(|(state, _)| state.clone())
    }
}

impl Execution {
    pub(crate) async fn run(&self) -> End {
        let work = Box::pin(self.work());
        let outcome = match self.machine.timeout {
            Some(timeout) => match select(work, self.services().sleep(timeout)).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(_) => return End::TimedOut,
            },
            None => work.await,
        };
        match outcome {
            Ok(output) => End::Succeeded(to_json(&output)),
            Err(failure) => End::Failed(failure),
        }
    }

    async fn work(&self) -> Result<JValue, Failure> {
        // ExecutionStarted or ExecutionRedriven, and the end.
        self.progress.history.add(2)?;
        let position = self.progress.position.borrow().clone();
        let start =
            position.unwrap_or_else(|| (self.machine.level.start_at.clone(), self.input.clone()));
        let level = &self.machine.level;
        self.run_level(level, start, &self.progress.variables, true)
            .await
    }

    async fn run_level(
        &self,
        level: &Level,
        start: (String, JValue),
        variables: &RefCell<Variables>,
        is_top: bool,
    ) -> Result<JValue, Failure> {
        let (mut name, mut input) = start;
        loop {
            let state = level.state(&name).map_err(|error| invalid(&error))?;
            if is_top {
                self.services().on_enter(&self.id, &state.name, &input);
                let position = Some((name, input.clone()));
                *self.progress.position.borrow_mut() = position;
            }
            match self.run_state(state, input, variables).await? {
                Step::Next(next, output) => (name, input) = (next, output),
                Step::End(output) => return Ok(output),
            }
        }
    }

    async fn run_state(
        &self,
        state: &State,
        input: JValue,
        variables: &RefCell<Variables>,
    ) -> Result<Step, Failure> {
        let entered = Entered {
            state,
            input,
            at: self.services().now(),
        };
        let history = &self.progress.history;
        history.transition();
        history.add(if matches!(state.kind, Kind::Fail { .. }) {
            1
        } else {
            2
        })?;
        match &state.kind {
            Kind::Pass | Kind::Succeed => self.exit(&entered, variables, &state.exit, None),
            Kind::Wait { seconds } => {
                let seconds = self.seconds(&entered, variables, seconds)?;
                self.services().sleep(seconds).await;
                self.exit(&entered, variables, &state.exit, None)
            }
            Kind::Choice { rules } => {
                for rule in rules {
                    if self.applies(&entered, variables, rule)? {
                        return self.exit(&entered, variables, rule, None);
                    }
                }
                self.exit(&entered, variables, &state.exit, None)
            }
            Kind::Fail { error, cause } => {
                let error = self.text(&entered, variables, error)?;
                let cause = self.text(&entered, variables, cause)?;
                self.step_functions.cover(&self.id, state.exit.edge);
                Err(Failure { error, cause })
            }
            Kind::Task(_) | Kind::Parallel { .. } => {
                self.run_with_retries(&entered, variables).await
            }
        }
    }

    /// Runs a Task or Parallel state, with its Retry and Catch.
    async fn run_with_retries(
        &self,
        entered: &Entered<'_>,
        variables: &RefCell<Variables>,
    ) -> Result<Step, Failure> {
        let state = entered.state;
        let mut attempts: Vec<u32> = state.retry.iter().map(|_| 0).collect();
        let mut count = 0;
        let failure = loop {
            let outcome = match &state.kind {
                Kind::Parallel { branches } => self.branches(entered, variables, branches).await,
                _ => self.attempt(entered, variables, count).await,
            };
            let outcome = outcome.and_then(|result| {
                self.exit(entered, variables, &state.exit, Some(("result", &result)))
            });
            let failure = match outcome {
                Ok(step) => return Ok(step),
                Err(failure) => failure,
            };
            let mut retriers = state.retry.iter().zip(&mut attempts);
            let retrier = retriers.find(|(retrier, _)| failure.matches_any(&retrier.errors));
            match retrier {
                Some((retrier, made)) if *made < retrier.max_attempts => {
                    let delay = retrier.delay(*made, self.services().random());
                    *made += 1;
                    count += 1;
                    self.progress.history.transition();
                    self.services().sleep(delay).await;
                }
                _ => break failure,
            }
        };
        let mut catchers = state.catch.iter();
        let catcher = catchers.find(|catcher| failure.matches_any(&catcher.errors));
        let Some(catcher) = catcher else {
            return Err(failure);
        };
        let output = object([
            ("Error", JValue::from(failure.error)),
            ("Cause", JValue::from(failure.cause)),
        ]);
        self.exit(entered, variables, catcher, Some(("errorOutput", &output)))
    }

    /// Runs the branches until all have ended or one has failed, which ends the others.
    async fn branches(
        &self,
        entered: &Entered<'_>,
        variables: &RefCell<Variables>,
        branches: &[Level],
    ) -> Result<JValue, Failure> {
        // ParallelStateStarted, and ParallelStateSucceeded or ParallelStateFailed.
        self.progress.history.add(2)?;
        let scopes: Vec<_> = branches.iter().map(|_| variables.clone()).collect();
        let runs = branches.iter().zip(&scopes).map(|(branch, scope)| {
            let start = (branch.start_at.clone(), entered.input.clone());
            let run: Pin<Box<dyn Future<Output = _>>> =
                Box::pin(self.run_level(branch, start, scope, false));
            run
        });
        Ok(JValue::array(try_join_all(runs).await?))
    }

    /// Leaves a state by one of its ways: evaluates what is assigned and passed on, both with the
    /// variables of before.
    fn exit(
        &self,
        entered: &Entered<'_>,
        variables: &RefCell<Variables>,
        clause: &Clause,
        more: Option<(&str, &JValue)>,
    ) -> Result<Step, Failure> {
        let (output, assigned) = {
            let environment = Environment {
                services: self.services(),
                variables: &variables.borrow(),
                context: &|| self.context(entered, 0, None),
                input: &entered.input,
                more,
            };
            let output = match &clause.output {
                Some(output) => {
                    let output = output.evaluate(&environment)?;
                    check_size("an output", &output)?;
                    output
                }
                None => more.map_or_else(|| entered.input.clone(), |(_, value)| value.clone()),
            };
            let assigned = match &clause.assign {
                Some(assign) => assign.evaluate_fields(&environment)?,
                None => Vec::new(),
            };
            (output, assigned)
        };
        for (_, value) in &assigned {
            check_size("a variable", value)?;
        }
        variables.borrow_mut().extend(assigned);
        self.step_functions.cover(&self.id, clause.edge);
        Ok(match &clause.next {
            Some(next) => Step::Next(next.clone(), output),
            None => Step::End(output),
        })
    }

    fn applies(
        &self,
        entered: &Entered<'_>,
        variables: &RefCell<Variables>,
        rule: &Clause,
    ) -> Result<bool, Failure> {
        let Some(condition) = &rule.condition else {
            return Ok(false);
        };
        match self.value(entered, variables, condition)? {
            JValue::Bool(applies) => Ok(applies),
            other => Err(query_error(&format!(
                "the condition of a rule is {other:?}, expected true or false"
            ))),
        }
    }

    fn value(
        &self,
        entered: &Entered<'_>,
        variables: &RefCell<Variables>,
        template: &Template,
    ) -> Result<JValue, Failure> {
        template.evaluate(&Environment {
            services: self.services(),
            variables: &variables.borrow(),
            context: &|| self.context(entered, 0, None),
            input: &entered.input,
            more: None,
        })
    }

    fn text(
        &self,
        entered: &Entered<'_>,
        variables: &RefCell<Variables>,
        template: &Template,
    ) -> Result<String, Failure> {
        let value = self.value(entered, variables, template)?;
        let text = value.as_str().map(str::to_owned);
        text.ok_or_else(|| query_error(&format!("found {value:?}, expected a text")))
    }

    fn seconds(
        &self,
        entered: &Entered<'_>,
        variables: &RefCell<Variables>,
        template: &Template,
    ) -> Result<Duration, Failure> {
        let value = self.value(entered, variables, template)?;
        let seconds = value
            .as_i64()
            .and_then(|seconds| u64::try_from(seconds).ok());
        seconds.map(Duration::from_secs).ok_or_else(|| {
            query_error(&format!(
                "found {value:?}, expected a whole number of seconds"
            ))
        })
    }

    /// The context object.
    ///
    /// Source: Step Functions Developer Guide, "Accessing execution data from the Context object".
    fn context(&self, entered: &Entered<'_>, retries: u32, token: Option<&str>) -> JValue {
        let time = |time| JValue::from(self.services().format(time));
        let mut execution = vec![
            ("Id", JValue::from(self.id.arn())),
            ("Name", JValue::from(self.id.name())),
            ("Input", self.input.clone()),
            ("StartTime", time(self.started_at)),
            ("RedriveCount", JValue::from(i64::from(self.redrives))),
        ];
        execution.extend(self.redriven_at.map(|at| ("RedriveTime", time(at))));
        let mut context = vec![
            ("Execution", object(execution)),
            (
                "State",
                object([
                    ("Name", JValue::from(entered.state.name.as_str())),
                    ("EnteredTime", time(entered.at)),
                    ("RetryCount", JValue::from(i64::from(retries))),
                ]),
            ),
            (
                "StateMachine",
                object([("Name", JValue::from(self.id.machine_name()))]),
            ),
        ];
        context.extend(token.map(|token| ("Task", object([("Token", JValue::from(token))]))));
        object(context)
    }

    /// One attempt of a Task.
    async fn attempt(
        &self,
        entered: &Entered<'_>,
        variables: &RefCell<Variables>,
        retries: u32,
    ) -> Result<JValue, Failure> {
        let Kind::Task(task) = &entered.state.kind else {
            return Err(Failure::new(RUNTIME, "the state is not a Task"));
        };
        let token = self.step_functions.token(&task.integration);
        let (arguments, timeout, heartbeat) = {
            let environment = Environment {
                services: self.services(),
                variables: &variables.borrow(),
                context: &|| self.context(entered, retries, token.as_deref()),
                input: &entered.input,
                more: None,
            };
            let time = |template: &Option<Template>| -> Result<_, Failure> {
                let Some(template) = template else {
                    return Ok(None);
                };
                let value = template.evaluate(&environment)?;
                let seconds = value
                    .as_i64()
                    .and_then(|seconds| u64::try_from(seconds).ok());
                match seconds {
                    Some(seconds @ 1..=99_999_999) => Ok(Some(Duration::from_secs(seconds))),
                    _ => Err(query_error(&format!(
                        "found {value:?} as a time-out, expected 1 to 99999999 seconds"
                    ))),
                }
            };
            (
                task.arguments.evaluate(&environment)?,
                time(&task.timeout)?,
                time(&task.heartbeat)?,
            )
        };
        check_size("the arguments of a Task", &arguments)?;
        let result = self
            .step_functions
            .carry_out(
                self,
                &task.integration,
                arguments,
                token,
                timeout,
                heartbeat,
            )
            .await?;
        check_size("the result of a Task", &result)?;
        Ok(result)
    }

    pub(crate) fn services(&self) -> &Rc<dyn Services> {
        self.step_functions.services()
    }
}

fn check_size(what: &str, value: &JValue) -> Result<(), Failure> {
    match size(value) {
        bytes if bytes > LARGEST_PAYLOAD => Err(Failure::too_large(what, bytes)),
        _ => Ok(()),
    }
}

fn query_error(problem: &str) -> Failure {
    Failure::new("States.QueryEvaluationError", problem)
}

fn invalid(error: &DefinitionError) -> Failure {
    Failure::new(RUNTIME, error.to_string())
}
