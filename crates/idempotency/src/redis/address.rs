//! Where a Redis is: one server, a cluster, or whatever Sentinel says.

use redis::io::tcp::TcpSettings;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _};

/// Where to connect to.
#[derive(Debug)]
pub(super) enum Address {
    /// One server.
    One(ConnectionInfo),
    /// Some nodes of a cluster; they know the others.
    Cluster(Vec<ConnectionInfo>),
    /// Those who know which server is the primary.
    Sentinel {
        /// All sentinels that are known.
        sentinels: Vec<ConnectionInfo>,
        /// What they call the primary.
        name: String,
        /// How to talk to the primary, but for where it is.
        primary: Box<ConnectionInfo>,
    },
}

/// `redis_url` is no address of a Redis. The text does not hold the address, in which there may be a password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "redis_url: {reason}; it takes redis://USER:PASSWORD@HOST:PORT/DATABASE, rediss:// for TLS, unix:///PATH, \
     redis-cluster://USER:PASSWORD@HOST:PORT,HOST:PORT, or \
     redis-sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/PRIMARY/DATABASE?sentinel_password=PASSWORD \
     (rediss-cluster://, rediss-sentinel:// for TLS)"
)]
pub struct InvalidAddress {
    reason: &'static str,
}

const SENTINEL_PORT: u16 = 26379;

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, InvalidAddress> {
        let (scheme, rest) = match url.split_once(':') {
            Some((scheme, rest)) => (scheme, rest.strip_prefix("//")),
            None => ("", None),
        };
        match (scheme, rest) {
            ("redis" | "rediss", Some(_)) => Ok(Self::One(node(url)?)),
            ("unix", _) => Ok(Self::One(node(url)?)),
            ("redis-cluster", Some(rest)) => Parts::of(rest)?.cluster("redis"),
            ("rediss-cluster", Some(rest)) => Parts::of(rest)?.cluster("rediss"),
            ("redis-sentinel", Some(rest)) => Parts::of(rest)?.sentinel("redis"),
            ("rediss-sentinel", Some(rest)) => Parts::of(rest)?.sentinel("rediss"),
            _ => Err(InvalidAddress { reason: "not the address of a Redis" }),
        }
    }
}

/// An address with several hosts, which a URL does not have.
struct Parts<'a> {
    /// With the `@` after it; may be empty.
    user: &'a str,
    hosts: Vec<&'a str>,
    path: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    fn of(rest: &'a str) -> Result<Self, InvalidAddress> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        let hosts: Vec<_> = hosts.split(',').map(str::trim).collect();
        if hosts.iter().any(|host| host.is_empty()) {
            return Err(InvalidAddress { reason: "a host is missing" });
        }
        Ok(Self { user, hosts, path, query })
    }

    fn cluster(self, scheme: &str) -> Result<Address, InvalidAddress> {
        if !matches!(self.path, "" | "0") || !self.query.is_empty() {
            return Err(InvalidAddress {
                reason: "a cluster has database 0 alone, and no options",
            });
        }
        let nodes = self.hosts.iter().map(|host| node(&format!("{scheme}://{}{host}", self.user)));
        Ok(Address::Cluster(nodes.collect::<Result<_, _>>()?))
    }

    fn sentinel(self, scheme: &str) -> Result<Address, InvalidAddress> {
        let (name, database) = self.path.split_once('/').unwrap_or((self.path, ""));
        if name.is_empty() {
            return Err(InvalidAddress {
                reason: "the name is missing by which Sentinel knows the primary",
            });
        }
        let sentinel_user = match self.query.split_once('=') {
            Some(("sentinel_password", password)) => format!(":{password}@"),
            None if self.query.is_empty() => String::new(),
            _ => return Err(InvalidAddress { reason: "sentinel_password is the one option" }),
        };
        let sentinels = self.hosts.iter().map(|host| {
            let port = if has_port(host) { String::new() } else { format!(":{SENTINEL_PORT}") };
            node(&format!("{scheme}://{sentinel_user}{host}{port}"))
        });
        Ok(Address::Sentinel {
            sentinels: sentinels.collect::<Result<_, _>>()?,
            name: name.to_owned(),
            primary: Box::new(node(&format!("{scheme}://{}primary/{database}", self.user))?),
        })
    }
}

