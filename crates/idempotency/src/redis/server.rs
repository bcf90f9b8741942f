//! Connecting to one server, to a cluster, or to whom Sentinel calls the primary.

use std::time::Duration;

use futures_util::future::select_ok;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, RedisError, RedisResult,
    Value,
};

use super::address::Address;
use super::fault::Fault;

/// How long a connection may take to make, and an answer to come: this stands before every delivery, which goes on
/// without Redis.
const TIMEOUT: Duration = Duration::from_millis(500);

/// A cluster sends again by itself what was redirected, or whose connection broke.
const CLUSTER_RETRIES: u32 = 2;
const CLUSTER_RETRY_WAIT_MS: std::ops::RangeInclusive<u64> = 5..=50;

/// Whom to connect to.
pub(super) enum Server {
    One(Client),
    Cluster(ClusterClient),
    Sentinel(Sentinel),
}

/// Asks for the primary anew for each connection, so that after a failover the next connection leads to the new one.
pub(super) struct Sentinel {
    sentinels: Vec<Client>,
    name: String,
    primary: ConnectionInfo,
}

/// A connection for many calls at once. Clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Server {
    pub(super) fn new(address: Address) -> Result<Self, RedisError> {
        // The other one who may have done so has chosen the same.
        let _already_there = rustls::crypto::ring::default_provider().install_default();
        Ok(match address {
            Address::One(node) => Self::One(Client::open(node)?),
            Address::Cluster(nodes) => {
                let tcp = nodes[0].tcp_settings().clone();
                let client = ClusterClient::builder(nodes)
                    .tcp_settings(tcp)
                    .connection_timeout(TIMEOUT)
                    .response_timeout(TIMEOUT)
                    .retries(CLUSTER_RETRIES)
                    .min_retry_wait(*CLUSTER_RETRY_WAIT_MS.start())
                    .max_retry_wait(*CLUSTER_RETRY_WAIT_MS.end());
                Self::Cluster(client.build()?)
            }
            Address::Sentinel { sentinels, name, primary } => {
                let sentinels =
                    sentinels.into_iter().map(Client::open).collect::<Result<_, _>>()?;
                Self::Sentinel(Sentinel { sentinels, name, primary: *primary })
            }
        })
    }

    /// Whether keys of one call may lie on different servers.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    pub(super) async fn connect(&self) -> Result<Connection, Fault> {
        match self {
            Self::One(client) => connect(client).await.map(Connection::One),
            Self::Cluster(client) => {
                let connecting = Box::pin(client.get_async_connection());
                let connected = tokio::time::timeout(TIMEOUT * 2, connecting).await;
                Ok(Connection::Cluster(connected.map_err(|_elapsed| Fault::Silent)??))
            }
            Self::Sentinel(sentinel) => sentinel.connect().await.map(Connection::One),
        }
    }
}

impl Sentinel {
    /// Asks all sentinels at once, as some may be away, and takes the first primary that says it is one.
    async fn connect(&self) -> Result<MultiplexedConnection, Fault> {
        let ways = self.sentinels.iter().map(|sentinel| Box::pin(self.connect_by(sentinel)));
        select_ok(ways).await.map(|(connection, _)| connection)
    }

    async fn connect_by(&self, sentinel: &Client) -> Result<MultiplexedConnection, Fault> {
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("get-master-addr-by-name").arg(&self.name);
        let place: Option<(String, u16)> = ask.query_async(&mut connect(sentinel).await?).await?;
        let (host, port) = place.ok_or(Fault::UnknownPrimary)?;
        let place = match self.primary.addr() {
            ConnectionAddr::TcpTls { .. } => {
                ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        let primary = Client::open(self.primary.clone().set_addr(place))?;
        let mut connection = connect(&primary).await?;
        // A sentinel may not have heard yet that there is another.
        let role: Vec<Value> = redis::cmd("ROLE").query_async(&mut connection).await?;
        match role.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok(connection),
            _ => Err(Fault::ReadOnly),
        }
    }
}

impl Connection {
    pub(super) async fn send(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::One(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }
}

async fn connect(client: &Client) -> Result<MultiplexedConnection, Fault> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(TIMEOUT))
        .set_response_timeout(Some(TIMEOUT));
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}
