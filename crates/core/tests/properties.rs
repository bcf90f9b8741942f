//! What holds for any input: codecs, templates, filters, waits and addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use percent_encoding::percent_decode_str;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use ringback_core::address::AddressPolicy;
use ringback_core::dispatch::{self, Novelty};
use ringback_core::filter::EventFilter;
use ringback_core::outcome::RETRY_AFTER_MAX;
use ringback_core::retry::{AttemptNumber, Backoff, Position, RetryPolicy, Verdict, decide};
use ringback_core::template::{InvalidExpansion, UrlTemplate};
use ringback_core::{
    CallbackId, Dispatch, Event, EventId, EventName, Outcome, Target, Targets, Timestamp, Variables,
};
use uuid::Uuid;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() }
}

/// The JSON text of any string.
fn json_of(text: &str) -> String {
    serde_json::to_string(text).expect("strings serialize")
}

/// JSON as producers write it: odd numbers, every escape, and lists over several lines.
fn json() -> impl Strategy<Value = String> {
    static ODD: [&str; 13] = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1.10",
        "1e400",
        "12345678901234567890",
        r#""\ud83d""#,
        r#""\u0000\r\n\t\u2028""#,
        r#""..""#,
        "[]",
        "{}",
    ];
    let leaf = prop_oneof![
        any::<String>().prop_map(|text| json_of(&text)),
        any::<i64>().prop_map(|number| number.to_string()),
        proptest::sample::select(&ODD[..]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(|items| format!("[{}]", items.join(",\r\n  "))),
            btree_map(any::<String>(), inner, 1..4).prop_map(|members| object(&members)),
        ]
    })
}

fn object(members: &std::collections::BTreeMap<String, String>) -> String {
    let members: Vec<_> =
        members.iter().map(|(name, value)| format!("{} : {value}", json_of(name))).collect();
    format!("{{\n{}\n}}", members.join(",\n"))
}

/// Some under the names that templates below ask for.
fn variables() -> impl Strategy<Value = Variables> {
    let name = prop_oneof![any::<String>(), "[XYZ]", Just("EVENT_ID".to_owned())];
    btree_map(name, json(), 0..6)
        .prop_map(|members| serde_json::from_str(&object(&members)).expect("a JSON object"))
}

fn event_name() -> impl Strategy<Value = EventName> {
    "[A-Za-z0-9_.-]{1,128}".prop_map(|text| text.parse().expect("within the rule"))
}

prop_compose! {
    fn event()(
        id in any::<u128>(),
        name in event_name(),
        account in "[A-Za-z0-9_-]{1,64}",
        (time, accepted_at) in any::<(i64, i64)>(),
        deliver_at in proptest::option::of(any::<i64>()),
        variables in variables(),
    ) -> Event {
        Event {
            id: EventId::from_uuid(Uuid::from_u128(id)),
            name,
            account: account.parse().expect("within the rule"),
            time: Timestamp::from_ms(time),
            accepted_at: Timestamp::from_ms(accepted_at),
            deliver_at: deliver_at.map(Timestamp::from_ms),
            variables,
            trace: None,
        }
    }
}

fn event_with(members: &[(&str, &str)]) -> Event {
    let members = members.iter().map(|(name, text)| ((*name).to_owned(), json_of(text))).collect();
    Event {
        id: EventId::from_uuid(Uuid::nil()),
        name: "A".parse().expect("a name"),
        account: "a".parse().expect("an account"),
        time: Timestamp::EPOCH,
        accepted_at: Timestamp::EPOCH,
        deliver_at: None,
        variables: serde_json::from_str(&object(&members)).expect("a JSON object"),
        trace: None,
    }
}

fn target() -> impl Strategy<Value = Target> {
    let numbers = prop_oneof![1..=9_u32, 1_u32..];
    let parts = (any::<u128>(), any::<u32>(), numbers.clone(), numbers, any::<u32>());
    parts.prop_map(|(callback, generation, a, b, deferrals)| {
        let number = |n| AttemptNumber::new(n).expect("at least 1");
        Target {
            callback: CallbackId::from_uuid(Uuid::from_u128(callback)),
            generation,
            position: Position { attempt: number(a.max(b)), series_start: number(a.min(b)) },
            deferrals,
        }
    })
}

