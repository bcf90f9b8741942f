//! Which addresses requests may go to: none of special use, unless allowed.
//!
//! A subscriber chooses the URL, and Ringback stands inside somebody's network: without this rule a callback could read
//! that network's metadata service or its databases.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::Url;

use crate::template::UrlTemplate;

/// Which addresses requests may go to.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    allowed: Vec<IpNet>,
    own: Option<PublicUrl>,
}

/// The address under which people reach this instance: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(Url);

/// The text is no address that people could reach an instance under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "http:// or https://, a host and perhaps a port, and nothing else: such as https://hooks.example.com"
)]
pub struct InvalidPublicUrl;

/// Where an instance takes what is sent to it by itself: its log and echo callbacks, and nothing else.
pub const SINK_PATH: &str = "/system.ashx";

impl PublicUrl {
    /// Whether a request to this URL goes to the log or echo callback of this instance: scheme, host, port and path are
    /// exactly these. Other spellings of a host or a path, as far as they are the same by the URL standard, were made
    /// one by the URL's parser; all others are others.
    #[must_use]
    pub fn is_own_sink(&self, url: &Url) -> bool {
        url.scheme() == self.0.scheme()
            && url.host() == self.0.host()
            && url.port_or_known_default() == self.0.port_or_known_default()
            && url.username().is_empty()
            && url.password().is_none()
            && url.path() == SINK_PATH
    }
}

impl FromStr for PublicUrl {
    type Err = InvalidPublicUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|_| InvalidPublicUrl)?;
        let is_bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        let is_http = matches!(url.scheme(), "http" | "https");
        if is_http && is_bare && url.has_host() { Ok(Self(url)) } else { Err(InvalidPublicUrl) }
    }
}

impl fmt::Display for PublicUrl {
    /// Without a `/` at its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// An address that nothing is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {use_} and not in allow_networks")]
pub struct BlockedAddress {
    /// The address.
    pub address: IpAddr,
    /// What it is for.
    pub use_: &'static str,
}

impl AddressPolicy {
    /// Special-use addresses are refused, except those in these networks.
    #[must_use]
    pub fn allowing(allowed: Vec<IpNet>) -> Self {
        Self { allowed, own: None }
    }

    /// The same for an instance that is reached here: its own log and echo callbacks ([`SINK_PATH`]) may be sent to,
    /// wherever they are, and nothing else there.
    #[must_use]
    pub fn reached_at(self, own: Option<PublicUrl>) -> Self {
        Self { own, ..self }
    }

    /// Where people reach this instance, if that is known.
    #[must_use]
    pub fn own(&self) -> Option<&PublicUrl> {
        self.own.as_ref()
    }

    /// The networks whose special-use addresses are allowed.
    #[must_use]
    pub fn allowed(&self) -> &[IpNet] {
        &self.allowed
    }

    /// Whether a request to this URL goes to this instance's own log or echo callback.
    #[must_use]
    pub fn is_own_sink(&self, url: &Url) -> bool {
        self.own.as_ref().is_some_and(|own| own.is_own_sink(url))
    }

    /// Whether requests to this template may go where it says, as far as that can be told before there is an event and
    /// before a name is resolved.
    ///
    /// # Errors
    /// [`BlockedAddress`] if the host is the literal of an address that is refused.
    pub fn check_template(&self, template: &UrlTemplate) -> Result<(), BlockedAddress> {
        if template.fixed_place().is_some_and(|place| self.is_own_sink(&place)) {
            return Ok(());
        }
        self.check_host(template.origin())
    }

    /// Whether requests may go to this address.
    ///
    /// An IPv6 address that stands for an IPv4 address is refused if that one is: how the packet is written does not
    /// change where it ends. So to allow `127.0.0.0/8` allows `::ffff:127.0.0.1` too.
    ///
    /// # Errors
    /// [`BlockedAddress`] says what it is for.
    pub fn check(&self, address: IpAddr) -> Result<(), BlockedAddress> {
        if self.allowed.iter().any(|network| network.contains(&address)) {
            return Ok(());
        }
        let blocked = |use_| Err(BlockedAddress { address, use_ });
        match address {
            IpAddr::V4(v4) => special_use_v4(v4).map_or(Ok(()), blocked),
            IpAddr::V6(v6) => {
                if let Some(use_) = special_use_v6(v6) {
                    return blocked(use_);
                }
                match ipv4_inside(v6).map(|inside| self.check(inside.into())) {
                    Some(Err(inside)) => blocked(inside.use_),
                    Some(Ok(())) | None => Ok(()),
                }
            }
        }
    }

