//! The embedded database: one SQLite file that queue, idempotency and history share, and its one writer.
//!
//! **Problem.** A commit costs a sync of the disk (0.1 to 4 ms); one for each event would allow a few hundred events a
//! second. Several writers on one SQLite file block each other.
//!
//! **Design.** One writer. Whatever its [`Participant`]s have waiting goes into one transaction, and callers are told
//! only after COMMIT (`synchronous=FULL`): a group commit. While one commit is on its way to the disk the next group
//! gathers, so under load groups grow by themselves, and alone a caller waits for nobody. Reads have connections of
//! their own (WAL: they neither wait nor make others wait).
//!
//! **Invariants.** What a participant was told is committed is on disk. If two pieces of work are handed in one after
//! the other, the second is never durable without the first, provided its participant has the lower [`Rank`] and the
//! first could be written at all.

mod backup;
mod database;
mod error;
mod script;
mod thread;
mod writer;

pub use backup::backup;
pub use database::{Database, FILE, exists};
pub use error::{Cause, Error};
pub use script::{Script, Values};
pub use writer::{Participant, Rank, Wake};
