//! What the API takes and answers. Domain types are not among it: each is converted here, at the edge.

pub(crate) mod api_key;
mod authorization;
pub(crate) mod callback;
pub(crate) mod console_link;
pub(crate) mod delivery;
pub(crate) mod event;
pub(crate) mod event_type;
mod limits;
pub(crate) mod registration;
pub(crate) mod replay;
pub(crate) mod rotation;
pub(crate) mod settings;
pub(crate) mod sink;
