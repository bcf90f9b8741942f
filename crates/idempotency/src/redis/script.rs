//! Scripts, each of which Redis runs as one.

use redis::{Cmd, Value};

use super::fault::Fault;
use super::link::{Link, Repeat, Turn};

/// A script, called by its hash where Redis knows it: the text goes over once for each start of Redis.
pub(super) struct Script {
    text: &'static str,
    hash: String,
    repeat: Repeat,
}

impl Script {
    /// `repeat` says whether it may run twice for one call.
    pub(super) fn new(text: &'static str, repeat: Repeat) -> Self {
        Self { text, hash: redis::Script::new(text).get_hash().to_owned(), repeat }
    }

    /// Runs it. `arguments` adds the number of keys, the keys and what follows them.
    pub(super) async fn run(
        &self,
        link: &Link,
        arguments: impl Fn(&mut Cmd, Turn),
    ) -> Result<Value, Fault> {
        let command = |name, script, turn| {
            let mut command = redis::cmd(name);
            command.arg(script);
            arguments(&mut command, turn);
            command
        };
        let by_hash = |turn| command("EVALSHA", self.hash.as_str(), turn);
        match link.call(self.repeat, by_hash).await {
            Err(Fault::UnknownScript) => {
                link.call(self.repeat, |turn| command("EVAL", self.text, turn)).await
            }
            answer => answer,
        }
    }
}
