//! Settings: flags, then environment, then a TOML file. One name in three spellings.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use ipnet::IpNet;
use ringback_core::address::AddressPolicy;
use ringback_core::secret::Secret;
use ringback_runtime::telemetry::LogFormat;
use ringback_store::MasterKey;
use serde::Deserialize;

/// What can be set, as it is given: each by flag, environment variable or line of the file.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Given {
    /// TOML file with settings; flags and environment go before it
    #[arg(long, env = "RINGBACK_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,

    /// Where queue, configuration and history are kept [default: ./ringback-data]
    #[arg(long, env = "RINGBACK_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Address and port of the API [default: 127.0.0.1:8080]
    #[arg(long, env = "RINGBACK_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<String>,

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
}

/// Settings that can be used.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) data_dir: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) address_policy: AddressPolicy,
    pub(crate) ca_files: Vec<PathBuf>,
    pub(crate) master_key: Option<MasterKey>,
    pub(crate) admin_key: Option<Secret>,
    pub(crate) retention: Duration,
    pub(crate) event_bytes_max: usize,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
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

impl Given {
    /// Nothing but the data directory, whatever the environment says.
    pub(crate) fn data_dir(path: PathBuf) -> Self {
        Self { data_dir: Some(path), ..Self::default() }
    }

    /// Checks all settings.
    ///
    /// # Errors
    /// A message that names the setting and what it takes.
    pub(crate) fn check(self, openness: Openness) -> anyhow::Result<Settings> {
        let given = self.with_file()?;
        let data_dir = given.data_dir.unwrap_or_else(|| DATA_DIR_DEFAULT.into());
        let listen = given.listen.as_deref().unwrap_or("127.0.0.1:8080");
        let listen = listen.parse().with_context(|| {
            format!("listen: `{listen}` is not an address and port such as 127.0.0.1:8080")
        })?;
        let mut networks = networks(&given.allow_networks.unwrap_or_default())?;
        if openness == Openness::Loopback {
            networks.extend(ringback_core::address::loopback());
        }
        let master_key = given.master_key.map(|text| text.trim().parse()).transpose();
        let retention_days = given.retention_days.unwrap_or(30);
        if retention_days == 0 {
            bail!("retention_days: at least 1");
        }
        let event_bytes_max = given.event_bytes_max.unwrap_or(256 * 1024);
        if !(1_024..=8 * 1024 * 1024).contains(&event_bytes_max) {
            bail!("event_bytes_max: 1024 to 8388608 (8 MiB)");
        }
        Ok(Settings {
            data_dir,
            listen,
            address_policy: AddressPolicy::allowing(networks),
            ca_files: given.ca_files.unwrap_or_default(),
            master_key: master_key.context("master_key: 32 bytes in base64")?,
            admin_key: given.admin_key.map(admin_key).transpose()?,
            retention: Duration::from_secs(u64::from(retention_days) * 24 * 60 * 60),
            event_bytes_max,
            log: given.log.unwrap_or_else(|| "info".to_owned()),
            log_format: log_format(given.log_format.as_deref())?,
        })
    }

    /// What neither flag nor environment says, from the file.
    fn with_file(self) -> anyhow::Result<Self> {
        let Some(path) = &self.config else { return Ok(self) };
        let file = read_file(path)?;
        Ok(Self {
            config: None,
            data_dir: self.data_dir.or(file.data_dir),
            listen: self.listen.or(file.listen),
            allow_networks: self.allow_networks.or(file.allow_networks),
            ca_files: self.ca_files.or(file.ca_files),
            master_key: self.master_key.or(file.master_key),
            admin_key: self.admin_key.or(file.admin_key),
            retention_days: self.retention_days.or(file.retention_days),
            event_bytes_max: self.event_bytes_max.or(file.event_bytes_max),
            log: self.log.or(file.log),
            log_format: self.log_format.or(file.log_format),
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
            ("allow_networks", Given { allow_networks: Some(vec!["10.0.0.0".into()]), ..given() }),
            ("master_key", Given { master_key: text("c2hvcnQ="), ..given() }),
            ("admin_key", Given { admin_key: text("rbk_short"), ..given() }),
            ("retention_days", Given { retention_days: Some(0), ..given() }),
            ("event_bytes_max", Given { event_bytes_max: Some(10), ..given() }),
            ("log_format", Given { log_format: text("xml"), ..given() }),
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
    }

    #[test]
    fn flags_go_before_the_file_and_unknown_lines_are_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ringback.toml");
        std::fs::write(&path, "listen = \"127.0.0.1:1\"\nretention_days = 7\n").expect("written");
        let listen = Some("127.0.0.1:2".to_owned());
        let given = Given { config: Some(path.clone()), listen, ..Given::default() };
        let settings = given.check(Openness::Guarded).expect("valid");
        assert_eq!(settings.listen.port(), 2);
        assert_eq!(settings.retention, Duration::from_secs(7 * 24 * 60 * 60));

        std::fs::write(&path, "retention_dayz = 7\n").expect("written");
        let given = Given { config: Some(path), ..Given::default() };
        assert!(error(given).contains("retention_dayz"));
    }
}
