//! Attempts as they are recorded, by whichever process, shown in those processes in which somebody watches.
//!
//! It costs nothing while nobody does. A process in which somebody watches says so every few seconds, and when it is
//! asked; whoever has heard of it lately says what it records: the keys alone, as a notification has 8,000 bytes. Who watches reads the rows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringback_core::DeliveryId;
use ringback_runtime::Shutdown;
use sqlx::AssertSqlSafe;
use tokio::sync::{Notify, broadcast, mpsc};
use tokio::time::{Instant, sleep, timeout};

use super::connection::Database;
use super::listener::LIVE_CHANNEL;
use super::partitions::day_of;
use super::statements;
use super::values::{Id, Values};
use crate::batch::{LIVE_ATTEMPTS_KEPT, show};
use crate::port::{HistoryRecord, LiveAttempt};
use crate::{Error, rows};

/// How often a process says that somebody watches.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);
/// How long it is believed: two may get lost.
const WATCH_LASTS: Duration = Duration::from_secs(15);
/// How long keys gather: a notification makes other commits of the database wait.
const LINGER: Duration = Duration::from_millis(100);
/// Keys that wait to be told, or to be read: who has more to tell than that drops some, as slow listeners do.
const KEYS_KEPT: usize = 4_096;
/// Keys in one notification: 60 bytes each at the most.
const KEYS_TOLD_TOGETHER: usize = 120;

/// What is watched in this process, and elsewhere.
pub(super) struct Live {
    /// Tells this process's notifications from others'.
    process: String,
    attempts: broadcast::Sender<Arc<LiveAttempt>>,
    subscribed: Notify,
    asked: Notify,
    others_watch_until: Mutex<Option<Instant>>,
    to_tell: mpsc::Sender<Key>,
    heard: mpsc::Sender<Key>,
}

/// What the tasks of [`Live`] work through.
pub(super) struct Work {
    to_tell: mpsc::Receiver<Key>,
    heard: mpsc::Receiver<Key>,
}

/// An attempt, as it stands in a notification: `delivery/number/day`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    delivery: DeliveryId,
    number: u32,
    day: i32,
}

impl Live {
    pub(super) fn new() -> (Self, Work) {
        let (to_tell, telling) = mpsc::channel(KEYS_KEPT);
        let (heard, hearing) = mpsc::channel(KEYS_KEPT);
        let live = Self {
            process: uuid::Uuid::new_v4().simple().to_string(),
            attempts: broadcast::Sender::new(LIVE_ATTEMPTS_KEPT),
            subscribed: Notify::new(),
            asked: Notify::new(),
            others_watch_until: Mutex::new(None),
            to_tell,
            heard,
        };
        (live, Work { to_tell: telling, heard: hearing })
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Arc<LiveAttempt>> {
        let receiver = self.attempts.subscribe();
        self.subscribed.notify_one();
        receiver
    }

    /// Shows what this process has recorded, here and elsewhere.
    pub(super) fn show(&self, records: Vec<HistoryRecord>) {
        if self.others_watch() {
            for record in &records {
                if let HistoryRecord::Delivery { delivery, attempt: Some(attempt), .. } = record {
                    let day = day_of(delivery.created_at);
                    let key = Key { delivery: delivery.id, number: attempt.number.get(), day };
                    // Full: they miss some.
                    let _ = self.to_tell.try_send(key);
                }
            }
        }
        if self.attempts.receiver_count() > 0 {
            show(records, &self.attempts);
        }
    }

    fn others_watch(&self) -> bool {
        let until = *self.others_watch_until.lock().expect("nobody panics holding it");
        until.is_some_and(|until| Instant::now() < until)
    }

    /// What another process says, or this one.
    pub(super) fn hear(&self, payload: &str) {
        let mut words = payload.split(' ');
        let (Some(what), Some(process)) = (words.next(), words.next()) else { return };
        if process == self.process {
            return;
        }
        match what {
            WATCH => {
                let until = Instant::now() + WATCH_LASTS;
                *self.others_watch_until.lock().expect("nobody panics holding it") = Some(until);
            }
            ATTEMPTS if self.attempts.receiver_count() > 0 => {
                for key in words.filter_map(Key::read) {
                    // Full: who watches misses some.
                    let _ = self.heard.try_send(key);
                }
            }
            ASK => self.asked.notify_one(),
            // Nobody watches here, or it is of a version to come.
            _ => {}
        }
    }

    /// What to say on having begun to listen: whoever watches says so again.
    pub(super) fn question(&self) -> String {
        format!("{ASK} {}", self.process)
    }

    /// Says that somebody watches, for as long as somebody does; tells what is recorded; reads what others tell.
    pub(super) async fn run(&self, work: Work, database: &Database, shutdown: &Shutdown) {
        let Work { to_tell, heard } = work;
        let tasks = async {
            tokio::join!(
                self.watch(database),
                self.tell(to_tell, database),
                self.read(heard, database)
            )
        };
        tokio::select! {
            _ = tasks => {}
            () = shutdown.requested() => {}
        }
    }

    async fn watch(&self, database: &Database) {
        loop {
            while self.attempts.receiver_count() == 0 {
                self.subscribed.notified().await;
            }
            notify(database, vec![format!("{WATCH} {}", self.process)]).await;
            // Sooner for one who has just begun to listen.
            let _asked = timeout(WATCH_INTERVAL, self.asked.notified()).await;
        }
    }

    async fn tell(&self, mut to_tell: mpsc::Receiver<Key>, database: &Database) {
        let mut keys = Vec::new();
        while to_tell.recv_many(&mut keys, KEYS_KEPT).await > 0 {
            sleep(LINGER).await;
            while let Ok(key) = to_tell.try_recv() {
                keys.push(key);
            }
            let payload = |keys: &[Key]| {
                let keys: Vec<_> = keys.iter().map(Key::write).collect();
                format!("{ATTEMPTS} {} {}", self.process, keys.join(" "))
            };
            notify(database, keys.chunks(KEYS_TOLD_TOGETHER).map(payload).collect()).await;
            keys.clear();
        }
    }

    async fn read(&self, mut heard: mpsc::Receiver<Key>, database: &Database) {
        let mut keys = Vec::new();
        while heard.recv_many(&mut keys, KEYS_TOLD_TOGETHER).await > 0 {
            match read(database, &keys).await {
                Ok(attempts) => {
                    for attempt in attempts {
                        // The last listener may just have gone.
                        let _ = self.attempts.send(Arc::new(attempt));
                    }
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "attempts recorded elsewhere are not shown");
                }
            }
            keys.clear();
        }
    }
}

