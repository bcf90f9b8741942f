//! A PostgreSQL of one's own.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use super::server::{Account, Launch, Server, directory};
use super::{blocking, find_program, fresh_prefix};

/// How a PostgreSQL is set up. By default as it comes (a commit is synced to disk), for 200 connections, with 256 MiB
/// of buffers.
#[derive(Clone, Debug, Default)]
pub struct PostgresSettings {
    /// More settings, such as `synchronous_commit=off`.
    pub parameters: Vec<String>,
}

/// A PostgreSQL of one's own: superuser `ringback`, no password.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    port: u16,
}

impl Postgres {
    /// Makes a data directory, starts a server on it, and waits until it takes connections.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub async fn start(settings: PostgresSettings) -> anyhow::Result<Self> {
        blocking(move || {
            let directory = directory("postgres")?;
            let account = account()?;
            if let Some(Account { user, group }) = account {
                std::os::unix::fs::chown(directory.path(), Some(user), Some(group))?;
            }
            let data = directory.path().join("data");
            let launch = launch(&data, account, &settings)?;
            make_data(&launch, &data)?;
            let (server, [port]) = Server::start(directory, |[port]| {
                let mut launch = launch.clone();
                launch.arguments.extend(["-c".into(), format!("port={port}").into()]);
                launch
            })?;
            Ok(Self { server, port })
        })
        .await
    }

    /// The address of a database that is there from the start. A test wants one of its own, by
    /// [`create_database`](Self::create_database).
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://ringback@127.0.0.1:{}/postgres", self.port)
    }

    /// Creates a database and gives its address.
    ///
    /// # Errors
    /// If the server does not create one.
    pub async fn create_database(&self) -> anyhow::Result<String> {
        let url = self.url();
        blocking(move || create_database(&url)).await
    }
}

impl Deref for Postgres {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for Postgres {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

/// Creates a database with a name of its own on the server that `url` leads to, and gives its address.
///
/// # Errors
/// If the server does not create one.
pub(super) fn create_database(url: &str) -> anyhow::Result<String> {
    let name = fresh_prefix();
    let created = Command::new(program("psql")?)
        .args(["--no-psqlrc", "--quiet", "--dbname", url])
        .args(["--command", &format!("CREATE DATABASE {name}")])
        .stdin(Stdio::null())
        .output()
        .context("starting psql")?;
    ensure!(
        created.status.success(),
        "creating a database failed: {}",
        String::from_utf8_lossy(&created.stderr)
    );
    url_of_database(url, &name)
}

/// The address of another database on the same server.
fn url_of_database(url: &str, name: &str) -> anyhow::Result<String> {
    let (address, options) = url.split_once('?').map_or((url, ""), |(url, rest)| (url, rest));
    let (scheme, rest) = address.split_once("://").context("an address has a scheme")?;
    let (server, _) = rest.split_once('/').unwrap_or((rest, ""));
    let separator = if options.is_empty() { "" } else { "?" };
    Ok(format!("{scheme}://{server}/{name}{separator}{options}"))
}

fn launch(
    data: &Path,
    account: Option<Account>,
    settings: &PostgresSettings,
) -> anyhow::Result<Launch> {
    let parameters = [
        "listen_addresses=127.0.0.1".to_owned(),
        format!("unix_socket_directories={}", data.display()),
        "max_connections=200".to_owned(),
        "shared_buffers=256MB".to_owned(),
        // Shared memory in files of the data directory, as the system's would outlive a kill.
        "dynamic_shared_memory_type=mmap".to_owned(),
    ];
    let parameters = parameters.into_iter().chain(settings.parameters.clone());
    let parameters = parameters.flat_map(|parameter| ["-c".into(), parameter.into()]);
    Ok(Launch {
        name: "PostgreSQL",
        program: program("postgres")?,
        arguments: ["-D".into(), data.into()].into_iter().chain(parameters).collect(),
        environment: Vec::new(),
        account,
        ready: "database system is ready to accept connections",
        // "Fast" and "immediate" shutdown.
        stop_signal: "INT",
        drop_signal: "QUIT",
    })
}

fn make_data(launch: &Launch, data: &Path) -> anyhow::Result<()> {
    let mut initdb = Command::new(program("initdb")?);
    launch.prepare(&mut initdb, data.parent().unwrap_or(data));
    let made = initdb
        .args(["--auth=trust", "--username=ringback", "--encoding=UTF8", "--locale=C"])
        // Only that the files made now are not synced: what the server writes is.
        .args(["--no-sync", "--no-instructions", "--pgdata"])
        .arg(data)
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .context("starting initdb")?;
    ensure!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}

/// Whom PostgreSQL is to run as, if not as ourselves: it refuses to run as root.
fn account() -> anyhow::Result<Option<Account>> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd").context("looking for an account")?;
    let account = accounts.lines().find_map(|line| {
        let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
        Some(Account { user: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    });
    account.context("PostgreSQL does not run as root, and there is no account `postgres`").map(Some)
}

fn program(name: &str) -> anyhow::Result<PathBuf> {
    find_program(name).with_context(|| format!("there is no `{name}` (Debian package postgresql)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_of_another_database_keeps_server_and_options() {
        for (url, expected) in [
            ("postgres://a@h:1/postgres", "postgres://a@h:1/x"),
            ("postgres://a@h:1", "postgres://a@h:1/x"),
            ("postgres://a:p@h/db?sslmode=disable", "postgres://a:p@h/x?sslmode=disable"),
        ] {
            assert_eq!(url_of_database(url, "x").expect("a valid address"), expected);
        }
        assert!(url_of_database("nowhere", "x").is_err());
    }
}
