//! Sessions, and links that open one.

use ringback_core::Timestamp;

use super::configuration::{hash_of, hash_text};
use super::{Bind, Columns, Row};
use crate::{Error, KeyHash, Pass, Scope};

pub(crate) fn pass<R: Columns>(row: &R) -> Result<Pass, Error> {
    let row = Row::of("session", row);
    Ok(Pass {
        hash: row.word("hash", hash_of)?,
        key: row.word("key_hash", hash_of)?,
        scope: row.optional_parsed("account")?.map_or(Scope::Instance, Scope::Account),
        created_at: row.time("created_at_ms")?,
        expires_at: row.time("expires_at_ms")?,
    })
}

/// The values of a new row.
pub(crate) fn bind_pass(values: &mut impl Bind, pass: &Pass) {
    let account = match &pass.scope {
        Scope::Instance => None,
        Scope::Account(account) => Some(account.as_str()),
    };
    values.text(Some(hash_text(pass.hash)));
    values.text(Some(hash_text(pass.key)));
    values.text(account);
    values.number(Some(pass.created_at.ms()));
    values.number(Some(pass.expires_at.ms()));
}

/// The values that find one that has not expired.
pub(crate) fn bind_pass_at(values: &mut impl Bind, hash: KeyHash, now: Timestamp) {
    values.text(Some(hash_text(hash)));
    values.number(Some(now.ms()));
}

/// The value that finds one.
pub(crate) fn bind_hash(values: &mut impl Bind, hash: KeyHash) {
    values.text(Some(hash_text(hash)));
}