    /// Whether requests may go to the host of this URL, as far as that can be told before its name is resolved.
    ///
    /// Other spellings of an address (`2130706433`, `0x7f.1`) were made one by the URL's parser. Of this instance's own
    /// sink it knows nothing: see [`is_own_sink`](Self::is_own_sink).
    ///
    /// # Errors
    /// [`BlockedAddress`] if the host is the literal of an address that is refused.
    pub fn check_host(&self, url: &Url) -> Result<(), BlockedAddress> {
        match url.host() {
            Some(url::Host::Ipv4(address)) => self.check(address.into()),
            Some(url::Host::Ipv6(address)) => self.check(address.into()),
            Some(url::Host::Domain(_)) | None => Ok(()),
        }
    }
}

/// The networks of this machine alone: what a developer's receiver listens on.
#[must_use]
pub fn loopback() -> Vec<IpNet> {
    vec![v4([127, 0, 0, 0], 8).into(), v6([0, 0, 0, 0, 0, 0, 0, 1], 128).into()]
}

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

/// Not here, because the registry says "globally reachable": 192.31.196.0/24 and 192.175.48.0/24 (AS112) and
/// 192.52.193.0/24 (AMT). Here as a whole, although single addresses in it are reachable: 192.0.0.0/24, whose anycast
/// addresses are relays and nobody's webhook.
///
/// # Source
/// The IANA IPv4 Special-Purpose Address Registry; for multicast, RFC 5771.
static SPECIAL_USE_V4: [(Ipv4Net, &str); 16] = [
    // Before 240.0.0.0/4, for the better name.
    (v4([255, 255, 255, 255], 32), "the broadcast address (RFC 919)"),
    (v4([0, 0, 0, 0], 8), "an address of \"this network\" (RFC 791)"),
    (v4([10, 0, 0, 0], 8), "a private address (RFC 1918)"),
    (v4([100, 64, 0, 0], 10), "a shared address of a provider's network (RFC 6598)"),
    (v4([127, 0, 0, 0], 8), "a loopback address (RFC 1122)"),
    (v4([169, 254, 0, 0], 16), "a link-local address (RFC 3927)"),
    (v4([172, 16, 0, 0], 12), "a private address (RFC 1918)"),
    (v4([192, 0, 0, 0], 24), "an address for IETF protocols (RFC 6890)"),
    (v4([192, 0, 2, 0], 24), "an address for documentation (RFC 5737)"),
    (v4([192, 88, 99, 0], 24), "an address of 6to4 relays (RFC 7526)"),
    (v4([192, 168, 0, 0], 16), "a private address (RFC 1918)"),
    (v4([198, 18, 0, 0], 15), "an address for benchmarks (RFC 2544)"),
    (v4([198, 51, 100, 0], 24), "an address for documentation (RFC 5737)"),
    (v4([203, 0, 113, 0], 24), "an address for documentation (RFC 5737)"),
    (v4([224, 0, 0, 0], 4), "a multicast address (RFC 5771)"),
    (v4([240, 0, 0, 0], 4), "a reserved address (RFC 1112)"),
];

/// Not here, because what stands inside decides (see [`ipv4_inside`]): `::ffff:0:0/96`, `64:ff9b::/96`, `2002::/16`.
/// Not here, because the registry says "globally reachable": 2620:4f:8000::/48 (AS112). Here as a whole, although parts
/// of it are reachable: 2001::/23, whose parts are relays, identifiers and tunnels, and nobody's webhook.
///
/// # Source
/// The IANA IPv6 Special-Purpose Address Registry; for site-local, RFC 3879; for multicast, RFC 4291.
static SPECIAL_USE_V6: [(Ipv6Net, &str); 14] = [
    (v6([0; 8], 128), "the unspecified address (RFC 4291)"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "the loopback address (RFC 4291)"),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "an address of a local translation (RFC 8215)"),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "an address that discards (RFC 6666)"),
    (v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64), "an address of the dummy prefix (RFC 9780)"),
    // Before 2001::/23, for the better name.
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), "an address of a Teredo tunnel (RFC 4380)"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "an address for IETF protocols (RFC 2928)"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "an address for documentation (RFC 3849)"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "an address for documentation (RFC 9637)"),
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), "an address of segment routing (RFC 9602)"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "a unique local address (RFC 4193)"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "a link-local address (RFC 4291)"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "a site-local address (RFC 3879)"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "a multicast address (RFC 4291)"),
];

