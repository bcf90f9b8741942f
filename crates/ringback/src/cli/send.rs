//! `ringback send`: one event, or many of the same.

use std::num::NonZeroUsize;
use std::str::FromStr;

use clap::Args;
use ringback_core::{Account, EventId, EventName, Timestamp, Variables};
use serde::Serialize;
use serde_json::value::RawValue;

use super::answer::{Answer, items, shown, text};
use super::args::read_text;
use super::failure::Failure;
use super::output::{Form, Reader, progress, remark};
use super::{Session, args};

/// The most events of one request.
const BATCH_EVENTS_MAX: usize = 1_000;
/// Half of what the server takes in one request.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Sends an event.
#[derive(Args, Debug)]
#[command(after_help = "Values:
  KEY=TEXT    a string:        AUTHOR=Ada
  KEY:=JSON   any JSON value:  COMMENT_ID:=178  DRAFT:=false  TAGS:='[\"a\",\"b\"]'
  KEY=@PATH   a file's text:   COMMENT=@comment.txt  (@- is stdin)

Example:
  ringback send COMMENT_CREATED --account acme COMMENT_ID:=178 COMMENT='Needs more cowbell'")]
pub(crate) struct Send {
    /// The event's name, such as COMMENT_CREATED
    name: EventName,
    /// The event's variables
    #[arg(value_name = "KEY=VALUE")]
    variables: Vec<Assignment>,
    /// The account it belongs to; a key that is bound to an account says so by itself
    #[arg(long)]
    account: Option<Account>,
    /// All variables at once: a JSON object in a file, or on stdin. A KEY=VALUE besides takes the
    /// place of the object's member
    #[arg(long = "variables", value_name = "@PATH|-")]
    object: Option<String>,
    /// The event's id, a UUID: the same twice is one event
    #[arg(long)]
    id: Option<EventId>,
    /// When it happened, such as 2026-01-02T03:04:05Z [default: now]
    #[arg(long)]
    time: Option<Timestamp>,
    /// When it is delivered, such as 2026-02-01T08:00:00Z: up to 366 days from now [default: now]
    #[arg(long, value_name = "TIME")]
    deliver_at: Option<Timestamp>,
    /// Makes it safe to repeat this call: the same key is one event
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Send so many events that differ in their id alone
    #[arg(long, conflicts_with_all = ["id", "idempotency_key"])]
    count: Option<NonZeroUsize>,
}

/// A variable as it is given on the command line.
#[derive(Clone, Debug, PartialEq)]
struct Assignment {
    key: String,
    value: Given,
}

#[derive(Clone, Debug, PartialEq)]
enum Given {
    Text(String),
    /// Valid JSON, to the letter.
    Json(String),
    File(String),
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let forms = "a variable is KEY=TEXT, KEY:=JSON or KEY=@PATH";
        let (key, value) = text.split_once('=').ok_or(forms)?;
        let (key, value) = if let Some(key) = key.strip_suffix(':') {
            let value = serde_json::from_str::<&RawValue>(value).map_err(|error| {
                format!("{value} is no JSON ({error}); a text is given as KEY=TEXT")
            })?;
            (key, Given::Json(value.get().to_owned()))
        } else if let Some(path) = value.strip_prefix('@') {
            (key, Given::File(path.to_owned()))
        } else {
            (key, Given::Text(value.to_owned()))
        };
        if key.is_empty() {
            return Err(forms.to_owned());
        }
        Ok(Self { key: key.to_owned(), value })
    }
}

impl Assignment {
    fn json(&self) -> anyhow::Result<String> {
        let text = match &self.value {
            Given::Json(json) => return Ok(json.clone()),
            Given::Text(text) => text.clone(),
            Given::File(path) => read_text(path)?,
        };
        Ok(serde_json::to_string(&text)?)
    }
}

#[derive(Serialize)]
struct NewEvent<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<EventId>,
    name: &'a EventName,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a Account>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deliver_at: Option<Timestamp>,
    variables: &'a Variables,
}

