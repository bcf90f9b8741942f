//! Claims on attempts: a key each, with the fence as its value, negative once it is settled.
//!
//! The fence is Redis's time in microseconds and three digits of a token. A call that is made again over a new
//! connection finds what it was granted the first time by its token, if nobody else's call had the same token in the
//! same two seconds. Nothing else has to be told of the two apart: settling or forgetting twice is the same as once,
//! since the fence is.

use std::sync::LazyLock;
use std::time::Duration;

use futures_util::future::join_all;
use redis::{Cmd, Value};

use super::Redis;
use super::fault::Fault;
use super::link::{Repeat, Turn};
use super::script::Script;
use crate::{AttemptKey, Claim, Fence};

/// A settled mark is kept for so long. Its message is acked long before that, or comes back marked as handed out before,
/// and then the history knows: the mark only saves asking it.
const MARK_KEPT: Duration = Duration::from_secs(10 * 60);

/// A call keeps Redis from everything else for its whole length, and Lua takes no more than some thousand values at once.
const KEYS_MAX: usize = 500;

static CLAIM: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("claim.lua"), Repeat::Safe));
static SETTLE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("settle.lua"), Repeat::Safe));
static FORGET: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("forget.lua"), Repeat::Safe));

impl Redis {
    pub(super) async fn claim_all(
        &self,
        attempts: &[AttemptKey],
        lease: Duration,
    ) -> Result<Vec<Claim>, Fault> {
        let calls = attempts.chunks(self.keys_max()).map(|part| self.claim_part(part, lease));
        let answers = join_all(calls).await;
        if answers.iter().all(Result::is_ok) {
            let answers = answers.into_iter().flatten().flatten();
            return Ok(answers.collect());
        }
        self.give_back(attempts, &answers).await;
        Err(answers.into_iter().find_map(Result::err).expect("one of them is an error"))
    }

    async fn claim_part(
        &self,
        attempts: &[AttemptKey],
        lease: Duration,
    ) -> Result<Vec<Claim>, Fault> {
        let token = format!("{:03}", self.tokens.next() % 1_000);
        let is_cluster = self.link.is_cluster();
        let arguments = |command: &mut Cmd, turn| {
            // A cluster's connection makes calls again by itself.
            let again = is_cluster || turn == Turn::Second;
            self.add_keys(command, attempts.iter());
            command.arg(ms(lease)).arg(&token).arg(if again { "1" } else { "0" });
        };
        let answer = CLAIM.run(&self.link, arguments).await?;
        read_claims(answer, attempts.len()).ok_or(Fault::Garbled)
    }

    /// Nothing is claimed if not all could be asked. Without Redis they are held until their lease is over.
    async fn give_back(&self, attempts: &[AttemptKey], answers: &[Result<Vec<Claim>, Fault>]) {
        let parts = attempts.chunks(self.keys_max()).zip(answers);
        let claims = parts.filter_map(|(part, claims)| Some((part, claims.as_ref().ok()?)));
        let claims = claims.flat_map(|(part, claims)| part.iter().zip(claims));
        let granted: Vec<_> = claims
            .filter_map(|(attempt, claim)| match claim {
                Claim::Granted(fence) => Some((*attempt, *fence)),
                Claim::Held { .. } | Claim::Settled => None,
            })
            .collect();
        if let Err(fault) = self.forget_all(&granted).await {
            let error = &fault as &dyn std::error::Error;
            tracing::debug!(error, "claims that nobody uses are held until their lease is over");
        }
    }

    pub(super) async fn settle_all(&self, attempts: &[(AttemptKey, Fence)]) -> Result<(), Fault> {
        self.end_all(&SETTLE, Some(MARK_KEPT), attempts).await
    }

    pub(super) async fn forget_all(&self, attempts: &[(AttemptKey, Fence)]) -> Result<(), Fault> {
        self.end_all(&FORGET, None, attempts).await
    }

    async fn end_all(
        &self,
        script: &Script,
        keep: Option<Duration>,
        attempts: &[(AttemptKey, Fence)],
    ) -> Result<(), Fault> {
        let calls = attempts.chunks(self.keys_max()).map(|part| {
            script.run(&self.link, move |command, _turn| {
                self.add_keys(command, part.iter().map(|(attempt, _)| attempt));
                if let Some(keep) = keep {
                    command.arg(ms(keep));
                }
                // Those that were claimed by one call have one fence.
                let all_same = part.windows(2).all(|two| two[0].1 == two[1].1);
                let fences = if all_same { &part[..1] } else { part };
                for (_, Fence(fence)) in fences {
                    command.arg(fence);
                }
            })
        });
        join_all(calls).await.into_iter().try_for_each(|answer| answer.map(drop))
    }

    fn add_keys<'a>(
        &self,
        command: &mut Cmd,
        attempts: impl ExactSizeIterator<Item = &'a AttemptKey>,
    ) {
        command.arg(attempts.len());
        for attempt in attempts {
            command.arg(self.keys.claim(attempt));
        }
    }

    fn keys_max(&self) -> usize {
        if self.link.is_cluster() { 1 } else { KEYS_MAX }
    }
}

/// Whole milliseconds; never none, as Redis takes no time to live of zero.
pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn read_claims(answer: Value, count: usize) -> Option<Vec<Claim>> {
    let fence = |text: Vec<u8>| String::from_utf8(text).ok()?.parse().ok().map(Fence);
    match answer {
        Value::BulkString(text) => Some(vec![Claim::Granted(fence(text)?); count]),
        Value::Array(values) => {
            let mut values = values.into_iter();
            let Some(Value::BulkString(text)) = values.next() else { return None };
            let fence = fence(text)?;
            let claims: Option<Vec<_>> = values
                .map(|value| match value {
                    Value::Int(0) => Some(Claim::Granted(fence)),
                    Value::Int(-1) => Some(Claim::Settled),
                    Value::Int(left) => {
                        Some(Claim::Held { left: Duration::from_millis(u64::try_from(left).ok()?) })
                    }
                    _ => None,
                })
                .collect();
            claims.filter(|claims| claims.len() == count)
        }
        _ => None,
    }
}
