//! A RabbitMQ of one's own.

mod cluster;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

pub use self::cluster::RabbitmqCluster;
use super::server::{Launch, Server, directory};
use super::{blocking, find_program, fresh_prefix};

/// How a RabbitMQ is set up. By default as Ringback asks its operators to, with what lies in `deploy/rabbitmq`, but without
/// [metrics](Self::with_metrics).
#[derive(Clone, Debug)]
pub struct RabbitmqSettings {
    /// The file of enabled plugins, such as `[rabbitmq_consistent_hash_exchange].`
    pub enabled_plugins: String,
    /// The file of advanced configuration, if there is to be one.
    pub advanced_config: Option<String>,
    /// More environment variables, which win over ours.
    pub environment: Vec<(&'static str, String)>,
}

/// The file of enabled plugins that lies in `deploy/rabbitmq`.
const PLUGINS: &str = include_str!("../../../../deploy/rabbitmq/enabled_plugins");
/// The plugin with metrics as it stands there. It makes a start take a quarter longer.
const METRICS_PLUGIN: &str = ", rabbitmq_prometheus";

impl Default for RabbitmqSettings {
    fn default() -> Self {
        Self {
            enabled_plugins: PLUGINS.replace(METRICS_PLUGIN, ""),
            advanced_config: Some(
                include_str!("../../../../deploy/rabbitmq/advanced.config").to_owned(),
            ),
            environment: Vec::new(),
        }
    }
}

impl RabbitmqSettings {
    /// The same with metrics for Prometheus, at [`Rabbitmq::metrics_address`].
    #[must_use]
    pub fn with_metrics(mut self) -> Self {
        PLUGINS.clone_into(&mut self.enabled_plugins);
        self
    }

    /// The same without plugins.
    #[must_use]
    pub fn without_plugins(mut self) -> Self {
        "[].\n".clone_into(&mut self.enabled_plugins);
        self
    }

    /// The same without advanced configuration.
    #[must_use]
    pub fn without_advanced_config(mut self) -> Self {
        self.advanced_config = None;
        self
    }
}

/// A RabbitMQ of one's own: one node, user and password `guest`.
#[derive(Debug)]
pub struct Rabbitmq {
    server: Server,
    port: u16,
    /// Where Erlang nodes find this one.
    distribution_port: u16,
    metrics_port: u16,
}

impl Rabbitmq {
    /// Starts one, and waits until it answers AMQP.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub async fn start(settings: RabbitmqSettings) -> anyhow::Result<Self> {
        blocking(move || {
            let program = script("rabbitmq-server")?;
            let directory = directory("rabbitmq")?;
            let node = Node::prepare(directory.path(), settings)?;
            let (server, [port, distribution_port, metrics_port]) =
                Server::start(directory, |ports| node.launch(&program, ports))?;
            answers_amqp(port).context("RabbitMQ is up and does not answer AMQP")?;
            Ok(Self { server, port, distribution_port, metrics_port })
        })
        .await
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// Host and port of its `/metrics`, if it was started [with metrics](RabbitmqSettings::with_metrics).
    #[must_use]
    pub fn metrics_address(&self) -> String {
        format!("127.0.0.1:{}", self.metrics_port)
    }

    /// Runs `rabbitmqctl` with these arguments, and gives what it prints.
    ///
    /// # Errors
    /// If it fails: with what it says.
    pub async fn ctl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        run_ctl(self.ctl_command()?, arguments).await
    }

    /// A program that is `rabbitmqctl` for this server, for somebody who has to be told how to run it.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn ctl_program(&self) -> anyhow::Result<PathBuf> {
        let command = self.ctl_command()?;
        let mut script = "#!/bin/sh\nexec env -i".to_owned();
        for (name, value) in command.get_envs() {
            let value = value.unwrap_or_default().display();
            // None of ours has a quote in it.
            write!(script, " '{}={value}'", name.display())?;
        }
        writeln!(script, " '{}' \"$@\"", command.get_program().display())?;
        let program = self.server.directory().join("ctl");
        fs::write(&program, script)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700))?;
        Ok(program)
    }

    fn ctl_command(&self) -> anyhow::Result<Command> {
        let port = self.distribution_port;
        let mut command = Command::new(script("rabbitmqctl")?);
        self.server.launch().prepare(&mut command, self.server.directory());
        // The same as for the node, but for taking connections, which nobody needs of it.
        command.env(
            "RABBITMQ_CTL_ERL_ARGS",
            format!("-start_epmd false -erl_epmd_port {port} -dist_listen false"),
        );
        Ok(command)
    }
}

