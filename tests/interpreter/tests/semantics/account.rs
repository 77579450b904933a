//! The services of a test, on a virtual clock.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_executor::LocalPool;
use interpreter::{
    Arrival, Description, End, ExecutionId, Failure, JValue, LocalFuture, Machine, Services,
    StepFunctions,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;

pub(crate) const MAIN: &str = "arn:aws:states:eu-west-3:111122223333:stateMachine:main";
pub(crate) const CHILD: &str = "arn:aws:states:eu-west-3:111122223333:stateMachine:child";

/// An account with the state machines `main` and `child`, and functions that answer as a test says.
pub(crate) struct Account {
    pub(crate) step_functions: Rc<StepFunctions>,
    pub(crate) world: Rc<World>,
    pool: LocalPool,
}

/// An answer of a function, after some seconds.
type Answer = (u64, Result<Value, Failure>);

#[derive(Default)]
pub(crate) struct World {
    /// The seconds since the start of the test, in which a sleep ends.
    now: Cell<Duration>,
    sleepers: RefCell<BTreeMap<(Duration, u64), oneshot::Sender<()>>>,
    count: Cell<u64>,
    /// The next answers of functions. Without one, a function returns its payload at once.
    answers: RefCell<BTreeMap<String, VecDeque<Answer>>>,
    /// The calls of functions: second, name and payload.
    pub(crate) calls: RefCell<Vec<(u64, String, Value)>>,
    /// The states of `main` that were entered.
    pub(crate) entered: RefCell<Vec<String>>,
    /// The second in which an execution has ended.
    pub(crate) ended: RefCell<BTreeMap<ExecutionId, u64>>,
    pub(crate) random: Cell<f64>,
}

impl Services for World {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + self.now.get()
    }

    fn format(&self, time: SystemTime) -> String {
        let since = time.duration_since(UNIX_EPOCH).unwrap();
        format!("{} s", since.as_secs_f64())
    }

    fn sleep(&self, time: Duration) -> LocalFuture<'static, ()> {
        let (sender, receiver) = oneshot::channel();
        let key = (self.now.get() + time, self.next());
        self.sleepers.borrow_mut().insert(key, sender);
        Box::pin(async {
            receiver.await.unwrap();
        })
    }

    fn random(&self) -> f64 {
        self.random.get()
    }

    fn uuid(&self) -> String {
        format!("uuid {}", self.next())
    }

    fn call<'a>(
        &'a self,
        _: &'a ExecutionId,
        integration: &'a str,
        arguments: Value,
    ) -> LocalFuture<'a, Result<Value, Failure>> {
        assert_eq!(integration, "lambda:invoke");
        let name = arguments["FunctionName"].as_str().unwrap().to_owned();
        let payload = arguments["Payload"].clone();
        let second = self.now.get().as_secs();
        let mut answers = self.answers.borrow_mut();
        let answer = answers.get_mut(&name).and_then(VecDeque::pop_front);
        let (after, answer) = answer.unwrap_or_else(|| (0, Ok(payload.clone())));
        self.calls.borrow_mut().push((second, name, payload));
        Box::pin(async move {
            if after > 0 {
                self.sleep(Duration::from_secs(after)).await;
            }
            answer.map(|payload| json!({"Payload": payload}))
        })
    }

    fn reach(&self, _: &'static str) -> LocalFuture<'_, Arrival> {
        Box::pin(async { Arrival::CLEAN })
    }

    fn on_enter(&self, execution: &ExecutionId, state: &str, _: &JValue) {
        if execution.machine_name() == "main" {
            self.entered.borrow_mut().push(state.to_owned());
        }
    }

    fn on_end(&self, execution: &ExecutionId, _: &End) {
        let second = self.now.get().as_secs();
        self.ended.borrow_mut().insert(execution.clone(), second);
    }
}

impl World {
    fn next(&self) -> u64 {
        self.count.set(self.count.get() + 1);
        self.count.get()
    }

    /// Answers the next calls of a function, one after the other, each at once.
    pub(crate) fn answer(&self, function: &str, answers: &[Result<Value, &str>]) {
        for answer in answers {
            self.answer_after(0, function, answer.clone());
        }
    }

    pub(crate) fn answer_after(&self, seconds: u64, function: &str, answer: Result<Value, &str>) {
        let answer = answer.map_err(|error| Failure::new(error, "the cause"));
        let mut answers = self.answers.borrow_mut();
        let answers = answers.entry(function.to_owned()).or_default();
        answers.push_back((seconds, answer));
    }

    /// The seconds in which a function was called.
    pub(crate) fn seconds_of_calls(&self, function: &str) -> Vec<u64> {
        let calls = self.calls.borrow();
        let calls = calls.iter().filter(|(_, name, _)| name == function);
        calls.map(|(second, ..)| *second).collect()
    }
}

