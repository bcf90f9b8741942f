//! Settings: flags, then environment, then a TOML file. One name in three spellings.
//!
//! What is given is checked once, here; after it every setting can be used as it is.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use ipnet::IpNet;
use ringback_broker::rabbitmq;
use ringback_core::address::{AddressPolicy, PublicUrl};
use ringback_core::secret::Secret;
use ringback_idempotency::redis;
use ringback_runtime::telemetry::LogFormat;
use ringback_runtime::trace::Ratio;
use ringback_store::{MasterKey, postgres};
use serde::Deserialize;

use crate::traces::TraceSettings;

/// What can be set, as it is given: each by flag, environment variable or line of the file.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Given {
    /// TOML file with settings; flags and environment go before it
    #[arg(long, env = "RINGBACK_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,

    /// Not a setting: what the command says.
    #[arg(skip)]
    #[serde(skip)]
    master_key_is_needed: Option<bool>,

    /// Where queue, configuration and history are kept [default: ./ringback-data]
    #[arg(long, env = "RINGBACK_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// PostgreSQL: configuration and history [default: SQLite in the data directory]
    #[arg(long, env = "RINGBACK_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,

    /// RabbitMQ: the queue [default: in the data directory]
    #[arg(long, env = "RINGBACK_AMQP_URL", hide_env_values = true, value_name = "URL")]
    amqp_url: Option<String>,

    /// What the names of exchanges and queues begin with [default: ringback]
    #[arg(long, env = "RINGBACK_AMQP_PREFIX", value_name = "NAME")]
    amqp_prefix: Option<String>,

    /// Queues that fresh events are spread over; more than one needs RabbitMQ's consistent-hash plugin [default: 1]
    #[arg(long, env = "RINGBACK_SHARDS", value_name = "NUMBER")]
    shards: Option<u16>,

    /// Redis: claims, idempotency keys and rate limits [default: in the data directory]
    #[arg(long, env = "RINGBACK_REDIS_URL", hide_env_values = true, value_name = "URL")]
    redis_url: Option<String>,

    /// What the names of keys in Redis begin with [default: rb]
    #[arg(long, env = "RINGBACK_REDIS_PREFIX", value_name = "NAME")]
    redis_prefix: Option<String>,

    /// Address and port of the API [default: 127.0.0.1:8080]
    #[arg(long, env = "RINGBACK_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<String>,

    /// Where people reach this instance, such as `https://hooks.example.com` [default: of `serve` and `dev`, what they listen on]
    #[arg(long, env = "RINGBACK_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,

    /// Address and port of a server of its own for /metrics, /healthz and /readyz [default: none; a worker alone: 127.0.0.1:9464]
    #[arg(long, env = "RINGBACK_METRICS_LISTEN", value_name = "ADDRESS:PORT")]
    metrics_listen: Option<String>,

    /// Callbacks with metrics of their own; all others are `other` [default: 10000]
    #[arg(long, env = "RINGBACK_METRICS_CALLBACKS_MAX", value_name = "NUMBER")]
    metrics_callbacks_max: Option<usize>,

    /// Networks that callbacks may point into though they are private or special, as CIDR, separated by commas
    #[arg(long, env = "RINGBACK_ALLOW_NETWORKS", value_name = "CIDR,…", value_delimiter = ',')]
    allow_networks: Option<Vec<String>>,

    /// PEM files of certificate authorities to trust besides the system's, separated by commas
    #[arg(long, env = "RINGBACK_CA_FILES", value_name = "FILE,…", value_delimiter = ',')]
    ca_files: Option<Vec<PathBuf>>,

    /// 32 bytes in base64 that seal secrets at rest [default: made in the data directory]
    #[arg(long, env = "RINGBACK_MASTER_KEY", hide_env_values = true, value_name = "BASE64")]
    master_key: Option<String>,

    /// An API key that opens everything: rbk_ and at least 32 characters
    #[arg(long, env = "RINGBACK_ADMIN_KEY", hide_env_values = true, value_name = "KEY")]
    admin_key: Option<String>,

    /// Days that history is kept [default: 30]
    #[arg(long, env = "RINGBACK_RETENTION_DAYS", value_name = "DAYS")]
    retention_days: Option<u32>,

    /// The most bytes that one event may have [default: 262144]
    #[arg(long, env = "RINGBACK_EVENT_BYTES_MAX", value_name = "BYTES")]
    event_bytes_max: Option<usize>,

    /// What is logged: error, warn, info, debug, or target=level,… [default: info]
    #[arg(long, env = "RINGBACK_LOG", value_name = "FILTER")]
    log: Option<String>,

    /// How log lines look: pretty or json [default: pretty]
    #[arg(long, env = "RINGBACK_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<String>,

    /// Collector that traces are sent to, by OTLP over HTTP, such as http://localhost:4318 [default: none]
    #[arg(long, env = "RINGBACK_OTLP_ENDPOINT", hide_env_values = true, value_name = "URL")]
    otlp_endpoint: Option<String>,

    /// How many of the traces that begin here are recorded, from 0 to 1 [default: 1]
    #[arg(long, env = "RINGBACK_TRACE_RATIO", value_name = "RATIO")]
    trace_ratio: Option<f64>,

    /// Threads that share the work [default: one for each core; ingest, worker and console: for every two cores]
    #[arg(long, env = "RINGBACK_THREADS", value_name = "NUMBER")]
    threads: Option<usize>,
}

