//! One execution: from state to state.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use futures_util::future::{Either, select, try_join_all};
use jsonata_core::value::JValue;

use crate::definition::{Clause, DefinitionError, Kind, Level, Machine, State};
use crate::environment::{Environment, Variables};
use crate::expression::Template;
use crate::failure::{Failure, LARGEST_PAYLOAD, QUERY_EVALUATION_ERROR, RUNTIME};
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
    place: Place,
}

/// Where an execution, or a branch of a Parallel state, is.
#[derive(Default)]
struct Place {
    variables: RefCell<Variables>,
    /// The state that it is in, with the input of this state.
    position: RefCell<Option<(String, JValue)>>,
    /// The branches of this state, if it is a Parallel state.
    branches: RefCell<Vec<Rc<Branch>>>,
}

#[derive(Default)]
struct Branch {
    place: Place,
    /// Its output, if it has ended. A redrive does not run it again.
    output: RefCell<Option<JValue>>,
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
    place: &'a Place,
    /// The number of retries so far.
    retries: Cell<u32>,
}

impl Progress {
    /// The state that the execution is in.
    pub(crate) fn state(&self) -> Option<String> {
        let position = self.place.position.borrow();
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
        // ExecutionStarted or ExecutionRedriven.
        self.progress.history.add(1)?;
        let level = &self.machine.level;
        self.run_level(level, &self.input, &self.progress.place, true)
            .await
    }

    /// Runs from the place to the end.
    async fn run_level(
        &self,
        level: &Level,
        input: &JValue,
        place: &Place,
        is_top: bool,
    ) -> Result<JValue, Failure> {
        let position = place.position.borrow().clone();
        let (mut name, mut input) =
            position.unwrap_or_else(|| (level.start_at.clone(), input.clone()));
        loop {
            let state = level.state(&name).map_err(|error| invalid(&error))?;
            if is_top {
                self.services().on_enter(&self.id, &state.name, &input);
            }
            *place.position.borrow_mut() = Some((name, input.clone()));
            let step = self.run_state(state, input, place).await?;
            place.branches.borrow_mut().clear();
            match step {
                Step::Next(next, output) => (name, input) = (next, output),
                Step::End(output) => return Ok(output),
            }
        }
    }

    async fn run_state(
        &self,
        state: &State,
        input: JValue,
        place: &Place,
    ) -> Result<Step, Failure> {
        let entered = Entered {
            state,
            input,
            at: self.services().now(),
            place,
            retries: Cell::new(0),
        };
        let history = &self.progress.history;
        history.transition();
        history.add(1)?;
        match &state.kind {
            Kind::Pass | Kind::Succeed => self.exit(&entered, &state.exit, None),
            Kind::Wait { seconds } => {
                let seconds = self.seconds(&entered, seconds)?;
                let aborted = history.abortable();
                self.services().sleep(seconds).await;
                aborted.disarm();
                self.exit(&entered, &state.exit, None)
            }
            Kind::Choice { rules } => {
                for rule in rules {
                    if self.applies(&entered, rule)? {
                        return self.exit(&entered, rule, None);
                    }
                }
                self.exit(&entered, &state.exit, None)
            }
            Kind::Fail { error, cause } => {
                let error = self.text(&entered, error)?;
                let cause = self.text(&entered, cause)?;
                self.step_functions.cover(&self.id, state.exit.edge);
                Err(Failure { error, cause })
            }
            Kind::Task(_) | Kind::Parallel { .. } => {
                let aborted = history.abortable();
                let step = self.run_with_retries(&entered).await;
                aborted.disarm();
                step
            }
        }
    }

