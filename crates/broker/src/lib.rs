//! The queue between those who take events in and those who deliver them.
//!
//! [`Broker`] is the port: publish with confirm, publish for later, consume, ack. It speaks of dispatches, not of tables
//! or exchanges. Adapters stand beside it, each of which runs the same `conformance` suite.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod embedded;
mod error;
mod intake;
mod port;
pub mod rabbitmq;
mod waiting;

pub use error::{Cause, Error, PublishError};
pub use intake::{Incoming, Intake, IntakeConsumer, IntakeReceipt, Rejection};
pub use port::{Broker, Consumer, Delayed, Depth, Message, Receipt};
pub use waiting::{Due, Waiting};