const ASK: &str = "ask";
const WATCH: &str = "watch";
const ATTEMPTS: &str = "attempts";

impl Key {
    fn write(&self) -> String {
        format!("{}/{}/{}", self.delivery, self.number, self.day)
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let delivery = parts.next()?.parse().ok()?;
        Some(Self {
            delivery,
            number: parts.next()?.parse().ok()?,
            day: parts.next()?.parse().ok()?,
        })
    }
}

/// Each attempt with its delivery as it stands now: it may be further already. What is gone meanwhile is left out.
async fn read(database: &Database, keys: &[Key]) -> Result<Vec<LiveAttempt>, Error> {
    let [deliveries_of_day, attempts_of_day] = statements::told_attempts();
    let mut days: Vec<i32> = keys.iter().map(|key| key.day).collect();
    days.sort_unstable();
    days.dedup();
    let (mut deliveries, mut attempts) = (HashMap::new(), HashMap::new());
    for day in days {
        let ids = keys.iter().filter(|key| key.day == day).map(|key| Id(key.delivery.uuid()));
        let ids: Vec<_> = ids.collect();
        let values = || Values::none().and(day).and(ids.clone());
        for row in &database.rows(AssertSqlSafe(&*deliveries_of_day), values()).await? {
            let delivery = rows::delivery(row)?;
            deliveries.insert(delivery.id, Arc::new(delivery));
        }
        for row in &database.rows(AssertSqlSafe(&*attempts_of_day), values()).await? {
            let attempt = rows::attempt(row)?;
            attempts.insert((attempt.delivery, attempt.number.get()), Arc::new(attempt));
        }
    }
    let found = keys.iter().filter_map(|key| {
        let delivery = Arc::clone(deliveries.get(&key.delivery)?);
        let attempt = Arc::clone(attempts.get(&(key.delivery, key.number))?);
        Some(LiveAttempt { delivery, attempt })
    });
    Ok(found.collect())
}

pub(super) async fn notify(database: &Database, payloads: Vec<String>) {
    let values = || Values::none().and(LIVE_CHANNEL).and(payloads.clone());
    if let Err(error) = database.execute(statements::NOTIFY, values).await {
        // Nothing is lost but what somebody would have watched.
        tracing::debug!(error = &error as &dyn std::error::Error, "other processes are not told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_comes_back_and_a_notification_of_them_is_short_enough() {
        let delivery = DeliveryId::from_uuid(uuid::Uuid::max());
        let key = Key { delivery, number: u32::MAX, day: i32::MIN };
        assert_eq!(Key::read(&key.write()), Some(key));
        assert!(ATTEMPTS.len() + 34 + KEYS_TOLD_TOGETHER * (key.write().len() + 1) < 8_000);
        for nonsense in ["", "x/1/2", "00000000-0000-0000-0000-000000000000/1"] {
            assert_eq!(Key::read(nonsense), None, "{nonsense}");
        }
    }
}
