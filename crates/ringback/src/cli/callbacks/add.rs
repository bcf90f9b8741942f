//! `ringback callbacks add`.

use std::str::FromStr;

use clap::{Args, ValueEnum};
use ringback_core::Account;
use serde_json::{Map, Value, json};

use super::super::Session;
use super::super::args::{id_of, secret};
use super::super::failure::Failure;
use super::super::output::{Form, remark};

/// Adds a callback. What is not said is left to the server's defaults.
#[derive(Args, Debug)]
#[command(
    after_help = "Secrets can be given as @PATH, to be read from a file (@- is stdin), or in the
environment, so that they do not stand in the shell's history.

Example:
  ringback callbacks add 'https://example.com/hook/{PROJECT_ID}' --account acme \\
      --format json --events 'COMMENT_*' --delay 60 --max-retries 5"
)]
pub(in crate::cli) struct Add {
    /// Where the requests go. Tags such as {PROJECT_ID} are replaced by the event's variables
    url: String,
    /// The one account whose events it gets; without it, those of all accounts
    #[arg(long)]
    account: Option<Account>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// How it is called [default: post]
    #[arg(long, ignore_case = true)]
    method: Option<Method>,
    /// What a POST carries [default: form]
    #[arg(long)]
    format: Option<Format>,
    /// Which events it gets: names, or beginnings such as 'PACKAGE_*' [default: all]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    events: Vec<String>,
    /// A header sent besides; may be given several times
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<Header>,
    /// Make it, but take no deliveries yet
    #[arg(long)]
    disabled: bool,
    /// How long one attempt may take, in milliseconds [default: 15000]
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    timeout_ms: Option<u64>,
    /// How many requests may be under way at once [default: 32]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max_in_flight: Option<u64>,
    /// How many requests a second it gets at the most, from all workers together [default: no limit]
    #[arg(long, value_name = "PER_SECOND", allow_negative_numbers = true)]
    rate_limit: Option<u64>,
    /// With a rate limit: how many requests may go at once after a quiet time [default: a tenth of it]
    #[arg(long, value_name = "N", requires = "rate_limit", allow_negative_numbers = true)]
    burst: Option<u64>,
    #[command(flatten)]
    authorization: Authorization,
    #[command(flatten)]
    retry: Retry,
    #[command(flatten)]
    circuit: Circuit,
}

/// What the `Authorization` header says.
#[derive(Args, Debug)]
#[command(next_help_heading = "Authorization of its requests")]
#[group(multiple = false)]
struct Authorization {
    /// HTTP Basic
    #[arg(
        long,
        value_name = "USER:PASSWORD|@PATH",
        env = "RINGBACK_CALLBACK_BASIC",
        hide_env_values = true
    )]
    basic: Option<String>,
    /// A bearer token
    #[arg(
        long,
        value_name = "TOKEN|@PATH",
        env = "RINGBACK_CALLBACK_BEARER",
        hide_env_values = true
    )]
    bearer: Option<String>,
    /// Any value of the Authorization header, sent as it is
    #[arg(
        long,
        value_name = "VALUE|@PATH",
        env = "RINGBACK_CALLBACK_AUTHORIZATION",
        hide_env_values = true
    )]
    authorization: Option<String>,
    /// A key, sent as `Basic KEY` and not encoded
    #[arg(long, value_name = "KEY|@PATH", env = "RINGBACK_CALLBACK_KEY", hide_env_values = true)]
    callback_key: Option<String>,
}

/// What happens after a failure.
#[derive(Args, Debug)]
#[command(next_help_heading = "Retries")]
struct Retry {
    /// Try once and never again
    #[arg(long, conflicts_with_all = ["delay", "max_retries", "backoff", "factor", "max_delay"])]
    no_retry: bool,
    /// The wait before a retry, in seconds [default: 300]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    delay: Option<f64>,
    /// Retries before giving up [default: 3]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max_retries: Option<u64>,
    /// How the wait grows [default: fixed]
    #[arg(long)]
    backoff: Option<Backoff>,
    /// With exponential: by which factor
    #[arg(long, allow_negative_numbers = true)]
    factor: Option<f64>,
    /// With exponential: no wait is longer, in seconds
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    max_delay: Option<f64>,
}