impl Deref for Rabbitmq {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for Rabbitmq {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

/// An Erlang node of its own, with its own files.
struct Node {
    name: String,
    directory: PathBuf,
    settings: RabbitmqSettings,
}

impl Node {
    fn prepare(directory: &Path, settings: RabbitmqSettings) -> anyhow::Result<Self> {
        let name = format!("{}@localhost", fresh_prefix());
        let node = Self { name, directory: directory.to_owned(), settings };
        fs::write(node.file("enabled_plugins"), &node.settings.enabled_plugins)?;
        if let Some(config) = &node.settings.advanced_config {
            fs::write(node.file("advanced.config"), config)?;
        }
        // The secret that nodes and rabbitmqctl know each other by. Erlang refuses one that others may read.
        let cookie = node.file(".erlang.cookie");
        fs::write(&cookie, fresh_prefix())?;
        fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400))?;
        Ok(node)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn launch(&self, program: &Path, [port, distribution_port, metrics_port]: [u16; 3]) -> Launch {
        // Without epmd, the daemon that tells where nodes listen: one that an Erlang node starts would outlive all of
        // them. Whoever looks for this node is told its port in the same way.
        let erlang = format!(
            "-sname {} -start_epmd false -erl_epmd_port {distribution_port} \
             -kernel inet_dist_use_interface {{127,0,0,1}} \
             -rabbitmq_prometheus tcp_config [{{port,{metrics_port}}},{{ip,\"127.0.0.1\"}}]",
            self.name
        );
        let mut environment: Vec<(&str, OsString)> = vec![
            ("RABBITMQ_NODENAME", self.name.clone().into()),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".into()),
            ("RABBITMQ_NODE_PORT", port.to_string().into()),
            ("RABBITMQ_DIST_PORT", distribution_port.to_string().into()),
            ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", erlang.into()),
            ("RABBITMQ_MNESIA_BASE", self.file("data").into()),
            ("RABBITMQ_LOG_BASE", self.file("logs").into()),
            ("RABBITMQ_LOGS", "-".into()),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", self.file("enabled_plugins").into()),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", self.file("advanced.config").into()),
            // These two are not there, so that those of the system are not read.
            ("RABBITMQ_CONFIG_FILE", self.file("rabbitmq.conf").into()),
            ("RABBITMQ_CONF_ENV_FILE", self.file("rabbitmq-env.conf").into()),
            // The script turns into the Erlang machine, in place of standing beside it: its process is the one to kill.
            ("RUNNING_UNDER_SYSTEMD", "true".into()),
            // RabbitMQ's default, never to spin while waiting for the disk, doubles the time of a start.
            ("RABBITMQ_SCHEDULER_BUSY_WAIT_THRESHOLD", "short".into()),
        ];
        let more = self.settings.environment.clone();
        environment.extend(more.into_iter().map(|(name, value)| (name, value.into())));
        Launch {
            name: "RabbitMQ",
            program: program.to_owned(),
            arguments: Vec::new(),
            environment,
            account: None,
            ready: "Server startup complete",
            stop_signal: "TERM",
            drop_signal: "KILL",
        }
    }
}

/// Runs `rabbitmqctl`, which `command` starts, and gives what it prints.
async fn run_ctl(mut command: Command, arguments: &[&str]) -> anyhow::Result<String> {
    command.arg("--quiet").args(arguments);
    let shown = arguments.join(" ");
    blocking(move || {
        let output = command.output().context("starting rabbitmqctl")?;
        let [said, complained] =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        ensure!(
            output.status.success(),
            "`rabbitmqctl {shown}` failed ({}):\n{said}{complained}",
            output.status
        );
        Ok(said.into_owned())
    })
    .await
}

fn script(name: &str) -> anyhow::Result<PathBuf> {
    find_program(name)
        .with_context(|| format!("there is no `{name}` (Debian package rabbitmq-server)"))
}

/// Sends the header of AMQP 0-9-1 and waits for the answer, `Connection.Start`.
fn answers_amqp(port: u16) -> anyhow::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(10);
    /// A frame with a method, on channel 0.
    const FRAME: [u8; 3] = [1, 0, 0];
    const CONNECTION_START: [u8; 4] = [0, 10, 0, 10];
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"AMQP\x00\x00\x09\x01")?;
    // Type, channel, size of what follows, class, method.
    let mut answer = [0; 11];
    stream.read_exact(&mut answer)?;
    ensure!(
        answer[..3] == FRAME && answer[7..] == CONNECTION_START,
        "the answer begins with {answer:?}"
    );
    Ok(())
}
