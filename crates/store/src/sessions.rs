//! Who is signed in to the console: the part of the port that keeps it.

use async_trait::async_trait;
use ringback_core::Timestamp;

use crate::{Error, KeyHash, Scope};

/// What lets somebody into the console: a session, or a link that opens one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// What it is recognised by. What the browser holds is kept nowhere.
    pub hash: KeyHash,
    /// The API key that it was made with. It is worth nothing without: who removes the key locks out all who came by it.
    pub key: KeyHash,
    /// What it opens.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

/// What the console asks of a store to know who is there.
#[async_trait]
pub trait Sessions: Send + Sync + 'static {
    /// Opens a session. Sessions that have expired are forgotten by the way.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn create_session(&self, session: &Pass) -> Result<(), Error>;

    /// A session that has not expired.
    ///
    /// # Errors
    /// [`Error`] if it can't be read.
    async fn session(&self, hash: KeyHash, now: Timestamp) -> Result<Option<Pass>, Error>;

    /// Ends a session, if there is one.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn delete_session(&self, hash: KeyHash) -> Result<(), Error>;

    /// Makes a link. Links that have expired are forgotten by the way.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn create_console_link(&self, link: &Pass) -> Result<(), Error>;

    /// A link that was not used and has not expired. To look at it uses nothing up.
    ///
    /// # Errors
    /// [`Error`] if it can't be read.
    async fn console_link(&self, hash: KeyHash, now: Timestamp) -> Result<Option<Pass>, Error>;

    /// Uses a link up: of several who come with it at once, one gets it.
    ///
    /// # Errors
    /// [`Error`] if it can't be written.
    async fn redeem_console_link(
        &self,
        hash: KeyHash,
        now: Timestamp,
    ) -> Result<Option<Pass>, Error>;
}
