//! A RabbitMQ of several nodes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::Context as _;
use tempfile::TempDir;

use super::super::server::{Launch, Server, directory};
use super::super::{blocking, find_program, fresh_prefix};
use super::{Node, RabbitmqSettings, answers_amqp, run_ctl, script};

/// How many nodes it has.
const NODES: usize = 3;

/// The configuration that lies in `deploy/rabbitmq`. Its names of nodes are those of containers.
const CONFIGURATION: &str = include_str!("../../../../../deploy/rabbitmq/cluster/rabbitmq.conf");

/// A RabbitMQ of three nodes on this machine, set up with what lies in `deploy/rabbitmq/cluster`.
#[derive(Debug)]
pub struct RabbitmqCluster {
    nodes: Vec<ClusterNode>,
    /// Tells nodes where the others listen. It is gone with the cluster, and not left behind as one that a node starts.
    _epmd: Server,
}

/// A node of a cluster.
#[derive(Debug)]
struct ClusterNode {
    server: Server,
    port: u16,
}

impl RabbitmqCluster {
    /// Starts one, and waits until each node knows the others. That takes about 20 s.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub async fn start() -> anyhow::Result<Self> {
        let (epmd, epmd_port) = blocking(start_epmd).await?;
        let common = Common { epmd_port, names: names(), cookie: fresh_prefix() };
        // The first by itself: a node that finds nobody for some seconds begins a cluster of its own, and with a busy
        // machine there might be three.
        let mut nodes = vec![ClusterNode::start(common.clone(), 0).await?];
        let others = tokio::try_join!(
            ClusterNode::start(common.clone(), 1),
            ClusterNode::start(common.clone(), 2)
        );
        let (second, third) = others?;
        nodes.extend([second, third]);
        let cluster = Self { nodes, _epmd: epmd };
        cluster.ctl(0, &["await_online_nodes", &NODES.to_string()]).await?;
        Ok(cluster)
    }

    /// The ports at which its nodes answer AMQP; user and password are `guest`.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.port).collect()
    }

    /// A node, to be killed and started again.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn node(&mut self, index: usize) -> &mut Server {
        &mut self.nodes[index].server
    }

    /// Runs `rabbitmqctl` with these arguments at a node, and gives what it prints.
    ///
    /// # Errors
    /// If it fails: with what it says.
    pub async fn ctl(&self, index: usize, arguments: &[&str]) -> anyhow::Result<String> {
        let server = &self.nodes[index].server;
        let mut command = Command::new(script("rabbitmqctl")?);
        server.launch().prepare(&mut command, server.directory());
        // It listens, for the other nodes answer it too.
        command.env("RABBITMQ_CTL_ERL_ARGS", "-start_epmd false");
        run_ctl(command, arguments).await
    }
}

/// What all nodes of a cluster are told.
#[derive(Clone)]
struct Common {
    epmd_port: u16,
    names: [String; NODES],
    cookie: String,
}

impl ClusterNode {
    async fn start(common: Common, index: usize) -> anyhow::Result<Self> {
        blocking(move || {
            let program = script("rabbitmq-server")?;
            let directory = directory("rabbitmq")?;
            let node = common.prepare(&directory, index)?;
            let (server, [port, _, _]) = Server::start(directory, |ports| {
                let mut launch = node.launch(&program, ports);
                // The last one given counts.
                let erlang = format!(
                    "-sname {} -start_epmd false -kernel inet_dist_use_interface {{127,0,0,1}}",
                    node.name
                );
                launch.environment.extend([
                    ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", erlang.into()),
                    ("ERL_EPMD_PORT", common.epmd_port.to_string().into()),
                ]);
                launch
            })?;
            answers_amqp(port).context("RabbitMQ is up and does not answer AMQP")?;
            Ok(Self { server, port })
        })
        .await
    }
}

impl Common {
    fn prepare(&self, directory: &TempDir, index: usize) -> anyhow::Result<Node> {
        let mut node = Node::prepare(directory.path(), RabbitmqSettings::default())?;
        node.name.clone_from(&self.names[index]);
        let cookie = node.file(".erlang.cookie");
        fs::remove_file(&cookie)?;
        fs::write(&cookie, &self.cookie)?;
        fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400))?;
        let configuration =
            self.names.iter().enumerate().fold(CONFIGURATION.to_owned(), |text, (index, name)| {
                text.replace(&format!("rabbit@rabbitmq-{}", index + 1), name)
            });
        fs::write(node.file("rabbitmq.conf"), configuration)?;
        Ok(node)
    }
}

fn names() -> [String; NODES] {
    let name = fresh_prefix();
    std::array::from_fn(|index| format!("{name}{index}@localhost"))
}

fn start_epmd() -> anyhow::Result<(Server, u16)> {
    let program =
        find_program("epmd").context("there is no `epmd` (Debian package erlang-base)")?;
    let (server, [port]) = Server::start(directory("epmd")?, |[port]| Launch {
        name: "epmd",
        program: program.clone(),
        // In the foreground.
        arguments: vec![
            "-d".into(),
            "-address".into(),
            "127.0.0.1".into(),
            "-port".into(),
            port.to_string().into(),
        ],
        environment: Vec::new(),
        account: None,
        ready: "epmd running",
        stop_signal: "TERM",
        drop_signal: "KILL",
    })?;
    Ok((server, port))
}
