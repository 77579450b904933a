//! Alarms from the queue between EventBridge and the function. An alarm that a running or held migration
//! watches starts the rollback state machine, with the event as its input; another one starts nothing.
//!
//! The queue is FIFO with one message group, so there is one batch at a time, and few environments look up.
//! A message that fails stays invisible for twelve minutes, and blocks the group meanwhile. So what can't be
//! looked up counts as watched: the state machine looks again, with retries. Only an alarm for which no
//! execution can be started is left to the queue.
//!
//! Source: Lambda Developer Guide, "Using Lambda with Amazon SQS" and "Handling errors for an SQS event source
//! in Lambda"; SQS Developer Guide, "FIFO queue delivery logic in Amazon SQS".

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::{Either, select};
use migration::Error;
use migration::executions::{Executions, RollbackStarts};
use migration::json::from_json;
use migration::text::shortened;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::held::latest_ended;
use crate::look_up::{Step, next_step};
use crate::memory::{LastLookUp, LookUp, Memory};
use crate::request::{AlarmRequest, LONGEST_NAME, PassRequest, Request};

/// The longest time to look for running migrations, or for held ones, in which the SDK repeats throttled calls.
const LONGEST_LOOK_UP: Duration = Duration::from_secs(20);
/// For how long a call tries to start rollbacks: the function's timeout (120 seconds) without the longest time
/// of one call of the SDK.
const LONGEST_TRY: Duration = Duration::from_mins(1);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_secs(3);
/// Characters of an event's id in the name of an execution, which has at most 80. EventBridge's have 36.
const LONGEST_ID: usize = 70;

/// What the function needs for the messages of the queue.
#[derive(Debug)]
pub struct Queue<'a, E, S, C> {
    pub executions: &'a E,
    pub rollbacks: &'a S,
    pub clock: &'a C,
    /// The memory of the environment of the function.
    pub memory: &'a Memory,
}

// Derived, it would need services that can be copied.
impl<E, S, C> Clone for Queue<'_, E, S, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E, S, C> Copy for Queue<'_, E, S, C> {}

/// The event with which Lambda passes messages of a queue.
#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    message_id: String,
    body: String,
}

/// An alarm that is not answered yet.
struct OpenAlarm {
    message_id: String,
    event: Value,
    alarm: AlarmRequest,
}

/// Whether an event is a batch of messages.
pub fn has_messages(event: &Value) -> bool {
    event.get("Records").is_some()
}

/// Starts the rollbacks of the alarms in a batch. The answer names the messages that are to be repeated.
///
/// # Errors
/// [`Error::InvalidInput`] if the event is no batch of messages.
pub async fn handle_messages<E: Executions, S: RollbackStarts, C: Clock>(
    event: &Value,
    queue: Queue<'_, E, S, C>,
) -> Result<Value, Error> {
    let Batch { records } = from_json(event)?;
    let alarms = records.into_iter().filter_map(open_alarm).collect();
    let mut call = Call {
        queue,
        give_up_at: queue.clock.now() + LONGEST_TRY,
        open: alarms,
    };
    if let Err(error) = call.answer().await {
        tracing::error!(%error, "a rollback could not be started; the queue repeats its alarm");
    }
    let failures = call
        .open
        .iter()
        .map(|it| json!({"itemIdentifier": it.message_id}));
    Ok(json!({"batchItemFailures": failures.collect::<Vec<_>>()}))
}

