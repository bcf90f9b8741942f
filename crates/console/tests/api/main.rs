//! The management API over the real store and queue, called without a port.

mod api_keys;
mod callback_changes;
mod callback_fields;
mod catalog;
mod document;
mod harness;
mod history;
mod isolation;
mod pages;
mod parked;
mod pausing;
mod recovery;
mod reference;
mod registration;
mod retries;
mod rotation;
mod sink;
