//! What goes wrong with RabbitMQ, and what to do about it.

use std::error::Error as StdError;

use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};

use super::settings::Target;

/// A setting can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// Not the URL of an AMQP server. It is not shown, for it holds a password.
    #[error("the RabbitMQ URL is not like `amqp://user:password@host:5672/vhost` (or `amqps://…`)")]
    Url,
    /// Not fit for names.
    #[error("the prefix of RabbitMQ names takes 1 to 64 letters, digits, `_`, `-` and `.`")]
    Prefix,
    /// Too many.
    #[error("the number of RabbitMQ shards is at most 64")]
    Shards,
}

/// Why RabbitMQ can't be used. [`is_permanent`](Self::is_permanent) says whether waiting may help.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A setting can't be used.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// The server does not know this user with this password.
    #[error(
        "RabbitMQ at {address} refused user `{user}`: check user and password in the RabbitMQ URL (`rabbitmqctl authenticate_user {user}` tries them)"
    )]
    Credentials {
        /// Where.
        address: String,
        /// Who.
        user: String,
        /// What the server said.
        #[source]
        source: Box<lapin::Error>,
    },
    /// The server has no such virtual host, or this user may not enter it.
    #[error(
        "RabbitMQ at {address} has no virtual host `{vhost}` for user `{user}`: create it (`rabbitmqctl add_vhost`), give the user permissions there (`rabbitmqctl set_permissions`), or correct the RabbitMQ URL{hint}"
    )]
    VirtualHost {
        /// Where.
        address: String,
        /// Who.
        user: String,
        /// Which; the empty one is mostly meant to be `/`.
        vhost: String,
        /// What is often the matter.
        hint: &'static str,
        /// What the server said.
        #[source]
        source: Box<lapin::Error>,
    },
    /// The user may not use something of the topology.
    #[error(
        "RabbitMQ does not permit `{name}`: give the user the permissions configure, write and read on what begins with the prefix (`rabbitmqctl set_permissions`)"
    )]
    Permission {
        /// The queue or exchange.
        name: String,
        /// What the server said.
        #[source]
        source: Box<lapin::Error>,
    },
    /// A queue or exchange of this name is there, with other arguments. They can't be changed in place.
    #[error(
        "`{name}` is declared otherwise in RabbitMQ: `ringback topology verify` says how; drain and delete it there, or choose another prefix"
    )]
    DeclaredOtherwise {
        /// The queue or exchange.
        name: String,
        /// What the server said.
        #[source]
        source: Box<lapin::Error>,
    },
    /// More than one shard needs a plugin.
    #[error(
        "RabbitMQ lacks the plugin that spreads events over shards: `rabbitmq-plugins enable rabbitmq_consistent_hash_exchange` on every node, or set the number of shards to 1"
    )]
    PluginMissing {
        /// What the server said.
        #[source]
        source: Box<lapin::Error>,
    },
    /// Nobody answers there, or too late.
    #[error("RabbitMQ can't be reached at {address}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The connection was made and broke, or the server refused for a reason of its own.
    #[error("RabbitMQ at {address} broke off")]
    Failed {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: Box<lapin::Error>,
    },
}

/// No answer in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
pub(super) struct NoAnswer(pub(super) std::time::Duration);

impl ConnectError {
    /// Whether somebody has to change something: trying again will not help.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Settings(_)
            | Self::Credentials { .. }
            | Self::VirtualHost { .. }
            | Self::Permission { .. }
            | Self::DeclaredOtherwise { .. }
            | Self::PluginMissing { .. } => true,
            Self::Unreachable { .. } | Self::Failed { .. } => false,
        }
    }

    /// What an error while connecting and logging in means.
    pub(super) fn of_login(source: lapin::Error, target: &Target) -> Self {
        let (address, user) = (target.to_string(), target.user().to_owned());
        let source = Box::new(source);
        match amqp_kind(&source) {
            Some(AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)) => {
                Self::Credentials { address, user, source }
            }
            Some(AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED)) => {
                let vhost = target.vhost().to_owned();
                let hint = if vhost.is_empty() {
                    "; a URL that ends in `/` names the virtual host with the empty name, one that ends without it names `/`"
                } else {
                    ""
                };
                Self::VirtualHost { address, user, vhost, hint, source }
            }
            _ if source.is_io_error() => Self::Unreachable { address, source },
            _ => Self::Failed { address, source },
        }
    }

    /// What an error while declaring or binding `name` means.
    pub(super) fn of_declaring(name: &str, source: lapin::Error, target: &Target) -> Self {
        let (name, source) = (name.to_owned(), Box::new(source));
        match amqp_kind(&source) {
            Some(AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)) => {
                Self::Permission { name, source }
            }
            Some(AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED)) => {
                Self::DeclaredOtherwise { name, source }
            }
            Some(AMQPErrorKind::Hard(AMQPHardError::COMMANDINVALID)) => {
                Self::PluginMissing { source }
            }
            _ => Self::Failed { address: target.to_string(), source },
        }
    }
}

/// The kind of error the server named, if it was the server's.
pub(super) fn amqp_kind(error: &lapin::Error) -> Option<AMQPErrorKind> {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => Some(error.kind().clone()),
        _ => None,
    }
}

/// Whether the server says that there is no such queue or exchange.
pub(super) fn is_not_found(error: &lapin::Error) -> bool {
    matches!(amqp_kind(error), Some(AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)))
}

/// Why a connection is of no use any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("it was closed, or nothing was heard for too long")]
    Connection,
    #[error("a channel ended")]
    Channel(#[from] lapin::Error),
    #[error(
        "the server ended the subscription of `{0}`: the queue is gone, or a message was held for too long"
    )]
    Subscription(String),
}

/// Why a publish was not confirmed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unconfirmed {
    /// There is no connection now.
    #[error("there is no connection to RabbitMQ at {address}: {why}")]
    NotConnected {
        /// Where.
        address: String,
        /// The last that was heard.
        why: String,
    },
    /// An alarm: the server takes nothing.
    #[error("RabbitMQ has blocked the connection, for its memory or disk alarm: {reason}")]
    Blocked {
        /// What the server said.
        reason: String,
    },
    /// The connection broke before the confirm.
    #[error("the connection to RabbitMQ broke before it confirmed")]
    Lost,
    /// The server did not confirm in time.
    #[error("RabbitMQ did not confirm within {0:?}")]
    TooLate(std::time::Duration),
    /// The server refused it.
    #[error("RabbitMQ refused the message (basic.nack): a queue is full or has no majority")]
    Refused,
    /// This process stops.
    #[error("publishing has stopped")]
    Stopped,
}
