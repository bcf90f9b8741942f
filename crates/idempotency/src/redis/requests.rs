//! Requests that their senders may repeat: a key each, that lives as long as it is to be remembered.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Value;

use super::Redis;
use super::claims::ms;
use super::fault::Fault;
use super::keys::short_fingerprint;
use super::link::Repeat;
use super::script::Script;
use crate::{Begun, RequestKey};

/// Recognises by its token what it put there itself.
static BEGIN: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("begin.lua"), Repeat::Safe));

/// Ending twice is the same as once: an answer that stands is left alone, and who opens what another was told of
/// meanwhile makes a third do the same as both, with the same mark.
static END: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("end.lua"), Repeat::Safe));

/// Not where it removes: between the two times another may have begun the same, which would be forgotten. Where it is not
/// known whether it is gone, it is as if it had been left open.
static ABANDON: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("end.lua"), Repeat::Never));

/// What is to be remembered of a request that begins.
pub(super) struct Beginning<'a> {
    pub(super) fingerprint: &'a str,
    pub(super) keep: Duration,
    pub(super) mark: &'a str,
}

impl Redis {
    pub(super) async fn begin_one(
        &self,
        request: &RequestKey,
        beginning: Beginning<'_>,
    ) -> Result<Begun, Fault> {
        let key = self.keys.request(request);
        let fingerprint = short_fingerprint(beginning.fingerprint);
        let token = self.tokens.next().to_be_bytes();
        let answer = BEGIN.run(&self.link, |command, _turn| {
            command.arg(1).arg(&key).arg(ms(beginning.keep)).arg(ms(self.in_progress_max));
            command.arg(&fingerprint).arg(&token).arg(beginning.mark);
        });
        read_begun(answer.await?).ok_or(Fault::Garbled)
    }

    pub(super) async fn complete_one(
        &self,
        request: &RequestKey,
        answer: &str,
    ) -> Result<(), Fault> {
        self.end_one(&END, request, ["d", answer]).await
    }

    pub(super) async fn abandon_one(&self, request: &RequestKey) -> Result<(), Fault> {
        self.end_one(&ABANDON, request, ["a", ""]).await
    }

    pub(super) async fn leave_one_open(&self, request: &RequestKey) -> Result<(), Fault> {
        self.end_one(&END, request, ["o", ""]).await
    }

    async fn end_one(
        &self,
        script: &Script,
        request: &RequestKey,
        end: [&str; 2],
    ) -> Result<(), Fault> {
        let key = self.keys.request(request);
        let ended = script.run(&self.link, |command, _turn| {
            command.arg(1).arg(&key).arg(&end);
        });
        ended.await.map(drop)
    }
}

fn read_begun(answer: Value) -> Option<Begun> {
    let Value::BulkString(answer) = answer else { return None };
    let (letter, rest) = answer.split_first()?;
    let rest = || str::from_utf8(rest).ok().map(str::to_owned);
    match letter {
        b'n' => Some(Begun::New),
        b'c' => Some(Begun::Conflict),
        b'i' => Some(Begun::InProgress),
        b'u' => Some(Begun::Unfinished { mark: rest()? }),
        b'd' => Some(Begun::Done { answer: rest()? }),
        _ => None,
    }
}
