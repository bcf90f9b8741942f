//! API keys: who may call the API, and for which account.

use ringback_core::secret::Secret;
use ringback_core::{Account, ApiKeyId, Timestamp};
use sha2::{Digest as _, Sha256};

/// A key as it is kept: the key itself is shown once, when it is made, and only its hash stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its name.
    pub id: ApiKeyId,
    /// What it is for.
    pub description: String,
    /// What it opens.
    pub scope: Scope,
    /// What it is recognised by.
    pub hash: KeyHash,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a key opens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything.
    Instance,
    /// One account, and nothing that is not its own.
    Account(Account),
}

/// SHA-256 of a key. A key has 256 random bits, so a fast hash without salt is enough: there is nothing to guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    /// The hash of a key.
    #[must_use]
    pub fn of(key: &Secret) -> Self {
        Self(Sha256::digest(key.reveal().as_bytes()).into())
    }
}
