//! Requests whose last change is not on disk yet, and those that are being worked on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ringback_core::Timestamp;

use super::rows::Stored;
use crate::{Begun, RequestKey};

/// A request that takes longer than this is taken for lost: its handler was dropped, as happens when its sender hangs
/// up. A repeat is then told [`Begun::Unfinished`], as after a crash, and not "in progress" for ever.
const IN_PROGRESS_MAX: Duration = Duration::from_secs(60);

/// What is known of requests beyond what is on disk. Where it says nothing, the disk is right.
#[derive(Debug, Default)]
pub(super) struct Requests {
    live: HashMap<Arc<str>, Request>,
    /// Those with a change for the writer.
    changed: Vec<Arc<str>>,
    last_version: u64,
}

#[derive(Debug)]
struct Request {
    fingerprint: String,
    mark: String,
    expires: Timestamp,
    phase: Phase,
    /// The number of its last change.
    version: u64,
    /// Whether that change waits for the writer.
    waits: bool,
    row: Row,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// It is being looked up on disk.
    LookedUp,
    InProgress {
        since: Timestamp,
    },
    Done {
        answer: String,
    },
    Abandoned,
    /// Nobody knows what came of it.
    Open,
}

/// Whether there is a row for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    Absent,
    /// There is, or there is in the commit that is under way.
    Present,
}

/// What memory says to the beginning of a request.
#[derive(Debug)]
pub(super) enum Known {
    /// This is the answer.
    Begun(Begun),
    /// The disk has to be asked; the key is reserved meanwhile.
    AskDisk,
}

/// The key, fingerprint and times of a request that begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning<'a> {
    pub key: &'a Arc<str>,
    pub fingerprint: &'a str,
    pub mark: &'a str,
    pub expires: Timestamp,
    pub now: Timestamp,
}

/// A change as it is written.
#[derive(Debug)]
pub(super) struct Change {
    pub key: Arc<str>,
    pub write: Write,
    version: u64,
    row_before: Row,
}

/// What a change does to the row.
#[derive(Debug)]
pub(super) enum Write {
    Put { fingerprint: String, mark: String, answer: Option<String>, expires: Timestamp },
    Remove,
}

/// The name of a key's row. Accounts hold no colon, so no two keys have the same.
pub(super) fn name(key: &RequestKey) -> Arc<str> {
    match key {
        RequestKey::Event { account, id } => format!("event:{account}:{id}").into(),
        RequestKey::Header { account: Some(account), key } => {
            format!("header:{account}:{key}").into()
        }
        RequestKey::Header { account: None, key } => format!("header::{key}").into(),
    }
}

impl Requests {
    /// Begins a request as far as memory can tell.
    pub(super) fn begin(&mut self, beginning: Beginning<'_>) -> Known {
        let Beginning { key, fingerprint, now, .. } = beginning;
        let Some(request) = self.live.get_mut(key) else {
            self.insert(beginning, Phase::LookedUp, Row::Absent);
            return Known::AskDisk;
        };
        let row = request.row;
        let same = request.fingerprint == fingerprint;
        Known::Begun(match &mut request.phase {
            // What it is will be known in a moment, its fingerprint among it.
            Phase::LookedUp => Begun::InProgress,
            Phase::Abandoned => {
                self.start(beginning, row);
                Begun::New
            }
            Phase::InProgress { .. } | Phase::Open | Phase::Done { .. } if !same => Begun::Conflict,
            Phase::InProgress { since } if now.since(*since) < IN_PROGRESS_MAX => Begun::InProgress,
            Phase::InProgress { since } => {
                *since = now;
                Begun::Unfinished { mark: request.mark.clone() }
            }
            Phase::Open => {
                let mark = request.mark.clone();
                self.start(Beginning { mark: &mark, ..beginning }, row);
                Begun::Unfinished { mark }
            }
            Phase::Done { answer } => Begun::Done { answer: answer.clone() },
        })
    }

    /// Goes on with a request that was looked up.
    pub(super) fn looked_up(&mut self, beginning: Beginning<'_>, stored: Option<Stored>) -> Begun {
        let begun = match stored {
            None => Begun::New,
            Some(stored) if stored.expires <= beginning.now => Begun::New,
            Some(stored) if stored.fingerprint != beginning.fingerprint => Begun::Conflict,
            Some(Stored { answer: Some(answer), .. }) => Begun::Done { answer },
            // Nobody of this process works on it, or it would be in memory.
            Some(Stored { answer: None, mark, .. }) => Begun::Unfinished { mark },
        };
        match &begun {
            Begun::New => self.start(beginning, Row::Absent),
            Begun::Unfinished { mark } => {
                self.start(Beginning { mark, ..beginning }, Row::Present);
            }
            Begun::InProgress | Begun::Done { .. } | Begun::Conflict => {
                self.live.remove(beginning.key);
            }
        }
        begun
    }

