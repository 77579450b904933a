//! The queue of the events of alarms, and the mapping by which Lambda passes them to the function `rollback`.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{Function, World};

/// The batch size and the visibility timeout in the template, and the number of receives after which a message
/// goes to the dead-letter queue.
const BATCH_SIZE: usize = 10;
const VISIBILITY_TIMEOUT: Duration = Duration::from_mins(12);
const MOST_RECEIVES: usize = 5;

#[derive(Default)]
pub(crate) struct AlarmQueue {
    messages: RefCell<VecDeque<Message>>,
    /// The bodies of all messages so far: SQS drops a second one.
    bodies: RefCell<BTreeSet<String>>,
    is_polled: Cell<bool>,
    dead_letters: RefCell<Vec<Value>>,
}

struct Message {
    id: String,
    event: Value,
    receives: usize,
}

impl World {
    /// EventBridge delivers an alarm's event to the queue.
    pub(crate) fn send_alarm(self: &Rc<Self>, event: &Value) {
        let queue = &self.alarm_queue;
        let count = {
            let mut bodies = queue.bodies.borrow_mut();
            if !bodies.insert(event.to_string()) {
                return;
            }
            bodies.len()
        };
        queue.messages.borrow_mut().push_back(Message {
            id: format!("message-{count}"),
            event: event.clone(),
            receives: 0,
        });
        if !queue.is_polled.replace(true) {
            let world = self.clone();
            self.spawn(async move {
                while world.receive_alarms().await {}
                world.alarm_queue.is_polled.set(false);
            });
        }
    }

    /// The events that the queue has given up.
    pub fn dead_letters(&self) -> Vec<Value> {
        self.alarm_queue.dead_letters.borrow().clone()
    }

    /// Invokes the function with the first messages, and deletes those that it has handled. While others wait
    /// for their visibility timeout, a FIFO queue delivers none of their group, which is the only one. Returns
    /// false if there were none.
    async fn receive_alarms(self: &Rc<Self>) -> bool {
        let queue = &self.alarm_queue;
        let records: Vec<_> = {
            let mut messages = queue.messages.borrow_mut();
            let batch = messages.iter_mut().take(BATCH_SIZE);
            batch
                .map(|message| {
                    message.receives += 1;
                    json!({"messageId": message.id, "body": message.event.to_string()})
                })
                .collect()
        };
        if records.is_empty() {
            return false;
        }
        let received = records.len();
        let answer = if let Some(failure) = self.outage("rollback") {
            Err(failure)
        } else {
            let event = json!({"Records": records});
            self.invoke(Function::Rollback, event).await
        };
        let failed: Vec<_> = match answer {
            Ok(answer) => {
                let failures = answer["batchItemFailures"].as_array();
                let failures = failures.into_iter().flatten();
                failures.map(|it| it["itemIdentifier"].clone()).collect()
            }
            Err(failure) => {
                self.note(format!("the alarms of a batch are not handled: {failure}"));
                records.iter().map(|it| it["messageId"].clone()).collect()
            }
        };
        let mut batch: Vec<_> = queue.messages.borrow_mut().drain(..received).collect();
        batch.retain(|message| failed.contains(&json!(message.id)));
        if batch.is_empty() {
            return true;
        }
        let dead = batch.extract_if(.., |it| it.receives >= MOST_RECEIVES);
        let dead = dead.map(|message| message.event);
        queue.dead_letters.borrow_mut().extend(dead);
        for message in batch.into_iter().rev() {
            queue.messages.borrow_mut().push_front(message);
        }
        self.clock.sleep(VISIBILITY_TIMEOUT).await;
        true
    }
}
