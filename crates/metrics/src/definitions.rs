//! Every metric as data: the registry, the document and the check of dashboards are made of this list.

use crate::words::{Dependency, Queue, Rejection, Source, values};

/// One metric.
#[derive(Debug)]
pub struct Definition {
    /// With its unit last.
    pub name: &'static str,
    /// What it is to Prometheus.
    pub kind: Kind,
    /// What its series are told apart by.
    pub labels: &'static [Label],
    /// What it says, its unit and what is counted.
    pub help: &'static str,
    /// Which processes have it.
    pub roles: &'static str,
}

/// What a metric is to Prometheus.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows while its process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How many were so large or smaller.
    Histogram {
        /// The largest of each bucket, smallest first.
        bounds: &'static [f64],
    },
}

/// A label.
#[derive(Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it may say.
    pub values: Values,
}

/// What a label may say.
#[derive(Debug)]
pub enum Values {
    /// One of these.
    These(&'static [&'static str]),
    /// The id of a callback, or `other`.
    Callback,
    /// What is described here.
    Text(&'static str),
}

impl Kind {
    /// As Prometheus calls it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram { .. } => "histogram",
        }
    }
}

/// Up to the longest timeout that a callback may have.
const ATTEMPT_SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

/// From a delivery that went through at once to one that was retried for a day.
const LATENCY_SECONDS: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 86_400.0];

