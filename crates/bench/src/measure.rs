//! Processor time and memory, from /proc.

use anyhow::{Context as _, Result, bail};

/// Clock ticks a second in /proc/PID/stat: 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of processor time, user and system, that a process has used so far.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("process is gone")?;
    // The second field is a name in brackets that may hold anything: count after the last bracket.
    let (_, after_name) = stat.rsplit_once(')').context("unexpected /proc/PID/stat")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |index: usize| -> Result<f64> { Ok(fields[index].parse()?) };
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// Seconds of processor time that the machine has spent so far, on whatever it was.
pub(crate) fn machine_cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let all = stat.lines().next().context("unexpected /proc/stat")?;
    let mut ticks = Vec::new();
    for field in all.split_whitespace().skip(1) {
        ticks.push(field.parse::<f64>()?);
    }
    // User, nice, system, idle, waiting for a disk, interrupts of two kinds, and what the host took.
    let [user, nice, system, _, _, interrupts @ ..] = &ticks[..] else {
        bail!("unexpected /proc/stat");
    };
    let interrupts: f64 = interrupts.iter().take(3).sum();
    Ok((user + nice + system + interrupts) / TICKS_PER_SECOND)
}

/// Memory that a process has in use, in MB (10^6 bytes).
pub(crate) fn memory_mb(pid: u32) -> Result<f64> {
    let status =
        std::fs::read_to_string(format!("/proc/{pid}/status")).context("process is gone")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.split_whitespace().nth(1).context("no VmRSS")?.parse()?;
    Ok(kib * 1024.0 / 1e6)
}