    /// Gives up looking a request up.
    pub(super) fn not_looked_up(&mut self, key: &Arc<str>) {
        if self.live.get(key).is_some_and(|request| request.phase == Phase::LookedUp) {
            self.live.remove(key);
        }
    }

    /// Ends a request that is in progress.
    pub(super) fn complete(&mut self, key: &Arc<str>, answer: &str) {
        self.end(key, Phase::Done { answer: answer.to_owned() });
    }

    /// Ends a request that is in progress and came to nothing.
    pub(super) fn abandon(&mut self, key: &Arc<str>) {
        self.end(key, Phase::Abandoned);
        self.drop_if_nowhere(key);
    }

    /// Ends a request of which nobody knows what came of it.
    pub(super) fn leave_open(&mut self, key: &Arc<str>) {
        self.end(key, Phase::Open);
    }

    /// All changes that wait. All of them: a publish that is committed with them may stand on any.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::with_capacity(self.changed.len());
        for key in std::mem::take(&mut self.changed) {
            // It may stand there twice, if it was dropped and begun anew in between.
            let Some(request) = self.live.get_mut(&key).filter(|request| request.waits) else {
                continue;
            };
            let put = |answer| Write::Put {
                fingerprint: request.fingerprint.clone(),
                mark: request.mark.clone(),
                answer,
                expires: request.expires,
            };
            let write = match &request.phase {
                Phase::LookedUp => continue,
                Phase::InProgress { .. } | Phase::Open => put(None),
                Phase::Done { answer } => put(Some(answer.clone())),
                Phase::Abandoned => Write::Remove,
            };
            changes.push(Change { key, write, version: request.version, row_before: request.row });
            request.waits = false;
            request.row = Row::Present;
        }
        changes
    }

    /// These changes are on disk: what has ended with them needs no memory.
    pub(super) fn committed(&mut self, changes: Vec<Change>) {
        for change in changes {
            let Some(request) = self.live.get_mut(&change.key) else {
                continue;
            };
            if matches!(change.write, Write::Remove) {
                request.row = Row::Absent;
            }
            let ended = match request.phase {
                Phase::Done { .. } | Phase::Abandoned | Phase::Open => true,
                Phase::LookedUp | Phase::InProgress { .. } => false,
            };
            if request.version == change.version && ended {
                self.live.remove(&change.key);
            } else {
                self.drop_if_nowhere(&change.key);
            }
        }
    }

    /// These changes are not on disk: they wait again, unless there was a later one.
    pub(super) fn not_committed(&mut self, changes: Vec<Change>) {
        for change in changes {
            let Some(request) = self.live.get_mut(&change.key) else {
                continue;
            };
            request.row = change.row_before;
            if !request.waits {
                request.waits = true;
                self.changed.push(Arc::clone(&change.key));
            }
            self.drop_if_nowhere(&change.key);
        }
    }

    /// Forgets requests that were given up on and whose row says so.
    pub(super) fn forget_lost(&mut self, now: Timestamp) {
        self.live.retain(|_, request| match request.phase {
            Phase::InProgress { since } => {
                let lost = now.since(since) >= IN_PROGRESS_MAX;
                !(lost && !request.waits && request.row == Row::Present)
            }
            Phase::LookedUp | Phase::Done { .. } | Phase::Abandoned | Phase::Open => true,
        });
    }

    fn insert(&mut self, beginning: Beginning<'_>, phase: Phase, row: Row) {
        self.last_version += 1;
        let request = Request {
            fingerprint: beginning.fingerprint.to_owned(),
            mark: beginning.mark.to_owned(),
            expires: beginning.expires,
            phase,
            version: self.last_version,
            waits: false,
            row,
        };
        self.live.insert(Arc::clone(beginning.key), request);
    }

    fn start(&mut self, beginning: Beginning<'_>, row: Row) {
        let waited = self.live.get(beginning.key).is_some_and(|request| request.waits);
        self.insert(beginning, Phase::InProgress { since: beginning.now }, row);
        if let Some(request) = self.live.get_mut(beginning.key) {
            request.waits = waited;
        }
        self.announce(beginning.key);
    }

    fn end(&mut self, key: &Arc<str>, phase: Phase) {
        let Some(request) = self.live.get_mut(key) else {
            return;
        };
        if matches!(request.phase, Phase::InProgress { .. }) {
            self.last_version += 1;
            request.version = self.last_version;
            request.phase = phase;
            self.announce(key);
        }
    }

    fn announce(&mut self, key: &Arc<str>) {
        if let Some(request) = self.live.get_mut(key)
            && !request.waits
        {
            request.waits = true;
            self.changed.push(Arc::clone(key));
        }
    }

    /// What was abandoned before it was on disk leaves nothing to write: with a full disk, such would pile up.
    fn drop_if_nowhere(&mut self, key: &Arc<str>) {
        let nowhere =
            |request: &Request| request.phase == Phase::Abandoned && request.row == Row::Absent;
        if self.live.get(key).is_some_and(nowhere) {
            self.live.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_000);

    fn begin(requests: &mut Requests, key: &Arc<str>) -> Begun {
        let expires = Timestamp::from_ms(1_000_000);
        let beginning = Beginning { key, fingerprint: "x", mark: "mark", expires, now: NOW };
        match requests.begin(beginning) {
            Known::Begun(begun) => begun,
            Known::AskDisk => requests.looked_up(beginning, None),
        }
    }

    fn answers(changes: &[Change]) -> Vec<Option<&str>> {
        let answers = changes.iter().map(|change| match &change.write {
            Write::Put { answer, .. } => answer.as_deref(),
            Write::Remove => Some("removed"),
        });
        answers.collect()
    }

    #[test]
    fn key_that_could_not_be_written_is_written_with_the_next_commit() {
        let (mut requests, key) = (Requests::default(), Arc::from("a"));
        assert_eq!(begin(&mut requests, &key), Begun::New);
        let changes = requests.take_changes();
        assert_eq!(answers(&changes), [None]);
        // It ends while the commit that fails is under way.
        requests.complete(&key, "answer");
        requests.not_committed(changes);
        let changes = requests.take_changes();
        assert_eq!(answers(&changes), [Some("answer")]);
        requests.committed(changes);
        assert!(requests.live.is_empty(), "the disk knows");
    }

    #[test]
    fn request_that_ends_during_its_commit_stays_in_memory_until_the_next() {
        let (mut requests, key) = (Requests::default(), Arc::from("a"));
        begin(&mut requests, &key);
        let changes = requests.take_changes();
        requests.complete(&key, "answer");
        requests.committed(changes);
        let done = Begun::Done { answer: "answer".to_owned() };
        assert_eq!(begin(&mut requests, &key), done);
        assert_eq!(answers(&requests.take_changes()), [Some("answer")]);
    }

    #[test]
    fn abandoned_requests_do_not_pile_up_while_nothing_can_be_written() {
        let (mut requests, key) = (Requests::default(), Arc::from("a"));
        // Before, during and after a commit that fails.
        begin(&mut requests, &key);
        requests.abandon(&key);
        assert!(requests.live.is_empty());
        begin(&mut requests, &key);
        let changes = requests.take_changes();
        requests.abandon(&key);
        requests.not_committed(changes);
        assert!(requests.live.is_empty());
        begin(&mut requests, &key);
        let changes = requests.take_changes();
        requests.not_committed(changes);
        requests.abandon(&key);
        assert!(requests.live.is_empty());
        assert!(requests.take_changes().is_empty());
    }

    #[test]
    fn abandoned_request_that_was_written_is_removed() {
        let (mut requests, key) = (Requests::default(), Arc::from("a"));
        begin(&mut requests, &key);
        let changes = requests.take_changes();
        requests.abandon(&key);
        requests.committed(changes);
        let changes = requests.take_changes();
        assert_eq!(answers(&changes), [Some("removed")]);
        requests.committed(changes);
        assert!(requests.live.is_empty());
    }

    #[test]
    fn requests_given_up_on_are_forgotten_once_they_are_on_disk() {
        let (mut requests, key) = (Requests::default(), Arc::from("a"));
        begin(&mut requests, &key);
        let later = NOW + IN_PROGRESS_MAX;
        requests.forget_lost(later);
        assert!(!requests.live.is_empty(), "it is not written yet");
        let changes = requests.take_changes();
        requests.committed(changes);
        requests.forget_lost(NOW);
        assert!(!requests.live.is_empty(), "it may be in progress");
        requests.forget_lost(later);
        assert!(requests.live.is_empty());
    }
}