/// Settings that can be used.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) data_dir: PathBuf,
    pub(crate) store: StoreSettings,
    pub(crate) broker: BrokerSettings,
    pub(crate) idempotency: IdempotencySettings,
    pub(crate) listen: SocketAddr,
    /// None: it was not given.
    pub(crate) public_url: Option<PublicUrl>,
    pub(crate) metrics_listen: Option<SocketAddr>,
    pub(crate) metrics_callbacks_max: NonZeroUsize,
    pub(crate) address_policy: AddressPolicy,
    pub(crate) ca_files: Vec<PathBuf>,
    pub(crate) master_key: Option<MasterKey>,
    pub(crate) admin_key: Option<Secret>,
    pub(crate) retention: Duration,
    pub(crate) event_bytes_max: usize,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
    /// None: no traces are kept.
    pub(crate) traces: Option<TraceSettings>,
}

/// Where configuration and history are.
#[derive(Debug)]
pub(crate) enum StoreSettings {
    /// In the data directory.
    Sqlite,
    /// On a server.
    Postgres(Box<postgres::Settings>),
}

/// Where the queue is.
#[derive(Debug)]
pub(crate) enum BrokerSettings {
    /// In the data directory.
    Embedded,
    /// On a server.
    Rabbitmq(rabbitmq::Settings),
}

/// Where claims, keys and counts are.
#[derive(Debug)]
pub(crate) enum IdempotencySettings {
    /// In the data directory, and in memory.
    Embedded,
    /// On a server.
    Redis(redis::Settings),
}

/// Which networks are open when `allow_networks` says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Openness {
    /// None that is special.
    Guarded,
    /// This machine: for trying out.
    Loopback,
}

/// Where everything is kept unless said otherwise.
pub(crate) const DATA_DIR_DEFAULT: &str = "ringback-data";

impl Settings {
    /// Whether nothing is kept in the data directory.
    pub(crate) fn is_all_remote(&self) -> bool {
        matches!(self.store, StoreSettings::Postgres(_))
            && matches!(self.broker, BrokerSettings::Rabbitmq(_))
            && matches!(self.idempotency, IdempotencySettings::Redis(_))
    }

    /// The settings whose servers several processes need to work together, and that are not there.
    pub(crate) fn missing_servers(&self) -> Vec<&'static str> {
        let mut missing = Vec::new();
        if matches!(self.store, StoreSettings::Sqlite) {
            missing.push("database_url");
        }
        if matches!(self.broker, BrokerSettings::Embedded) {
            missing.push("amqp_url");
        }
        if matches!(self.idempotency, IdempotencySettings::Embedded) {
            missing.push("redis_url");
        }
        missing
    }
}

impl Given {
    /// Nothing but the data directory, whatever the environment says.
    pub(crate) fn data_dir(path: PathBuf) -> Self {
        Self { data_dir: Some(path), ..Self::default() }
    }

    /// For commands that touch no secret: none is needed then.
    pub(crate) fn without_master_key(self) -> Self {
        Self { master_key_is_needed: Some(false), ..self }
    }

