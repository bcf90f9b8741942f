//! Changes of the configuration, for every database: the statements of one transaction, whatever it is bound for.

use std::sync::Arc;
use std::time::Duration;

use ringback_core::callback::DisabledReason;
use ringback_core::{ApiKeyId, Callback, CallbackId, Timestamp};

use crate::port::{CallbackChange, Revision};
use crate::rows::{self, Bind, Columns};
use crate::{ApiKey, Error, LastKey, MasterKey, sql};

/// What a change is made of. It is kept only if each statement touches a row.
pub(crate) type Statements<B> = Vec<(&'static str, B)>;

pub(crate) fn create_callback<B: Bind + Default>(
    callback: &Callback,
    key: &MasterKey,
    revision: Revision,
) -> Statements<B> {
    let mut values = B::default();
    rows::bind_callback(&mut values, callback, callback.updated_at, key);
    values.number(Some(revision.0));
    vec![(sql::INSERT_CALLBACK, values)]
}

pub(crate) fn update_callback<B: Bind + Default>(
    callback: &Callback,
    read_at: Timestamp,
    key: &MasterKey,
    revision: Revision,
) -> Statements<B> {
    let mut values = B::default();
    rows::bind_callback(&mut values, callback, later(callback.updated_at, read_at), key);
    values.number(Some(revision.0));
    values.number(Some(read_at.ms()));
    vec![(sql::UPDATE_CALLBACK, values)]
}

pub(crate) fn delete_callback<B: Bind + Default>(
    id: CallbackId,
    now: Timestamp,
    revision: Revision,
) -> Statements<B> {
    let (mut deleted, mut remembered) = (B::default(), B::default());
    deleted.text(Some(id.to_string()));
    remembered.text(Some(id.to_string()));
    remembered.number(Some(revision.0));
    remembered.number(Some(now.ms()));
    vec![(sql::DELETE_CALLBACK, deleted), (sql::REMEMBER_DELETED_CALLBACK, remembered)]
}

pub(crate) fn disable_gone_callback<B: Bind + Default>(
    id: CallbackId,
    known_at: Timestamp,
    now: Timestamp,
    revision: Revision,
) -> Statements<B> {
    let mut values = B::default();
    values.text(Some(id.to_string()));
    values.text(Some(DisabledReason::Gone.as_str()));
    values.number(Some(later(now, known_at).ms()));
    values.number(Some(revision.0));
    values.number(Some(known_at.ms()));
    vec![(sql::DISABLE_CALLBACK, values)]
}

pub(crate) fn create_api_key<B: Bind + Default>(key: &ApiKey) -> Statements<B> {
    let mut values = B::default();
    rows::bind_api_key(&mut values, key);
    vec![(sql::INSERT_API_KEY, values)]
}

pub(crate) fn delete_api_key<B: Bind + Default>(id: ApiKeyId, last: LastKey) -> Statements<B> {
    let mut values = B::default();
    values.text(Some(id.to_string()));
    let sql = match last {
        LastKey::Goes => sql::DELETE_API_KEY,
        LastKey::Stays => sql::DELETE_OTHER_API_KEY,
    };
    vec![(sql, values)]
}

/// A time of change is the lock that updates are checked by: it grows even if two changes fall into one millisecond, or
/// the clock was set back.
fn later(now: Timestamp, before: Timestamp) -> Timestamp {
    now.max(before + Duration::from_millis(1))
}

/// What changed, in the order of the changes: callbacks as they are, and those that are gone.
pub(crate) fn told<R: Columns>(
    put: &[R],
    deleted: &[R],
    key: &MasterKey,
) -> Result<Vec<CallbackChange>, Error> {
    let mut changes = Vec::with_capacity(put.len() + deleted.len());
    for row in put {
        let (callback, revision) = rows::callback(row, key)?;
        changes.push((revision, CallbackChange::Put(Arc::new(callback))));
    }
    for row in deleted {
        let (id, revision) = rows::deleted_callback(row)?;
        changes.push((revision, CallbackChange::Deleted(id)));
    }
    changes.sort_by_key(|(revision, _)| *revision);
    Ok(changes.into_iter().map(|(_, change)| change).collect())
}
