//! Writing the file.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use ringback_broker::rabbitmq::waiting;
use ringback_broker::{Due, Waiting};
use ringback_core::delivery::DeliveryState;
use ringback_core::{Dispatch, Targets, Timestamp, dispatch};
use ringback_runtime::{Clock as _, SystemClock};
use ringback_store::MasterKey;
use ringback_store::transfer::Table;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::file::{Counts, MESSAGE, MessageLine, Writer};
use super::note;
use super::place::{Place, Queue};
use crate::exit::Failure;
use crate::settings::{BrokerSettings, Settings, StoreSettings};
use crate::{key_files, parts};

/// What is left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope {
    /// Whether what is over is exported.
    pub(super) history: bool,
    /// Whether what the log callback was sent is.
    pub(super) log: bool,
}

/// Rows of a table that are read at once.
const PAGE_ROWS: usize = 500;
/// Messages of the embedded queue that are read at once.
const PAGE_MESSAGES: u32 = 100;

/// Writes everything into a file.
///
/// # Errors
/// If the instance can't be opened or read, or the file not be written: it is removed then.
pub(super) async fn run(
    settings: &Settings,
    path: &Path,
    key_file: &Path,
    scope: Scope,
) -> Result<(), Failure> {
    let embedded = matches!(settings.store, StoreSettings::Sqlite)
        || matches!(settings.broker, BrokerSettings::Embedded);
    if embedded && !ringback_sqlite::exists(&settings.data_dir) {
        return Err(Failure::Usage(anyhow!(
            "data_dir: there is no database in {}",
            settings.data_dir.display()
        )));
    }
    let place = Place::open(settings).await?;
    parts::is_whole(place.transfer.unfinished_import(parts::ANY).await?)?;
    producers_are_through(settings).await?;
    let key = key_files::transfer_key(key_file).map_err(Failure::Unavailable)?;
    if path == Path::new("-") {
        let (mut stdout, counts) = write(&place, std::io::stdout(), key, scope).await?;
        stdout.flush().context("the export can't be written")?;
        return told(&counts, path, key_file);
    }
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    let file = file.with_context(|| format!("{} can't be made", path.display()));
    let file = file.map_err(Failure::Usage)?;
    let written = match write(&place, file, key, scope).await {
        Ok((file, counts)) => {
            file.sync_all().context("the export can't be written").map(|()| counts)
        }
        Err(error) => Err(error),
    };
    match written {
        Ok(counts) => told(&counts, path, key_file),
        Err(error) => {
            let _it_is_refused_anyway = fs::remove_file(path);
            Err(error.into())
        }
    }
}

/// What producers published belongs to Ringback, and only an ingest can take it.
async fn producers_are_through(settings: &Settings) -> Result<(), Failure> {
    let BrokerSettings::Rabbitmq(rabbitmq) = &settings.broker else { return Ok(()) };
    let standing = waiting::standing(rabbitmq).await?;
    if standing.intake > 0 {
        return Err(Failure::Unavailable(anyhow!(
            "amqp_url: {} events of producers on RabbitMQ are not taken yet: stop the producers, and run `ringback ingest` \
             until none is left",
            standing.intake
        )));
    }
    if standing.set_aside > 0 {
        note(format_args!(
            "{} messages that were set aside stay behind: see `ringback rejected list`, and --poison",
            standing.set_aside
        ));
    }
    Ok(())
}

fn told(counts: &Counts, path: &Path, key_file: &Path) -> Result<(), Failure> {
    for (kind, count) in counts {
        note(format_args!("{count:>10} {kind}"));
    }
    note(format_args!(
        "exported to {}, with the key in {}. Don't start this instance again once it is imported elsewhere: both would \
         deliver",
        path.display(),
        key_file.display()
    ));
    Ok(())
}

async fn write<W: Write>(
    place: &Place,
    to: W,
    key: MasterKey,
    scope: Scope,
) -> anyhow::Result<(W, Counts)> {
    let now = SystemClock.now().to_string();
    let mut writer = Writer::begin(BufWriter::new(to), key.clone(), now)?;
    let mut kept = Kept::default();
    messages(place, &mut writer, &mut kept).await?;
    if !scope.history {
        kept.pending(place, &key).await?;
    }
    for table in Table::ALL {
        let is_left_out = match table {
            Table::LoggedRequest => !scope.log,
            Table::Replay => !scope.history,
            _ => false,
        };
        if is_left_out {
            continue;
        }
        let mut after: Option<String> = None;
        loop {
            let rows = place.transfer.export_rows(table, after.as_deref(), PAGE_ROWS, &key).await?;
            for row in &rows {
                if scope.history || kept.has(table, row)? {
                    writer.line(table.as_str(), row)?;
                }
            }
            match rows.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => break,
            }
        }
    }
    let (buffered, counts) = writer.end()?;
    let to = buffered.into_inner().map_err(|error| error.into_error());
    Ok((to.context("the export can't be written")?, counts))
}