fn dispatches() -> impl Strategy<Value = Dispatch> {
    let targets =
        prop_oneof![Just(Targets::Matching), vec(target(), 0..4).prop_map(Targets::These),];
    let novelty = prop_oneof![Just(Novelty::New), Just(Novelty::PerhapsRepeated)];
    (event(), targets, novelty).prop_map(|(event, targets, novelty)| Dispatch {
        event: Arc::new(event),
        targets,
        novelty,
    })
}

/// Any template behind a fixed scheme, host and port.
fn template() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z0-9/.?&=#@:-]{0,6}",
        Just("é%2e".to_owned()),
        "\\{[+#./;?&]?[XYZ](:[1-9]|\\*)?(,[XYZ](:[1-9]|\\*)?)?\\}",
    ];
    ("[/?#]", vec(piece, 1..6))
        .prop_map(|(first, pieces)| format!("http://example.com:8443{first}{}", pieces.concat()))
}

/// Special and other addresses in equal shares.
fn ipv4() -> impl Strategy<Value = Ipv4Addr> {
    static SPECIAL: [[u8; 4]; 10] = [
        [0, 0, 0, 0],
        [10, 0, 0, 0],
        [100, 64, 0, 0],
        [127, 0, 0, 0],
        [169, 254, 0, 0],
        [172, 16, 0, 0],
        [192, 168, 0, 0],
        [198, 18, 0, 0],
        [224, 0, 0, 0],
        [255, 255, 255, 0],
    ];
    prop_oneof![
        any::<Ipv4Addr>(),
        (proptest::sample::select(&SPECIAL[..]), any::<u8>())
            .prop_map(|([a, b, c, _], d)| Ipv4Addr::new(a, b, c, d)),
    ]
}