/// When an endpoint that fails is left alone for a while.
#[derive(Args, Debug)]
#[command(next_help_heading = "Circuit")]
struct Circuit {
    /// Never leave it alone, however often it fails
    #[arg(long, conflicts_with_all = ["circuit_failures", "circuit_open"])]
    no_circuit: bool,
    /// After so many failures in a row nothing is sent for a while [default: 20]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    circuit_failures: Option<u64>,
    /// How long that is at first, in seconds [default: 30]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    circuit_open: Option<f64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Method {
    Get,
    Post,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Form,
    Json,
    #[value(name = "cloudevents")]
    CloudEvents,
    CongaSign,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Backoff {
    Fixed,
    Exponential,
}

/// `NAME: VALUE`, as headers are written.
#[derive(Clone, Debug, PartialEq)]
struct Header {
    name: String,
    value: String,
}

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok(Self { name: name.trim().to_owned(), value: value.trim().to_owned() })
            }
            _ => Err("a header is given as 'NAME: VALUE'".to_owned()),
        }
    }
}

pub(super) async fn run(add: Add, session: &Session) -> anyhow::Result<()> {
    let answer = session.client.post(&["callbacks"], &add.body()?).await?;
    if session.out.form == Form::Json {
        return session.out.json(&answer);
    }
    let id = id_of(&answer)?;
    session.out.line(id)?;
    super::warn(&answer);
    remark(format_args!(
        "Its requests are signed. The secret to check them with: ringback callbacks show {id} --secret"
    ));
    Ok(())
}

impl Add {
    /// The request's body: what was given, and nothing else.
    fn body(&self) -> anyhow::Result<Map<String, Value>> {
        let mut body = Map::new();
        body.insert("url".to_owned(), json!(self.url));
        put(&mut body, "account", self.account.as_ref().map(|account| json!(account)));
        put(&mut body, "description", self.description.as_ref().map(|text| json!(text)));
        put(&mut body, "method", self.method.map(Method::word));
        put(&mut body, "format", self.format.map(Format::word));
        put(&mut body, "events", (!self.events.is_empty()).then(|| json!(self.events)));
        put(&mut body, "headers", headers(&self.headers)?);
        put(&mut body, "enabled", self.disabled.then_some(Value::Bool(false)));
        put(&mut body, "timeout_ms", self.timeout_ms.map(|ms| json!(ms)));
        put(&mut body, "max_in_flight", self.max_in_flight.map(|requests| json!(requests)));
        put(&mut body, "authorization", self.authorization.value()?);
        put(&mut body, "retry", self.retry.value());
        put(&mut body, "rate_limit", self.rate_limit());
        put(&mut body, "circuit", self.circuit.value());
        Ok(body)
    }

    fn rate_limit(&self) -> Option<Value> {
        let mut limit = Map::new();
        put(&mut limit, "per_second", self.rate_limit.map(|number| json!(number)));
        put(&mut limit, "burst", self.burst.map(|number| json!(number)));
        (!limit.is_empty()).then_some(Value::Object(limit))
    }
}

fn put(body: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), value);
    }
}

fn headers(given: &[Header]) -> anyhow::Result<Option<Value>> {
    let mut object = Map::new();
    for Header { name, value } in given {
        // An object has one of each name: the first one would silently be lost.
        if object.insert(name.clone(), json!(value)).is_some() {
            return Err(Failure::usage(format!("header {name} is given twice")));
        }
    }
    Ok((!object.is_empty()).then_some(Value::Object(object)))
}

impl Authorization {
    fn value(&self) -> anyhow::Result<Option<Value>> {
        if let Some(basic) = &self.basic {
            let pair = secret(basic)?;
            let Some((username, password)) = pair.split_once(':') else {
                return Err(Failure::usage("--basic is USER:PASSWORD, with a colon between them"));
            };
            return Ok(Some(json!({"type": "basic", "username": username, "password": password})));
        }
        if let Some(token) = &self.bearer {
            return Ok(Some(json!({"type": "bearer", "token": secret(token)?})));
        }
        if let Some(value) = &self.authorization {
            return Ok(Some(json!({"type": "header", "value": secret(value)?})));
        }
        if let Some(key) = &self.callback_key {
            return Ok(Some(json!({"type": "callback_key", "key": secret(key)?})));
        }
        Ok(None)
    }
}

impl Retry {
    fn value(&self) -> Option<Value> {
        let mut retry = Map::new();
        put(&mut retry, "enabled", self.no_retry.then_some(Value::Bool(false)));
        put(&mut retry, "delay_seconds", self.delay.map(|seconds| json!(seconds)));
        put(&mut retry, "max_retries", self.max_retries.map(|times| json!(times)));
        put(&mut retry, "backoff", self.backoff.map(Backoff::word));
        put(&mut retry, "factor", self.factor.map(|factor| json!(factor)));
        put(&mut retry, "max_delay_seconds", self.max_delay.map(|seconds| json!(seconds)));
        (!retry.is_empty()).then_some(Value::Object(retry))
    }
}

