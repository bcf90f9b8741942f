//! The file: lines of JSON, each an object with one member, which says what it is.
//!
//! The first line is the header. Then come the messages of the queue, then rows, table by table. The last line counts
//! them all and has the digest of all lines before it, marked with the transfer's key: a file that was cut off or changed
//! is refused before anything of it is used.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek as _, SeekFrom, Write};

use anyhow::{Context as _, bail, ensure};
use ringback_core::{Dispatch, Timestamp, dispatch};
use ringback_store::MasterKey;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

/// Rows may get columns, which an earlier version refuses by name, and the first and the last line members with a default;
/// anything else takes a new number.
const FORMAT: u32 = 1;
const HEADER: &str = "ringback_export";
const END: &str = "end";
/// A message of the queue.
pub(super) const MESSAGE: &str = "message";

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Header {
    format: u32,
    /// Tells this export from others: an import that was cut off goes on with the same.
    pub(super) id: String,
    /// Which version wrote it, for people.
    version: String,
    /// When, for people.
    made_at: String,
    /// The id, marked with the key: tells a wrong key by.
    key_check: String,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
struct End {
    counts: BTreeMap<String, u64>,
    sha256: String,
    mark: String,
}

/// A message as it stands in its line.
#[derive(Serialize, Deserialize)]
pub(super) struct MessageLine {
    /// None: at once, as a new event.
    pub(super) due_ms: Option<i64>,
    pub(super) dispatches: Vec<Box<RawValue>>,
}

impl MessageLine {
    /// When it is due, and what it is about.
    ///
    /// # Errors
    /// If it can't be read.
    pub(super) fn read(content: &RawValue) -> anyhow::Result<(Option<Timestamp>, Vec<Dispatch>)> {
        let Self { due_ms, dispatches } =
            serde_json::from_str(content.get()).context("a message can't be read")?;
        let texts = dispatches.iter().map(|text| text.get());
        let dispatches = dispatch::decode(&dispatch::bundle(texts))?;
        Ok((due_ms.map(Timestamp::from_ms), dispatches))
    }
}

/// How many of each there are.
pub(super) type Counts = BTreeMap<String, u64>;

/// Writes a file.
pub(super) struct Writer<W> {
    to: W,
    id: String,
    key: MasterKey,
    digest: Sha256,
    counts: Counts,
}

impl<W: Write> Writer<W> {
    /// Begins with the header.
    pub(super) fn begin(to: W, key: MasterKey, made_at: String) -> anyhow::Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).context("no random bytes to be had")?;
        let id = hex(&random);
        let header = Header {
            format: FORMAT,
            id: id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            made_at,
            key_check: key.mark(&id),
        };
        let mut writer = Self { to, id, key, digest: Sha256::new(), counts: Counts::new() };
        writer.write(HEADER, &serde_json::to_string(&header)?)?;
        Ok(writer)
    }

    /// Writes a line: its kind, and its content as JSON.
    pub(super) fn line(&mut self, kind: &str, content: &str) -> anyhow::Result<()> {
        *self.counts.entry(kind.to_owned()).or_default() += 1;
        self.write(kind, content)
    }

    fn write(&mut self, kind: &str, content: &str) -> anyhow::Result<()> {
        // Databases may write JSON over several lines; a line break in JSON is never part of a string.
        let content = content.replace(['\n', '\r'], " ");
        let line = format!("{{\"{kind}\":{content}}}\n");
        self.digest.update(&line);
        self.to.write_all(line.as_bytes()).context("the export can't be written")
    }

    /// Ends with the last line.
    pub(super) fn end(mut self) -> anyhow::Result<(W, Counts)> {
        let sha256 = hex(&self.digest.finalize());
        let mark = self.key.mark(&marked(&self.id, &sha256));
        let counts = self.counts.clone();
        let end = serde_json::to_string(&End { counts: self.counts, sha256, mark })?;
        writeln!(self.to, "{{\"{END}\":{end}}}").context("the export can't be written")?;
        self.to.flush().context("the export can't be written")?;
        Ok((self.to, counts))
    }
}

/// A file that is whole, and as it was written.
pub(super) struct Checked {
    file: File,
    pub(super) header: Header,
    pub(super) counts: Counts,
}

impl Checked {
    /// Reads a file to its end, and looks whether all of it is there and nothing was changed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn open(file: File, key: &MasterKey) -> anyhow::Result<Self> {
        let mut lines = Lines::new(file);
        let Some((kind, content)) = lines.next()? else { bail!("it is empty") };
        ensure!(kind == HEADER, "it is no export of Ringback");
        let header: Header =
            serde_json::from_str(content.get()).context("its header can't be read")?;
        ensure!(
            header.format == FORMAT,
            "it has format {}, and this version knows {FORMAT}: use the version that wrote it, {}, or a later one",
            header.format,
            header.version,
        );
        ensure!(
            key.made_mark(&header.id, &header.key_check),
            "it was not exported with the key in this key file"
        );
        let mut counts = Counts::new();
        loop {
            let before = lines.digest.clone();
            let Some((kind, content)) = lines.next()? else {
                bail!("it is cut off: its last line is missing")
            };
            if kind != END {
                *counts.entry(kind).or_default() += 1;
                continue;
            }
            let end: End = serde_json::from_str(content.get()).context("its end can't be read")?;
            let sha256 = hex(&before.finalize());
            let whole = end.counts == counts
                && end.sha256 == sha256
                && key.made_mark(&marked(&header.id, &sha256), &end.mark);
            ensure!(whole, "it is damaged or was changed: what it holds is not what was exported");
            ensure!(lines.next()?.is_none(), "there is something after its end");
            return Ok(Self { file: lines.into_file(), header, counts });
        }
    }

    /// Goes through all lines but the first and the last.
    pub(super) fn lines(&mut self) -> anyhow::Result<Lines> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut lines = Lines::new(self.file.try_clone()?);
        lines.next()?;
        Ok(lines)
    }
}