    /// Runs a Task or Parallel state, with its Retry and Catch.
    async fn run_with_retries(&self, entered: &Entered<'_>) -> Result<Step, Failure> {
        let state = entered.state;
        let mut attempts: Vec<u32> = state.retry.iter().map(|_| 0).collect();
        let failure = loop {
            let outcome = match &state.kind {
                Kind::Parallel { branches } => self.branches(entered, branches).await,
                _ => self.attempt(entered).await,
            };
            let outcome = outcome
                .and_then(|result| self.exit(entered, &state.exit, Some(("result", &result))));
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
                    entered.retries.set(entered.retries.get() + 1);
                    entered.place.branches.borrow_mut().clear();
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
        let fields = [("Error", failure.error), ("Cause", failure.cause)];
        let given = fields.into_iter().filter(|(_, value)| !value.is_empty());
        let output = object(given.map(|(name, value)| (name, JValue::from(value))));
        self.exit(entered, catcher, Some(("errorOutput", &output)))
    }

    /// Runs the branches until all have ended or one has failed, which ends the others.
    async fn branches(&self, entered: &Entered<'_>, levels: &[Level]) -> Result<JValue, Failure> {
        // ParallelStateStarted.
        self.progress.history.add(1)?;
        if entered.place.branches.borrow().is_empty() {
            let variables = &entered.place.variables;
            let branch = |_| {
                let place = Place {
                    variables: variables.clone(),
                    ..Place::default()
                };
                Rc::new(Branch {
                    place,
                    output: RefCell::default(),
                })
            };
            let branches = levels.iter().map(branch).collect();
            *entered.place.branches.borrow_mut() = branches;
        }
        let branches = entered.place.branches.borrow().clone();
        let runs = levels.iter().zip(&branches).map(|(level, branch)| {
            let run: Pin<Box<dyn Future<Output = _>>> = Box::pin(async move {
                let ended = branch.output.borrow().clone();
                let output = match ended {
                    Some(output) => output,
                    None => {
                        self.run_level(level, &entered.input, &branch.place, false)
                            .await?
                    }
                };
                *branch.output.borrow_mut() = Some(output.clone());
                Ok(output)
            });
            run
        });
        let outputs = try_join_all(runs).await;
        // ParallelStateSucceeded or ParallelStateFailed.
        self.progress.history.add(1)?;
        let outputs = JValue::array(outputs?);
        check_size("the result of a Parallel state", &outputs)?;
        Ok(outputs)
    }

    /// Counts the event of an expression that has failed.
    fn evaluated<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        if let Err(failure) = &result
            && failure.error == QUERY_EVALUATION_ERROR
        {
            self.progress.history.add(1)?;
        }
        result
    }

    /// Leaves a state by one of its ways: evaluates what is assigned and passed on, both with the
    /// variables of before.
    fn exit(
        &self,
        entered: &Entered<'_>,
        clause: &Clause,
        more: Option<(&str, &JValue)>,
    ) -> Result<Step, Failure> {
        let (output, assigned) = {
            let environment = Environment {
                services: self.services(),
                variables: &entered.place.variables.borrow(),
                context: &|| self.context(entered, None),
                input: &entered.input,
                more,
            };
            let output = match &clause.output {
                Some(output) => {
                    let output = self.evaluated(output.evaluate(&environment))?;
                    check_size("an output", &output)?;
                    output
                }
                None => more.map_or_else(|| entered.input.clone(), |(_, value)| value.clone()),
            };
            let assigned = match &clause.assign {
                Some(assign) => self.evaluated(assign.evaluate_fields(&environment))?,
                None => Vec::new(),
            };
            (output, assigned)
        };
        match assigned.iter().map(|(_, value)| size(value)).sum() {
            bytes if bytes > LARGEST_PAYLOAD => {
                return Err(Failure::too_large("what a state assigns", bytes));
            }
            _ => entered.place.variables.borrow_mut().extend(assigned),
        }
        // The event that the state is exited.
        self.progress.history.add(1)?;
        self.step_functions.cover(&self.id, clause.edge);
        Ok(match &clause.next {
            Some(next) => Step::Next(next.clone(), output),
            None => Step::End(output),
        })
    }

    fn applies(&self, entered: &Entered<'_>, rule: &Clause) -> Result<bool, Failure> {
        let Some(condition) = &rule.condition else {
            return Ok(false);
        };
        self.value(entered, condition, "true or false", JValue::as_bool)
    }

    fn text(&self, entered: &Entered<'_>, template: &Template) -> Result<String, Failure> {
        let text = |value: &JValue| value.as_str().map(str::to_owned);
        self.value(entered, template, "a text", text)
    }