    /// Threads that share the work, if that is set. Asked before all else, for everything else runs on them.
    ///
    /// # Errors
    /// A message that names the setting and what it takes.
    pub(crate) fn threads(&self) -> anyhow::Result<Option<usize>> {
        threads(self.clone().with_file()?.threads)
    }

    /// Checks all settings.
    ///
    /// # Errors
    /// A message that names the setting and what it takes.
    pub(crate) fn check(self, openness: Openness) -> anyhow::Result<Settings> {
        let given = self.with_file()?;
        let data_dir = given.data_dir.unwrap_or_else(|| DATA_DIR_DEFAULT.into());
        let listen = address(
            "listen",
            given.listen.as_deref().unwrap_or("127.0.0.1:8080"),
            "127.0.0.1:8080",
        )?;
        let metrics_listen = given
            .metrics_listen
            .as_deref()
            .map(|text| address("metrics_listen", text, "127.0.0.1:9464"))
            .transpose()?;
        let store = store_settings(given.database_url)?;
        let broker = broker_settings(given.amqp_url, given.amqp_prefix, given.shards)?;
        let idempotency = idempotency_settings(given.redis_url, given.redis_prefix)?;
        let mut networks = networks(&given.allow_networks.unwrap_or_default())?;
        if openness == Openness::Loopback {
            networks.extend(ringback_core::address::loopback());
        }
        let retention_days = given.retention_days.unwrap_or(30);
        if retention_days == 0 {
            bail!("retention_days: at least 1");
        }
        let event_bytes_max = given.event_bytes_max.unwrap_or(256 * 1024);
        if !(1_024..=8 * 1024 * 1024).contains(&event_bytes_max) {
            bail!("event_bytes_max: 1024 to 8388608 (8 MiB)");
        }
        threads(given.threads)?;
        let needed = given.master_key_is_needed.unwrap_or(true);
        if needed && master_key_is_needed(&store, given.master_key.as_deref()) {
            bail!(
                "master_key: needed with PostgreSQL, the same for all processes: 32 bytes in base64 (for example: \
                 openssl rand -base64 32)"
            );
        }
        let master_key = given.master_key.map(|text| text.trim().parse()).transpose();
        Ok(Settings {
            data_dir,
            store,
            broker,
            idempotency,
            listen,
            public_url: given.public_url.as_deref().and_then(public_url).transpose()?,
            metrics_listen,
            metrics_callbacks_max: metrics_callbacks_max(given.metrics_callbacks_max)?,
            address_policy: AddressPolicy::allowing(networks),
            ca_files: given.ca_files.unwrap_or_default(),
            master_key: master_key.context("master_key: 32 bytes in base64")?,
            admin_key: given.admin_key.map(admin_key).transpose()?,
            retention: Duration::from_secs(u64::from(retention_days) * 24 * 60 * 60),
            event_bytes_max,
            log: given.log.unwrap_or_else(|| "info".to_owned()),
            log_format: log_format(given.log_format.as_deref())?,
            traces: trace_settings(given.otlp_endpoint, given.trace_ratio)?,
        })
    }

    /// What neither flag nor environment says, from the file.
    fn with_file(self) -> anyhow::Result<Self> {
        let Some(path) = &self.config else { return Ok(self) };
        let file = read_file(path)?;
        Ok(Self {
            config: None,
            master_key_is_needed: self.master_key_is_needed,
            data_dir: self.data_dir.or(file.data_dir),
            database_url: self.database_url.or(file.database_url),
            amqp_url: self.amqp_url.or(file.amqp_url),
            amqp_prefix: self.amqp_prefix.or(file.amqp_prefix),
            shards: self.shards.or(file.shards),
            redis_url: self.redis_url.or(file.redis_url),
            redis_prefix: self.redis_prefix.or(file.redis_prefix),
            listen: self.listen.or(file.listen),
            public_url: self.public_url.or(file.public_url),
            metrics_listen: self.metrics_listen.or(file.metrics_listen),
            metrics_callbacks_max: self.metrics_callbacks_max.or(file.metrics_callbacks_max),
            allow_networks: self.allow_networks.or(file.allow_networks),
            ca_files: self.ca_files.or(file.ca_files),
            master_key: self.master_key.or(file.master_key),
            admin_key: self.admin_key.or(file.admin_key),
            retention_days: self.retention_days.or(file.retention_days),
            event_bytes_max: self.event_bytes_max.or(file.event_bytes_max),
            log: self.log.or(file.log),
            log_format: self.log_format.or(file.log_format),
            threads: self.threads.or(file.threads),
            otlp_endpoint: self.otlp_endpoint.or(file.otlp_endpoint),
            trace_ratio: self.trace_ratio.or(file.trace_ratio),
        })
    }
}

