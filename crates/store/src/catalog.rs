//! The catalog, and what accounts want of it: the part of the port that keeps them.

use async_trait::async_trait;
use ringback_core::catalog::EventType;
use ringback_core::{Account, EventName, Timestamp};

use crate::Error;

/// What an account wants that is not the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSettings {
    /// Which account.
    pub account: Account,
    /// What becomes of events of a type that the catalog does not know.
    pub unknown_types: UnknownTypes,
}

/// What becomes of events of a type that the catalog does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownTypes {
    /// They are accepted.
    #[default]
    Accepted,
    /// They are refused: the account is strict.
    Refused,
}

/// What the catalog asks of a store. A change raises the revision of the configuration.
#[async_trait]
pub trait CatalogStore: Send + Sync + 'static {
    /// The types that somebody added, or put in the place of a built-in one, by their names.
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    async fn event_types(&self) -> Result<Vec<EventType>, Error>;

    /// Adds or replaces these types, and removes those: all of it or nothing. False, and nothing is changed, if one of
    /// those to be removed is not there.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn change_event_types(
        &self,
        put: &[EventType],
        delete: &[EventName],
        now: Timestamp,
    ) -> Result<bool, Error>;

    /// The accounts that want something else than the default.
    ///
    /// # Errors
    /// [`Error`] if they can't be read.
    async fn account_settings(&self) -> Result<Vec<AccountSettings>, Error>;

    /// Sets what an account wants.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn put_account_settings(
        &self,
        settings: &AccountSettings,
        now: Timestamp,
    ) -> Result<(), Error>;
}
