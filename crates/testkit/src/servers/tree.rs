//! A process with all that it has started, as `/proc` shows them.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};

/// What `/proc/<pid>/stat` says of a process.
struct Stat {
    parent: u32,
    is_zombie: bool,
    /// Processor time of its own and of its ended children, in user and kernel mode.
    cpu: Duration,
}

impl Stat {
    /// `None` if there is no such process (any more).
    fn read(pid: u32) -> Option<Self> {
        // Linux counts these in hundredths of a second on every architecture, whatever the kernel's own tick.
        const TICK: Duration = Duration::from_millis(10);
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in brackets, may hold blanks: fields are counted from behind it, where state (3) comes first.
        let (_, fields) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks: u32 = fields.get(11..15)?.iter().map(|n| n.parse().unwrap_or(0)).sum();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            is_zombie: *fields.first()? == "Z",
            cpu: TICK * ticks,
        })
    }
}

/// A process and all its descendants.
///
/// # Errors
/// If the system has no `/proc`.
pub(super) fn tree(root: u32) -> anyhow::Result<Vec<u32>> {
    let everyone: Vec<(u32, u32)> = fs::read_dir("/proc")
        .context("looking for processes")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, Stat::read(pid)?.parent)))
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(everyone.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| pid));
        next += 1;
    }
    Ok(found)
}

/// Stops a process and all its descendants in the middle of what they do (SIGSTOP), so that none is left out that is
/// being started. Gives their ids.
///
/// # Errors
/// If the process is gone.
pub(super) fn freeze(root: u32) -> anyhow::Result<Vec<u32>> {
    let mut frozen = Vec::new();
    loop {
        let awake: Vec<u32> = tree(root)?.into_iter().filter(|pid| !frozen.contains(pid)).collect();
        if awake.is_empty() {
            return Ok(frozen);
        }
        let sent = signal("STOP", &awake);
        // A descendant may end by itself at any time; the root may not.
        ensure!(sent.is_ok() || is_running(root), "process {root} is gone");
        frozen.extend(awake);
    }
}

/// Whether a process is there and not only waiting to be buried by its parent.
pub(super) fn is_running(pid: u32) -> bool {
    Stat::read(pid).is_some_and(|stat| !stat.is_zombie)
}

/// The processor time that a process and its descendants have used, those that have ended among them.
///
/// # Errors
/// If the process is gone.
pub(super) fn cpu(root: u32) -> anyhow::Result<Duration> {
    ensure!(is_running(root), "process {root} is gone");
    Ok(tree(root)?.into_iter().filter_map(Stat::read).map(|stat| stat.cpu).sum())
}

/// Sends a signal, as `kill` names it.
///
/// # Errors
/// If none of them is there any more, or one is not ours. A process of several may end by itself at any time: the others
/// get it all the same.
pub(super) fn signal(name: &str, pids: &[u32]) -> anyhow::Result<()> {
    // The shell's own `kill`: safe Rust has no other without one more dependency.
    let status = Command::new("sh")
        .args(["-c", "kill -\"$0\" \"$@\"", name])
        .args(pids.iter().map(u32::to_string))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    ensure!(
        status.success() || pids.iter().any(|pid| is_running(*pid)),
        "kill -{name} {pids:?}: {status}"
    );
    Ok(())
}