fn special_use_v4(address: Ipv4Addr) -> Option<&'static str> {
    let entry = SPECIAL_USE_V4.iter().find(|(network, _)| network.contains(&address))?;
    Some(entry.1)
}

fn special_use_v6(address: Ipv6Addr) -> Option<&'static str> {
    let entry = SPECIAL_USE_V6.iter().find(|(network, _)| network.contains(&address))?;
    Some(entry.1)
}

/// The IPv4 address that an IPv6 address stands for, in each of the ways there are to write one as the other.
fn ipv4_inside(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        // Compatible (RFC 4291), mapped (RFC 4291) and translated (RFC 2765); the well-known prefix (RFC 6052).
        [0, 0, 0, 0, 0 | 0xffff, 0, high, low]
        | [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(join(high, low)),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => Some(join(high, low)),
        // ISATAP (RFC 5214), in any network.
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => Some(join(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    fn network(text: &str) -> IpNet {
        text.parse().expect(text)
    }

    #[test]
    fn special_use_ranges_are_refused_to_their_first_and_last_address() {
        let policy = AddressPolicy::default();
        let v4 = SPECIAL_USE_V4.iter().map(|(network, use_)| (IpNet::V4(*network), use_));
        let v6 = SPECIAL_USE_V6.iter().map(|(network, use_)| (IpNet::V6(*network), use_));
        for (network, use_) in v4.chain(v6) {
            let last = match network {
                IpNet::V4(network) => network.broadcast().into(),
                IpNet::V6(network) => network.broadcast().into(),
            };
            for address in [network.network(), last] {
                assert!(policy.check(address).is_err(), "{address}: {use_}");
            }
        }
    }

    #[test]
    fn addresses_just_outside_special_use_are_reachable() {
        let policy = AddressPolicy::default();
        for text in [
            "1.0.0.0",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.31.196.1",
            "192.52.193.1",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "192.175.48.1",
            "198.17.255.255",
            "198.20.0.0",
            "203.0.114.0",
            "223.255.255.255",
            "2001:200::1",
            "2606:4700:4700::1111",
            "2a00:1450:4001:82b::200e",
            "2620:4f:8000::1",
            "64:ff9b::8.8.8.8",
            "::ffff:8.8.8.8",
            "2002:808:808::1",
            "2001:db9::1",
            "3fff:1000::1",
            "3ffe::1",
        ] {
            assert_eq!(policy.check(address(text)), Ok(()), "{text}");
        }
    }

    #[test]
    fn disguised_addresses_are_looked_through() {
        let policy = AddressPolicy::default();
        for text in [
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "::2",
            "::ffff:0:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2a00:1450::5efe:10.0.0.1",
            "2a00:1450::200:5efe:192.168.0.1",
        ] {
            assert!(policy.check(address(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn message_names_the_address_its_use_and_the_setting() {
        let blocked =
            AddressPolicy::default().check(address("::ffff:10.0.0.1")).expect_err("private");
        assert_eq!(
            blocked.to_string(),
            "::ffff:10.0.0.1 is a private address (RFC 1918) and not in allow_networks"
        );
    }

    #[test]
    fn allowed_network_is_allowed_in_disguise_too_but_a_disguise_not_in_plain() {
        let policy = AddressPolicy::allowing(loopback());
        for text in
            ["127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1"]
        {
            assert_eq!(policy.check(address(text)), Ok(()), "{text}");
        }
        for text in ["10.0.0.1", "::", "fe80::1", "::ffff:10.0.0.1", "0.0.0.1"] {
            assert!(policy.check(address(text)).is_err(), "{text}");
        }
        let policy = AddressPolicy::allowing(vec![network("::ffff:10.0.0.0/104")]);
        assert_eq!(policy.check(address("::ffff:10.0.0.1")), Ok(()));
        assert!(policy.check(address("10.0.0.1")).is_err());
        assert!(policy.check(address("64:ff9b::10.0.0.1")).is_err());
    }

    fn own(text: &str) -> AddressPolicy {
        AddressPolicy::default().reached_at(Some(text.parse().expect(text)))
    }

    #[test]
    fn own_sink_may_be_sent_to_and_nothing_else_on_its_host() {
        let policy = own("http://127.0.0.1:8080");
        for good in [
            "http://127.0.0.1:8080/system.ashx",
            "http://127.0.0.1:8080/system.ashx?f=lp",
            "http://127.0.0.1:8080/system.ashx?f=ep&f=/../v1/callbacks",
            "http://127.0.0.1:8080/system.ashx?f=lp&id={COMMENT_ID}",
            "http://127.0.0.1:8080/system.ashx{?COMMENT_ID}",
            "HTTP://0x7f.1:8080/v1/../system.ashx",
        ] {
            let template: UrlTemplate = good.parse().expect(good);
            assert_eq!(policy.check_template(&template), Ok(()), "{good}");
        }
        for bad in [
            "http://127.0.0.1:8080/",
            "http://127.0.0.1:8080/v1/callbacks",
            "http://127.0.0.1:8080/system.ashx/",
            "http://127.0.0.1:8080/system.ashx/../v1/callbacks",
            "http://127.0.0.1:8080/system.ashx/%2e%2e/v1/callbacks",
            "http://127.0.0.1:8080/system.ashx/..%2fv1/callbacks",
            "http://127.0.0.1:8080/system%2eashx",
            "http://127.0.0.1:8080/%73ystem.ashx",
            "http://127.0.0.1:8080//system.ashx",
            "http://127.0.0.1:8080/SYSTEM.ASHX",
            "http://127.0.0.1:8080/system.ashx;v=1",
            "http://127.0.0.1:8080/v1/callbacks?/system.ashx",
            "http://127.0.0.1:8080/v1/callbacks#/system.ashx",
            "http://127.0.0.1:8081/system.ashx",
            "http://127.0.0.1/system.ashx",
            "https://127.0.0.1:8080/system.ashx",
            "http://127.0.0.2:8080/system.ashx",
            "http://[::ffff:127.0.0.1]:8080/system.ashx",
            "http://127.0.0.1:8080/{X}",
            "http://127.0.0.1:8080/system.ashx{X}",
            "http://127.0.0.1:8080/system.ashx{?X}/../v1",
        ] {
            let Ok(template) = bad.parse::<UrlTemplate>() else { continue };
            assert!(policy.check_template(&template).is_err(), "{bad}");
        }
        let with_user = Url::parse("http://a:b@127.0.0.1:8080/system.ashx").expect("a URL");
        assert!(!policy.is_own_sink(&with_user));
        // Unless it is told so, an instance knows of no address of its own.
        let sink = Url::parse("http://127.0.0.1:8080/system.ashx").expect("a URL");
        assert!(!AddressPolicy::default().is_own_sink(&sink));
    }

    #[test]
    fn own_name_is_that_name_and_the_port_may_go_without_saying() {
        let policy = own("https://hooks.example.com:443/");
        let is_own = |text: &str| policy.is_own_sink(&Url::parse(text).expect(text));
        assert!(is_own("https://hooks.example.com/system.ashx?f=lp"));
        assert!(is_own("https://HOOKS.example.com:443/system.ashx"));
        for other in [
            "http://hooks.example.com/system.ashx",
            "https://hooks.example.com./system.ashx",
            "https://hooks.example.com.evil.example/system.ashx",
            "https://example.com/system.ashx",
        ] {
            assert!(!is_own(other), "{other}");
        }
    }

    #[test]
    fn public_url_is_scheme_host_and_port() {
        for (text, shown) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("https://Hooks.example.com/", "https://hooks.example.com"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            let url: PublicUrl = text.parse().expect(text);
            assert_eq!(url.to_string(), shown);
        }
        for bad in [
            "",
            "hooks.example.com",
            "ftp://hooks.example.com",
            "http://",
            "http://h/path",
            "http://h/?q",
            "http://h/#f",
            "http://user@h/",
            "http://:pass@h/",
        ] {
            assert_eq!(bad.parse::<PublicUrl>(), Err(InvalidPublicUrl), "{bad}");
        }
    }

    #[test]
    fn host_literals_are_refused_in_every_spelling() {
        let policy = AddressPolicy::default();
        for text in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1:8080/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://０/",
            "http://169.254.169.254/latest/meta-data/",
        ] {
            let url = url::Url::parse(text).expect(text);
            assert!(policy.check_host(&url).is_err(), "{text}");
        }
        for text in ["http://example.com/", "http://8.8.8.8/", "http://localhost/"] {
            let url = url::Url::parse(text).expect(text);
            assert_eq!(policy.check_host(&url), Ok(()), "names are checked once resolved: {text}");
        }
    }
}