/// Every way to write an IPv4 address as an IPv6 address of a public network.
fn disguises(address: Ipv4Addr) -> Vec<Ipv6Addr> {
    let low = u128::from(address.to_bits());
    let prefixes: [u128; 6] = [
        0,
        0xffff << 32,
        0xffff << 48,
        0x0064_ff9b << 96,
        (0x2a00_1450 << 96) | (0x5efe << 32),
        (0x2a00_1450 << 96) | (0x0200_5efe << 32),
    ];
    let mut all: Vec<_> = prefixes.iter().map(|prefix| Ipv6Addr::from_bits(prefix | low)).collect();
    all.push(Ipv6Addr::from_bits((0x2002 << 112) | (low << 80) | 1));
    all
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn bundle_comes_out_as_it_went_in(dispatches in vec(dispatches(), 0..4)) {
        let texts: Vec<_> = dispatches.iter().map(dispatch::encode).collect();
        let bundle = dispatch::bundle(texts.iter().map(String::as_str));
        let read = dispatch::decode(&bundle).expect("readable");
        prop_assert_eq!(read.len(), dispatches.len());
        for (read, sent) in read.iter().zip(&dispatches) {
            let (a, b) = (&read.event, &sent.event);
            prop_assert_eq!((a.id, &a.name, &a.account), (b.id, &b.name, &b.account));
            prop_assert_eq!(
                (a.time, a.accepted_at, a.deliver_at),
                (b.time, b.accepted_at, b.deliver_at)
            );
            // To the letter, but for line breaks between the parts of a value.
            prop_assert_eq!(a.variables.to_json(), b.variables.to_json().replace('\n', " "));
            prop_assert_eq!((&read.targets, read.novelty), (&sent.targets, sent.novelty));
        }
    }

    #[test]
    fn no_garbage_in_a_bundle_panics(
        dispatch in dispatches(), garbage: String, cut: prop::sample::Index, json in json(),
    ) {
        let _ = dispatch::decode(&garbage);
        let _ = dispatch::decode(&json);
        let mut text = dispatch::encode(&dispatch);
        let at = (0..=cut.index(text.len())).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(at.expect("0 is a boundary"));
        prop_assert!(text.is_empty() || dispatch::decode(&text).is_err(), "half a dispatch is none");
    }

    #[test]
    fn event_never_changes_the_host_of_a_template(template in template(), event in event()) {
        let Ok(template) = template.parse::<UrlTemplate>() else { return Ok(()) };
        match template.expand(&event) {
            Ok(url) => {
                prop_assert_eq!(url.scheme(), "http");
                prop_assert_eq!(url.host_str(), Some("example.com"));
                prop_assert_eq!(url.port(), Some(8443));
                prop_assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None));
            }
            Err(error) => prop_assert_ne!(error, InvalidExpansion::OtherOrigin),
        }
    }

    #[test]
    fn no_text_and_no_event_panics_a_template(text: String, event in event()) {
        for text in [format!("http://h/{text}"), format!("http://{text}"), text] {
            if let Ok(template) = text.parse::<UrlTemplate>() {
                let _ = template.expand(&event);
            }
        }
    }

    #[test]
    fn simple_tags_keep_the_segments_and_decode_to_their_values(x: String, y: String) {
        let template: UrlTemplate =
            "https://example.com/a/{X}/b/_{Y}?q={X}&r={Y}".parse().expect("valid");
        match template.expand(&event_with(&[("X", &x), ("Y", &y)])) {
            Ok(url) => {
                let decode = |text| percent_decode_str(text).decode_utf8().expect("UTF-8").into_owned();
                let path: Vec<_> = url.path_segments().expect("a path").map(decode).collect();
                prop_assert_eq!(path, ["a", &x, "b", &format!("_{y}")]);
                prop_assert_eq!(decode(url.query().expect("a query")), format!("q={x}&r={y}"));
            }
            Err(error) => {
                prop_assert_eq!(error, InvalidExpansion::DotSegment);
                prop_assert!(x == "." || x == "..");
            }
        }
    }

    #[test]
    fn filter_matches_by_its_patterns_and_nothing_else(
        name in event_name(), beginning in "[A-Z_]{1,3}", other in event_name(),
    ) {
        let filter = |patterns: &[&str]| EventFilter::parse(patterns).expect("valid");
        prop_assert!(filter(&["*"]).matches(&name));
        prop_assert_eq!(filter(&[name.as_str()]).matches(&other), name == other);
        for beginning in [beginning.as_str(), &name.as_str()[..1], name.as_str()] {
            let matches = EventFilter::parse(&[format!("{beginning}*")]).map(|f| f.matches(&name));
            // A name of 128 characters with a * behind it is a prefix like any other.
            prop_assert_eq!(matches, Ok(name.as_str().starts_with(beginning)));
        }
    }

    #[test]
    fn filter_comes_back_from_its_patterns(
        patterns in vec(prop_oneof!["\\*", "[A-Z_]{1,9}\\*?", any::<String>()], 0..6),
    ) {
        if let Ok(filter) = EventFilter::parse(&patterns) {
            prop_assert_eq!(&filter.patterns(), &patterns);
            prop_assert_eq!(EventFilter::parse(&filter.patterns()), Ok(filter));
        }
    }

    #[test]
    fn backoff_stays_within_its_bounds(
        delay_ms in 0..=604_800_000_u64, max_ms in 0..=604_800_000_u64, factor in 1.0..=10.0_f64,
        retry in 1..=RetryPolicy::MAX_RETRIES_MAX, jitter in 0.0..1.0_f64,
    ) {
        let delay = Duration::from_millis(delay_ms);
        let delay_max = Duration::from_millis(max_ms);
        let backoff = Backoff::Exponential { factor, delay_max };
        let policy = RetryPolicy { delay, backoff, ..RetryPolicy::default() };
        let exponent = i32::try_from(retry).expect("small") - 1;
        let bound = (delay.as_secs_f64() * factor.powi(exponent)).min(delay_max.as_secs_f64());
        prop_assert!(policy.delay_before(retry, jitter).as_secs_f64() <= bound);
        let fixed = RetryPolicy { backoff: Backoff::Fixed, ..policy };
        prop_assert_eq!(fixed.delay_before(retry, jitter), delay);
    }

    #[test]
    fn series_ends_after_its_maximum_of_retries(
        enabled: bool, max_retries in 0..=RetryPolicy::MAX_RETRIES_MAX, start in 1..1_000_u32,
        statuses in vec(prop_oneof![Just(429_u16), Just(503), 300..=409_u16, 411..=599_u16], 1..8),
        wait: Option<u32>,
    ) {
        let policy = RetryPolicy { enabled, max_retries, ..RetryPolicy::default() };
        let number = |n| AttemptNumber::new(n).expect("at least 1");
        let now = Timestamp::EPOCH;
        let retries = (start..)
            .zip(statuses.iter().cycle())
            .take_while(|(attempt, status)| {
                let position = Position { attempt: number(*attempt), series_start: number(start) };
                let retry_after = wait.map(|seconds| Duration::from_secs(seconds.into()));
                let outcome = Outcome::HttpError { status: **status, retry_after };
                match decide(&policy, position, &outcome, now, || 0.5) {
                    Verdict::RetryAt(at) => at > now,
                    Verdict::Delivered | Verdict::Exhausted | Verdict::Gone => false,
                }
            })
            .take(1_000)
            .count();
        let expected = if enabled { max_retries } else { 0 };
        prop_assert_eq!(retries, usize::try_from(expected).expect("small"));
    }

    #[test]
    fn retry_after_never_asks_for_more_than_a_day(
        value in prop_oneof![
            any::<String>(),
            "[0-9]{1,30}",
            "(Sun|Mon), [0-3][0-9] (Nov|Feb) [0-9]{4} [0-2][0-9]:[0-6][0-9]:[0-6][0-9] GMT",
        ],
        status: u16, now: i64,
    ) {
        let outcome = Outcome::of_response(status, Some(&value), Timestamp::from_ms(now));
        if let Outcome::HttpError { retry_after: Some(wait), .. } = outcome {
            prop_assert!(wait <= RETRY_AFTER_MAX);
            prop_assert!(status == 429 || status == 503);
        }
    }

    #[test]
    fn disguise_changes_nothing(address in ipv4()) {
        let policy = AddressPolicy::default();
        let blocked = policy.check(address.into()).is_err();
        for disguise in disguises(address) {
            prop_assert_eq!(policy.check(disguise.into()).is_err(), blocked, "{}", disguise);
        }
    }

    #[test]
    fn allowed_network_is_allowed_and_nothing_else(
        inside in ipv4(), length in 0..=32_u8, address in ipv4(), any_v6: u128,
    ) {
        let network = Ipv4Net::new(inside, length).expect("at most 32").trunc();
        let policy = AddressPolicy::allowing(vec![network.into()]);
        prop_assert_eq!(policy.check(inside.into()), Ok(()));
        let without = AddressPolicy::default();
        if !network.contains(&address) {
            prop_assert_eq!(policy.check(address.into()), without.check(address.into()));
        }
        for disguise in disguises(address) {
            let same = policy.check(disguise.into()).is_ok() == policy.check(address.into()).is_ok();
            // `::` and `::1` are addresses of their own.
            prop_assert!(same || address.to_bits() <= 1, "{}", disguise);
        }
        let v6 = Ipv6Addr::from_bits(any_v6);
        let only = AddressPolicy::allowing(vec![IpNet::from(IpAddr::V6(v6))]);
        prop_assert_eq!(only.check(v6.into()), Ok(()));
        let next = IpAddr::V6(Ipv6Addr::from_bits(any_v6 ^ 1));
        prop_assert_eq!(only.check(next), without.check(next));
    }
}
