//! Task tokens: how an execution that waits gets its answer.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use jsonata_core::value::JValue;
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::step_functions::ExecutionId;

#[derive(Default)]
pub(crate) struct Tokens {
    /// The Tasks that wait now, by token.
    waiting: RefCell<BTreeMap<String, Waiter>>,
    /// All tokens so far.
    issued: RefCell<BTreeSet<String>>,
}

struct Waiter {
    execution: ExecutionId,
    sender: mpsc::UnboundedSender<Message>,
}

pub(crate) enum Message {
    Heartbeat,
    Answer(Result<JValue, Failure>),
}

/// The end of a Task that waits. Its token is no longer accepted once this is dropped.
pub(crate) struct Waiting {
    tokens: Rc<Tokens>,
    token: String,
    messages: mpsc::UnboundedReceiver<Message>,
}

impl Tokens {
    pub(crate) fn wait(self: &Rc<Self>, token: String, execution: &ExecutionId) -> Waiting {
        let (sender, messages) = mpsc::unbounded_channel();
        let execution = execution.clone();
        let waiter = Waiter { execution, sender };
        self.issued.borrow_mut().insert(token.clone());
        self.waiting.borrow_mut().insert(token.clone(), waiter);
        Waiting {
            tokens: self.clone(),
            token,
            messages,
        }
    }

    /// Closes the tokens of an execution, which has ended.
    pub(crate) fn close(&self, execution: &ExecutionId) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|_, waiter| waiter.execution != *execution);
    }

    /// Sends a message to the Task that waits. The first answer closes the token.
    ///
    /// # Errors
    /// `Sfn.TaskTimedOutException` if no Task waits with this token any more, and
    /// `Sfn.InvalidTokenException` if none ever has.
    pub(crate) fn send(&self, token: &str, message: Message) -> Result<(), Failure> {
        let is_answer = matches!(message, Message::Answer(_));
        let mut waiting = self.waiting.borrow_mut();
        let is_sent = waiting
            .get(token)
            .is_some_and(|waiter| waiter.sender.send(message).is_ok());
        if is_answer || !is_sent {
            waiting.remove(token);
        }
        if is_sent {
            return Ok(());
        }
        Err(if self.issued.borrow().contains(token) {
            Failure::new("Sfn.TaskTimedOutException", "the task is no longer waiting")
        } else {
            Failure::new("Sfn.InvalidTokenException", "the token is not valid")
        })
    }
}

impl Waiting {
    /// The next message. `None` can't happen while this exists and its token is accepted.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        self.messages.recv().await
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.tokens.waiting.borrow_mut().remove(&self.token);
    }
}
