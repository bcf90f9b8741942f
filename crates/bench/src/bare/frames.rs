//! What a message holds: events, each behind its id, its targets and its length.

use std::ops::Range;

use bytes::{Buf as _, BufMut as _, Bytes};

/// Bytes of an event's id: 32 hexadecimal digits.
const ID_BYTES: usize = 32;

/// An event as it came, with an id.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) id: String,
    /// To which of the receiver's paths this message brings it.
    pub(super) targets: Range<u16>,
    pub(super) body: Bytes,
}

pub(super) fn write<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<u8> {
    let mut message = Vec::new();
    for Event { id, targets, body } in events {
        message.put_slice(id.as_bytes());
        message.put_u16(targets.start);
        message.put_u16(targets.end);
        message.put_u32(u32::try_from(body.len()).expect("an event is small"));
        message.put_slice(body);
    }
    message
}

pub(super) fn read(message: Vec<u8>) -> Vec<Event> {
    let mut rest = Bytes::from(message);
    let mut events = Vec::new();
    while rest.has_remaining() {
        let id = rest.split_to(ID_BYTES);
        let targets = rest.get_u16()..rest.get_u16();
        let length = rest.get_u32() as usize;
        let id = String::from_utf8(id.to_vec()).expect("an id is hexadecimal");
        events.push(Event { id, targets, body: rest.split_to(length) });
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let event = |id: &str, targets, body: &'static str| {
            let (id, body) = (id.repeat(32), body.into());
            Event { id, targets, body }
        };
        let events = [event("a", 0..1, "one"), event("b", 2..3, ""), event("c", 0..5, "three")];
        let read = read(write(&events));
        let shown = |events: &[Event]| format!("{events:?}");
        assert_eq!(shown(&read), shown(&events));
    }
}
