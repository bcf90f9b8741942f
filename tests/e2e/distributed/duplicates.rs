//! Requests that came twice, and who is to blame.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use ringback_core::Timestamp;
use ringback_testkit::Received;

use super::cluster::{Node, Part};
use crate::support::{Api, attempts, text};

/// A part was killed between the first two, and worked again at the third.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kill {
    pub(super) part: Part,
    pub(super) asked: Instant,
    pub(super) dead: Instant,
    pub(super) back: Instant,
}

impl Kill {
    /// Until when a request may have begun that suffered from it: a dead worker sends nothing, and while a server is away
    /// workers do.
    fn end(&self) -> Instant {
        match self.part {
            Part::Worker(_) => self.dead,
            // Workers go on without claims until they notice that it is back, for which they look once a second.
            Part::Redis => self.back + Duration::from_secs(2),
            Part::Ingest(_) | Part::Console(_) | Part::Rabbitmq | Part::Postgres => self.back,
        }
    }

    /// Who is to blame first where several were dead at once: whoever had the request, or the claim on it, in memory.
    fn rank(&self) -> u8 {
        match self.part {
            Part::Worker(_) => 0,
            Part::Redis => 1,
            Part::Rabbitmq => 2,
            Part::Postgres => 3,
            Part::Ingest(_) | Part::Console(_) => 4,
        }
    }

    /// Whether what was on the wire then may come again. An ingest sends nothing.
    fn makes_duplicates(&self) -> bool {
        match self.part {
            Part::Worker(_) | Part::Rabbitmq | Part::Redis | Part::Postgres => true,
            Part::Ingest(_) | Part::Console(_) => false,
        }
    }
}

/// When workers had no use of Redis: while it was killed, and while the machine was too busy for it to answer in time,
/// which to them is the same. `request` tells how their clock and ours compare.
pub(super) fn silences_of_redis(workers: &[Node], request: &Received) -> Vec<Kill> {
    /// Redis has half a second to answer, and a busy worker is late to say that it did not.
    const BEFORE: Duration = Duration::from_secs(1);
    let at = |line: &str| {
        let at: Timestamp = line.split_whitespace().next()?.parse().ok()?;
        let before = request.arrived_at.since(at);
        Some(request.arrived + at.since(request.arrived_at) - before)
    };
    let mut silences: Vec<Kill> = Vec::new();
    for worker in workers {
        let said = worker.said();
        let mut open: Option<Instant> = None;
        for line in said.lines() {
            if line.contains("redis is away") {
                open = at(line);
            } else if line.contains("redis is there again")
                && let (Some(since), Some(back)) = (open.take(), at(line))
            {
                let asked = since.checked_sub(BEFORE).unwrap_or(since);
                silences.push(Kill { part: Part::Redis, asked, dead: since, back });
            }
        }
    }
    silences
}

/// A request that came though the one before it, of the same event to the same callback, had not failed.
pub(super) struct Duplicate<'a> {
    pub(super) first: &'a Received,
    pub(super) second: &'a Received,
}

/// Why there is a duplicate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cause {
    pub(super) part: Part,
    /// How long before the kill the first request had ended: not at all, if it was open then.
    pub(super) settling: Duration,
}

impl Duplicate<'_> {
    /// The kill between the two requests that the first one ended least before.
    pub(super) fn cause(&self, kills: &[Kill]) -> Option<Cause> {
        let between = |kill: &&Kill| {
            kill.makes_duplicates()
                && self.first.arrived <= kill.end()
                && kill.asked <= self.second.arrived
                && (kill.part != Part::Postgres || self.was_lost(kills))
        };
        let cause = |kill: &Kill| {
            let ended = self.first.ended.unwrap_or(kill.asked);
            let settling = kill.asked.saturating_duration_since(ended);
            (Cause { part: kill.part, settling }, kill.rank())
        };
        let causes = kills.iter().filter(between).map(cause);
        causes.min_by_key(|(cause, rank)| (cause.settling, *rank)).map(|(cause, _)| cause)
    }

    /// Whether somebody died between the two who may have had the first one in memory alone. What can't be recorded while
    /// PostgreSQL is away comes again only then.
    fn was_lost(&self, kills: &[Kill]) -> bool {
        kills.iter().any(|kill| {
            matches!(kill.part, Part::Worker(_) | Part::Rabbitmq)
                && self.first.arrived <= kill.back
                && kill.asked <= self.second.arrived
        })
    }

    /// What there is to know of it, for whoever has to find out why.
    pub(super) fn describe(&self, kills: &[Kill]) -> String {
        let Self { first, second } = self;
        let attempts = [first, second].map(|request| request.header("ringback-attempt"));
        let statuses = [first, second].map(|request| request.status);
        let took = first.ended.map(|ended| ended - first.arrived);
        let apart = second.arrived - first.arrived;
        let last_kill = kills.iter().rev().find(|kill| kill.asked <= second.arrived);
        let last_kill = last_kill.map(|kill| {
            let after = if first.arrived < kill.asked { "after" } else { "before" };
            let distance = kill.asked.max(first.arrived) - kill.asked.min(first.arrived);
            format!(
                "{} killed {distance:?} {after} the first, back {:?} later",
                kill.part,
                kill.back - kill.asked
            )
        });
        format!(
            "{} {}: attempts {attempts:?}, {statuses:?}, the first took {took:?}, the second came {apart:?} after it; {}",
            first.uri.path(),
            first.webhook_id(),
            last_kill.unwrap_or_else(|| "no kill before".to_owned()),
        )
    }
}

