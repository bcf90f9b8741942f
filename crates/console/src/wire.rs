//! What the API takes and answers. Domain types are not among it: each is converted here, at the edge.

pub(crate) mod api_key;
mod authorization;
pub(crate) mod callback;
pub(crate) mod delivery;
pub(crate) mod event;
mod limits;
pub(crate) mod settings;