/// The lines of a file.
pub(super) struct Lines {
    reader: BufReader<File>,
    digest: Sha256,
    number: u64,
}

impl Lines {
    fn new(file: File) -> Self {
        Self { reader: BufReader::new(file), digest: Sha256::new(), number: 0 }
    }

    fn next(&mut self) -> anyhow::Result<Option<(String, Box<RawValue>)>> {
        let mut line = String::new();
        self.number += 1;
        let number = self.number;
        let read = self.reader.read_line(&mut line);
        if read.with_context(|| format!("line {number} can't be read"))? == 0 {
            return Ok(None);
        }
        ensure!(line.ends_with('\n'), "it is cut off in line {number}");
        self.digest.update(&line);
        // What serde says quotes the line, which may be long and nobody's business.
        let member: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&line)
            .map_err(|_| anyhow::anyhow!("line {number} is no object in JSON: it is damaged"))?;
        ensure!(member.len() == 1, "line {number} has not one member: it is damaged");
        Ok(member.into_iter().next())
    }

    /// The next line; none: only the last one is left.
    pub(super) fn content(&mut self) -> anyhow::Result<Option<(String, Box<RawValue>)>> {
        Ok(self.next()?.filter(|(kind, _)| kind != END))
    }

    fn into_file(self) -> File {
        self.reader.into_inner()
    }
}

fn marked(id: &str, sha256: &str) -> String {
    format!("{id} {sha256}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> MasterKey {
        MasterKey::from_random([byte; 32])
    }

    fn written() -> String {
        let mut writer = Writer::begin(Vec::new(), key(1), "now".to_owned()).expect("begun");
        writer.line("event", "{\"id\":\n1}").expect("written");
        writer.line("event", "{\"id\":2}").expect("written");
        writer.line("delivery", "{\"id\":3}").expect("written");
        let (bytes, counts) = writer.end().expect("ended");
        assert_eq!(counts, Counts::from([("event".to_owned(), 2), ("delivery".to_owned(), 1)]));
        String::from_utf8(bytes).expect("text")
    }

    fn checked(text: &str, key: &MasterKey) -> anyhow::Result<Checked> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        file.seek(SeekFrom::Start(0)).expect("a file");
        Checked::open(file, key)
    }

    fn refusal(text: &str) -> String {
        format!("{:#}", checked(text, &key(1)).err().expect("refused"))
    }

    #[test]
    fn what_was_written_is_read() {
        let mut checked = checked(&written(), &key(1)).expect("it is whole");
        for _ in 0..2 {
            let mut lines = checked.lines().expect("from the beginning");
            let mut read = Vec::new();
            while let Some((kind, content)) = lines.content().expect("it is whole") {
                read.push(format!("{kind} {}", content.get()));
            }
            assert_eq!(read, ["event {\"id\": 1}", "event {\"id\":2}", "delivery {\"id\":3}"]);
        }
    }

    #[test]
    fn file_that_is_cut_off_anywhere_is_refused() {
        let text = written();
        for end in 0..text.len() {
            assert!(checked(&text[..end], &key(1)).is_err(), "{end}");
        }
        assert!(refusal(&text[..text.len() - 1]).contains("cut off"));
        let without_last = &text[..text.rfind("{\"end\"").expect("there")];
        assert!(refusal(without_last).contains("cut off"));
    }

    #[test]
    fn file_that_was_changed_anywhere_is_refused() {
        let text = written();
        for index in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[index] ^= 1;
            let changed = String::from_utf8(changed).expect("still ASCII");
            assert!(checked(&changed, &key(1)).is_err(), "byte {index}: {changed}");
        }
        let lines: Vec<_> = text.lines().collect();
        let without_one = [&lines[..1], &lines[2..]].concat().join("\n") + "\n";
        assert!(refusal(&without_one).contains("damaged"), "{}", refusal(&without_one));
        assert!(refusal(&(text.clone() + "{\"event\":{}}\n")).contains("after its end"));
    }

    #[test]
    fn another_key_is_told_from_damage() {
        let error = checked(&written(), &key(2)).err().expect("refused");
        assert!(error.to_string().contains("key file"), "{error}");
        assert!(refusal("").contains("empty"));
        assert!(refusal("{\"id\":1}\n").contains("no export"));
    }
}