/// All duplicates among the requests, which stand in the order they came in.
pub(super) fn duplicates(requests: &[Received], timeout: Duration) -> Vec<Duplicate<'_>> {
    let mut last: HashMap<(&str, &str), &Received> = HashMap::new();
    let pairs = requests.iter().filter_map(|second| {
        let first = last.insert((second.uri.path(), second.webhook_id()), second)?;
        Some(Duplicate { first, second })
    });
    pairs.filter(|pair| !is_retry(pair, timeout)).collect()
}

/// A later attempt after a failure: a bad answer, or none before the timeout. One between the two may never have arrived.
fn is_retry(pair: &Duplicate<'_>, timeout: Duration) -> bool {
    let Duplicate { first, second } = pair;
    let failed = first.status.is_some_and(|status| status >= 300);
    // The clock of the sender starts before ours: connecting, and sending.
    let nearly = timeout.mul_f64(0.9);
    let timed_out = first.ended.is_none_or(|ended| ended - first.arrived >= nearly);
    (failed || timed_out) && number(second) > number(first)
}

/// Without those that no kill explains and of which the earlier attempt is on record as timed out: a machine that stands
/// still for a moment keeps a request from its receiver, whose clock then starts later than the sender's; and both may
/// arrive at once then, in any order.
pub(super) async fn without_timeouts<'a>(
    duplicates: Vec<Duplicate<'a>>,
    kills: &[Kill],
    api: &Api,
) -> Vec<Duplicate<'a>> {
    let mut left = Vec::new();
    for duplicate in duplicates {
        let both = [duplicate.first, duplicate.second];
        let earlier = both.into_iter().min_by_key(|request| number(request)).expect("two");
        let timed_out = duplicate.cause(kills).is_none()
            && number(duplicate.first) != number(duplicate.second)
            && timed_out(earlier, api).await;
        if !timed_out {
            left.push(duplicate);
        }
    }
    left
}

/// The number of the attempt that a request says it is.
fn number(request: &Received) -> u32 {
    request.header("ringback-attempt").parse().unwrap_or(0)
}

async fn timed_out(request: &Received, api: &Api) -> bool {
    let deliveries = api.list(&format!("/v1/deliveries?event={}", request.webhook_id())).await;
    let callback = request.header("ringback-callback");
    let Some(delivery) = deliveries.iter().find(|delivery| delivery["callback"] == callback) else {
        return false;
    };
    let delivery = api.get(&format!("/v1/deliveries/{}", text(&delivery["id"]))).await.expect(200);
    let number = number(request);
    attempts(&delivery)
        .iter()
        .any(|attempt| attempt["number"] == number && attempt["outcome"] == "timeout")
}

/// Duplicates by cause, with the longest time that a first request had ended before the kill: for people to read.
pub(super) fn summary(duplicates: &[Duplicate<'_>], kills: &[Kill]) -> String {
    let mut by_cause: BTreeMap<String, (usize, Duration)> = BTreeMap::new();
    for duplicate in duplicates {
        let cause = duplicate.cause(kills);
        let name = cause.map_or_else(|| "nobody".to_owned(), |cause| cause.part.to_string());
        let (count, settling) = by_cause.entry(name).or_default();
        *count += 1;
        *settling = cause.map_or(*settling, |cause| cause.settling.max(*settling));
    }
    let parts: Vec<_> = by_cause
        .into_iter()
        .map(|(name, (count, settling))| {
            format!("{count} by {name} (up to {settling:?} before it)")
        })
        .collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// Fails if a duplicate has no kill to blame that its first request was open at, or ended so shortly before.
#[track_caller]
pub(super) fn assert_explained(
    duplicates: &[Duplicate<'_>],
    kills: &[Kill],
    settling_max: Duration,
) {
    let is_explained = |duplicate: &&Duplicate<'_>| {
        duplicate.cause(kills).is_some_and(|cause| cause.settling <= settling_max)
    };
    let unexplained: Vec<_> =
        duplicates.iter().filter(|duplicate| !is_explained(duplicate)).collect();
    let shown: Vec<_> = unexplained.iter().take(20).map(|pair| pair.describe(kills)).collect();
    assert!(
        shown.is_empty(),
        "{} duplicates without a kill to blame, for example\n{}",
        unexplained.len(),
        shown.join("\n")
    );
}
