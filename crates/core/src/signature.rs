//! Standard Webhooks signatures: how a receiver tells our requests from others'.

use std::fmt;
use std::io::Write as _;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::Timestamp;
use crate::secret::Secret;

/// The key that signs a callback's requests. Shown as `whsec_` and base64.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

/// The secret before the one that counts. It signs too for a while, so that receivers can change over at leisure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousSecret {
    /// The secret.
    pub secret: SigningSecret,
    /// From then on it does not count any more.
    pub until: Timestamp,
}

/// The text is no signing secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a signing secret is whsec_ followed by 24 to 64 bytes in base64")]
pub struct InvalidSigningSecret;

/// How far the time of a signed request may be from now, before or after: an older one may be a copy.
///
/// # Source
/// The Standard Webhooks specification, "Replay attacks"; the public libraries take the same.
pub const TOLERANCE: Duration = Duration::from_secs(5 * 60);

const PREFIX: &str = "whsec_";
const VERSION: &str = "v1,";

impl SigningSecret {
    /// A secret of these random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(bytes.to_vec())
    }

    /// Its text, `whsec_…`.
    #[must_use]
    pub fn reveal(&self) -> Secret {
        Secret::new(format!("{PREFIX}{}", STANDARD.encode(&self.0)))
    }

    /// The value of `webhook-signature` for a request: `v1,` and the HMAC-SHA256 of id, time and body in base64.
    ///
    /// # Source
    /// The Standard Webhooks specification, "Signature scheme".
    #[must_use]
    pub fn sign(&self, webhook_id: &str, time: Timestamp, body: &[u8]) -> String {
        let mac = self.mac(webhook_id, time, body);
        let mut signature = String::with_capacity(VERSION.len() + 44);
        signature.push_str(VERSION);
        STANDARD.encode_string(mac.finalize().into_bytes(), &mut signature);
        signature
    }

    /// Whether one of the signatures that a `webhook-signature` header holds, separated by spaces, is by this secret.
    /// That the time is not long ago ([`TOLERANCE`]) is for the caller to see to.
    #[must_use]
    pub fn signed(&self, webhook_id: &str, time: Timestamp, body: &[u8], header: &str) -> bool {
        header.split(' ').filter_map(|signature| signature.strip_prefix(VERSION)).any(|encoded| {
            STANDARD
                .decode(encoded)
                // In constant time: how long it takes says nothing of how much of a guess was right.
                .is_ok_and(|given| self.mac(webhook_id, time, body).verify_slice(&given).is_ok())
        })
    }

    fn mac(&self, webhook_id: &str, time: Timestamp, body: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(webhook_id.as_bytes());
        mac.update(b".");
        // 20 bytes hold the longest number of 64 bits, `-` included.
        let mut seconds = [0; 20];
        let mut unused = &mut seconds[..];
        write!(unused, "{}", time.seconds()).expect("there is room for the longest number");
        let length = 20 - unused.len();
        mac.update(&seconds[..length]);
        mac.update(b".");
        mac.update(body);
        mac
    }
}

impl FromStr for SigningSecret {
    type Err = InvalidSigningSecret;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let encoded = text.strip_prefix(PREFIX).ok_or(InvalidSigningSecret)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| InvalidSigningSecret)?;
        if (24..=64).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(InvalidSigningSecret) }
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Secret::MASK)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use standardwebhooks::{
        HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook,
    };

    use super::*;

    const BODY: &[u8] = br#"{"COMMENT":"Needs more cowbell"}"#;

    /// Now, because the library refuses what is older than five minutes.
    fn now() -> Timestamp {
        Timestamp::from_ms(jiff::Timestamp::now().as_millisecond())
    }

    fn secret(byte: u8) -> SigningSecret {
        SigningSecret::from_random([byte; 32])
    }

    /// What a receiver that uses the public library says to a request.
    pub(crate) fn accepted(
        secret: &SigningSecret,
        id: &str,
        time: Timestamp,
        body: &[u8],
        signature: &str,
    ) -> bool {
        let mut headers = http::HeaderMap::new();
        let mut put = |name: &'static str, value: &str| {
            headers.insert(name, value.parse().expect("a header's value"));
        };
        put(HEADER_WEBHOOK_ID, id);
        put(HEADER_WEBHOOK_TIMESTAMP, &time.seconds().to_string());
        put(HEADER_WEBHOOK_SIGNATURE, signature);
        let receiver = Webhook::new(secret.reveal().reveal()).expect("the secret is one");
        receiver.verify(body, &headers).is_ok()
    }

    #[test]
    fn public_library_accepts_our_signature_and_nothing_changed() {
        let now = now();
        let signature = secret(7).sign("msg_1", now, BODY);
        assert!(accepted(&secret(7), "msg_1", now, BODY, &signature));
        assert!(!accepted(&secret(8), "msg_1", now, BODY, &signature), "another secret");
        assert!(!accepted(&secret(7), "msg_2", now, BODY, &signature), "another id");
        assert!(!accepted(&secret(7), "msg_1", now, b"{}", &signature), "another body");
        let later = now + std::time::Duration::from_secs(1);
        assert!(!accepted(&secret(7), "msg_1", later, BODY, &signature), "another time");
    }

    #[test]
    fn one_signature_of_several_is_enough_and_nothing_else_is() {
        let time = Timestamp::from_ms(1_767_323_045_000);
        let own = secret(7).sign("msg_1", time, BODY);
        let others = secret(8).sign("msg_1", time, BODY);
        let signed = |header: &str| secret(7).signed("msg_1", time, BODY, header);
        assert!(signed(&own) && signed(&format!("{others} {own}")));
        for header in ["", "v1,", "v1,AAAA", &others, &own["v1,".len()..], &own[..20]] {
            assert!(!signed(header), "{header}");
        }
        assert!(!secret(7).signed("msg_2", time, BODY, &own));
        assert!(!secret(7).signed("msg_1", time, b"", &own));
        assert!(!secret(7).signed("msg_1", time + Duration::from_secs(1), BODY, &own));
    }

    #[test]
    fn signature_of_an_empty_body_holds() {
        // A GET has none.
        let now = now();
        let signature = secret(7).sign("msg_1", now, b"");
        assert!(accepted(&secret(7), "msg_1", now, b"", &signature));
    }

    #[test]
    fn secret_is_read_back_from_its_text() {
        let text = secret(7).reveal();
        assert!(text.reveal().starts_with("whsec_"));
        assert_eq!(text.reveal().parse(), Ok(secret(7)));
        assert_eq!(format!("{:?}", secret(7)), "***");
    }

    #[test]
    fn secret_is_24_to_64_bytes_in_base64_behind_whsec() {
        let of_length = |n: usize| format!("whsec_{}", STANDARD.encode(vec![1; n]));
        for (length, good) in [(23, false), (24, true), (64, true), (65, false)] {
            assert_eq!(of_length(length).parse::<SigningSecret>().is_ok(), good, "{length}");
        }
        for bad in ["", "whsec_", "whsec_%", &of_length(32)[6..]] {
            assert!(bad.parse::<SigningSecret>().is_err(), "{bad}");
        }
    }
}
