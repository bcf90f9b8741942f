//! What can be wrong with a Redis, and what to do about it.

use std::sync::Arc;

use redis::{ErrorKind, RedisError};

/// Why Redis did not do what it was asked. The text says what to do about it, and holds no secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// It can't be reached, or the connection broke.
    #[error("no connection to redis")]
    Unconnected(#[source] RedisError),
    /// It took too long to answer.
    #[error("redis did not answer in time")]
    Silent,
    /// It was away a moment ago and was not asked now. It is asked again within a second.
    #[error("redis was away a moment ago")]
    Away(#[source] Arc<Fault>),
    /// It is starting.
    #[error("redis is still reading its data from disk; wait for it")]
    Loading,
    /// Somebody's script or command keeps it busy.
    #[error("redis is busy with a script that takes long; see its slow log")]
    Busy,
    /// It copies from another one and takes no writes.
    #[error("this redis is a read-only replica; `redis_url` has to lead to the primary")]
    ReadOnly,
    /// `maxmemory` is reached.
    #[error("redis has no memory left; raise its `maxmemory`")]
    Full,
    /// Its snapshots fail, and it is set up to refuse writes then.
    #[error("redis can't write its snapshot and refuses writes; see its log and its disk")]
    CannotSave,
    /// Fewer replicas are connected than it is set up to want.
    #[error("redis has fewer replicas than `min-replicas-to-write` asks for and refuses writes")]
    TooFewReplicas,
    /// Part of the cluster is away.
    #[error("the redis cluster is down; see CLUSTER INFO")]
    ClusterDown,
    /// The address is of one node of a cluster.
    #[error("this redis is a node of a cluster; write redis-cluster:// in `redis_url`")]
    IsCluster,
    /// The address is of a Redis that is no cluster.
    #[error("this redis is no cluster; write redis:// in `redis_url`")]
    NoCluster,
    /// Sentinel knows no primary of that name.
    #[error("sentinel knows no primary of the name in `redis_url`")]
    UnknownPrimary,
    /// The user or the password is wrong, or it has none.
    #[error("redis refuses the user or password in `redis_url`")]
    WrongPassword,
    /// There is no password in the address.
    #[error("redis wants a password; write it in `redis_url`, as redis://USER:PASSWORD@HOST")]
    NoPassword,
    /// The user may not do what is needed.
    #[error(
        "the user in `redis_url` may not do what is needed; its ACL has to hold +@scripting, +@string, +@keyspace, \
         +time, +info and the keys of the prefix"
    )]
    NotAllowed(#[source] RedisError),
    /// It forgot a script. Nobody but this adapter sees that: it sends the script.
    #[error("redis does not know the script")]
    UnknownScript,
    /// Any other refusal.
    #[error("redis refused a command")]
    Refused(#[source] RedisError),
    /// An answer that none of our scripts gives: somebody else writes under the same prefix.
    #[error("redis gave an answer that is not understood; is the prefix used by something else?")]
    Garbled,
}

/// What a fault says about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is of no use any more, and a new one may be: it broke, or leads to a former primary.
    Spent,
    /// Nobody is there to answer, for a while.
    Away,
    /// It is fine: that was an answer.
    Fine,
}

impl Fault {
    /// Whether it will be the same until somebody changes a setting.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::IsCluster
            | Self::NoCluster
            | Self::UnknownPrimary
            | Self::WrongPassword
            | Self::NoPassword
            | Self::NotAllowed(_) => true,
            Self::Away(fault) => fault.is_permanent(),
            Self::Unconnected(_)
            | Self::Silent
            | Self::Loading
            | Self::Busy
            | Self::ReadOnly
            | Self::Full
            | Self::CannotSave
            | Self::TooFewReplicas
            | Self::ClusterDown
            | Self::UnknownScript
            | Self::Refused(_)
            | Self::Garbled => false,
        }
    }

    pub(super) fn standing(&self) -> Standing {
        match self {
            Self::Unconnected(_) | Self::ReadOnly => Standing::Spent,
            Self::Silent | Self::Away(_) | Self::Loading | Self::Busy | Self::ClusterDown => {
                Standing::Away
            }
            Self::Full
            | Self::CannotSave
            | Self::TooFewReplicas
            | Self::IsCluster
            | Self::NoCluster
            | Self::UnknownPrimary
            | Self::WrongPassword
            | Self::NoPassword
            | Self::NotAllowed(_)
            | Self::UnknownScript
            | Self::Refused(_)
            | Self::Garbled => Standing::Fine,
        }
    }
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        if error.is_timeout() {
            return Self::Silent;
        }
        // A cluster's first connections tell why they failed in words alone.
        let words = error.to_string();
        if error.kind() == ErrorKind::AuthenticationFailed || words.contains("AuthenticationFailed")
        {
            return Self::WrongPassword;
        }
        if words.contains("cluster support disabled") {
            return Self::NoCluster;
        }
        match code(&error) {
            Some("LOADING") => Self::Loading,
            Some("BUSY") => Self::Busy,
            Some("READONLY") => Self::ReadOnly,
            Some("OOM") => Self::Full,
            Some("MISCONF") => Self::CannotSave,
            Some("NOREPLICAS") => Self::TooFewReplicas,
            Some("CLUSTERDOWN" | "MASTERDOWN" | "TRYAGAIN") => Self::ClusterDown,
            Some("MOVED" | "ASK" | "CROSSSLOT") => Self::IsCluster,
            Some("WRONGPASS") => Self::WrongPassword,
            Some("NOAUTH") => Self::NoPassword,
            Some("NOPERM") => Self::NotAllowed(error),
            Some("NOSCRIPT") => Self::UnknownScript,
            Some(_) => Self::Refused(error),
            None => Self::Unconnected(error),
        }
    }
}

/// The first word of the server's answer; none if it did not answer. Before Redis 7 an error within a script was `ERR`,
/// with the word that counts somewhere in the text.
fn code(error: &RedisError) -> Option<&str> {
    const WITHIN: [&str; 5] = ["READONLY", "OOM", "MISCONF", "NOREPLICAS", "NOPERM"];
    let code = error.code()?;
    let detail = error.detail().filter(|_| code == "ERR").unwrap_or_default();
    WITHIN.into_iter().find(|within| detail.contains(&format!("-{within} "))).or(Some(code))
}