pub(super) async fn run(send: Send, session: &Session) -> anyhow::Result<()> {
    let variables = send.variables()?;
    let event = NewEvent {
        id: send.id,
        name: &send.name,
        account: send.account.as_ref(),
        time: send.time,
        deliver_at: send.deliver_at,
        variables: &variables,
    };
    match send.count {
        Some(count) => many(&event, count, session).await,
        None => one(&event, send.idempotency_key.as_deref(), session).await,
    }
}

impl Send {
    fn variables(&self) -> anyhow::Result<Variables> {
        let object = self.object.as_deref().map(object).transpose()?.unwrap_or_default();
        merge(&object, &self.variables)
    }
}

fn object(argument: &str) -> anyhow::Result<Variables> {
    let path = match (argument, argument.strip_prefix('@')) {
        ("-", _) => "-",
        (_, Some(path)) => path,
        _ => return Err(Failure::usage("--variables takes @PATH, or - for stdin")),
    };
    serde_json::from_str(&read_text(path)?).map_err(|error| {
        Failure::usage(format!("{argument} holds no object of variables: {error}"))
    })
}

/// The object's members, but for those that are assigned, and the assignments. As text: a number goes out with the
/// digits that it came in with.
fn merge(object: &Variables, assignments: &[Assignment]) -> anyhow::Result<Variables> {
    let assigned = |name: &str| assignments.iter().any(|assignment| assignment.key == name);
    let mut members: Vec<(&str, String)> = object
        .iter()
        .filter(|(name, _)| !assigned(name))
        .map(|(name, value)| (name, value.get().to_owned()))
        .collect();
    for assignment in assignments {
        members.push((&assignment.key, assignment.json()?));
    }
    let mut json = String::from("{");
    for (index, (name, value)) in members.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        json.push_str(&format!("{comma}{}:{value}", serde_json::to_string(name)?));
    }
    json.push('}');
    serde_json::from_str(&json).map_err(|error| Failure::usage(format!("the variables: {error}")))
}

async fn one(event: &NewEvent<'_>, key: Option<&str>, session: &Session) -> anyhow::Result<()> {
    let client = &session.client;
    let answer = match key {
        Some(key) => client.post_once(&["events"], event, key).await?,
        None => client.post(&["events"], event).await?,
    };
    if session.out.form == Form::Json {
        return session.out.json(&answer);
    }
    let id = args::id_of(&answer)?;
    session.out.line(id)?;
    if is_duplicate(&answer.value) {
        remark(format_args!(
            "A duplicate: this event was accepted before, and nothing is sent again."
        ));
    } else {
        remark(format_args!("Accepted. See what becomes of it: ringback events show {id}"));
    }
    Ok(())
}

/// Counts of what became of many events.
#[derive(Debug, Default)]
struct Tally {
    accepted: usize,
    duplicates: usize,
    rejected: usize,
    first_rejection: Option<String>,
}

