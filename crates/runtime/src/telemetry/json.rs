//! A log line as a JSON object: `timestamp`, `level`, `target`, and the fields of the event beside them.
//!
//! The library's own format tells of an error what it says itself, and leaves out its causes, which is where the reason
//! stands.

use std::error::Error;
use std::fmt::{self, Debug};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// One line an event.
pub(super) struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let Fields(mut fields) = fields;
        let mut target = event.metadata().target();
        // What comes by way of the crate `log` has its own target among its fields, and where it stands in the code.
        let logged = fields.remove("log.target");
        if let Some(Value::String(own)) = &logged {
            target = own;
            fields.retain(|name, _| !name.starts_with("log."));
        }
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let head = [
            ("timestamp", Value::from(timestamp)),
            ("level", Value::from(event.metadata().level().as_str())),
        ];
        let tail = [("target", Value::from(target))];
        // Two members of one name would be read as either.
        let is_taken = |name: &str| head.iter().chain(&tail).any(|(taken, _)| *taken == name);
        fields.retain(|name, _| !is_taken(name));
        let fields = fields.iter().map(|(name, value)| (name.as_str(), value));
        let members = head.iter().map(|(name, value)| (*name, value));
        let members = members.chain(fields).chain(tail.iter().map(|(name, value)| (*name, value)));
        for (index, (name, value)) in members.enumerate() {
            writer.write_char(if index == 0 { '{' } else { ',' })?;
            write!(writer, "{}:{value}", Value::from(name))?;
        }
        writer.write_str("}\n")
    }
}

struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.set(field, crate::with_causes(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("nobody panics holding it").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("it failed")]
    struct Failed(#[source] std::io::Error);

    #[test]
    fn error_is_told_with_its_causes_and_everything_is_one_object() {
        let written = Written::default();
        let writer = written.clone();
        let lines = tracing_subscriber::fmt()
            .event_format(JsonLine)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(lines, || {
            let error = Failed(std::io::Error::other("the \"disk\"\nis full"));
            let error = &error as &(dyn Error + 'static);
            tracing::warn!(error, count = 3_u64, level = "mine", of = %"x", "can't {}", "write");
        });
        let written = written.0.lock().expect("nobody panics holding it").clone();
        let text = String::from_utf8(written).expect("UTF-8");
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(line["error"], "it failed: the \"disk\"\nis full");
        assert_eq!(
            (&line["count"], &line["of"], &line["level"], &line["message"]),
            (&3.into(), &"x".into(), &"WARN".into(), &"can't write".into())
        );
        assert!(line["timestamp"].as_str().is_some_and(|it| it.ends_with('Z')), "{line}");
        assert!(text.starts_with("{\"timestamp\":"), "{text}");
    }
}
