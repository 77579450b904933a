//! Task tokens: how an execution that waits gets its answer.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use jsonata_core::value::JValue;
use tokio::sync::mpsc;

use crate::failure::Failure;

/// The tokens of the Tasks that wait now.
#[derive(Default)]
pub(crate) struct Tokens {
    waiting: RefCell<BTreeMap<String, mpsc::UnboundedSender<Message>>>,
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
    pub(crate) fn wait(self: &Rc<Self>, token: String) -> Waiting {
        let (sender, messages) = mpsc::unbounded_channel();
        self.waiting.borrow_mut().insert(token.clone(), sender);
        Waiting {
            tokens: self.clone(),
            token,
            messages,
        }
    }

    /// Sends a message to the Task that waits. The first answer closes the token.
    ///
    /// # Errors
    /// `Sfn.TaskTimedOutException` if no Task waits with this token.
    pub(crate) fn send(&self, token: &str, message: Message) -> Result<(), Failure> {
        let is_answer = matches!(message, Message::Answer(_));
        let mut waiting = self.waiting.borrow_mut();
        let is_sent = waiting
            .get(token)
            .is_some_and(|sender| sender.send(message).is_ok());
        if is_answer || !is_sent {
            waiting.remove(token);
        }
        if is_sent {
            return Ok(());
        }
        Err(Failure::new(
            "Sfn.TaskTimedOutException",
            "the task is no longer waiting",
        ))
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