async fn many(event: &NewEvent<'_>, count: NonZeroUsize, session: &Session) -> anyhow::Result<()> {
    let event_bytes = serde_json::to_vec(event)?.len() + 1;
    let batch_events = (BATCH_BYTES_MAX / event_bytes).clamp(1, BATCH_EVENTS_MAX);
    let bar = progress(count.get(), "sending");
    let mut tally = Tally::default();
    let mut answers = Vec::new();
    let mut left = count.get();
    while left > 0 {
        let batch: Vec<&NewEvent<'_>> = vec![event; left.min(batch_events)];
        let answer = session.client.post(&["events"], &batch).await;
        let answer = answer.inspect_err(|_| {
            bar.finish_and_clear();
            let sent = count.get() - left;
            remark(format_args!("{sent} of {count} events were sent before this happened:"));
        })?;
        let became = items(&answer.value, "/data");
        became.iter().for_each(|became| tally.add(became));
        // Thousands of ids are for a program to read, and would push everything else off the screen.
        if session.out.form == Form::People && session.out.reader == Reader::Program {
            let ids: Vec<&str> = became.iter().filter_map(|became| text(became, "/id")).collect();
            if !ids.is_empty() {
                bar.suspend(|| session.out.line(ids.join("\n")))?;
            }
        }
        left -= batch.len();
        bar.inc(batch.len() as u64);
        answers.push(answer);
    }
    let seconds = bar.elapsed().as_secs_f64().max(0.001);
    bar.finish_and_clear();
    if session.out.form == Form::Json {
        print_all(&answers, session)?;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate for people, whole events a second")]
    let rate = count.get() as f64 / seconds;
    tally.conclude(seconds, rate)
}

/// The answers to all events as one array, as if they had been sent as one.
fn print_all(answers: &[Answer], session: &Session) -> anyhow::Result<()> {
    #[derive(serde::Deserialize)]
    struct Data {
        data: Vec<Answer>,
    }
    let mut all = Vec::new();
    for answer in answers {
        all.extend(serde_json::from_str::<Data>(answer.json.get())?.data);
    }
    session.out.json_array(&all)
}

impl Tally {
    fn add(&mut self, became: &serde_json::Value) {
        if text(became, "/status") == Some("rejected") {
            self.rejected += 1;
            self.first_rejection.get_or_insert_with(|| {
                format!(
                    "{}: {}",
                    shown(became, "/errors/0/pointer"),
                    shown(became, "/errors/0/detail")
                )
            });
            return;
        }
        self.accepted += 1;
        self.duplicates += usize::from(is_duplicate(became));
    }

    fn conclude(self, seconds: f64, rate: f64) -> anyhow::Result<()> {
        let duplicates = match self.duplicates {
            0 => String::new(),
            some => format!(", {some} of them duplicates"),
        };
        let accepted = self.accepted;
        remark(format_args!(
            "Accepted {accepted} events{duplicates} in {seconds:.1} s, {rate:.0} a second."
        ));
        match self.first_rejection {
            None => Ok(()),
            Some(reason) => {
                let rejected = self.rejected;
                Err(Failure::Incomplete(format!("{rejected} events were rejected; {reason}"))
                    .into())
            }
        }
    }
}

fn is_duplicate(answer: &serde_json::Value) -> bool {
    answer.pointer("/duplicate") == Some(&serde_json::Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignments(texts: &[&str]) -> Vec<Assignment> {
        texts.iter().map(|text| text.parse().expect(text)).collect()
    }

    #[test]
    fn a_variable_is_a_text_json_or_a_file() {
        let cases = [
            ("A=1", "A", Given::Text("1".to_owned())),
            ("A=", "A", Given::Text(String::new())),
            ("A=b=c:=d", "A", Given::Text("b=c:=d".to_owned())),
            ("A:=1.10", "A", Given::Json("1.10".to_owned())),
            ("A:={\"b\": [true]}", "A", Given::Json("{\"b\": [true]}".to_owned())),
            ("A=@b.txt", "A", Given::File("b.txt".to_owned())),
            ("A:b=c", "A:b", Given::Text("c".to_owned())),
        ];
        for (text, key, value) in cases {
            let expected = Assignment { key: key.to_owned(), value };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for text in ["", "A", "=1", ":=1", "A:=", "A:=Ada", "A:={", "A:=1 2"] {
            assert!(text.parse::<Assignment>().is_err(), "{text}");
        }
    }

    #[test]
    fn assignments_take_the_place_of_the_objects_members_to_the_letter() {
        let object = serde_json::from_str(r#"{"A":1.10,"B":"old"}"#).expect("an object");
        let merged = merge(&object, &assignments(&["B=\"new\"", "C:=12345678901234567890"]));
        let json = merged.expect("variables").to_json();
        assert_eq!(json, r#"{"A":1.10,"B":"\"new\"","C":12345678901234567890}"#);
    }

    #[test]
    fn a_variable_given_twice_is_refused() {
        let twice = merge(&Variables::default(), &assignments(&["A=1", "A=2"]));
        let message = twice.expect_err("given twice").to_string();
        assert!(message.contains("`A` stands there twice"), "{message}");
    }

    #[test]
    fn an_event_is_sent_with_what_is_given_only() {
        let name = "A".parse().expect("a name");
        let event = NewEvent {
            id: None,
            name: &name,
            account: None,
            time: None,
            deliver_at: None,
            variables: &Variables::default(),
        };
        assert_eq!(serde_json::to_string(&event).expect("JSON"), r#"{"name":"A","variables":{}}"#);
    }
}
