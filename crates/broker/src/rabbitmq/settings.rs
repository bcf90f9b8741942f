//! Which RabbitMQ, and what things are called there.

use std::fmt;
use std::num::NonZeroU16;

use lapin::uri::AMQPUri;
use ringback_core::secret::Secret;

use super::error::InvalidSettings;

/// Where RabbitMQ is, and what Ringback's queues are called there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `amqp://user:password@host:port/vhost`, or `amqps` for TLS. It holds the password.
    pub url: Secret,
    /// What all names begin with: several Ringbacks can share a virtual host. Letters, digits, `_`, `-` and `.`, at
    /// most 64 characters.
    pub prefix: String,
    /// Over how many queues new events are spread, at most [`SHARDS_MAX`](Self::SHARDS_MAX). One is enough for most:
    /// more need the plugin `rabbitmq_consistent_hash_exchange`.
    pub shards: NonZeroU16,
}

impl Settings {
    /// What names begin with if nothing else is said.
    pub const PREFIX_DEFAULT: &str = "ringback";
    /// The most queues that new events are spread over.
    pub const SHARDS_MAX: u16 = 64;

    const PREFIX_LEN_MAX: usize = 64;

    /// This server, with the usual names.
    #[must_use]
    pub fn new(url: Secret) -> Self {
        Self { url, prefix: Self::PREFIX_DEFAULT.to_owned(), shards: NonZeroU16::MIN }
    }

    /// Looks whether they can be used, without asking a server.
    ///
    /// # Errors
    /// [`InvalidSettings`] names the first that can't.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let length = self.prefix.len();
        if !(1..=Self::PREFIX_LEN_MAX).contains(&length) || !self.prefix.chars().all(allowed) {
            return Err(InvalidSettings::Prefix);
        }
        if self.shards.get() > Self::SHARDS_MAX {
            return Err(InvalidSettings::Shards);
        }
        Target::parse(&self.url).map(drop)
    }
}

/// So often both sides show that they are still there; a server that is silent for twice as long is gone.
const HEARTBEAT_S: u16 = 10;

/// The server's address and how to log in there, read from the URL.
#[derive(Clone)]
pub(super) struct Target {
    uri: AMQPUri,
}

impl Target {
    pub(super) fn parse(url: &Secret) -> Result<Self, InvalidSettings> {
        // What the parsers say may quote the URL, and so the password: it is left out.
        let parsed = url::Url::parse(url.reveal()).map_err(|_| InvalidSettings::Url)?;
        let mut uri: AMQPUri = url.reveal().parse().map_err(|_| InvalidSettings::Url)?;
        // lapin takes an IPv6 address for no host at all, and then `localhost`.
        match parsed.host() {
            Some(url::Host::Ipv6(address)) => uri.authority.host = address.to_string(),
            Some(_) => {}
            None => return Err(InvalidSettings::Url),
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        Ok(Self { uri })
    }

    pub(super) fn uri(&self) -> &AMQPUri {
        &self.uri
    }

    pub(super) fn user(&self) -> &str {
        &self.uri.authority.userinfo.username
    }

    pub(super) fn vhost(&self) -> &str {
        &self.uri.vhost
    }
}

/// `host:port`, to be shown.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = &self.uri.authority;
        if authority.host.contains(':') {
            write!(f, "[{}]:{}", authority.host, authority.port)
        } else {
            write!(f, "{}:{}", authority.host, authority.port)
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> Settings {
        Settings::new(Secret::new(url))
    }

    #[test]
    fn password_is_never_shown() {
        let settings = settings("amqp://anna:hush@mq.example:5673/orders");
        let target = Target::parse(&settings.url).expect("a URL");
        assert_eq!(target.to_string(), "mq.example:5673");
        assert_eq!((target.user(), target.vhost()), ("anna", "orders"));
        assert!(!format!("{settings:?} {target:?}").contains("hush"));
    }

    #[test]
    fn address_of_either_kind_is_kept() {
        for (url, shown) in [
            ("amqp://localhost", "localhost:5672"),
            ("amqps://127.0.0.1/%2f", "127.0.0.1:5671"),
            ("amqp://[::1]:7000/a", "[::1]:7000"),
        ] {
            let target = Target::parse(&Secret::new(url)).expect(url);
            assert_eq!(target.to_string(), shown);
        }
    }

    #[test]
    fn bad_settings_are_named() {
        for url in ["", "localhost:5672", "http://localhost", "amqp:", "amqp:///x"] {
            assert_eq!(settings(url).check(), Err(InvalidSettings::Url), "{url}");
        }
        let good = settings("amqp://localhost");
        assert_eq!(good.check(), Ok(()));
        for prefix in ["", "a b", "a#", &"x".repeat(65)] {
            let bad = Settings { prefix: prefix.to_owned(), ..good.clone() };
            assert_eq!(bad.check(), Err(InvalidSettings::Prefix), "{prefix}");
        }
        let bad = Settings { shards: NonZeroU16::MAX, ..good };
        assert_eq!(bad.check(), Err(InvalidSettings::Shards));
    }
}
