//! What a message holds: events, each behind its id and its length.

use bytes::{Buf as _, BufMut as _, Bytes};

/// Bytes of an event's id: 32 hexadecimal digits.
const ID_BYTES: usize = 32;

/// An event as it came, with an id.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) body: Bytes,
}

pub(super) fn write<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<u8> {
    let mut message = Vec::new();
    for Event { id, body } in events {
        message.put_slice(id.as_bytes());
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
        let length = rest.get_u32() as usize;
        let id = String::from_utf8(id.to_vec()).expect("an id is hexadecimal");
        events.push(Event { id, body: rest.split_to(length) });
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let event = |id: &str, body: &'static str| Event { id: id.repeat(32), body: body.into() };
        let events = [event("a", "one"), event("b", ""), event("c", "three")];
        let read = read(write(&events));
        let shown = |events: &[Event]| format!("{events:?}");
        assert_eq!(shown(&read), shown(&events));
    }
}
