//! What Ringback's messages look like on the wire.

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use ringback_core::Timestamp;
use ringback_core::dispatch;

use super::names::Names;
use super::topology::RETURNED;

/// Lines of JSON, a dispatch each.
const BUNDLE_TYPE: &str = "application/x-ndjson";

/// When it is due, in milliseconds since 1970: on what comes out of the ladder before that.
const DUE_MS: &str = "x-ringback-due-ms";
/// Why it was set aside: a word for programs.
pub(super) const REASON: &str = "x-ringback-reason";
/// Why it was set aside: a sentence for people.
pub(super) const DETAIL: &str = "x-ringback-detail";
/// Where it was published to, before it was set aside.
pub(super) const ROUTING_KEY: &str = "x-ringback-routing-key";

/// On disk before it is confirmed.
const PERSISTENT: u8 = 2;

/// A message on its way to the server.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub exchange: ShortString,
    pub routing_key: ShortString,
    pub properties: BasicProperties,
    pub body: Vec<u8>,
}

impl Outgoing {
    /// A bundle of these texts.
    pub(super) fn bundle(exchange: &str, routing_key: &str, id: &str, texts: &[&str]) -> Self {
        let properties = BasicProperties::default()
            .with_content_type(BUNDLE_TYPE.into())
            .with_delivery_mode(PERSISTENT)
            .with_message_id(id.into());
        Self {
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            properties,
            body: dispatch::bundle(texts.iter().copied()).into_bytes(),
        }
    }

    /// The same, to be held back again as long as it is not due.
    pub(super) fn due(mut self, due: Timestamp) -> Self {
        let mut headers = FieldTable::default();
        headers.insert(DUE_MS.into(), due.ms().into());
        self.properties = self.properties.with_headers(headers);
        self
    }

    /// A bundle that is due, to the queue of what came back.
    pub(super) fn returned(names: &Names, id: &str, texts: &[&str]) -> Self {
        Self::bundle(&names.due(), RETURNED, id, texts)
    }

    /// What was received, as it came, to `exchange`, with `more` headers, and without those that Ringback or the
    /// server wrote on its way: with `x-death` in it a message would stick in the ladder for ever, as a cycle.
    pub(super) fn forward<'a>(
        exchange: &str,
        routing_key: &str,
        (properties, body): (&BasicProperties, Vec<u8>),
        more: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let mut headers = FieldTable::default();
        let had = properties.headers().iter().flat_map(FieldTable::inner);
        for (name, value) in had.filter(|(name, _)| !is_of_the_way(name.as_str())) {
            headers.insert(name.clone(), value.clone());
        }
        for (name, value) in more {
            headers.insert(name.into(), AMQPValue::LongString(value.into()));
        }
        Self {
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            properties: content_of(properties).with_headers(headers),
            body,
        }
    }
}

/// The properties that say what a message is, without those that say what the server is to do with it: one that is to
/// expire would be dropped where it is set aside, and one with another's user id is refused.
fn content_of(properties: &BasicProperties) -> BasicProperties {
    let mut content = BasicProperties::default().with_delivery_mode(PERSISTENT);
    if let Some(value) = properties.content_type() {
        content = content.with_content_type(value.clone());
    }
    if let Some(value) = properties.content_encoding() {
        content = content.with_content_encoding(value.clone());
    }
    if let Some(value) = properties.correlation_id() {
        content = content.with_correlation_id(value.clone());
    }
    if let Some(value) = properties.message_id() {
        content = content.with_message_id(value.clone());
    }
    if let Some(value) = properties.timestamp() {
        content = content.with_timestamp(*value);
    }
    if let Some(value) = properties.kind() {
        content = content.with_type(value.clone());
    }
    if let Some(value) = properties.app_id() {
        content = content.with_app_id(value.clone());
    }
    content
}

fn is_of_the_way(name: &str) -> bool {
    name == "x-death"
        || name.starts_with("x-first-death-")
        || name.starts_with("x-last-death-")
        || matches!(name, "x-delivery-count" | "x-acquired-count")
        || matches!(name, REASON | DETAIL | ROUTING_KEY)
}

/// A header's text.
pub(super) fn text(properties: &BasicProperties, name: &str) -> Option<String> {
    match properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

/// When it is due, if it may have come out of the ladder before that.
pub(super) fn due(delivery: &Delivery) -> Option<Timestamp> {
    number(&delivery.properties, DUE_MS).map(Timestamp::from_ms)
}

/// How often it was handed out before, as the server counts.
pub(super) fn deliveries_before(delivery: &Delivery) -> u64 {
    let count = number(&delivery.properties, "x-delivery-count").unwrap_or(0);
    u64::try_from(count).unwrap_or(0)
}

fn number(properties: &BasicProperties, name: &str) -> Option<i64> {
    match properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::ShortShortInt(n) => Some((*n).into()),
        AMQPValue::ShortShortUInt(n) => Some((*n).into()),
        AMQPValue::ShortInt(n) => Some((*n).into()),
        AMQPValue::ShortUInt(n) => Some((*n).into()),
        AMQPValue::LongInt(n) => Some((*n).into()),
        AMQPValue::LongUInt(n) => Some((*n).into()),
        AMQPValue::LongLongInt(n) => Some(*n),
        _ => None,
    }
}