fn open_alarm(record: Record) -> Option<OpenAlarm> {
    let Record { message_id, body } = record;
    let problem = match serde_json::from_str::<Value>(&body) {
        Ok(event) => match PassRequest::parse(&event).map(|pass| pass.request) {
            Ok(Request::Alarm(alarm)) => {
                return Some(OpenAlarm {
                    message_id,
                    event,
                    alarm,
                });
            }
            Ok(Request::Ignored(reason)) => {
                tracing::info!(message_id, reason, "an alarm starts no rollback");
                return None;
            }
            Ok(_) => "expected the event of an alarm, found another request".to_owned(),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    // It would fail each time, and block the alarms behind it.
    tracing::error!(
        message_id,
        problem,
        body = shortened(&body, LONGEST_NAME),
        "a message is dropped, because it is no event of an alarm"
    );
    None
}

/// One call of the function.
struct Call<'a, E, S, C> {
    queue: Queue<'a, E, S, C>,
    give_up_at: SystemTime,
    open: Vec<OpenAlarm>,
}

impl<E: Executions, S: RollbackStarts, C: Clock> Call<'_, E, S, C> {
    /// # Errors
    /// If a rollback can't be started. Its alarm and those that are not answered stay open.
    async fn answer(&mut self) -> Result<(), Error> {
        let Queue { clock, memory, .. } = self.queue;
        let last = memory.last_look_up();
        if let Some(found) = last.as_ref().and_then(|last| last.found.clone()) {
            let (now, began) = (clock.now(), last.as_ref().map(|last| (last.began, true)));
            let answered = |it: &mut OpenAlarm| {
                next_step(it.alarm.fired_at, now, began) == Step::AnswerFromLast
            };
            let answered: Vec<_> = self.open.extract_if(.., answered).collect();
            let open = std::mem::replace(&mut self.open, answered);
            let result = self.start_watched(&found).await;
            self.open.extend(open);
            result?;
        }
        if self.open.is_empty() {
            return Ok(());
        }
        // What is left can't be answered from the last look-up.
        let last = last.map(|last| (last.began, false));
        if let Step::LookUpAfter(rest) = next_step(None, clock.now(), last) {
            clock.sleep(rest).await;
        }
        self.look_up().await
    }

    /// Answers all that are open. The running migrations come first: their rollbacks do not wait until the held
    /// ones are found.
    async fn look_up(&mut self) -> Result<(), Error> {
        let Queue {
            executions,
            clock,
            memory,
            ..
        } = self.queue;
        let mut last = LastLookUp {
            began: clock.now(),
            found: None,
        };
        memory.set_last_look_up(last.clone());
        let running = async {
            let running = executions.list_running().await?;
            memory.learn(&running, executions).await?;
            Ok(running)
        };
        let running = match self.in_time(running).await {
            Ok(running) => running,
            Err(problem) => return self.start_all(&problem).await,
        };
        let mut found = LookUp {
            running,
            ended: Vec::new(),
        };
        let is_watched = |it: &mut OpenAlarm| found.is_watched_by_running(&it.alarm, memory);
        let watched: Vec<_> = self.open.extract_if(.., is_watched).collect();
        self.start(watched).await?;
        if self.open.is_empty() {
            return Ok(());
        }
        match self
            .in_time(latest_ended(clock.now(), executions, memory))
            .await
        {
            Ok(ended) => found.ended = ended,
            Err(problem) => return self.start_all(&problem).await,
        }
        let found = Arc::new(found);
        last.found = Some(Arc::clone(&found));
        memory.set_last_look_up(last);
        self.start_watched(&found).await
    }

    /// Answers all that are open.
    async fn start_watched(&mut self, found: &LookUp) -> Result<(), Error> {
        let Queue {
            executions, memory, ..
        } = self.queue;
        let mut watched = Vec::new();
        let mut has_failed = false;
        for open in std::mem::take(&mut self.open) {
            let alarm = &open.alarm;
            let is_watched = has_failed || found.is_watched_by_running(alarm, memory) || {
                let by_ended = found.is_watched_by_ended(alarm, executions, memory);
                self.in_time(by_ended).await.unwrap_or_else(|problem| {
                    tracing::warn!(problem, "the look-up failed, and alarms count as watched");
                    has_failed = true;
                    true
                })
            };
            if is_watched {
                watched.push(open);
            } else {
                let alarm = &alarm.name;
                tracing::info!(
                    alarm,
                    "no migration that is running or held watches an alarm"
                );
            }
        }
        self.start(watched).await
    }

    /// Starts a rollback for all that are open, because it is unknown who watches them.
    async fn start_all(&mut self, problem: &str) -> Result<(), Error> {
        tracing::warn!(
            problem,
            "the look-up failed, and all alarms count as watched"
        );
        let open = std::mem::take(&mut self.open);
        self.start(open).await
    }

    /// Starts a rollback for each of these. The first that fails and those behind it are open again.
    async fn start(&mut self, alarms: Vec<OpenAlarm>) -> Result<(), Error> {
        let mut alarms = alarms.into_iter();
        while let Some(alarm) = alarms.next() {
            if let Err(error) = self.start_one(&alarm).await {
                self.open.push(alarm);
                self.open.extend(alarms);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn start_one(&self, alarm: &OpenAlarm) -> Result<(), Error> {
        let Queue {
            rollbacks, clock, ..
        } = self.queue;
        let name = execution_name(alarm);
        loop {
            match rollbacks.start_rollback(&name, &alarm.event).await {
                Ok(()) => {
                    let alarm = &alarm.alarm.name;
                    tracing::info!(alarm, execution = name, "an alarm starts a rollback");
                    return Ok(());
                }
                Err(error) if clock.now() + PAUSE > self.give_up_at => return Err(error),
                Err(error) => tracing::warn!(%error, "a rollback could not be started yet"),
            }
            clock.sleep(PAUSE).await;
        }
    }

    /// The result, or a problem if there is an error or it takes too long.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, String> {
        let clock = self.queue.clock;
        let rest = self.give_up_at.duration_since(clock.now());
        let time = rest.unwrap_or_default().min(LONGEST_LOOK_UP);
        match select(pin!(work), pin!(clock.sleep(time))).await {
            Either::Left((result, _)) => result.map_err(|error| error.to_string()),
            Either::Right(_) => Err(format!(
                "Step Functions has not answered within {} seconds",
                time.as_secs()
            )),
        }
    }
}

/// The name of the execution that an event starts. It is the same each time, so that an event starts one.
fn execution_name(alarm: &OpenAlarm) -> String {
    let id = alarm.event.get("id").and_then(Value::as_str);
    let id = id.unwrap_or(&alarm.message_id).chars().take(LONGEST_ID);
    let id = id.map(|it| if it.is_ascii_alphanumeric() { it } else { '-' });
    format!("alarm-{}", id.collect::<String>())
}
