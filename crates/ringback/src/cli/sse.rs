//! Server-sent events, as far as a client without memory needs them.

/// One message of a stream.
#[derive(Debug, PartialEq)]
pub(super) struct Message {
    /// `message` unless the server names another.
    pub(super) event: String,
    /// Its data lines, joined by line breaks.
    pub(super) data: String,
}

/// Cuts a stream of bytes into messages. Ids and retry times are skipped: `tail` starts afresh when it reconnects.
///
/// # Source
/// HTML Living Standard, section 9.2.6, "Interpreting an event stream".
#[derive(Debug, Default)]
pub(super) struct Decoder {
    rest: Vec<u8>,
    event: String,
    data: Option<String>,
}

impl Decoder {
    /// Takes the next bytes, and gives the messages that they complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Message> {
        self.rest.extend_from_slice(bytes);
        let Some(end) = self.rest.iter().rposition(|b| *b == b'\n') else {
            return Vec::new();
        };
        let lines: Vec<u8> = self.rest.drain(..=end).collect();
        let text = String::from_utf8_lossy(&lines);
        text.lines().filter_map(|line| self.line(line)).collect()
    }

    fn line(&mut self, line: &str) -> Option<Message> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            let data = self.data.take()?;
            let event = if event.is_empty() { "message".to_owned() } else { event };
            return Some(Message { event, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            // An empty field name is a comment: the server's sign of life.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(event: &str, data: &str) -> Message {
        Message { event: event.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn messages_come_out_wherever_the_bytes_are_cut() {
        let stream = ": hello\n\ndata: {\"é\":1}\n\nevent: lagged\r\ndata: 5\r\n\r\nid: 7\ndata:a\ndata:  b\n\n";
        let whole =
            [message("message", "{\"é\":1}"), message("lagged", "5"), message("message", "a\n b")];
        for cut in 0..stream.len() {
            let mut decoder = Decoder::default();
            let mut found = decoder.push(&stream.as_bytes()[..cut]);
            found.extend(decoder.push(&stream.as_bytes()[cut..]));
            assert_eq!(found, whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_message_without_its_blank_line_is_not_given() {
        assert_eq!(Decoder::default().push(b"data: half\n"), []);
    }
}