/// A commit, or a round trip to a server and its disk.
const ACCEPT_SECONDS: &[f64] =
    &[0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

const CALLBACK: Label = Label { name: "callback", values: Values::Callback };
const SOURCE: Label = Label { name: "source", values: Values::These(&values(Source::ALL)) };

const INGEST: &str = "ingest";
const WORKER: &str = "worker";
const CONSOLE: &str = "console";
const ALL_ROLES: &str = "all";

pub(crate) static EVENTS_ACCEPTED: Definition = Definition {
    name: "ringback_events_accepted_total",
    kind: Kind::Counter,
    labels: &[SOURCE],
    help: "Events that were put on the queue, each once it was durable there.",
    roles: INGEST,
};

pub(crate) static EVENTS_REJECTED: Definition = Definition {
    name: "ringback_events_rejected_total",
    kind: Kind::Counter,
    labels: &[SOURCE, Label { name: "reason", values: Values::These(&values(Rejection::ALL)) }],
    help: "Events that were not taken. A request of which no event could be read counts as one.",
    roles: INGEST,
};

pub(crate) static EVENTS_REPEATED: Definition = Definition {
    name: "ringback_events_repeated_total",
    kind: Kind::Counter,
    labels: &[SOURCE],
    help: "Events that their producer had sent before: answered, and not put on the queue again.",
    roles: INGEST,
};

pub(crate) static ACCEPT_DURATION: Definition = Definition {
    name: "ringback_accept_duration_seconds",
    kind: Kind::Histogram { bounds: ACCEPT_SECONDS },
    labels: &[SOURCE],
    help: "Seconds from an event that was read to its confirm by the queue: of a request with events that were taken, or \
           of a message.",
    roles: INGEST,
};

pub(crate) static ATTEMPTS: Definition = Definition {
    name: "ringback_attempts_total",
    kind: Kind::Counter,
    labels: &[
        CALLBACK,
        Label {
            name: "outcome",
            values: Values::These(&["success", "http_error", "timeout", "connection", "blocked"]),
        },
    ],
    help: "Attempts, each once it was recorded. Those that were blocked sent nothing.",
    roles: WORKER,
};

pub(crate) static ATTEMPT_DURATION: Definition = Definition {
    name: "ringback_attempt_duration_seconds",
    kind: Kind::Histogram { bounds: ATTEMPT_SECONDS },
    labels: &[CALLBACK],
    help: "Seconds that an attempt took, whatever came of it. Those that were blocked are left out.",
    roles: WORKER,
};

pub(crate) static DELIVERIES: Definition = Definition {
    name: "ringback_deliveries_total",
    kind: Kind::Counter,
    labels: &[
        CALLBACK,
        Label { name: "status", values: Values::These(&["delivered", "exhausted", "cancelled"]) },
    ],
    help: "Deliveries that came to an end, each time they did, once it was recorded. Tests, replays and operational events \
           are deliveries like any other.",
    roles: "worker, console",
};

pub(crate) static DELIVERY_LATENCY: Definition = Definition {
    name: "ringback_delivery_latency_seconds",
    kind: Kind::Histogram { bounds: LATENCY_SECONDS },
    labels: &[CALLBACK],
    help: "Seconds from when an event was accepted, or was to be delivered, to its delivery, retries and waits included. \
           Replays, tests and what somebody tried again by hand are left out.",
    roles: WORKER,
};

pub(crate) static IN_FLIGHT: Definition = Definition {
    name: "ringback_deliveries_in_flight",
    kind: Kind::Gauge,
    labels: &[CALLBACK],
    help: "Requests under way.",
    roles: WORKER,
};

pub(crate) static RETRIES: Definition = Definition {
    name: "ringback_retries_scheduled_total",
    kind: Kind::Counter,
    labels: &[
        CALLBACK,
        Label {
            name: "reason",
            values: Values::These(&[
                "failure",
                "rate_limit",
                "concurrency",
                "paused",
                "circuit_open",
            ]),
        },
    ],
    help: "Retries after a failure; and deliveries that were put off, each time they were, which is no attempt.",
    roles: WORKER,
};

pub(crate) static CIRCUIT: Definition = Definition {
    name: "ringback_circuit_state",
    kind: Kind::Gauge,
    labels: &[CALLBACK],
    help: "How the callback's circuit stands in this worker: 0 closed, 1 half-open, 2 open.",
    roles: WORKER,
};

pub(crate) static HELD: Definition = Definition {
    name: "ringback_dispatches_held",
    kind: Kind::Gauge,
    labels: &[],
    help: "Dispatches that the worker has in hand: under way, or waiting for a place.",
    roles: WORKER,
};

pub(crate) static HELD_MAX: Definition = Definition {
    name: "ringback_dispatches_held_max",
    kind: Kind::Gauge,
    labels: &[],
    help: "The most that the worker takes on at once.",
    roles: WORKER,
};

pub(crate) static QUEUE_MESSAGES: Definition = Definition {
    name: "ringback_queue_messages",
    kind: Kind::Gauge,
    labels: &[Label { name: "queue", values: Values::These(&values(Queue::ALL)) }],
    help: "Messages that wait, a message being up to 64 dispatches. Embedded, those handed out are among them.",
    roles: CONSOLE,
};

pub(crate) static OLDEST_PENDING: Definition = Definition {
    name: "ringback_oldest_pending_seconds",
    kind: Kind::Gauge,
    labels: &[],
    help: "Seconds since the oldest delivery was due that is due and not finished, parked and throttled ones included, as \
           far as this process can tell; 0: there is none. A worker tells of first attempts that it has in hand, a \
           console of the queue and the history.",
    roles: "worker, console",
};

pub(crate) static OVERDUE: Definition = Definition {
    name: "ringback_deliveries_overdue",
    kind: Kind::Gauge,
    labels: &[Label {
        name: "reason",
        values: Values::These(&[
            "retry",
            "scheduled",
            "rate_limit",
            "concurrency",
            "circuit_open",
            "paused",
        ]),
    }],
    help: "Deliveries whose next attempt should have been made more than 60 s ago, by what they waited for; up to 10,000 of \
           each are counted. What waits for a callback that is paused is not overdue.",
    roles: CONSOLE,
};

pub(crate) static DEPENDENCY_UP: Definition = Definition {
    name: "ringback_dependency_up",
    kind: Kind::Gauge,
    labels: &[Label { name: "dependency", values: Values::These(&values(Dependency::ALL)) }],
    help: "1: it could do what it is for a moment ago. 0: it could not, or did not say so in time.",
    roles: ALL_ROLES,
};

pub(crate) static BUILD_INFO: Definition = Definition {
    name: "ringback_build_info",
    kind: Kind::Gauge,
    labels: &[
        Label { name: "version", values: Values::Text("such as `0.1.0`") },
        Label { name: "role", values: Values::These(&["serve", "ingest", "worker", "console"]) },
    ],
    help: "Always 1: what is running.",
    roles: ALL_ROLES,
};

/// All of them, in the order of the document.
pub static ALL: [&Definition; 18] = [
    &EVENTS_ACCEPTED,
    &EVENTS_REJECTED,
    &EVENTS_REPEATED,
    &ACCEPT_DURATION,
    &ATTEMPTS,
    &ATTEMPT_DURATION,
    &DELIVERIES,
    &DELIVERY_LATENCY,
    &IN_FLIGHT,
    &RETRIES,
    &CIRCUIT,
    &HELD,
    &HELD_MAX,
    &QUEUE_MESSAGES,
    &OVERDUE,
    &OLDEST_PENDING,
    &DEPENDENCY_UP,
    &BUILD_INFO,
];