fn read_file(path: &Path) -> anyhow::Result<Given> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("config: {} can't be read", path.display()))?;
    // The error would quote the line, and the line may hold a secret.
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
        anyhow::anyhow!("config: {}, line {line}: {}", path.display(), error.message())
    })
}

fn address(name: &str, text: &str, example: &str) -> anyhow::Result<SocketAddr> {
    text.parse()
        .with_context(|| format!("{name}: `{text}` is not an address and port such as {example}"))
}

/// None if it is empty.
fn public_url(text: &str) -> Option<anyhow::Result<PublicUrl>> {
    let text = text.trim();
    let parsed = || text.parse().with_context(|| format!("public_url: `{text}`"));
    (!text.is_empty()).then(parsed)
}

/// An empty value is what a deployment leaves where it sets nothing.
fn given_url(url: Option<String>) -> Option<Secret> {
    url.map(|url| url.trim().to_owned()).filter(|url| !url.is_empty()).map(Secret::new)
}

fn store_settings(url: Option<String>) -> anyhow::Result<StoreSettings> {
    let Some(url) = given_url(url) else { return Ok(StoreSettings::Sqlite) };
    let settings = postgres::Settings::at(url.reveal()).context("database_url")?;
    Ok(StoreSettings::Postgres(Box::new(settings)))
}

fn master_key_is_needed(store: &StoreSettings, given: Option<&str>) -> bool {
    matches!(store, StoreSettings::Postgres(_)) && given.is_none_or(|key| key.trim().is_empty())
}

fn broker_settings(
    url: Option<String>,
    prefix: Option<String>,
    shards: Option<u16>,
) -> anyhow::Result<BrokerSettings> {
    let Some(url) = given_url(url) else {
        if shards.is_some_and(|shards| shards != 1) {
            bail!("shards: only RabbitMQ has more than one; set amqp_url too");
        }
        return Ok(BrokerSettings::Embedded);
    };
    let shards = NonZeroU16::new(shards.unwrap_or(1)).context("shards: at least 1")?;
    let prefix = prefix.unwrap_or_else(|| rabbitmq::Settings::PREFIX_DEFAULT.to_owned());
    let settings = rabbitmq::Settings { url, prefix, shards };
    settings.check().map_err(|error| {
        let name = match error {
            rabbitmq::InvalidSettings::Url => "amqp_url",
            rabbitmq::InvalidSettings::Prefix => "amqp_prefix",
            rabbitmq::InvalidSettings::Shards => "shards",
        };
        anyhow::Error::from(error).context(name)
    })?;
    Ok(BrokerSettings::Rabbitmq(settings))
}

fn idempotency_settings(
    url: Option<String>,
    prefix: Option<String>,
) -> anyhow::Result<IdempotencySettings> {
    let Some(url) = given_url(url) else { return Ok(IdempotencySettings::Embedded) };
    let settings = redis::Settings::new(url);
    let settings = match prefix {
        Some(prefix) => redis::Settings { prefix, ..settings },
        None => settings,
    };
    Ok(IdempotencySettings::Redis(settings))
}

fn networks(texts: &[String]) -> anyhow::Result<Vec<IpNet>> {
    texts
        .iter()
        .map(|text| text.trim())
        .filter(|text| !text.is_empty())
        .map(|text| {
            text.parse().with_context(|| {
                format!("allow_networks: `{text}` is not a network such as 10.0.0.0/8 or fd00::/8")
            })
        })
        .collect()
}

fn admin_key(text: String) -> anyhow::Result<Secret> {
    let long_enough = text.strip_prefix("rbk_").is_some_and(|rest| rest.len() >= 32);
    if !long_enough || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!("admin_key: `rbk_` followed by at least 32 visible ASCII characters");
    }
    Ok(Secret::new(text))
}

