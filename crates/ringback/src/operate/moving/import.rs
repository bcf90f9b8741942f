//! Reading the file.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use ringback_broker::{Broker, Delayed};
use ringback_core::Dispatch;
use ringback_store::MasterKey;
use ringback_store::transfer::{Table, Unfinished};

use super::file::{Checked, Counts, MESSAGE, MessageLine};
use super::known;
use super::note;
use super::place::Place;
use crate::exit::Failure;
use crate::key_files;
use crate::settings::Settings;

/// Into what it may be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// One with nothing in it.
    Empty,
    /// Any: what it has stays as it is.
    Any,
}

/// Written at once.
const BATCH_ROWS: usize = 500;
const BATCH_BYTES: usize = 2 * 1024 * 1024;
const BATCH_DISPATCHES: usize = 256;

/// Puts what a file has into an instance.
///
/// # Errors
/// If the file is not whole, the instance can't be opened, or is not as it should be: nothing is written then. If
/// something can't be written: the same command goes on.
pub(super) async fn run(
    settings: &Settings,
    path: &Path,
    key_file: &Path,
    target: Target,
) -> Result<(), Failure> {
    let key = key_files::transfer_key_of(key_file).map_err(Failure::Usage)?;
    let refused = || format!("{} is not imported", path.display());
    let file = File::open(path).with_context(refused).map_err(Failure::Usage)?;
    let mut checked = Checked::open(file, &key).with_context(refused).map_err(Failure::Usage)?;
    all_are_known(&checked.counts).with_context(refused).map_err(Failure::Usage)?;
    let place = Place::open(settings).await?;
    let id = checked.header.id.clone();
    match place.transfer.unfinished_import(&id).await? {
        Unfinished::None if target == Target::Empty => is_empty(&place).await?,
        Unfinished::None => {}
        Unfinished::This => note("an import of this file was cut off; it goes on"),
        Unfinished::Another => {
            return Err(Failure::Usage(anyhow!(
                "an import of another file was cut off here: finish that one first, or begin with an empty instance"
            )));
        }
    }
    place.transfer.begin_import(&id).await?;
    rows(&place, &mut checked, &key).await?;
    let publishing = place.publishing(settings).await?;
    known::remember(&*publishing.idempotency, &mut checked).await?;
    messages(&*publishing.broker, &mut checked).await?;
    publishing.end().await?;
    place.transfer.end_import().await?;
    for (kind, count) in &checked.counts {
        note(format_args!("{count:>10} {kind}"));
    }
    note(format_args!("imported from {}", path.display()));
    Ok(())
}

fn all_are_known(counts: &Counts) -> anyhow::Result<()> {
    let is_known = |kind: &str| kind == MESSAGE || Table::of_word(kind).is_some();
    match counts.keys().find(|kind| !is_known(kind)) {
        None => Ok(()),
        Some(kind) => bail!("`{kind}` is not known here: a later version wrote it"),
    }
}

async fn is_empty(place: &Place) -> Result<(), Failure> {
    let mut found: Vec<_> =
        place.transfer.filled().await?.into_iter().map(|table| table.as_str()).collect();
    if place.has_messages().await? {
        found.push("messages on the queue");
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(Failure::Usage(anyhow!(
        "this instance is not empty, it has: {}; --merge imports all the same, and leaves what it has as it is",
        found.join(", ")
    )))
}

async fn rows(place: &Place, checked: &mut Checked, key: &MasterKey) -> anyhow::Result<()> {
    let mut lines = checked.lines()?;
    let mut batch = Batch { table: Table::Callback, rows: Vec::new(), bytes: 0 };
    while let Some((kind, content)) = lines.content()? {
        if kind == MESSAGE {
            continue;
        }
        let table = Table::of_word(&kind).expect("all kinds are known");
        if !batch.takes(table) {
            batch.write(place, key).await?;
        }
        batch.table = table;
        batch.bytes += content.get().len();
        batch.rows.push(content.get().to_owned());
    }
    batch.write(place, key).await
}

/// Rows of one table, written together.
struct Batch {
    table: Table,
    rows: Vec<String>,
    bytes: usize,
}

impl Batch {
    fn takes(&self, table: Table) -> bool {
        let has_room = self.rows.len() < BATCH_ROWS && self.bytes < BATCH_BYTES;
        self.rows.is_empty() || (self.table == table && has_room)
    }

    async fn write(&mut self, place: &Place, key: &MasterKey) -> anyhow::Result<()> {
        if !self.rows.is_empty() {
            place
                .transfer
                .import_rows(self.table, &self.rows, key)
                .await
                .with_context(|| format!("the table `{}` can't be written", self.table.as_str()))?;
        }
        self.rows.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// Puts messages on the queue, marked as perhaps repeated: what the history knows as done is not done again. So it does no
/// harm if an import that was cut off has put them there before.
async fn messages(broker: &dyn Broker, checked: &mut Checked) -> anyhow::Result<()> {
    let mut lines = checked.lines()?;
    let (mut fresh, mut delayed) = (Vec::<Dispatch>::new(), Vec::<Delayed>::new());
    loop {
        let line = lines.content()?;
        let is_over = line.as_ref().is_none_or(|(kind, _)| kind != MESSAGE);
        if let Some((_, content)) = line.filter(|_| !is_over) {
            let (due, dispatches) = MessageLine::read(&content)?;
            let dispatches = dispatches.into_iter().map(Dispatch::in_doubt);
            match due {
                None => fresh.extend(dispatches),
                Some(due) => {
                    delayed.extend(dispatches.map(|dispatch| Delayed { due, dispatch }));
                }
            }
        }
        let is_full = fresh.len() + delayed.len() >= BATCH_DISPATCHES;
        if is_full || is_over {
            let failed = "messages can't be put on the queue";
            broker.publish(std::mem::take(&mut fresh)).await.context(failed)?;
            broker.publish_after(std::mem::take(&mut delayed)).await.context(failed)?;
        }
        if is_over {
            return Ok(());
        }
    }
}
