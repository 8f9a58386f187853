//! The edge at which clients ask a node.

use splitbrain_core::{Node, Outcome};
use std::fmt;
use tokio::sync::{mpsc, oneshot};

/// Where an answer goes.
pub(super) type Reply<Ret> = oneshot::Sender<Outcome<Ret>>;

/// What somebody does who looks at a node.
type Look<N> = Box<dyn FnOnce(Option<&N>) + Send>;

/// What a handle asks for.
pub(super) enum Command<N: Node> {
    Invoke {
        op: N::Op,
        reply: Reply<N::Ret>,
    },
    /// To be called with the node.
    Look(Look<N>),
    Stop,
}

/// A node that runs in a host. It stops when all its handles are dropped.
pub struct Handle<N: Node> {
    commands: mpsc::Sender<Command<N>>,
}

// Not derived: a handle is copied whatever the node is.
impl<N: Node> Clone for Handle<N> {
    fn clone(&self) -> Self {
        Handle {
            commands: self.commands.clone(),
        }
    }
}

impl<N: Node> fmt::Debug for Handle<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl<N: Node> Handle<N> {
    pub(super) fn new(commands: mpsc::Sender<Command<N>>) -> Handle<N> {
        Handle { commands }
    }

    /// Begins an operation at the node, and waits for its end. If the node ends before, nobody knows whether it took effect.
    pub async fn invoke(&self, op: N::Op) -> Outcome<N::Ret> {
        let (reply, answer) = oneshot::channel();
        let asked = self.commands.send(Command::Invoke { op, reply }).await;
        if asked.is_err() {
            return Outcome::Fail("the node has ended");
        }
        answer.await.unwrap_or(Outcome::Info)
    }

    /// Looks at the node between two of its events; `None` if it has ended.
    pub async fn look<R: Send + 'static>(
        &self,
        look: impl FnOnce(&N) -> R + Send + 'static,
    ) -> Option<R> {
        let (reply, answer) = oneshot::channel();
        let look = move |node: Option<&N>| {
            if let Some(node) = node {
                // Whoever has asked may not wait any more.
                let _ = reply.send(look(node));
            }
        };
        let asked = self.commands.send(Command::Look(Box::new(look))).await;
        asked.ok()?;
        answer.await.ok()
    }

    /// Stops the node: what it has written is made durable first. Its end is to be awaited elsewhere.
    pub async fn stop(&self) {
        // If it has ended already, so it is.
        let _ = self.commands.send(Command::Stop).await;
    }
}