fn node(url: &str) -> Result<ConnectionInfo, InvalidAddress> {
    let invalid = |_| InvalidAddress { reason: "a host, port or database is not valid" };
    let info = url.into_connection_info().map_err(invalid)?;
    // Certificates are what TLS is for.
    if matches!(info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
        return Err(InvalidAddress { reason: "certificates are always checked" });
    }
    // Calls are small and many are under way at once: each is sent at once.
    Ok(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

fn has_port(host: &str) -> bool {
    // An IPv6 address stands in brackets and is full of colons.
    let after_address = host.rfind(']').map_or(host, |bracket| &host[bracket..]);
    after_address.contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(nodes: &[ConnectionInfo]) -> Vec<String> {
        nodes.iter().map(|node| node.addr().to_string()).collect()
    }

    fn login(node: &ConnectionInfo) -> (Option<&str>, Option<&str>) {
        (node.redis_settings().username(), node.redis_settings().password())
    }

    #[test]
    fn one_server_is_a_url_or_a_socket() {
        for (url, place, database) in [
            ("redis://localhost", "localhost:6379", 0),
            ("redis://:p%40ss@10.0.0.1:6380/2", "10.0.0.1:6380", 2),
            ("rediss://user:pass@redis.example", "redis.example:6379", 0),
            ("unix:///run/redis.sock?db=1", "/run/redis.sock", 1),
        ] {
            let address = Address::parse(url).expect(url);
            let Address::One(node) = address else { unreachable!("{address:?}") };
            assert_eq!(node.addr().to_string(), place);
            assert_eq!(node.redis_settings().db(), database);
        }
    }

    #[test]
    fn cluster_is_a_list_of_nodes_with_one_login() {
        let address = Address::parse("rediss-cluster://u:p@a:7000,[::1]:7001,c");
        let Ok(Address::Cluster(nodes)) = address else { unreachable!("{address:?}") };
        assert_eq!(places(&nodes), ["a:7000", "::1:7001", "c:6379"]);
        assert!(nodes.iter().all(|node| login(node) == (Some("u"), Some("p"))));
        let is_tls = |node: &ConnectionInfo| matches!(node.addr(), ConnectionAddr::TcpTls { .. });
        assert!(nodes.iter().all(is_tls));
    }

    #[test]
    fn sentinels_have_their_own_password_and_port() {
        let url = "redis-sentinel://u:p@a,b:5000,[::1]/mymaster/3?sentinel_password=s%20s";
        let address = Address::parse(url);
        let Ok(Address::Sentinel { sentinels, name, primary }) = address else {
            unreachable!("{address:?}")
        };
        assert_eq!(places(&sentinels), ["a:26379", "b:5000", "::1:26379"]);
        assert!(sentinels.iter().all(|sentinel| login(sentinel) == (None, Some("s s"))));
        assert_eq!((name.as_str(), login(&primary)), ("mymaster", (Some("u"), Some("p"))));
        assert_eq!(primary.redis_settings().db(), 3);
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_it() {
        for url in [
            "",
            "localhost:6379",
            "http://:secret@host",
            "redis:host",
            "redis://:secret@",
            "redis://:secret@host:port",
            "redis://:secret@host/name",
            "rediss://:secret@host/#insecure",
            "redis-cluster://:secret@host/1",
            "redis-cluster://:secret@host,,other",
            "redis-sentinel://:secret@host",
            "redis-sentinel://:secret@host/name/x",
            "redis-sentinel://host/name?password=secret",
        ] {
            let error = Address::parse(url).expect_err(url).to_string();
            assert!(error.starts_with("redis_url: ") && error.contains("it takes redis://"));
            assert!(!error.contains("secret") && !format!("{error:?}").contains("secret"));
        }
    }
}
