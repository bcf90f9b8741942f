//! Secrets at rest: sealed with the master key (XChaCha20-Poly1305), each bound to the place it belongs to.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use ringback_core::secret::Secret;

/// The key that all secrets of a database are sealed with. `Debug` shows `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey([u8; 32]);

/// The text is no master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a master key is 32 bytes in base64")]
pub struct InvalidMasterKey;

/// A sealed text that does not open: written under another key, for another place, or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it does not open with the master key: another key's, another place's, or damaged")]
pub(crate) struct Unopened;

/// Stands before every sealed text, so that another cipher can come and both be read.
const VERSION: &str = "v1:";
const NONCE_BYTES: usize = 24;
const CHECK_PLACE: &str = "meta/master_key_check";
const MARK_PLACE: &str = "mark";
const CHECK_TEXT: &str = "ringback";

impl MasterKey {
    /// A key of these random bytes.
    #[must_use]
    pub const fn from_random(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its text, to be kept where the database is not.
    #[must_use]
    pub fn to_base64(&self) -> Secret {
        Secret::new(STANDARD.encode(self.0))
    }

    /// Makes a text unreadable without the key. It opens for the same place alone (such as
    /// `callback/<id>/authorization`): who can write to the database but has no key must not be able to have one
    /// callback send another's password.
    pub(crate) fn seal(&self, place: &str, text: &Secret) -> String {
        // 24 random bytes never repeat in practice, so nothing has to be counted or kept.
        let mut sealed = vec![0; NONCE_BYTES];
        getrandom::fill(&mut sealed).expect("the system always has random bytes once it is up");
        let nonce = XNonce::try_from(&*sealed).expect("as long as a nonce is");
        let payload = Payload { msg: text.reveal().as_bytes(), aad: place.as_bytes() };
        let ciphertext =
            self.cipher().encrypt(&nonce, payload).expect("far below the cipher's 256 GiB");
        sealed.extend_from_slice(&ciphertext);
        format!("{VERSION}{}", STANDARD.encode(sealed))
    }

    /// Makes a sealed text readable again.
    pub(crate) fn open(&self, place: &str, sealed: &str) -> Result<Secret, Unopened> {
        let encoded = sealed.strip_prefix(VERSION).ok_or(Unopened)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| Unopened)?;
        let (nonce, ciphertext) = bytes.split_at_checked(NONCE_BYTES).ok_or(Unopened)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| Unopened)?;
        let payload = Payload { msg: ciphertext, aad: place.as_bytes() };
        let text = self.cipher().decrypt(&nonce, payload).map_err(|_| Unopened)?;
        String::from_utf8(text).map(Secret::new).map_err(|_| Unopened)
    }

    /// A known text, sealed: kept with what the key seals, to tell a wrong key by.
    pub(crate) fn check(&self) -> String {
        self.seal(CHECK_PLACE, &Secret::new(CHECK_TEXT))
    }

    /// Whether this key made that [`check`](Self::check).
    pub(crate) fn made(&self, check: &str) -> bool {
        self.open(CHECK_PLACE, check).is_ok()
    }

    /// A mark of a text that only who has the key can make: whoever changes the text can't make another.
    #[must_use]
    pub fn mark(&self, text: &str) -> String {
        self.seal(MARK_PLACE, &Secret::new(text))
    }

    /// Whether this key made that [`mark`](Self::mark) of this text.
    #[must_use]
    pub fn made_mark(&self, text: &str, mark: &str) -> bool {
        self.open(MARK_PLACE, mark).is_ok_and(|marked| marked.reveal() == text)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.0.into())
    }
}

impl FromStr for MasterKey {
    type Err = InvalidMasterKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = STANDARD.decode(text).map_err(|_| InvalidMasterKey)?;
        bytes.try_into().map(Self).map_err(|_| InvalidMasterKey)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Secret::MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: &str = "callback/1/authorization";

    fn key(byte: u8) -> MasterKey {
        MasterKey::from_random([byte; 32])
    }

    #[test]
    fn sealed_text_opens_again_and_never_looks_the_same() {
        let secret = Secret::new("open sesame");
        let sealed = key(1).seal(PLACE, &secret);
        assert_eq!(key(1).open(PLACE, &sealed), Ok(secret.clone()));
        assert_ne!(sealed, key(1).seal(PLACE, &secret));
        assert!(sealed.starts_with("v1:") && !sealed.contains("sesame"));
    }

    #[test]
    fn sealed_text_opens_neither_elsewhere_nor_with_another_key_nor_damaged() {
        let sealed = key(1).seal(PLACE, &Secret::new("open sesame"));
        assert_eq!(key(1).open("callback/2/authorization", &sealed), Err(Unopened));
        assert_eq!(key(2).open(PLACE, &sealed), Err(Unopened));
        for (index, _) in sealed.char_indices() {
            let mut damaged = sealed.clone().into_bytes();
            damaged[index] ^= 1;
            let damaged = String::from_utf8(damaged).expect("still ASCII");
            assert_eq!(key(1).open(PLACE, &damaged), Err(Unopened), "byte {index}");
        }
        for nonsense in ["", "v1:", "v2:AAAA", "v1:AAAA"] {
            assert_eq!(key(1).open(PLACE, nonsense), Err(Unopened), "{nonsense}");
        }
    }

    #[test]
    fn master_key_is_32_bytes_in_base64_and_does_not_show() {
        let text = key(7).to_base64();
        assert_eq!(text.reveal().parse(), Ok(key(7)));
        for wrong in ["", "hunter2", "AAAA", &text.reveal()[1..]] {
            assert_eq!(wrong.parse::<MasterKey>(), Err(InvalidMasterKey), "{wrong}");
        }
        assert!(InvalidMasterKey.to_string().contains("32 bytes in base64"));
        assert_eq!(format!("{:?}", key(7)), "***");
    }
}
