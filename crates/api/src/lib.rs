//! What ingest and console share at the HTTP edge.
//!
//! How errors are told ([`Problem`]), who calls ([`Keys`], [`Caller`]), which events are known ([`Types`]), how
//! bodies and queries are read ([`body`], [`Query`], [`PathId`]), and how lists come in pages ([`PageQuery`],
//! [`PageAnswer`]), and how what the store knows is kept in memory ([`Cached`]).

pub mod body;
mod cached;
mod caller;
mod catalog;
mod keys;
mod page;
mod pointer;
mod problem;
mod query;
mod refusals;

pub use body::{JsonBody, OptionalJsonBody, parse, read_body, require_json};
pub use cached::Cached;
pub use caller::{BasicOrBearer, Caller};
pub use catalog::{KnownTypes, NotOfItsType, Types};
pub use keys::Keys;
pub use page::{PageAnswer, PageQuery};
pub use pointer::Pointer;
pub use problem::{FieldError, Problem, ProblemDetails, with_fallbacks};
pub use query::{PathId, PathName, Query};