impl Circuit {
    fn value(&self) -> Option<Value> {
        let mut circuit = Map::new();
        put(&mut circuit, "enabled", self.no_circuit.then_some(Value::Bool(false)));
        put(&mut circuit, "failures", self.circuit_failures.map(|number| json!(number)));
        put(&mut circuit, "open_seconds", self.circuit_open.map(|seconds| json!(seconds)));
        (!circuit.is_empty()).then_some(Value::Object(circuit))
    }
}

impl Method {
    fn word(self) -> Value {
        match self {
            Self::Get => json!("GET"),
            Self::Post => json!("POST"),
        }
    }
}

impl Format {
    fn word(self) -> Value {
        match self {
            Self::Form => json!("form"),
            Self::Json => json!("json"),
            Self::CloudEvents => json!("cloudevents"),
            Self::CongaSign => json!("conga-sign"),
        }
    }
}

impl Backoff {
    fn word(self) -> Value {
        match self {
            Self::Fixed => json!("fixed"),
            Self::Exponential => json!("exponential"),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        add: Add,
    }

    fn body(arguments: &[&str]) -> Value {
        let line = ["add", "https://a.example"].iter().chain(arguments);
        let add = Line::try_parse_from(line).expect("valid arguments").add;
        Value::Object(add.body().expect("a body"))
    }

    #[test]
    fn a_header_is_a_name_and_a_value() {
        let header =
            |name: &str, value: &str| Ok(Header { name: name.to_owned(), value: value.to_owned() });
        assert_eq!("X-A: b: c".parse::<Header>(), header("X-A", "b: c"));
        assert_eq!("X-A:".parse::<Header>(), header("X-A", ""));
        for text in ["", "X-A", ": b", " : b"] {
            assert!(text.parse::<Header>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_given_is_not_sent() {
        assert_eq!(body(&[]), json!({"url": "https://a.example"}));
    }

    #[test]
    fn every_option_reaches_the_body() {
        let arguments = "--account acme --description d --method GET --format json --events A,B_* --disabled \
            --timeout-ms 100 --max-in-flight 5 --delay 1 --max-retries 2 --backoff exponential --factor 1.5 \
            --max-delay 60 --basic u:p:q --rate-limit 50 --burst 10 --circuit-failures 5 --circuit-open 1.5";
        let mut arguments: Vec<&str> = arguments.split_whitespace().collect();
        arguments.extend(["--header", "X-A: 1", "--header", "X-B: 2"]);
        assert_eq!(
            body(&arguments),
            json!({
                "url": "https://a.example", "account": "acme", "description": "d", "method": "GET", "format": "json",
                "events": ["A", "B_*"], "enabled": false, "timeout_ms": 100, "max_in_flight": 5,
                "headers": {"X-A": "1", "X-B": "2"},
                "authorization": {"type": "basic", "username": "u", "password": "p:q"},
                "retry": {"delay_seconds": 1.0, "max_retries": 2, "backoff": "exponential", "factor": 1.5,
                    "max_delay_seconds": 60.0},
                "rate_limit": {"per_second": 50, "burst": 10},
                "circuit": {"failures": 5, "open_seconds": 1.5},
            })
        );
        assert_eq!(body(&["--rate-limit", "50"])["rate_limit"], json!({"per_second": 50}));
        assert_eq!(body(&["--no-circuit"])["circuit"], json!({"enabled": false}));
        assert_eq!(body(&["--no-retry"])["retry"], json!({"enabled": false}));
        assert_eq!(
            body(&["--bearer", "t"])["authorization"],
            json!({"type": "bearer", "token": "t"})
        );
        let header = json!({"type": "header", "value": "v"});
        assert_eq!(body(&["--authorization", "v"])["authorization"], header);
        let key = json!({"type": "callback_key", "key": "k"});
        assert_eq!(body(&["--callback-key", "k"])["authorization"], key);
    }

    #[test]
    fn arguments_that_contradict_each_other_are_refused() {
        for arguments in [
            &["--basic=u:p", "--bearer=t"][..],
            &["--no-retry", "--delay=1"],
            &["--no-circuit", "--circuit-open=1"],
            &["--burst=1"],
        ] {
            let line = ["add", "https://a.example"].iter().chain(arguments);
            assert!(Line::try_parse_from(line).is_err(), "{arguments:?}");
        }
    }
}