/// A definition with these states, the first of which is `A`. In it, `invoke(f)` stands for the fields
/// of a Task that invokes the function `f` with the payload `"f"`.
pub(crate) fn machine(states: &str) -> Result<Machine, String> {
    definition("", states)
}

/// The same with more fields at the top.
pub(crate) fn definition(fields: &str, states: &str) -> Result<Machine, String> {
    let text = format!(
        r#"{{"QueryLanguage": "JSONata", {fields} "StartAt": "A", "States": {{{}}}}}"#,
        with_tasks(states)
    );
    let substitutions = [("Partition", "aws"), ("Main", MAIN), ("Child", CHILD)];
    Machine::parse(&text, &substitutions).map_err(|error| error.to_string())
}

fn with_tasks(states: &str) -> String {
    // A text in JSON has no line breaks.
    let states = states.replace('\n', " ");
    let mut parts = states.split("invoke(");
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let (function, rest) = part.split_once(')').unwrap();
        let _ = write!(
            text,
            r#""Type": "Task", "Resource": "arn:${{Partition}}:states:::lambda:invoke",
            "Arguments": {{"FunctionName": "{function}", "Payload": "{function}"}}"#
        );
        text += rest;
    }
    text
}

impl Account {
    pub(crate) fn new(main: &str) -> Self {
        Self::of(machine(main), machine(r#""A": {"Type": "Succeed"}"#))
    }

    pub(crate) fn with_child(main: &str, child: &str) -> Self {
        Self::of(machine(main), machine(child))
    }

    pub(crate) fn of(main: Result<Machine, String>, child: Result<Machine, String>) -> Self {
        let world = Rc::new(World::default());
        let pool = LocalPool::new();
        let machines = BTreeMap::from([
            (MAIN.to_owned(), Rc::new(main.unwrap())),
            (CHILD.to_owned(), Rc::new(child.unwrap())),
        ]);
        Self {
            step_functions: StepFunctions::new(world.clone(), pool.spawner(), machines),
            world,
            pool,
        }
    }

    /// Starts the execution `name` of `main`.
    pub(crate) fn start(&mut self, name: &str, input: &Value) -> ExecutionId {
        let id = self.step_functions.start(MAIN, Some(name), input).unwrap();
        self.pool.run_until_stalled();
        id
    }

    /// Lets time pass until nothing happens any more.
    pub(crate) fn finish(&mut self) {
        self.run_until(u64::MAX);
    }

    /// Lets time pass until this second.
    pub(crate) fn run_until(&mut self, second: u64) {
        loop {
            self.pool.run_until_stalled();
            let mut sleepers = self.world.sleepers.borrow_mut();
            // A sleep without a receiver was given up.
            sleepers.retain(|_, sender| !sender.is_closed());
            let next = sleepers.first_entry();
            match next.filter(|next| next.key().0 <= Duration::from_secs(second)) {
                Some(next) => {
                    self.world.now.set(next.key().0);
                    next.remove().send(()).unwrap();
                }
                None if second == u64::MAX => return,
                None => {
                    self.world.now.set(Duration::from_secs(second));
                    return;
                }
            }
        }
    }

    /// Runs an execution of `main` to its end.
    pub(crate) fn run(&mut self, input: &Value) -> Outcome {
        let id = self.start("run", input);
        self.finish();
        self.outcome(&id)
    }

    pub(crate) fn describe(&self, id: &ExecutionId) -> Description {
        self.step_functions.describe(id).unwrap()
    }

    pub(crate) fn outcome(&self, id: &ExecutionId) -> Outcome {
        Outcome::of(self.describe(id).end.expect("the execution has ended"))
    }

    /// The executions of `child`.
    pub(crate) fn children(&self) -> Vec<(ExecutionId, Description)> {
        let mut executions = self.step_functions.executions();
        executions.retain(|(id, _)| id.machine_name() == "child");
        executions
    }
}

/// The end of an execution, in short.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    Output(Value),
    /// The name of the error.
    Error(String),
    TimedOut,
    Aborted,
}

impl Outcome {
    fn of(end: End) -> Self {
        match end {
            End::Succeeded(output) => Self::Output(output),
            End::Failed(failure) => Self::Error(failure.error),
            End::TimedOut => Self::TimedOut,
            End::Aborted(_) => Self::Aborted,
        }
    }
}

pub(crate) fn error(name: &str) -> Outcome {
    Outcome::Error(name.to_owned())
}

/// Runs a definition and compares its end.
#[track_caller]
pub(crate) fn check(states: &str, input: &Value, expected: &Outcome) {
    assert_eq!(Account::new(states).run(input), *expected);
}
