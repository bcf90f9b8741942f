//! What ingest and console share at the HTTP edge.
//!
//! How errors are told ([`Problem`]), who calls ([`Keys`], [`Caller`]), how bodies and queries are read ([`body`],
//! [`Query`], [`PathId`]), and how lists come in pages ([`PageQuery`], [`PageAnswer`]).

pub mod body;
mod caller;
mod keys;
mod page;
mod pointer;
mod problem;
mod query;

pub use body::{JsonBody, parse, read_body, require_json};
pub use caller::Caller;
pub use keys::Keys;
pub use page::{PageAnswer, PageQuery};
pub use pointer::Pointer;
pub use problem::{FieldError, Problem, ProblemDetails, with_fallbacks};
pub use query::{PathId, Query};