/// Writes what waits on the queue.
async fn messages<W: Write>(
    place: &Place,
    writer: &mut Writer<W>,
    kept: &mut Kept,
) -> anyhow::Result<()> {
    let mut unreadable = 0;
    match &place.queue {
        Queue::Embedded(queue) => {
            let mut after = None;
            loop {
                let page = queue.waiting(after, PAGE_MESSAGES).await?;
                let Some((last, _)) = page.last() else { break };
                after = Some(*last);
                for (_, waiting) in page {
                    match waiting {
                        Some(waiting) => message(place, writer, kept, waiting).await?,
                        None => unreadable += 1,
                    }
                }
            }
        }
        Queue::Rabbitmq(settings) => {
            // All are held at the server meanwhile, so they are only written down here.
            let mut shown = Vec::new();
            unreadable = waiting::all(settings, &SystemClock, |waiting| {
                shown.push(waiting);
                anyhow::Ok(())
            })
            .await?;
            for waiting in shown {
                message(place, writer, kept, waiting).await?;
            }
        }
    }
    if unreadable > 0 {
        note(format_args!("{unreadable} messages of the queue can't be read and stay behind"));
    }
    Ok(())
}

async fn message<W: Write>(
    place: &Place,
    writer: &mut Writer<W>,
    kept: &mut Kept,
    waiting: Waiting,
) -> anyhow::Result<()> {
    kept.add(&waiting.dispatches);
    let due = match waiting.due {
        Due::Fresh => None,
        Due::At(due) => Some(due),
        Due::NotAfter(latest) => {
            for dispatch in waiting.dispatches {
                let due = known_due(place, &dispatch).await?.map_or(latest, |due| due.min(latest));
                line(writer, Some(due), &[dispatch])?;
            }
            return Ok(());
        }
    };
    line(writer, due, &waiting.dispatches)
}

/// When the history says that a delivery goes on, or its event that it begins.
async fn known_due(place: &Place, dispatch: &Dispatch) -> anyhow::Result<Option<Timestamp>> {
    let Targets::These(targets) = &dispatch.targets else { return Ok(dispatch.event.deliver_at) };
    let Some(target) = targets.first() else { return Ok(None) };
    let delivery = place.store.delivery(target.delivery(&dispatch.event)).await?;
    let due = delivery.and_then(|delivery| match delivery.state {
        DeliveryState::Pending { next_attempt_at, .. } => Some(next_attempt_at),
        _ => None,
    });
    Ok(due.or(dispatch.event.deliver_at))
}

fn line<W: Write>(
    writer: &mut Writer<W>,
    due: Option<Timestamp>,
    dispatches: &[Dispatch],
) -> anyhow::Result<()> {
    let texts = dispatches.iter().map(dispatch::encode).map(RawValue::from_string);
    let dispatches = texts.collect::<Result<_, _>>()?;
    let line = MessageLine { due_ms: due.map(Timestamp::ms), dispatches };
    writer.line(MESSAGE, &serde_json::to_string(&line)?)
}

/// What of the history is needed though it is left out: what is pending, and whatever the queue has a message of, which is
/// looked up when it comes off.
#[derive(Default)]
struct Kept {
    deliveries: HashSet<String>,
    /// Id and account.
    events: HashSet<(String, String)>,
}

/// What is read of a row.
#[derive(Deserialize)]
struct DeliveryRow {
    id: String,
    event_id: String,
    account: String,
    status: String,
}

#[derive(Deserialize)]
struct EventRow {
    id: String,
    account: String,
}

#[derive(Deserialize)]
struct AttemptRow {
    delivery_id: String,
}

impl Kept {
    fn add(&mut self, dispatches: &[Dispatch]) {
        for Dispatch { event, targets, .. } in dispatches {
            self.events.insert((event.id.to_string(), event.account.to_string()));
            if let Targets::These(targets) = targets {
                let ids = targets.iter().map(|target| target.delivery(event).to_string());
                self.deliveries.extend(ids);
            }
        }
    }

    /// Finds what is pending: the deliveries, and the events that they are of; and all deliveries of events on the queue.
    async fn pending(&mut self, place: &Place, key: &MasterKey) -> anyhow::Result<()> {
        let mut after: Option<String> = None;
        loop {
            let rows =
                place.transfer.export_rows(Table::Delivery, after.as_deref(), PAGE_ROWS, key);
            let rows = rows.await?;
            for row in &rows {
                let DeliveryRow { id, event_id, account, status } = serde_json::from_str(row)?;
                let event = (event_id, account);
                if status == "pending" || self.events.contains(&event) {
                    self.deliveries.insert(id);
                    self.events.insert(event);
                }
            }
            match rows.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }

    fn has(&self, table: Table, row: &str) -> anyhow::Result<bool> {
        Ok(match table {
            Table::Event => {
                let EventRow { id, account } = serde_json::from_str(row)?;
                self.events.contains(&(id, account))
            }
            Table::Delivery => {
                let DeliveryRow { id, .. } = serde_json::from_str(row)?;
                self.deliveries.contains(&id)
            }
            Table::Attempt => {
                let AttemptRow { delivery_id } = serde_json::from_str(row)?;
                self.deliveries.contains(&delivery_id)
            }
            Table::Callback
            | Table::ApiKey
            | Table::EventType
            | Table::Account
            | Table::LoggedRequest
            | Table::Replay => true,
        })
    }
}