fn threads(number: Option<usize>) -> anyhow::Result<Option<usize>> {
    if number.is_some_and(|number| !(1..=1_024).contains(&number)) {
        bail!("threads: 1 to 1024");
    }
    Ok(number)
}

fn metrics_callbacks_max(number: Option<usize>) -> anyhow::Result<NonZeroUsize> {
    let Some(number) = number else { return Ok(ringback_metrics::CALLBACKS_MAX_DEFAULT) };
    // About fifty lines each at every scrape.
    let number = Some(number).filter(|number| *number <= 100_000).and_then(NonZeroUsize::new);
    number.context("metrics_callbacks_max: 1 to 100000")
}

fn trace_settings(
    endpoint: Option<String>,
    ratio: Option<f64>,
) -> anyhow::Result<Option<TraceSettings>> {
    let ratio = Ratio::new(ratio.unwrap_or(1.0)).context("trace_ratio: 0 to 1")?;
    let Some(endpoint) = given_url(endpoint) else { return Ok(None) };
    TraceSettings::to(endpoint.reveal(), ratio).context("otlp_endpoint").map(Some)
}

fn log_format(text: Option<&str>) -> anyhow::Result<LogFormat> {
    match text {
        None | Some("pretty") => Ok(LogFormat::Pretty),
        Some("json") => Ok(LogFormat::Json),
        Some(other) => bail!("log_format: `{other}` is neither `pretty` nor `json`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(given: Given) -> String {
        format!("{:#}", given.check(Openness::Guarded).expect_err("refused"))
    }

    #[test]
    fn each_bad_setting_is_named() {
        let given = || Given::default();
        let text = |text: &str| Some(text.to_owned());
        for (name, bad) in [
            ("listen", Given { listen: text("8080"), ..given() }),
            ("public_url", Given { public_url: text("hooks.example.com"), ..given() }),
            ("public_url", Given { public_url: text("https://h/path"), ..given() }),
            ("allow_networks", Given { allow_networks: Some(vec!["10.0.0.0".into()]), ..given() }),
            ("master_key", Given { master_key: text("c2hvcnQ="), ..given() }),
            ("admin_key", Given { admin_key: text("rbk_short"), ..given() }),
            ("retention_days", Given { retention_days: Some(0), ..given() }),
            ("event_bytes_max", Given { event_bytes_max: Some(10), ..given() }),
            ("log_format", Given { log_format: text("xml"), ..given() }),
            ("metrics_callbacks_max", Given { metrics_callbacks_max: Some(0), ..given() }),
            ("otlp_endpoint", Given { otlp_endpoint: text("localhost:4318"), ..given() }),
            ("trace_ratio", Given { trace_ratio: Some(1.5), ..given() }),
            ("threads", Given { threads: Some(0), ..given() }),
            ("threads", Given { threads: Some(1_025), ..given() }),
            ("config", Given { config: Some("/no/such/file.toml".into()), ..given() }),
        ] {
            assert!(error(bad).starts_with(&format!("{name}:")), "{name}");
        }
    }

    #[test]
    fn bad_secrets_are_not_repeated_in_the_message() {
        let given = Given { admin_key: Some("rbk_hush".into()), ..Given::default() };
        assert!(!error(given).contains("hush"));
        let given = Given { master_key: Some("hush".into()), ..Given::default() };
        assert!(!error(given).contains("hush"));
        let given = Given { otlp_endpoint: Some("ftp://a:hush@h".into()), ..Given::default() };
        assert!(!error(given).contains("hush"));
    }

    #[test]
    fn flags_go_before_the_file_and_unknown_lines_are_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ringback.toml");
        let lines = "listen = \"127.0.0.1:1\"\nretention_days = 7\nthreads = 3\n";
        std::fs::write(&path, lines).expect("written");
        let listen = Some("127.0.0.1:2".to_owned());
        let given = Given { config: Some(path.clone()), listen, ..Given::default() };
        assert_eq!(given.threads().expect("valid"), Some(3));
        let settings = given.check(Openness::Guarded).expect("valid");
        assert_eq!(settings.listen.port(), 2);
        assert_eq!(settings.retention, Duration::from_secs(7 * 24 * 60 * 60));

        std::fs::write(&path, "retention_dayz = 7\n").expect("written");
        let given = Given { config: Some(path), ..Given::default() };
        assert!(error(given).contains("retention_dayz"));
    }
}
