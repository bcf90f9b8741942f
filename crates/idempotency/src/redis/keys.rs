//! Names of keys: as short as they can be, for there are many.

use ringback_core::CallbackId;
use sha2::{Digest as _, Sha256};

use crate::{AttemptKey, RequestKey};

/// The prefix is not one that can be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the prefix of keys in redis takes 1 to 32 letters, digits and any of - _ . :")]
pub struct InvalidPrefix;

/// Names the keys of one Ringback. Several may share a Redis by their prefixes.
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: String) -> Result<Self, InvalidPrefix> {
        // Braces are left out: all keys with the same text in braces lie on one node of a cluster.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let valid = (1..=32).contains(&prefix.len()) && prefix.bytes().all(allowed);
        if valid { Ok(Self { prefix }) } else { Err(InvalidPrefix) }
    }

    /// The key of a claim. The id in its 16 bytes, and the attempt in as few as it takes: almost always one.
    pub(super) fn claim(&self, attempt: &AttemptKey) -> Vec<u8> {
        let number = attempt.attempt.get().to_be_bytes();
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        self.key(b":c:", &[attempt.delivery.uuid().as_bytes(), &number[zeros..]])
    }

    /// The key of a request: a hash, as what clients choose may be long.
    pub(super) fn request(&self, request: &RequestKey) -> Vec<u8> {
        let mut hash = Sha256::new();
        // No account holds a zero byte, so no two requests have the same text.
        match request {
            RequestKey::Event { account, id } => {
                hash.update(b"event\0");
                hash.update(account.as_str());
                hash.update([0]);
                hash.update(id.uuid().as_bytes());
            }
            RequestKey::Header { account, key } => {
                hash.update(b"header\0");
                hash.update(account.as_ref().map_or("", |account| account.as_str()));
                hash.update([0]);
                hash.update(key);
            }
        }
        self.key(b":k:", &[&hash.finalize()[..16]])
    }

    /// The key of a callback's rate.
    pub(super) fn rate(&self, callback: CallbackId) -> Vec<u8> {
        self.key(b":r:", &[callback.uuid().as_bytes()])
    }

    /// Keys that are written and read to see whether they can be.
    pub(super) fn probes(&self) -> [Vec<u8>; 2] {
        [self.key(b":probe", &[]), self.key(b":probe2", &[])]
    }

    fn key(&self, kind: &[u8], name: &[&[u8]]) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.prefix.len() + kind.len() + 20);
        key.extend_from_slice(self.prefix.as_bytes());
        key.extend_from_slice(kind);
        name.iter().for_each(|part| key.extend_from_slice(part));
        key
    }
}

/// So much of a fingerprint is kept as tells two apart. None is eight zero bytes.
pub(super) fn short_fingerprint(fingerprint: &str) -> [u8; 8] {
    let mut short = [0; 8];
    if !fingerprint.is_empty() {
        short.copy_from_slice(&Sha256::digest(fingerprint)[..8]);
    }
    short
}