    fn seconds(&self, entered: &Entered<'_>, template: &Template) -> Result<Duration, Failure> {
        let expected = "a whole number of seconds from 0 to 99999999";
        self.value(entered, template, expected, |value| seconds(value, 0))
    }

    /// The value of a field, converted to the type of the field.
    fn value<T>(
        &self,
        entered: &Entered<'_>,
        template: &Template,
        expected: &str,
        convert: impl FnOnce(&JValue) -> Option<T>,
    ) -> Result<T, Failure> {
        let value = template.evaluate(&Environment {
            services: self.services(),
            variables: &entered.place.variables.borrow(),
            context: &|| self.context(entered, None),
            input: &entered.input,
            more: None,
        });
        let converted =
            value.and_then(|value| convert(&value).ok_or_else(|| query_error(&value, expected)));
        self.evaluated(converted)
    }

    /// The context object, without the ARN of the role.
    ///
    /// Source: Step Functions Developer Guide, "Accessing execution data from the Context object".
    fn context(&self, entered: &Entered<'_>, token: Option<&str>) -> JValue {
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
                    ("RetryCount", JValue::from(i64::from(entered.retries.get()))),
                ]),
            ),
            (
                "StateMachine",
                object([
                    ("Id", JValue::from(self.id.machine_arn())),
                    ("Name", JValue::from(self.id.machine_name())),
                ]),
            ),
        ];
        context.extend(token.map(|token| ("Task", object([("Token", JValue::from(token))]))));
        object(context)
    }

    /// One attempt of a Task.
    async fn attempt(&self, entered: &Entered<'_>) -> Result<JValue, Failure> {
        let Kind::Task(task) = &entered.state.kind else {
            return Err(Failure::new(RUNTIME, "the state is not a Task"));
        };
        let token = self.step_functions.token(&task.integration);
        let evaluate = || {
            let environment = Environment {
                services: self.services(),
                variables: &entered.place.variables.borrow(),
                context: &|| self.context(entered, token.as_deref()),
                input: &entered.input,
                more: None,
            };
            let time = |template: &Option<Template>| -> Result<_, Failure> {
                let Some(template) = template else {
                    return Ok(None);
                };
                let value = template.evaluate(&environment)?;
                let expected = "a time-out from 1 to 99999999 seconds";
                let time = seconds(&value, 1).ok_or_else(|| query_error(&value, expected))?;
                Ok(Some(time))
            };
            let arguments = task.arguments.evaluate(&environment)?;
            check_size("the arguments of a Task", &arguments)?;
            Ok((arguments, time(&task.timeout)?, time(&task.heartbeat)?))
        };
        let (arguments, timeout, heartbeat) = self.evaluated(evaluate())?;
        self.step_functions
            .carry_out(
                self,
                &task.integration,
                arguments,
                token.clone(),
                timeout,
                heartbeat,
            )
            .await
    }

    pub(crate) fn services(&self) -> &Rc<dyn Services> {
        self.step_functions.services()
    }
}

/// A number of seconds that AWS accepts.
///
/// Source: Amazon States Language specification, "Timeouts", and Step Functions Developer Guide,
/// "Wait workflow state".
fn seconds(value: &JValue, least: u64) -> Option<Duration> {
    let seconds = u64::try_from(value.as_i64()?).ok()?;
    (least..=99_999_999)
        .contains(&seconds)
        .then(|| Duration::from_secs(seconds))
}

pub(crate) fn check_size(what: &str, value: &JValue) -> Result<(), Failure> {
    match size(value) {
        bytes if bytes > LARGEST_PAYLOAD => Err(Failure::too_large(what, bytes)),
        _ => Ok(()),
    }
}

fn query_error(found: &JValue, expected: &str) -> Failure {
    let problem = format!("found {}, expected {expected}", to_json(found));
    Failure::new(QUERY_EVALUATION_ERROR, problem)
}

fn invalid(error: &DefinitionError) -> Failure {
    Failure::new(RUNTIME, error.to_string())
}
